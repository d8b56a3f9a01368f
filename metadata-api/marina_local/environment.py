"""What the services inherit of the launcher's environment: named variables, not everything that a shell exports."""

from collections.abc import Mapping

INHERITED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CACHE_HOME"),
        *("LANG", "LANGUAGE", "TZ", "TZDIR", "TERM", "COLUMNS", "NO_COLOR"),
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
OWN_PREFIXES = {
    "serving": ("SERVING_",),
    "api": ("METADATA_API_", "AWS_"),
    "migration": ("METADATA_API_",),
    "ui": ("UI_", "GRADIO_"),
}
"""Service -> groups of variables that are its settings, or those of a library that it uses."""
PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"})
"""How the API reaches an object store; nothing else leaves the machine."""


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
