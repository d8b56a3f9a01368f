"""The API is ready and answers with what it knows; the database is behind the answer."""

import os
import sys
from pathlib import Path

import httpx

TOKEN = Path("/run/secrets/auth/admin-token")
headers = {"Authorization": f"Bearer {TOKEN.read_text().strip()}"} if TOKEN.exists() else {}
# A pod that is seconds old may not have got its network yet: connecting is tried again.
transport = httpx.HTTPTransport(retries=8)
with httpx.Client(base_url=os.environ["URL"], headers=headers, timeout=10, transport=transport) as client:
    for path in ("/readyz", "/v1/experiments", "/v1/deployments", "/openapi.json"):
        answer = client.get(path)
        assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text[:500]}"
        sys.stdout.write(f"GET {path}: 200\n")
