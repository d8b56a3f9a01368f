"""`marina record`: which share of the traffic is recorded."""

import httpx
import pytest
from sqlalchemy import Engine

from tests.marina.conftest import Marina
from tests.metadata_api.making import make_deployment


@pytest.fixture
def digits(at_home: Marina, api: httpx.Client, engine: Engine) -> None:
    """A deployment that records nothing."""
    make_deployment(engine, "digits")


def test_it_is_turned_on_shown_and_turned_off(at_home: Marina, api: httpx.Client, digits: None) -> None:
    assert at_home("record", "digits").out.strip() == "digits: nothing is recorded"
    on = at_home("record", "digits", "0.1", "--inputs-only", "--keep-days", "30")
    assert (on.code, on.out.strip()) == (
        0,
        "digits: 0.1 of the requests without their answers is recorded, kept for 30 days",
    )
    assert api.get("/v1/deployments/digits").json()["recording"] == {
        "rate": 0.1,
        "answers": False,
        "retention_days": 30,
    }
    assert at_home("record", "digits", "1", "--json").json["recording"]["answers"]
    assert at_home("record", "digits", "0").out.strip() == "digits: nothing is recorded"


def test_what_is_no_share_is_wrong_use(at_home: Marina, digits: None) -> None:
    at_home("record", "digits", "1.5").failed(2, "SHARE")
    at_home("record", "digits", "--inputs-only").failed(2, "share")
    at_home("record", "nobody", "0.1").failed(1, "nobody")
