"""The routes for predictions of the fake API, which has them: what was asked, and what deployments answer."""

import asyncio
import base64
import io
import uuid
from hashlib import sha256
from typing import Any

from fastapi import FastAPI, Request
from PIL import Image

from tests.ui.fake_answers import HOSTILE, NONE, error
from tests.ui.fake_kinds import KINDS, answer

LABELS = [str(digit) for digit in range(10)]


class FakePredictions:
    """`asked` are the deployments that each question names, `images` and `questions` what they are about.

    `held` lets questions wait, and each answer takes `seconds`.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what was asked."""
        self.questions: list[dict[str, Any]] = []
        self.asked: list[list[str]] = []
        self.images: list[bytes] = []
        self.held = False
        self.seconds = 0.0

    def add_routes(self, app: FastAPI, deployments: dict[str, dict[str, Any]]) -> None:
        """To the fake's application; `deployments` are those that answer."""

        @app.post("/v1/predictions")
        async def predict(request: Request) -> Any:
            body, named = await self._question(request)
            self.asked.append(named)
            await asyncio.sleep(self.seconds)
            while self.held:
                await asyncio.sleep(0.02)
            if gone := set(named) - deployments.keys():
                return error(404, "deployment_unknown", f"There is no deployment {', '.join(sorted(gone))}.")
            size: dict[str, Any] = {}
            if "image" in body:
                try:
                    size = dict(
                        zip(("width", "height"), Image.open(io.BytesIO(body["image"])).size, strict=True)
                    )
                except OSError:
                    return error(415, "image_unreadable", "This is not a PNG or JPEG.")
            running = [name for name, item in deployments.items() if item["desired"] == "running"]
            names = named or running
            taking = [name for name in names if fits(deployments[name], body)]
            results = [_answer(deployments[name], body) for name in taking]
            passed = [
                {
                    "deployment": name, "experiment": deployments[name]["experiment"],
                    "reason": "takes_other_kind", "detail": "It takes another kind of input.",
                }
                for name in names if name not in taking
            ]  # fmt: skip
            kind = next(iter(body))
            digest = sha256(body.get("image", b"")).hexdigest()
            return {
                "id": str(uuid.uuid4()),
                "input": {
                    "sha256": digest, "kind": kind, "media_type": "image/png", "size": 100, "summary": size,
                    "url": "/v1/inputs/0",
                },
                "deadline_ms": 5000,
                "results": results,
                "not_asked": passed,
                "agreements": [],
            }  # fmt: skip

        @app.get("/v1/predictions")
        def predictions() -> dict[str, Any]:
            return {**NONE, "total_is_exact": True}

    async def _question(self, request: Request) -> tuple[dict[str, Any], list[str]]:
        """What a prediction is about, and the deployments that it names."""
        if request.headers["content-type"].startswith("multipart/"):
            async with request.form() as form:
                image = await form["image"].read()  # type: ignore[union-attr]
                self.images.append(image)
                return {"image": image}, [str(name) for name in form.getlist("deployments")]
        body = await request.json()
        self.questions.append(body)
        names = body.pop("deployments", [])
        body.pop("deadline_ms", None)
        return body, names


def fits(item: dict[str, Any], question: dict[str, Any]) -> bool:
    """Whether a deployment takes what is asked."""
    kind = {"row": "table", "tensors": "tensor"}
    asked = next(iter(question))
    return bool(item["inputs"][0]["kind"] == kind.get(asked, asked))


def _answer(item: dict[str, Any], question: dict[str, Any]) -> dict[str, Any]:
    name = item["name"]
    row = {
        "prediction_id": str(uuid.uuid4()), "deployment": name, "alias": None, "experiment": item["experiment"],
        "task": item["task"], "version": item["observed"]["version"], "status": "ok", "kind": "probabilities",
        "label": None, "probabilities": None, "number": None, "unit": None, "text": None, "boxes": None,
        "tensors": None, "latency_ms": 3.7 + len(name) / 3, "cold": False, "preprocessed": None, "warning": None,
        "error": None,
    }  # fmt: skip
    if not item["ready"]:
        fault = {"error": "model_not_ready", "detail": f"{name} is not ready: {HOSTILE}"}
        return row | {"status": "error", "error": fault}
    if item["experiment"] in KINDS:
        return row | answer(item["experiment"], question)
    label, sure = ("3", 0.41) if name == "mlp-poor" else ("5", 0.93)
    rest = (1 - sure) / 9
    shares: list[dict[str, Any]] = [
        {"label": other, "probability": sure if other == label else rest} for other in LABELS
    ]
    shares.sort(key=lambda share: share["probability"], reverse=True)
    seen = seen_image(Image.open(io.BytesIO(question["image"])).convert("L"))
    return row | {"label": label, "probabilities": shares, "preprocessed": seen}


def seen_image(image: Image.Image) -> str:
    """Base64 of the 28 x 28 PNG that a model would see, white on black."""
    small = image.resize((28, 28), Image.Resampling.BOX)
    if small.tobytes()[0] > 127:
        small = small.point([255 - level for level in range(256)])
    content = io.BytesIO()
    small.save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()
