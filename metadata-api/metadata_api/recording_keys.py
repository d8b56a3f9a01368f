"""Keys of the addresses that servers send recorded traffic to.

The agent of KServe can send no credential, so the address is one: its key is derived from the token that this API alone
holds, and from the name of the deployment, for which it is good alone. Without such a token, which means without
authentication, the key protects nothing.
"""

import base64
import hashlib
import hmac


def key_of(secret: str, deployment: str) -> str:
    """43 characters of A-Z, a-z, 0-9, - and _, from the serving token of the API."""
    digest = hmac.digest(secret.encode(), b"recording of " + deployment.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def check(secret: str, deployment: str, key: str) -> bool:
    """Whether a key is that of the deployment; how long it takes says nothing about the right one."""
    return hmac.compare_digest(key_of(secret, deployment).encode(), key.encode("utf-8", "replace"))
