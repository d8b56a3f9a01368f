"""Our scripts and styles by addresses with the hash of their content, which browsers keep for ever."""

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response

from model_ui.shell import gradio_files

PREFIX = "/assets/marina/"
FOREVER = "public, max-age=31536000, immutable"
STYLES = {
    "pages.css": (
        "tokens.css",
        "pieces.css",
        "shell.css",
        "workbench.css",
        "chart.css",
        "parallel.css",
        "operations.css",
        "label.css",
        "scores.css",
        "evidence.css",
        "lineage.css",
    )
}
# All that Gradio's client would ask for one by one.
GRADIO = "gradio.css"
SCRIPTS = (
    "shell.js",
    "live.js",
    "choices.js",
    "chart.js",
    "parallel.js",
    "saving.js",
    "upload.js",
    "label.js",
)
KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}


@dataclass(frozen=True)
class Asset:
    """One file, as it is and compressed."""

    content: bytes
    compressed: bytes
    kind: str


@cache
def addresses() -> dict[str, str]:
    """Address below the root path of each file, by its name."""
    return {name: f"{PREFIX}{_hashed(name, asset)}" for name, asset in _assets().items()}


def serve(request: Request) -> Response:
    """A file by its hashed name; 404 for any other."""
    known = {_hashed(name, asset): asset for name, asset in _assets().items()}
    asset = known.get(str(request.scope["path"]).removeprefix(PREFIX))
    if asset is None:
        return Response("There is no such file.", 404, media_type="text/plain")
    headers = {"cache-control": FOREVER, "vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(
            asset.compressed, headers={**headers, "content-encoding": "gzip"}, media_type=asset.kind
        )
    return Response(asset.content, headers=headers, media_type=asset.kind)


@cache
def _assets() -> dict[str, Asset]:
    folder = resources.files("model_ui").joinpath("assets")
    parts = {**STYLES, **{name: (name,) for name in SCRIPTS}}
    contents = {
        name: b"".join(folder.joinpath(file).read_bytes() for file in files) for name, files in parts.items()
    }
    contents[GRADIO] = b"\n".join(gradio_files.content(name) for name in gradio_files.files().styles)
    return {
        name: Asset(content, gzip.compress(content, 9, mtime=0), KINDS[name.rpartition(".")[2]])
        for name, content in contents.items()
    }


def _hashed(name: str, asset: Asset) -> str:
    stem, _, ending = name.rpartition(".")
    return f"{stem}.{sha256(asset.content).hexdigest()[:16]}.{ending}"
