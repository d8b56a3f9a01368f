"""Makes the cache that halves the time and the CPU of Java's starts: `python -m serving_runtime.java_cache FILE`.

Java writes it at the end of a training run: here TorchServe with a small model that answers once. SERVING_JAVA_CACHE
names it to the front. A Java that it was not made for ignores it.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from serving_runtime.archive.interface import PLAIN
from serving_runtime.archive.manifest import MANIFEST
from serving_runtime.errors import LoadFailed
from serving_runtime.models.self_test import SelfTest
from serving_runtime.runtimes.forkserver import ForkServer
from serving_runtime.runtimes.torchserve import java
from serving_runtime.runtimes.torchserve.server import TorchServe

_START_SECONDS = 180.0
_END_SECONDS = 90.0
_HANDLER = "def handle(data, context):\n    return data and [b''] * len(data)\n"


def main() -> int:
    """0 when the cache is there, or this Java knows none; 1 with the reason on stderr."""
    target = Path(sys.argv[1]).resolve()
    if (version := java.java_version()) < java.FIRST_WITH_CACHE:
        sys.stdout.write(f"Java {version} starts without a cache; Java {java.FIRST_WITH_CACHE} has one\n")
        return 0
    try:
        with tempfile.TemporaryDirectory(prefix="marina-") as folder:
            asyncio.run(_train(Path(folder), target))
    except (LoadFailed, TimeoutError, OSError) as error:
        sys.stderr.write(f"Java's cache was not made, its starts take twice as long: {error}\n")
        return 1
    return 0


async def _train(folder: Path, target: Path) -> None:
    """Raises LoadFailed, TimeoutError, OSError; `target` is whole or as it was."""
    new = target.with_suffix(".new")
    new.touch()  # fails now where it would fail in the end
    forkserver = ForkServer(folder, threads=1)
    torchserve = TorchServe(folder / "t", forkserver, java.Cache(new, training=True), lambda _reason: None)
    try:
        probe = SelfTest(PLAIN.inputs, PLAIN.outputs, None, has_spec=False).frame
        await torchserve.start(_model(folder), probe, seconds=_START_SECONDS)
        await torchserve.finish(_END_SECONDS)
        if not new.stat().st_size:
            raise LoadFailed("Java ended without writing one")
        new.replace(target)
    finally:
        await torchserve.stop()
        await forkserver.stop()
        new.unlink(missing_ok=True)


def _model(folder: Path) -> Path:
    """An unpacked archive whose handler answers everything with nothing."""
    model = folder / "model"
    manifest = model / MANIFEST
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"model": {"modelName": "model", "handler": "handler.py"}}), "utf-8")
    (model / "handler.py").write_text(_HANDLER, "utf-8")
    return model


if __name__ == "__main__":
    sys.exit(main())
