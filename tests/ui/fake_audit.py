"""The routes for admins of the fake API: the audit log and API tokens; `fake_api.FakeApi` has them."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

NOW = "2026-03-04T10:30:00+00:00"
LATER = "2999-06-02T10:30:00+00:00"


def entry(number: int, **changes: Any) -> dict[str, Any]:
    """One entry of the audit log as the API shows it."""
    change = {
        "table": "deployments",
        "key": "cnn-fast",
        "before": {"version": number, "previous_version": None},
        "after": {"version": number + 1, "previous_version": number},
    }
    return {
        "id": number,
        "at": NOW,
        "subject": "a deployer" if number % 2 else "a publisher",
        "kind": "token",
        "role": "deployer",
        "token_id": "000000000001",
        "route": "PATCH /v1/deployments/{name}",
        "path": "/v1/deployments/cnn-fast",
        "changes": [change],
        "address": "127.0.0.1",
        "request_id": f"{number:032x}",
        **changes,
    }


def issued(number: int, **changes: Any) -> dict[str, Any]:
    """One API token as the API lists it."""
    return {
        "id": f"{number:012x}",
        "name": f"program {number}",
        "role": "viewer",
        "deployments": None,
        "created_by": "admin",
        "created_at": NOW,
        "expires_at": None,
        "revoked_at": None,
        **changes,
    }


class FakeAudit:
    """What the routes show: `entries` by id, the oldest first, and `issued` tokens by id."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Sixty changes and one token."""
        self.entries = [entry(number) for number in range(1, 61)]
        self.issued = {token["id"]: token for token in [issued(1)]}

    def revoked(self) -> list[str]:
        """Names of the tokens that were revoked."""
        return [token["name"] for token in self.issued.values() if token["revoked_at"]]

    def add_routes(self, app: FastAPI) -> None:
        @app.get("/v1/audit")
        def listing(limit: int = 50, subject: str | None = None, cursor: int | None = None) -> dict[str, Any]:
            found = [
                item
                for item in reversed(self.entries)
                if (subject is None or item["subject"] == subject) and (cursor is None or item["id"] < cursor)
            ]
            following = str(found[limit - 1]["id"]) if len(found) > limit else None
            return {"items": found[:limit], "next": following, "rejected": {"401": 3}}

        @app.get("/v1/tokens")
        def tokens() -> dict[str, Any]:
            return {"items": list(self.issued.values()), "next": None}

        @app.post("/v1/tokens", status_code=201)
        async def issue(request: Request) -> Any:
            body = await request.json()
            if not body["name"]:
                detail = "body.name: String should have at least 1 character"
                return JSONResponse({"error": "invalid", "detail": detail}, 422)
            expires = None if body["expires_in_days"] is None else LATER
            limits = {key: body[key] for key in ("name", "role", "deployments")}
            made = issued(len(self.issued) + 1, expires_at=expires, **limits)
            self.issued[made["id"]] = made
            return {**made, "token": f"mrn_{made['id']}_{'s' * 43}"}

        @app.delete("/v1/tokens/{token_id}", status_code=204, response_model=None)
        def revoke(token_id: str) -> JSONResponse | None:
            if token_id not in self.issued:
                detail = f"There is no token {token_id}."
                return JSONResponse({"error": "token_unknown", "detail": detail}, 404)
            self.issued[token_id]["revoked_at"] = NOW
            return None
