"""The UI delivers its page."""

import os
import sys

import httpx

# A pod that is seconds old may not have got its network yet: connecting is tried again.
with httpx.Client(timeout=20, transport=httpx.HTTPTransport(retries=8), follow_redirects=True) as client:
    answer = client.get(os.environ["URL"])
assert answer.status_code == 200, f"{answer.status_code} {answer.text[:500]}"
assert "gradio" in answer.text.lower(), "this is not the UI's page"
sys.stdout.write(f"GET {answer.url}: 200, {len(answer.content)} bytes\n")
