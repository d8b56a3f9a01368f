"""Policies of aliases hold for those who may not pass them."""

import httpx
from sqlalchemy import Engine

from serving_runtime.contracts import Role
from tests.metadata_api.auth.conftest import client_of
from tests.metadata_api.making import make_deployment


def test_nobody_gets_rid_of_a_policy_by_deleting_its_alias(
    closed_address: str, admin: httpx.Client, tokens: dict[Role, str], engine: Engine
) -> None:
    for name in ("old", "new"):
        make_deployment(engine, name)
    url = "/v1/aliases/champion"
    with client_of(closed_address, tokens[Role.DEPLOYER]) as deployer:
        assert deployer.put(url, json={"deployment": "old"}).status_code == 201
        admin.put(f"{url}/policy", json={"min_labels": 5}).raise_for_status()
        assert deployer.put(url, json={"deployment": "new"}).status_code == 403
        assert deployer.delete(url).status_code == 403
        admin.delete(f"{url}/policy").raise_for_status()
        assert deployer.delete(url).status_code == 204
    admin.put(url, json={"deployment": "old"}).raise_for_status()
    admin.put(f"{url}/policy", json={"min_labels": 5}).raise_for_status()
    assert admin.delete(url).status_code == 204
