"""The UI delivers its page."""

import os

import httpx

answer = httpx.get(os.environ["URL"], timeout=20, trust_env=False, follow_redirects=True)
assert answer.status_code == 200, f"{answer.status_code} {answer.text[:500]}"
assert "gradio" in answer.text.lower(), "this is not the UI's page"
print(f"GET {answer.url}: 200, {len(answer.content)} bytes")
