"""The environment of a version: what the archive names, else the smallest here that has what it imports."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from metadata_api import environments
from metadata_api.environments import Environments
from metadata_api.errors import Conflict
from serving_runtime.archive import mar
from serving_runtime.archive.needs import Needs
from tests.metadata_api.conftest import row_counts
from tests.metadata_api.making import make_experiment

VERSIONS = "/v1/experiments/digits/versions"


@pytest.fixture
def built(tmp_path: Path, app: FastAPI, engine: Engine, clean: None) -> Iterator[Path]:
    """A folder of environments with `audio` in it; the application looks there, and has an experiment."""
    make_experiment(engine)
    folder = tmp_path / "environments"
    build(folder, "audio", "soundfile")
    before = app.state.components.environments
    app.state.components.environments = environments.on_one_machine(folder)
    yield folder
    app.state.components.environments = before


def build(folder: Path, name: str, module: str) -> None:
    """What `make environment` leaves of an environment with one package."""
    (folder / name).mkdir(parents=True)
    document = {"lock": "", "imports": [module], "packages": {module: "1.0"}, "preload": [], "notes": []}
    (folder / name / "environment.json").write_text(json.dumps(document))


def archive(folder: Path, code: str, **more: str) -> bytes:
    files = {
        "handler.py": code.encode(),
        **{name.replace("_", "."): text.encode() for name, text in more.items()},
    }
    mar.build(folder / "a.mar", name="model", handler="handler.py", serialized_file=None, files=files)
    return (folder / "a.mar").read_bytes()


class TestUpload:
    def test_an_archive_that_needs_nothing_more_runs_in_the_base_environment(
        self, api: httpx.Client, built: Path, tmp_path: Path
    ) -> None:
        answer = api.post(VERSIONS, content=archive(tmp_path, "import torch, numpy"))
        assert answer.status_code == 201
        assert answer.json()["environment"] == "base"
        assert api.get(f"{VERSIONS}/1").json()["environment"] == "base"

    def test_the_environment_is_found_by_the_imports(
        self, api: httpx.Client, built: Path, tmp_path: Path
    ) -> None:
        answer = api.post(VERSIONS, content=archive(tmp_path, "import soundfile, torch"))
        assert (answer.status_code, answer.json()["environment"]) == (201, "audio")

    def test_one_that_is_built_later_counts_from_then_on(
        self, api: httpx.Client, engine: Engine, built: Path, tmp_path: Path
    ) -> None:
        content = archive(tmp_path, "import torchvision")
        answer = api.post(VERSIONS, content=content)
        assert (answer.status_code, answer.json()["error"]) == (409, "environment_missing")
        assert "needs torchvision" in answer.json()["detail"]
        assert "run make environment NAME=vision; then upload the archive again" in answer.json()["detail"]
        assert row_counts(engine)["model_versions"] == 0
        build(built, "vision", "torchvision")
        assert api.post(VERSIONS, content=content).json()["environment"] == "vision"

    def test_what_no_environment_has_is_named_with_the_way_to_make_one(
        self, api: httpx.Client, built: Path, tmp_path: Path
    ) -> None:
        content = archive(tmp_path, "import tensorflow, jax", requirements_txt="numpy==1.0\n")
        answer = api.post(VERSIONS, content=content)
        assert (answer.status_code, answer.json()["error"]) == (409, "environment_missing")
        for said in (
            "jax, tensorflow, numpy==1.0 (it has",
            "serving/environments/NAME/requirements.in",
            "make lock",
        ):
            assert said in answer.json()["detail"]

    def test_a_spec_names_its_environment_and_no_other_is_looked_for(
        self, api: httpx.Client, built: Path, tmp_path: Path
    ) -> None:
        tensors = "inputs: [{name: x, datatype: FP32, shape: [-1]}]\noutputs: [{name: y, datatype: FP32, shape: [-1]}]"
        named = archive(
            tmp_path, "import tensorflow", model_yaml=f"name: model\nenvironment: audio\n{tensors}\n"
        )
        assert api.post(VERSIONS, content=named).json()["environment"] == "audio"
        other = archive(
            tmp_path, "import torch", model_yaml=f"name: model\nenvironment: nowhere\n{tensors}\n"
        )
        answer = api.post(VERSIONS, content=other)
        assert (answer.status_code, answer.json()["error"]) == (409, "environment_missing")
        assert "make environment NAME=nowhere" in answer.json()["detail"]


class TestOnACluster:
    def test_those_of_this_release_need_their_name_only_and_others_say_what_they_have(self) -> None:
        own = {"imports": ["soundfile"], "packages": {"soundfile": "0.13"}}
        here = environments.on_cluster({"vision": {"imports": [], "packages": {}}, "audio": own})
        assert needing(here, "torch") == "base"
        assert needing(here, "torchvision") == "vision"
        assert needing(here, "soundfile") == "audio"

    def test_what_is_missing_is_told_with_the_image_and_the_value_of_the_chart(self) -> None:
        here = environments.on_cluster({})
        with pytest.raises(
            Conflict, match="make images ENVIRONMENTS=sklearn, and add sklearn to the chart's value"
        ):
            needing(here, "sklearn")


def needing(here: Environments, module: str) -> str:
    return here.choose(Needs(frozenset({module})))
