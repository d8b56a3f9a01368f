"""Archives as their owners have them: packed by TorchServe's own `torch-model-archiver`, unchanged, then uploaded."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from serving_runtime.archive import mar


def pack(
    path: Path,
    handler: str,
    *,
    serialized_file: Path | None = None,
    model_file: Path | None = None,
    extra_files: Sequence[Path] = (),
    config_file: Path | None = None,
) -> mar.MarInfo:
    """Pack an archive and rewrite it to `path`, as every upload is. `handler` is a file or one of TorchServe's own."""
    command = [str(Path(sys.executable).with_name("torch-model-archiver")), "--version", "1.0"]
    command += ["--model-name", path.stem, "--handler", handler, "--export-path", str(path.parent)]
    files = {"--serialized-file": serialized_file, "--model-file": model_file, "--config-file": config_file}
    for option, file in files.items():
        command += [] if file is None else [option, str(file)]
    if extra_files:
        command += ["--extra-files", ",".join(map(str, extra_files))]
    # It collects the files in the folder for temporary ones, under the model's name.
    folder = path.with_suffix(".packing")
    folder.mkdir()
    subprocess.run(
        command,
        check=True,
        timeout=60,
        capture_output=True,
        env={"TMPDIR": str(folder), "PATH": "/usr/bin:/bin"},
    )
    packed = path.with_suffix(".packed")
    path.rename(packed)
    return mar.rewrite(packed, path)
