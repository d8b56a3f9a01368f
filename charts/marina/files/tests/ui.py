"""The UI delivers its page."""

import os
import sys

import httpx

# A pod that is seconds old may not have got its network yet: connecting is tried again.
with httpx.Client(timeout=20, transport=httpx.HTTPTransport(retries=8), follow_redirects=True) as client:
    answer = client.get(os.environ["URL"])
# With authentication on it is the login page, which says 401.
assert answer.status_code in (200, 401), f"{answer.status_code} {answer.text[:500]}"
assert "<title>" in answer.text, "this is no page"
assert "Marina" in answer.text, "this is not the UI's page"
sys.stdout.write(f"GET {answer.url}: 200, {len(answer.content)} bytes\n")
