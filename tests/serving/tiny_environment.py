"""An environment with one small package of its own, built as `make environment` builds one, without any index."""

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.conftest import ROOT

NAME = "tiny"
PACKAGE, MODULE = "marina-greeting", "marina_greeting"
BUILDER = ROOT / "serving" / "build_environment.py"
CODE = "WORD = 'hello'\n"


def build(folder: Path, code: str = CODE, name: str = NAME) -> subprocess.CompletedProcess[str]:
    """Describe it in `folder`/source and build it in `folder`/environments."""
    wheel = _wheel(folder, code)
    source = folder / "source" / name
    source.mkdir(parents=True, exist_ok=True)
    (source / "requirements.in").write_text(f"{PACKAGE}\n")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (source / "requirements.lock").write_text(f"{PACKAGE}==1.0 \\\n    --hash=sha256:{digest}\n")
    return run("--source", str(folder / "source"), "--to", str(folder / "environments"), name, wheels=folder)


def run(*arguments: str, wheels: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The builder, which asks no index: what it installs lies in `wheels`."""
    offline = {"UV_FIND_LINKS": str(wheels), "UV_NO_INDEX": "1"} if wheels else {}
    uv = str(Path(sys.executable).parent / "uv")
    return subprocess.run(
        [sys.executable, str(BUILDER), "--uv", uv, *arguments],
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _wheel(folder: Path, code: str) -> Path:
    """A wheel of one module."""
    info = f"{MODULE}-1.0.dist-info"
    files = {
        f"{MODULE}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_digest(text)},{len(text)}\n" for name, text in files.items())
    path = folder / f"{MODULE}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
