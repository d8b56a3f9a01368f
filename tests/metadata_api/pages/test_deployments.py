"""The pages Deployments and Aliases on the real API: what they show, and what their forms do to it."""

import re

import httpx
import pytest

from tests.metadata_api.pages.forms import Send, said, take_back


class TestDeployments:
    def test_are_a_table_with_counts_by_state(self, send: Send) -> None:
        page = send("GET", "/deployments").text
        assert "<title>Deployments · Marina</title>" in page
        assert '<a href="/behind/deployment?name=a">a</a>' in page
        assert re.search(r"<b>2</b> changing", page)

    def test_several_are_asked_about_before_they_stop_and_stop_with_a_reason(
        self, send: Send, api: httpx.Client
    ) -> None:
        asked = send("POST", "/deployments", data={"do": "ask", "action": "stop", "pick": ["a", "b"]})
        assert asked.headers["location"] == "/behind/deployments?ask=stop&pick=a,b"
        page = send("GET", "/deployments?ask=stop&pick=a,b").text
        assert "Alias champion points at it and gets no answer either." in page
        form = {"do": "stop", "name": ["a", "b"], "reason": "costs"}
        assert said(send("POST", "/deployments", data=form)) == "a, b stop."
        for name in ("a", "b"):
            # That it has stopped may have been seen already.
            events = api.get(f"/v1/deployments/{name}/events").json()["items"]
            assert [one["reason"] for one in events if one["kind"] == "stop"] == ["costs"]

    def test_what_cannot_be_removed_stays_and_the_others_go(self, send: Send, api: httpx.Client) -> None:
        words = said(send("POST", "/deployments", data={"do": "remove", "name": ["a", "b"]}))
        assert words.startswith("b is removed. Deployment a is what aliases point at: champion.")
        assert [item["name"] for item in api.get("/v1/deployments").json()["items"]] == ["a"]

    def test_one_is_deployed_and_says_how_it_is_asked(self, send: Send, api: httpx.Client) -> None:
        form = {"do": "deploy", "experiment": "a", "version": "2", "name": "new", "runtime": "native"}
        answer = send("POST", "/deployments", data=form)
        assert said(answer) == "new starts with version 2."
        assert answer.headers["location"] == "/behind/deployment?name=new"
        assert api.get("/v1/deployments/new").json()["runtime"] == "native"

    def test_one_that_is_there_already_is_refused_in_the_words_of_the_api(self, send: Send) -> None:
        form = {"do": "deploy", "experiment": "a"}
        assert "There is a deployment a already." in said(send("POST", "/deployments", data=form))

    def test_its_page_records_a_share_of_the_traffic_and_takes_it_back(
        self, send: Send, api: httpx.Client
    ) -> None:
        assert "Nothing of its v2 traffic is recorded." in send("GET", "/deployment?name=a").text
        form = {
            "do": "record",
            "name": "a",
            "percent": "12,5",
            "days": "30",
            "answers": "1",
            "reason": "to label",
        }
        answer = send("POST", "/deployment?name=a", data=form)
        assert said(answer) == "a: 12.5 % of its requests are recorded."
        setting = {"rate": 0.125, "answers": True, "retention_days": 30}
        assert api.get("/v1/deployments/a").json()["recording"] == setting
        page = send("GET", "/deployment?name=a").text
        assert "source=v2" in page
        assert "kept 30 days" in page
        assert "to label" in page
        assert take_back(send, answer) == "a: nothing is recorded."
        for wrong in ({"percent": "101"}, {"percent": "half"}, {"days": "a week"}):
            assert send("POST", "/deployment?name=a", data=form | wrong).status_code in (200, 303, 422)
        assert api.get("/v1/deployments/a").json()["recording"]["rate"] == 0

    def test_one_that_was_removed_comes_back_as_it_was(self, send: Send, api: httpx.Client) -> None:
        api.post("/v1/deployments/b/stop").raise_for_status()
        removed = send("POST", "/deployments", data={"do": "remove", "name": "b"})
        assert api.get("/v1/deployments/b").status_code == 404
        assert take_back(send, removed) == "Undone: b is back."
        found = api.get("/v1/deployments/b").json()
        assert (found["desired"], found["version"]) == ("stopped", 1)

    @pytest.mark.parametrize("action", ["stop", "change", "rollback"])
    def test_undo_leaves_a_later_change_of_somebody_else(
        self, send: Send, api: httpx.Client, action: str
    ) -> None:
        api.patch("/v1/deployments/b", json={"version": 2}).raise_for_status()
        form = {"do": action, "name": "b", "version": "1"}
        take_back(send, send("POST", "/deployment?name=b", data=form))
        assert api.get("/v1/deployments/b").json()["version"] == 2
        done = send("POST", "/deployment?name=b", data=form)
        api.patch("/v1/deployments/b", json={"replicas": 5}).raise_for_status()
        assert "anonymous changed deployment b" in take_back(send, done)
        found = api.get("/v1/deployments/b").json()
        assert found["replicas"] == 5
        assert found["desired"] == ("stopped" if action == "stop" else "running")


class TestDeployment:
    def test_says_what_runs_and_what_happened(self, send: Send, api: httpx.Client) -> None:
        api.patch("/v1/deployments/a", json={"version": 2, "reason": "thin <strokes>"}).raise_for_status()
        page = send("GET", "/deployment?name=a").text
        assert "<title>a · Marina</title>" in page
        assert "thin &lt;strokes&gt;" in page
        assert "Roll back to v1" in page
        assert '<a href="/behind/alias?name=champion">champion</a>' in page

    def test_changes_its_version_and_back(self, send: Send, api: httpx.Client) -> None:
        change = {"do": "change", "name": "b", "version": "2", "reason": "better"}
        assert said(send("POST", "/deployment?name=b", data=change)) == "b changes to version 2."
        back = {"do": "rollback", "name": "b", "reason": "worse"}
        assert said(send("POST", "/deployment?name=b", data=back)) == "b goes back to version 1."
        assert api.get("/v1/deployments/b").json()["version"] == 1

    def test_that_is_not_there_is_told_in_the_frame(self, send: Send) -> None:
        answer = send("GET", "/deployment?name=never")
        assert (answer.status_code, "There is nothing of this name" in answer.text) == (404, True)

    def test_has_an_address_that_people_write(self, send: Send) -> None:
        assert send("GET", "/deployments/a").headers["location"] == "/behind/deployment?name=a"


class TestAliases:
    def test_are_listed_moved_and_rolled_back(self, send: Send, api: httpx.Client) -> None:
        assert '<a href="/behind/alias?name=champion">champion</a>' in send("GET", "/aliases").text
        move = {"do": "put", "name": "champion", "deployment": "b", "reason": "tried"}
        assert said(send("POST", "/alias?name=champion", data=move)) == "champion points at b, version 1."
        page = send("GET", "/alias?name=champion").text
        assert "Roll back to a v1" in page
        back = {"do": "rollback", "name": "champion"}
        send("POST", "/alias?name=champion", data=back)
        assert api.get("/v1/aliases/champion").json()["deployment"] == "a"

    def test_one_that_was_deleted_shows_its_history(self, send: Send, api: httpx.Client) -> None:
        words = said(send("POST", "/alias?name=champion", data={"do": "delete", "name": "champion"}))
        assert words == "champion is deleted."
        assert "There is no alias champion any more" in send("GET", "/alias?name=champion").text
