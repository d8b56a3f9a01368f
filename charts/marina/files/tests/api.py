"""The API is ready and answers with what it knows; the database is behind the answer."""

import os

import httpx

with httpx.Client(base_url=os.environ["URL"], timeout=10, trust_env=False) as client:
    for path in ("/readyz", "/v1/experiments", "/v1/deployments", "/openapi.json"):
        answer = client.get(path)
        assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text[:500]}"
        print(f"GET {path}: 200")
