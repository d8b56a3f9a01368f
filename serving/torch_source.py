#!/usr/bin/env python3
"""Choose where PyTorch comes from and install it: the Makefile and the images call it.

Three sources offer the version that is locked, and the locks hold the hashes of each:

1. a CPU wheel for this Python in a place that PIP_FIND_LINKS or UV_FIND_LINKS names: nothing to download;
2. PyTorch's own index of CPU builds, if it answers within five seconds: about 200 MB;
3. the package index, whose build for Linux brings the CUDA libraries: some gigabytes, so a line says so.

The first two are in torch-cpu.lock, the third in torch.lock and torch-cuda.lock: uv does not take a hash
of 2.13.0 for the build 2.13.0+cpu.

Only the standard library, because it runs before anything else is installed.
"""

import argparse
import contextlib
import os
import platform
import re
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
ANSWER_SECONDS = 5.0
INSTALL_SECONDS = 3600
PAGE_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True)
class Source:
    """Where PyTorch comes from: a line for people, and what uv is told."""

    line: str
    options: tuple[str, ...]
    locks: tuple[str, ...] = ("torch-cpu.lock",)

    def arguments(self) -> list[str]:
        """Arguments of `uv pip install`; hashes are required whatever the source is."""
        files = [word for lock in self.locks for word in ("-r", str(HERE / lock))]
        return ["--no-deps", "--require-hashes", *self.options, *files]


def answers(url: str) -> bool:
    """Whether an index answers within five seconds, name look-up, connection, TLS and first byte together."""
    found: list[bytes] = []
    # A thread of its own, because urllib's limit holds for each step and not at all for the name look-up.
    thread = threading.Thread(target=_read_one_byte, args=(url, found), daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    return bool(found)


def choose(
    environment: Mapping[str, str],
    *,
    probe: Callable[[str], bool] = answers,
    version: str | None = None,
    index: str = CPU_INDEX,
) -> Source:
    """The first source of the three that has a build of the locked version for this Python."""
    version = version or locked_version()
    for place in _places(environment):
        for name in _names(place):
            if fits(name, version):
                line = f"PyTorch {version}: taken from {place} ({name})"
                return Source(line, ("--no-index", "--find-links", place))
    if probe(f"{index}/torch/"):
        return Source(f"PyTorch {version}: the CPU build from {index}", ("--default-index", index))
    line = (
        f"PyTorch {version}: {index} does not answer, so the package index's larger build "
        "(with CUDA libraries, several GB) is taken"
    )
    return Source(line, (), ("torch.lock", "torch-cuda.lock"))


def locked_version() -> str:
    """The version in serving/torch.lock, the one place that pins it for the installation."""
    found = re.search(r"^torch==(\S+)", (HERE / "torch.lock").read_text(), re.M)
    if not found:
        raise SystemExit("serving/torch.lock names no version of torch: run `make lock`")
    return found[1]


def fits(name: str, version: str) -> bool:
    """Whether a wheel's name says the CPU build of this version for this interpreter and machine."""
    parts = urllib.parse.unquote(name).removesuffix(".whl").split("-")
    if not name.endswith(".whl") or len(parts) != 5 or parts[0] != "torch":
        return False
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    same_python = parts[2] == python and parts[3] == python
    return parts[1] == f"{version}+cpu" and same_python and _platform_fits(parts[4])


def _read_one_byte(url: str, found: list[bytes]) -> None:
    with (
        contextlib.suppress(OSError, ValueError),
        urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as response,
    ):
        found.extend(filter(None, [response.read(1)]))


def _platform_fits(tag: str) -> bool:
    return sys.platform in tag and tag.endswith(platform.machine())


def _places(environment: Mapping[str, str]) -> Iterable[str]:
    for variable, separator in (("PIP_FIND_LINKS", None), ("UV_FIND_LINKS", ",")):
        yield from (
            place.strip() for place in environment.get(variable, "").split(separator) if place.strip()
        )


def _names(place: str) -> list[str]:
    """File names that a folder, a file: address or a web page of links offers."""
    if place.startswith(("http://", "https://")):
        try:
            with urllib.request.urlopen(place, timeout=ANSWER_SECONDS) as response:
                page = response.read(PAGE_BYTES).decode(errors="replace")
        except (OSError, ValueError):
            return []
        return [link.split("#")[0].rsplit("/", 1)[-1] for link in re.findall(r'href="([^"]+)"', page)]
    folder = Path(urllib.parse.unquote(place.removeprefix("file://"))).expanduser()
    return sorted(path.name for path in folder.glob("torch-*.whl")) if folder.is_dir() else []


def main() -> int:
    """Print the choice in one line, then install with uv, or with --print only show its arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--uv", default="uv", help="the uv to call")
    parser.add_argument("--print", action="store_true", dest="show", help="print uv's arguments instead")
    parser.add_argument("rest", nargs="*", help="more arguments for `uv pip install`, after --")
    arguments = parser.parse_args()
    source = choose(os.environ)
    sys.stderr.write(source.line + "\n")
    command = [arguments.uv, "pip", "install", *source.arguments(), *arguments.rest]
    if arguments.show:
        sys.stdout.write(" ".join(command[1:]) + "\n")
        return 0
    # uv would offer its own find-links places too, and then prefer a wheel that does not fit.
    environment = {key: value for key, value in os.environ.items() if key != "UV_FIND_LINKS"}
    return subprocess.run(
        [*command, "--python", sys.executable], env=environment, timeout=INSTALL_SECONDS
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
