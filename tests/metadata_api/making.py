"""Archives, rows and databases for tests: real `.mar` files, and experiments, versions, deployments as stored."""

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

from PIL import Image
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from metadata_api.database.tables import Deployment, Experiment, ModelVersion
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth
from serving_runtime.archive import interface, mar

LABELS = [str(digit) for digit in range(10)]
INPUTS = [
    {"name": "image", "datatype": "UINT8", "shape": [-1, 28, 28], "accepts": ["UINT8", "FP32", "BYTES"]}
]
OUTPUTS = [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}]
CARD = f"""
name: digits
labels: {json.dumps(LABELS)}
inputs: {json.dumps(INPUTS)}
outputs: {json.dumps(OUTPUTS)}
"""


def url_of(engine: Engine) -> str:
    """URL of an engine's database, with its password."""
    return engine.url.render_as_string(hide_password=False)


def open_settings(engine: Engine, folder: Path, serving_url: str) -> Settings:
    """An API without authentication before a server of models, with all that it writes in a folder."""
    return Settings(
        auth=Auth(mode="off"),
        database_url=url_of(engine),
        store_dir=folder / "store",
        serving_models_file=folder / "models.json",
        serving_url=serving_url,
    )


def make_mar(
    folder: Path, *, salt: str = "", card: str | None = CARD, config_file: str | None = None, **files: bytes
) -> bytes:
    """A real archive; another salt makes other bytes."""
    content: dict[str, bytes | Path] = {
        "handler.py": f"# {salt}\nclass Handler: ...\n".encode(),
        "training.json": json.dumps({"metrics": {"test_accuracy": 0.97}, "seed": 1}).encode(),
        **{name.replace("__", "."): data for name, data in files.items()},
    }
    if card is not None:
        content["model.yaml"] = card.encode()
    path = folder / "made.mar"
    mar.build(
        path,
        name="digits",
        handler="handler.py",
        serialized_file=None,
        files=content,
        config_file=config_file,
    )
    return path.read_bytes()


def make_image(shade: int = 0) -> bytes:
    """A small PNG; another shade is another image."""
    file = io.BytesIO()
    Image.new("L", (40, 30), shade).save(file, "PNG")
    return file.getvalue()


def make_experiment(engine: Engine, name: str = "digits") -> None:
    """An experiment without curves."""
    with Session(engine) as session, session.begin():
        session.add(Experiment(name=name, display_name=name))


def make_version(
    engine: Engine,
    number: int = 1,
    *,
    experiment: str = "digits",
    labels: list[str] = LABELS,
    inputs: list[dict[str, Any]] = INPUTS,
    outputs: list[dict[str, Any]] | None = None,
    environment: str | None = None,
    task: str | None = None,
) -> None:
    """A version whose archive is in no store, for tests that never load it; by default it gives probabilities."""
    given = outputs or [{**OUTPUTS[0], "shape": [-1, len(labels)]}]
    with Session(engine) as session, session.begin():
        owner = session.query(Experiment).filter_by(name=experiment).one()
        session.add(
            ModelVersion(
                experiment_id=owner.id,
                number=number,
                sha256=f"{owner.id:032x}{number:032x}",
                uploaded_sha256="0" * 64,
                size=1,
                handler="handler.py",
                files=["handler.py"],
                inputs=inputs,
                outputs=given,
                labels=labels,
                task=interface.of_documents(inputs, given, labels, "handler.py", task).task,
                environment=environment,
            )
        )


def make_deployment(engine: Engine, name: str, *, desired: str = "running", **version: Any) -> None:
    """A deployment of version 1 of an experiment of its own."""
    make_experiment(engine, name)
    make_version(engine, experiment=name, **version)
    with Session(engine) as session, session.begin():
        one = session.query(ModelVersion).join(Experiment).filter(Experiment.name == name).one()
        session.add(
            Deployment(
                name=name,
                experiment_id=one.experiment_id,
                version_id=one.id,
                runtime="torchserve",
                replicas=1,
                desired=desired,
            )
        )


def huge_png(width: int, height: int) -> bytes:
    """A small file that says it is a large image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(width + 1) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
