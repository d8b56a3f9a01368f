"""What a Kubernetes API answers to TokenReviews: the fields, and the words of its errors, of a real one."""

import time
import uuid
from typing import Any

import jwt
from fastapi.responses import JSONResponse

Json = dict[str, Any]
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
OWN_AUDIENCE = "https://kubernetes.default.svc.cluster.local"
SECRET = b"the service account issuer's" * 2


class TokenReviews:
    """The tokens of service accounts that were issued, and the reviews of them that were asked for."""

    def __init__(self) -> None:
        self.issued: dict[str, Json] = {}
        """Token -> its status in a review."""
        self.asked: list[Json] = []
        self.knows_audiences = True

    def issue(self, account: str, audience: str = "marina", seconds: int = 600) -> str:
        """A token of the service account NAMESPACE/NAME."""
        namespace, name = account.split("/")
        uid = str(uuid.uuid4())
        claims = {
            "aud": [audience],
            "exp": int(time.time()) + seconds,
            "iat": int(time.time()),
            "iss": OWN_AUDIENCE,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}},
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }
        token = jwt.encode(claims, SECRET, "HS256")
        self.issued[token] = {
            "authenticated": True,
            "user": {
                "username": claims["sub"],
                "uid": uid,
                "groups": [
                    "system:serviceaccounts",
                    f"system:serviceaccounts:{namespace}",
                    "system:authenticated",
                ],
                "extra": {"authentication.kubernetes.io/credential-id": [f"JTI={claims['jti']}"]},
            },
            "audiences": [audience],
        }
        return token

    def revoke(self, token: str) -> None:
        """Its service account, or the pod that it was made for, is gone."""
        del self.issued[token]

    def review(self, body: Json) -> JSONResponse:
        """201 whatever the token is; the answer is in the status."""
        self.asked.append(body)
        spec = body["spec"]
        status = self.issued.get(spec["token"])
        if status is None:
            status = {
                "user": {},
                "error": "[invalid bearer token, service account token has been invalidated]",
            }
        elif not self.knows_audiences:
            status = {name: value for name, value in status.items() if name != "audiences"}
        elif not set(status["audiences"]) & set(spec.get("audiences") or [OWN_AUDIENCE]):
            said = f"token audiences {status['audiences']} is invalid for the target audiences {spec['audiences']}"
            status = {"user": {}, "error": f"[invalid bearer token, {said}]"}
        review = {
            "kind": "TokenReview",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"managedFields": []},
            "spec": spec,
            "status": status,
        }
        return JSONResponse(review, 201)
