"""What the services inherit of the launcher's environment: named variables, not everything that a shell exports."""

from collections.abc import Mapping, MutableMapping
from pathlib import Path

from marina_local.errors import Unusable

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
INHERITED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CACHE_HOME"),
        *("LANG", "LANGUAGE", "TZ", "TZDIR", "TERM", "COLUMNS", "NO_COLOR"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "JAVA_HOME"),
        *CERTIFICATES,
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
OWN_PREFIXES = {
    "serving": ("SERVING_",),
    "api": ("METADATA_API_", "AWS_"),
    "migration": ("METADATA_API_",),
    "ui": ("UI_", "GRADIO_"),
}
"""Service -> groups of variables that are its settings, or those of a library that it uses."""
PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"})
"""How the API reaches an object store; nothing else leaves the machine."""


def check_certificates(ours: Mapping[str, str]) -> None:
    """Raise Unusable, naming the first variable whose certificates are not there: no client could be made with it."""
    for name in CERTIFICATES:
        if (place := ours.get(name)) and not Path(place).exists():
            raise Unusable(f"{name} names {place}, which is not there: unset it, or name the certificates")


def forget_postgres(ours: MutableMapping[str, str]) -> None:
    """Take out what libpq would read for our own connections, such as PGSERVICE or PGSSLMODE of another database."""
    for name in [name for name in ours if name.startswith("PG")]:
        del ours[name]


def of_service(service: str, ours: Mapping[str, str]) -> dict[str, str]:
    """What one service gets from our environment; the caller adds what it sets itself."""
    prefixes = INHERITED_PREFIXES + OWN_PREFIXES.get(service, ())
    names = set(INHERITED)
    if service == "serving":
        # Handlers may need them, and serving can pass on only what it has.
        names.update(name.strip() for name in ours.get("SERVING_WORKER_ENVIRONMENT", "").split(","))
    if service == "api":
        names |= PROXIES
    return {key: value for key, value in ours.items() if key in names or key.startswith(prefixes)}
