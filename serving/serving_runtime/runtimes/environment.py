"""The environment of Java and the workers: named variables of ours, and what we set; `forkserver.py` asks for it.

A key that is exported in the shell, or that a pod has for another purpose, is nothing for the code of an archive.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

INHERITED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CACHE_HOME"),
        *("LANG", "LANGUAGE", "TZ", "TZDIR"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "JAVA_HOME"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *(
            "PYTHONDONTWRITEBYTECODE",
            "PYTHONPYCACHEPREFIX",
            "PYTHONUNBUFFERED",
            "PYTHONUTF8",
            "PYTHONIOENCODING",
            "PYTHONHASHSEED",
        ),
        *("PYTHONFAULTHANDLER", "PYTHONMALLOC", "PYTHONNOUSERSITE"),
        "ATEN_CPU_CAPABILITY",
    }
)
"""What a program needs to find its files, its language, its certificates and its libraries."""
INHERITED_PREFIXES = (
    *("LC_", "MALLOC_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "DNNL_", "ONEDNN_"),
    *("TORCH_", "PYTORCH_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_"),
)
"""Groups of variables that say how libraries compute and on which devices."""

_log = logging.getLogger(__name__)


def of_workers(
    ours: Mapping[str, str], threads: int, more: Sequence[str] = (), *, max_batch: int = 1
) -> dict[str, str]:
    """What Java and the workers get from our environment, with one answer to how many threads to use.

    OpenBLAS is kept to one thread because its pool, made at import, would not survive the fork.
    """
    for name in more:
        if name not in ours:
            _log.warning("SERVING_WORKER_ENVIRONMENT names %s, which is not set", name)
    named = {
        key: value
        for key, value in ours.items()
        if key in INHERITED or key in more or key.startswith(INHERITED_PREFIXES)
    }
    paths = [str(Path(__file__).parents[2]), named.get("PYTHONPATH", "")]
    return {
        **named,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "SERVING_TORCH_THREADS": str(threads),
        "SERVING_MAX_BATCH": str(max_batch),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        # Threads that spin while they wait for each other take 100 times as long when the cores are shared.
        "OMP_WAIT_POLICY": "PASSIVE",
        "OPENBLAS_NUM_THREADS": "1",
        "LOG_LOCATION": "/dev/null",
        "METRICS_LOCATION": "/dev/null",
    }
