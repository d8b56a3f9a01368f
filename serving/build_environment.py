#!/usr/bin/env python3
"""Build an environment, or describe the serving environment itself: `make environment` and the images call it.

    python serving/build_environment.py [--uv UV] [--to FOLDER] NAME
    python serving/build_environment.py --tidy

NAME is a folder in serving/environments with a requirements.lock. The environment becomes
`environments/NAME` in the virtual environment whose Python runs this, and shares all that this one has: only what the
lock adds is installed. `environment.json` in it, written last, says what a handler may import. The same file beside
the lock says it for machines that have not built the environment; it is renewed when the lock has changed.
`base` is the serving environment, of which only that file is written.

What is built never changes: each build is a folder of its own in `environments/.versions/NAME`, `environments/NAME` a
link to the newest. Processes started before keep the one that they have; builds that nothing uses any more are removed
by the next build, and by `--tidy`. It needs only the standard library.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "environments"
BASE = "base"
# `marina-serving-native` is another image.
RESERVED = ("native",)
DESCRIPTION = "environment.json"
NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
VERSIONS = ".versions"
FAILS = "its import fails"
INSTALL_SECONDS = 3600
IMPORT_SECONDS = 300
# As the fork server has it: their pools of threads would not survive a fork.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# With torchvision, whatever its compiled half can be loaded with; see the module.
OPERATORS = "import serving_runtime.worker.torchvision_operators as operators; operators.install()"


def main() -> int:
    """Build the named environment; 1 with a line that says why not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--uv", default="uv", help="the uv to call")
    parser.add_argument("--source", type=Path, default=FOLDER, help="where environments are described")
    parser.add_argument(
        "--to", type=Path, default=Path(sys.prefix) / "environments", help="where it is built"
    )
    parser.add_argument("--describe", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--strict", action="store_true", help="fail where a package cannot be imported")
    parser.add_argument("--tidy", action="store_true", help="only remove builds that nothing uses")
    parser.add_argument("name", nargs="?", default="")
    arguments = parser.parse_args()
    folder = arguments.to.resolve()
    if arguments.tidy:
        if (folder / VERSIONS).is_dir():
            with _alone(folder):
                tidy(folder)
        return 0
    source = arguments.source.resolve() / arguments.name
    if arguments.describe:
        json.dump(_describe(source), sys.stdout)
        return 0
    if arguments.name == BASE:
        _write(FOLDER / BASE / DESCRIPTION, _base())
        return 0
    try:
        with _alone(folder):
            build(arguments.uv, source, folder, strict=arguments.strict)
            tidy(folder)
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


class BuildError(Exception):
    """The environment cannot be built; the text says why, and what to do."""


def build(uv: str, source: Path, folder: Path, *, strict: bool = False) -> None:
    """Build what the folder `source` describes beside what is in `folder`, then switch to it.

    Raises BuildError, with `strict` also when one of the packages that are asked for cannot be imported.
    """
    lock = source / "requirements.lock"
    if source.name in RESERVED:
        raise BuildError(f"the name {source.name} is taken: rename {source}")
    if not NAME.fullmatch(source.name) or not lock.is_file():
        there = sorted(found.parent.name for found in source.parent.glob("*/requirements.lock"))
        raise BuildError(
            f"there is no environment {source.name}; there are {', '.join(there) or 'none'}. For one of your own "
            f"write {source}/requirements.in, then run: make lock"
        )
    target = folder / VERSIONS / source.name / f"{time.time_ns():x}"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _fill(uv, source, target, strict=strict)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    _switch(folder / source.name, target)


def tidy(folder: Path) -> None:
    """Remove builds that are neither the newest of their environment nor used by any process."""
    lines = [_command_line(process) for process in Path("/proc").glob("[0-9]*")]
    for version in (folder / VERSIONS).glob("*/*"):
        is_current = (folder / version.parent.name).resolve() == version
        if not is_current and not any(str(version).encode() in line for line in lines):
            shutil.rmtree(version, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one at a time builds and removes."""
    (folder / VERSIONS).mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / VERSIONS, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""  # it has ended


def _switch(link: Path, target: Path) -> None:
    """Let a link lead to another folder, without a moment in which it leads nowhere."""
    if link.is_dir() and not link.is_symlink():
        link.rename(target.with_name("before-versions"))
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target.relative_to(link.parent))
    new.replace(link)


def _fill(uv: str, source: Path, target: Path, *, strict: bool) -> None:
    lock = source / "requirements.lock"
    _run([uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(target)])
    python = target / "bin" / "python"
    if re.search(r"^[a-z0-9]", lock.read_text(), re.M):
        install = [uv, "pip", "install", "--quiet", "--python", str(python), "--no-deps"]
        _run([*install, "--only-binary", ":all:", "--require-hashes", "-r", str(lock)])
    _share(_site_packages(target))
    described = _run([str(python), __file__, "--source", str(source.parent), "--describe", source.name])
    found: dict[str, Any] = json.loads(described)
    for note in found["notes"]:
        sys.stdout.write(f"{source.name}: {note}\n")
        if strict and FAILS in note:
            raise BuildError(f"{source.name}: {note}")
    committed = source / DESCRIPTION
    if _read(committed).get("lock") != found["lock"]:
        _write(committed, {key: found[key] for key in ("lock", "imports", "packages")})
    _write(target / DESCRIPTION, found)


def _share(site_packages: Path) -> None:
    """Let the environment find, after its own packages, all that the serving environment has."""
    lines = [f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})"]
    if (site_packages / "torchvision").is_dir():
        lines.append(OPERATORS)
    (site_packages / "marina-base.pth").write_text("\n".join(lines) + "\n")


def _site_packages(target: Path) -> Path:
    return target / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _describe(source: Path) -> dict[str, Any]:
    """What the environment adds; runs with its own Python, which is the serving environment's otherwise."""
    own = _site_packages(Path(sys.prefix))
    packages = {_key(found): found.version for found in metadata.distributions(path=[str(own)])}
    by_import = _imports(lambda name: name in packages)
    preload: list[str] = []
    notes: list[str] = []
    for name in _asked_for(source / "requirements.in", by_import):
        reason = _unfit_to_fork(name, notes)
        if reason is None:
            preload.append(name)
        else:
            notes.append(f"{name} is imported by each worker for itself: {reason}")
    lock = source / "requirements.lock"
    return {
        "lock": hashlib.sha256(lock.read_bytes()).hexdigest(),
        "imports": sorted(by_import),
        "packages": dict(sorted(packages.items())),
        "preload": preload,
        "notes": list(dict.fromkeys(notes)),
    }


def _asked_for(requirements: Path, by_import: dict[str, list[str]]) -> list[str]:
    """What to import for all workers: modules of the packages that are asked for, and those of `# preload: NAME`."""
    text = requirements.read_text()
    asked = re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", text, re.M)
    direct = {re.sub(r"[-_.]+", "-", name).lower() for name in asked}
    modules = [name for name, of in by_import.items() if direct & set(of) and not name.startswith("_")]
    more = [name for line in re.findall(r"# preload: (.*)$", text, re.M) for name in line.split()]
    return sorted({*modules, *more})


def _base() -> dict[str, Any]:
    """What the serving environment has, without what else is installed beside it, such as tests."""
    lock = HERE / "requirements.lock"
    locked = dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^\s;\\]+)", lock.read_text(), re.M))
    names = {*locked, "torch", "marina-serving"}
    packages = {
        _key(found): found.version.partition("+")[0]
        for found in metadata.distributions()
        if _key(found) in names
    }
    digest = hashlib.sha256(lock.read_bytes() + (HERE / "torch.lock").read_bytes()).hexdigest()
    imports = sorted({*_imports(lambda name: name in names), "serving_runtime"})
    return {"lock": digest, "imports": imports, "packages": dict(sorted(packages.items()))}


def _imports(wanted: Callable[[str], bool]) -> dict[str, list[str]]:
    """Names that `import` takes -> the wanted packages that they come from."""
    found: dict[str, list[str]] = {}
    for name, packages in metadata.packages_distributions().items():
        of = [key for package in packages if wanted(key := re.sub(r"[-_.]+", "-", package).lower())]
        if of and name.isidentifier():
            found[name] = of
    return found


def _unfit_to_fork(module: str, notes: list[str]) -> str | None:
    """Why the fork server cannot import a module for all its workers; what the import warns of becomes a note."""
    script = (
        "import importlib, logging, os, sys\n"
        "logging.basicConfig(format='note: %(message)s')\n"
        f"importlib.import_module({module!r})\n"
        "sys.exit(0 if len(os.listdir('/proc/self/task')) == 1 else 3)\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", script],
            env={**os.environ, **ONE_THREAD},
            capture_output=True,
            text=True,
            timeout=IMPORT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"its import takes more than {IMPORT_SECONDS} s"
    said = done.stderr.strip().splitlines()
    notes += [line.removeprefix("note: ") for line in said if line.startswith("note: torchvision")]
    if done.returncode == 3:
        return "its import starts threads, which a fork would not have"
    return None if done.returncode == 0 else f"{FAILS} ({said[-1] if said else done.returncode})"


def _key(found: metadata.Distribution) -> str:
    return re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    if done.returncode:
        raise BuildError(
            f"{' '.join(command[:3])} ... failed:\n{(done.stderr or done.stdout).strip()[-3000:]}"
        )
    return done.stdout


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found


def _write(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(document, indent=1) + "\n")
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
