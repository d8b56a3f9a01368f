"""The routes for labels of the fake API, which has them: a queue of small images, and what is said of them."""

import io
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from PIL import Image, ImageDraw

from tests.ui.fake_answers import NOW

DIGITS = [str(digit) for digit in range(10)]
CLASSES = {"digits": DIGITS, "wine": [f"cultivar {number}" for number in "123"]}


def sha(number: int) -> str:
    """The digest of an input."""
    return f"{number:064x}"


def picture(number: int) -> bytes:
    """Its image: its number, modulo ten, in white on black."""
    image = Image.new("L", (28, 28), 0)
    ImageDraw.Draw(image).text((11, 8), str(number % 10), fill=255)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


class FakeLabels:
    """`said` are labels by input, newest last, as they were posted; `skipped` are inputs."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Sixty inputs, and nothing said."""
        self.numbers = list(range(1, 61))
        self.said: dict[str, list[dict[str, Any]]] = {}
        self.skipped: list[str] = []

    def add_routes(self, app: FastAPI) -> None:
        """All of them."""

        @app.get("/v1/label-queue")
        def queue(task: str, limit: int = 20) -> dict[str, Any]:
            numbers = [
                one for one in self.numbers if sha(one) not in self.said and sha(one) not in self.skipped
            ]
            fields = ["number"] if task == "diabetes" else ["label"]
            return {
                "task": task,
                "takes": {"fields": fields, "labels": CLASSES.get(task, []), "unit": None},
                "items": [self._item(place, number) for place, number in enumerate(numbers[:limit])],
                "labelled": len(self.said),
                "open": len(numbers),
                "decisive": len(numbers) // 3,
                "random_share": 0.2,
            }

        @app.get("/v1/inputs/{sha256}")
        def show(sha256: str) -> Response:
            return Response(picture(int(sha256, 16)), media_type="image/png")

        @app.post("/v1/inputs/{sha256}/labels", status_code=201, response_model=None)
        def label(sha256: str, body: dict[str, Any]) -> dict[str, Any] | Response:
            expected = body.pop("supersedes", None)
            before = self.said.get(sha256, [])
            if expected is not None and int(expected) != len(before):
                return _changed(before[-1])
            self.said.setdefault(sha256, []).append(body)
            return self._label(sha256, len(self.said[sha256]) - 1)

        @app.delete("/v1/inputs/{sha256}/labels", response_model=None)
        def take_back(sha256: str, label: int | None = None) -> dict[str, Any] | Response:
            if label not in (None, len(self.said[sha256])):
                return _changed(self.said[sha256][-1])
            last = self._label(sha256, len(self.said[sha256]) - 1)
            del self.said[sha256]
            return last | {"current": False, "superseded_at": NOW}

        @app.get("/v1/inputs/{sha256}/labels")
        def labels(sha256: str) -> dict[str, Any]:
            count = len(self.said.get(sha256, ()))
            items = [self._label(sha256, place) for place in reversed(range(count))]
            return {"items": items, "total": count, "next": None}

        @app.put("/v1/inputs/{sha256}/skips", status_code=204, response_model=None)
        def skip(sha256: str) -> None:
            self.skipped.append(sha256)

    def _item(self, place: int, number: int) -> dict[str, Any]:
        random = place % 5 == 4
        return {
            "input": {
                "sha256": sha(number),
                "kind": "image",
                "media_type": "image/png",
                "size": 200,
                "summary": {"width": 28, "height": 28},
                "url": f"/v1/inputs/{sha(number)}",
                "created_at": NOW,
            },
            "chosen": "random" if random else "queue",
            "reason": "random" if random else "candidate_differs",
            "detail": "Drawn at random, for the unbiased score."
            if random
            else "A candidate answers otherwise than the champion.",
        }

    def _label(self, sha256: str, place: int) -> dict[str, Any]:
        said = self.said[sha256]
        is_current = place == len(said) - 1
        return {
            "id": place + 1,
            "input_sha256": sha256,
            "label": None,
            "number": None,
            "text": None,
            "note": "",
            "chosen": "other",
            "author": "anonymous",
            "created_at": NOW,
            **said[place],
            "current": is_current,
            "supersedes": place or None,
            "superseded_at": None if is_current else NOW,
        }


def _changed(now: dict[str, Any]) -> JSONResponse:
    said = f"{now.get('author', 'anonymous')} said {now['label']!r} about this input meanwhile. Look again."
    return JSONResponse({"error": "label_changed", "detail": said}, 409)
