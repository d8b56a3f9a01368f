"""What `make faults` takes for a fault: each limit can be missed, and a document says which was."""

from pathlib import Path

import pytest

from tests.bench import faults_report, open_loop, overload
from tests.bench.digits import Digits
from tests.bench.open_loop import Answer
from tests.bench.rounds import Look, Round, Row, broken_limits
from tests.bench.victims import FAULTS, Fault
from tests.serving.starters import starter

pytestmark = pytest.mark.bench

FAULT = Fault("kill -9 of the worker", lambda _scene: [], limit=10)


def answer(
    due: float, status: int = 200, *, seconds: float = 0.01, hint: bool = True, body: bytes = b""
) -> Answer:
    return Answer(due, seconds, status, hint and status == 503, 0, body)


def looks(*ready: tuple[float, bool]) -> list[Look]:
    return [Look(at, at + 0.001, yes) for at, yes in ready]


GOOD = Round(
    100.0,
    [answer(100.1, 503), answer(100.2, 503), answer(100.3), answer(100.4)],
    looks((100.02, True), (100.04, False), (100.25, True)),
)


def problems(
    answers: list[Answer] | None = None, polls: list[Look] | None = None, left: tuple[int, ...] = ()
) -> list[str]:
    """Of a round that is good but for what is given."""
    found = Round(
        100.0, GOOD.answers if answers is None else answers, GOOD.looks if polls is None else polls, left
    )
    return broken_limits(FAULT, found, lambda each: each.body != b"wrong")


class TestLimits:
    def test_a_short_outage_that_everybody_is_told_of_holds(self) -> None:
        assert problems() == []
        assert GOOD.unready == pytest.approx(0.041)
        assert GOOD.healed == pytest.approx(0.31)

    def test_a_fault_that_no_client_sees_holds(self) -> None:
        assert problems([answer(100.1), answer(100.2)], looks((100.1, True))) == []

    def test_the_next_200_is_the_one_after_the_last_failure(self) -> None:
        answers = [answer(100.1, 503), answer(100.2), answer(100.3, 504), answer(100.4)]
        assert Round(100.0, answers, []).healed == pytest.approx(0.41)

    @pytest.mark.parametrize(
        ("bad", "problem"),
        [
            (answer(100.2, 500), "1 answers with status 500"),
            (answer(100.2, 0), "1 answers with status 0"),
            (answer(100.2, 503, hint=False), "a 503 without Retry-After"),
            (answer(100.2, 504, seconds=10.6), "an answer took 10.6 s"),
            (answer(100.5, body=b"wrong"), "1 answers were wrong"),
            (answer(100.26, 503), "called ready again before it answered"),
        ],
    )
    def test_one_bad_answer_is_a_fault(self, bad: Answer, problem: str) -> None:
        assert problems([*GOOD.answers, bad]) == [problem]

    def test_no_200_in_time_is_a_fault(self) -> None:
        late = [answer(100 + tenth / 10, 503) for tenth in range(1, 100)]
        polls = looks((100.1, False), (110.1, True))
        assert problems([*late, answer(109.95)], polls) == []
        assert problems([*late, answer(110.0)], polls) == ["no 200 within 10 s"]
        assert problems(late, polls) == ["no 200 within 10 s"]

    def test_readiness_that_says_yes_for_too_long_is_a_fault(self) -> None:
        assert problems(polls=looks((100.1, True), (115.1, False))) == ["called ready for more than 15 s"]
        assert problems(polls=looks((100.1, True))) == ["called ready for more than 15 s"]

    def test_a_process_that_is_still_there_is_a_fault(self) -> None:
        assert problems(left=(7,)) == ["a process that should be replaced is still there"]


def test_the_answer_to_another_request_is_wrong(tmp_path: Path) -> None:
    starter(tmp_path / "digits.mar", "cnn-baseline")
    (tmp_path / "unpacked").mkdir()
    digits = Digits(tmp_path / "digits.mar", tmp_path / "unpacked")
    for asked in range(len(digits.requests)):
        for answered in range(len(digits.requests)):
            found = Answer(0, 0, 200, False, asked, digits.answer(answered))
            assert digits.right(found) == (asked == answered)


def test_every_runtime_has_the_faults_that_it_can_have() -> None:
    faults = {
        runtime: [each for each in FAULTS if runtime in each.runtimes] for runtime in ("native", "torchserve")
    }
    assert len(faults["native"]) >= 5
    assert set(faults["native"]) < set(faults["torchserve"])


class TestOverloaded:
    def found(self, **changed: object) -> overload.Overloaded:
        over = {
            "goodput": 90.0,
            "accepted_p50": 0.02,
            "accepted_p99": 0.03,
            "rejected_p99": 0.01,
            "hints": True,
        }
        summary = open_loop.Summary(**{**over, "statuses": {200: 9, 503: 99}, **changed})  # type: ignore[arg-type]
        after = open_loop.summary([answer(1.0)], 1)
        return overload.Overloaded(overload.KINDS[0], "native", 100.0, 1000.0, 0.011, summary, after)

    def test_few_quick_answers_and_quick_rejections_hold(self) -> None:
        assert self.found().problems == []

    @pytest.mark.parametrize(
        ("changed", "problem"),
        [
            ({"statuses": {200: 9, 0: 1}}, "answers other than 200 and 503: {200: 9, 0: 1}"),
            ({"hints": False}, "a 503 without Retry-After"),
            ({"rejected_p99": 0.2}, "rejected after 200 ms"),
            ({"goodput": 79.0}, "79% of the peak"),
            ({"accepted_p99": 0.044}, "answers take 4.0 times as long"),
        ],
    )
    def test_each_limit_can_be_missed(self, changed: dict[str, object], problem: str) -> None:
        assert self.found(**changed).problems == [problem]


class TestReport:
    def document(self, *row_problems: str, left: int = 0) -> str:
        row = Row(FAULT, "native", [GOOD], row_problems)
        ends = [faults_report.End("native", 3, 0.2, left)]
        found = faults_report.Found([row], ends, [TestOverloaded().found()], [0.5, 1.0])
        return faults_report.document(found, ["--rounds", "3"])

    def test_it_says_what_was_seen_and_by_which_command(self) -> None:
        text = self.document()
        assert "`make faults FAULTS='--rounds 3'` wrote this file" in text
        assert (
            "| kill -9 of the worker | native | 1 | 2 x 200, 2 x 503 | 0.3 | 0.3 | 10 | 0.0 | 0.0 | yes |"
            in text
        )
        assert "| native | 1 | 3 | 0.20 | 0.20 | 0 | yes |" in text
        assert "Every limit held." in text

    def test_it_says_what_did_not_hold(self) -> None:
        text = self.document("no 200 within 10 s", left=1)
        assert "- kill -9 of the worker, native: no 200 within 10 s." in text
        assert "- kill -9 of the front, native: 1 left." in text
        assert "held." not in text
