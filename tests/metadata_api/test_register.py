"""models/register.py against the real API: as often as one likes, and never against what people changed."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from sqlalchemy import Engine

from metadata_api.app import create_app
from metadata_api.settings import Settings
from metadata_api.settings.auth import Signature
from serving_runtime.archive import mar
from tests.metadata_api.servers import running
from tests.metadata_api.signing import Key

ROOT = Path(__file__).parents[2]
CARD = """
name: {name}
description: A starter for tests
network: mlp
parameters: {{learning_rate: 0.05, momentum: 0.9}}
seed: 7
labels: {labels}
inputs: [{{name: image, datatype: UINT8, shape: [-1, 28, 28], accepts: [UINT8, FP32, BYTES]}}]
outputs: [{{name: probabilities, datatype: FP32, shape: [-1, 10]}}]
"""


@pytest.fixture(scope="module")
def register() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("register_starters", ROOT / "models" / "register.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def trained(folder: Path, name: str, salt: str = "") -> Path:
    """An archive as the trainer makes it; another salt is another training."""
    training = {
        "parameters": {"learning_rate": 0.05, "momentum": 0.9},
        "seed": 7,
        "metrics": {"test_accuracy": 0.9},
        "curves": {"loss": {"steps": [0, 10], "values": [2.3, 0.4]}},
    }
    files: dict[str, bytes | Path] = {
        "handler.py": f"# {salt}\nclass Handler: ...\n".encode(),
        "model.yaml": CARD.format(name=name, labels=json.dumps([str(n) for n in range(10)])).encode(),
        "training.json": json.dumps(training).encode(),
    }
    path = folder / f"{name}.mar"
    mar.build(path, name=name, handler="handler.py", serialized_file=None, files=files)
    return path


def deployments(api: httpx.Client) -> dict[str, tuple[str, int]]:
    """Name -> desired state and version of every deployment."""
    items = api.get("/v1/deployments").json()["items"]
    return {item["name"]: (item["desired"], item["version"]) for item in items}


def test_a_starter_becomes_experiment_version_and_deployment(
    register: ModuleType, api: httpx.Client, tmp_path: Path
) -> None:
    line = register.register(register.Api(api), [trained(tmp_path, "mlp-test")])
    assert line == "1 starter known; new: 1 experiment, 1 version, 1 deployment"
    experiment = api.get("/v1/experiments/mlp-test").json()
    assert experiment["source"] == "starter"
    assert experiment["parameters"] == {"network": "mlp", "learning_rate": 0.05, "momentum": 0.9, "seed": 7}
    assert experiment["metrics"]["loss"]["best"] == 0.4
    assert deployments(api) == {"mlp-test": ("running", 1)}


def test_twice_is_once(register: ModuleType, api: httpx.Client, tmp_path: Path) -> None:
    archives = [trained(tmp_path, "mlp-test")]
    register.register(register.Api(api), archives)
    line = register.register(register.Api(api), archives)
    assert line == "1 starter known; new: 0 experiments, 0 versions, 0 deployments"


def test_a_new_training_is_a_new_version_that_people_deploy_themselves(
    register: ModuleType, api: httpx.Client, tmp_path: Path
) -> None:
    register.register(register.Api(api), [trained(tmp_path, "mlp-test")])
    line = register.register(register.Api(api), [trained(tmp_path, "mlp-test", salt="again")])
    assert line == "1 starter known; new: 0 experiments, 1 version, 0 deployments"
    assert deployments(api) == {"mlp-test": ("running", 1)}


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda api: api.post("/v1/deployments/mlp-test/stop"), {"mlp-test": ("stopped", 1)}),
        (lambda api: api.delete("/v1/deployments/mlp-test"), {}),
    ],
    ids=["stopped", "deleted"],
)
def test_what_people_stopped_or_deleted_stays_so(
    register: ModuleType, api: httpx.Client, tmp_path: Path, change: object, left: object
) -> None:
    archives, remember = [trained(tmp_path, "mlp-test")], tmp_path / "remember.json"
    register.register(register.Api(api), archives, remember)
    assert change(api).is_success  # type: ignore[operator]
    register.register(register.Api(api), archives, remember)
    assert deployments(api) == left


def test_an_archive_that_the_api_refuses_is_named(
    register: ModuleType, api: httpx.Client, tmp_path: Path
) -> None:
    nameless = tmp_path / "nameless.mar"
    files: dict[str, bytes | Path] = {"handler.py": b"class Handler: ...\n"}
    mar.build(nameless, name="nameless", handler="handler.py", serialized_file=None, files=files)
    with pytest.raises(register.Rejected, match=r"nameless.mar has no model.yaml"):
        register.register(register.Api(api), [nameless])


def test_an_api_that_is_away_is_waited_for_but_not_forever(
    register: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(register, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(register, "PAUSE_SECONDS", 0.05)
    archives = [trained(tmp_path, "mlp-test")]
    with httpx.Client(base_url="http://127.0.0.1:9") as nothing:
        api = register.Api(nothing)
        with pytest.raises(register.Rejected, match="does not answer"):
            register.register(api, archives)


def test_where_archives_must_be_signed_those_without_a_signature_beside_them_are_left_out(
    register: ModuleType, settings: Settings, engine: Engine, clean: None, tmp_path: Path
) -> None:
    key, keys = Key("release"), tmp_path / "keys"
    keys.mkdir()
    key.trust(keys)
    signed, unsigned = trained(tmp_path, "signed"), trained(tmp_path, "unsigned")
    signature = json.dumps(key.sign(signed.read_bytes()))
    signed.with_name("signed.mar.sig").write_text(signature)
    demanding = settings.model_copy(update={"signature": Signature(keys=(keys,), required=True)})
    with (
        running(create_app(demanding)) as address,
        httpx.Client(base_url=address, timeout=30) as client,
    ):
        line = register.register(register.Api(client), [signed, unsigned])
        assert line == (
            "2 starters known; new: 2 experiments, 1 version, 1 deployment; "
            "left out, because they are not signed: unsigned.mar"
        )
        assert client.get("/v1/experiments/signed/versions/1").json()["signed_by"] == "release"
        assert set(deployments(client)) == {"signed"}
        unsigned.with_name("unsigned.mar.sig").write_text(signature)
        with pytest.raises(register.Rejected, match="signature_mismatch"):
            register.register(register.Api(client), [unsigned])


def test_only_those_that_are_named_are_deployed(
    register: ModuleType, api: httpx.Client, tmp_path: Path
) -> None:
    archives = [trained(tmp_path, "named"), trained(tmp_path, "unnamed")]
    line = register.register(register.Api(api), archives, deploy={"named"})
    assert line == "2 starters known; new: 2 experiments, 2 versions, 1 deployment"
    assert set(deployments(api)) == {"named"}
