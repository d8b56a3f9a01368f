"""The experiments that can be trained: the folders of models/ that hold a model.yaml."""

from dataclasses import dataclass
from pathlib import Path

from serving_runtime.archive.model_spec import ModelSpec, ModelSpecError, parse

MODELS = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Experiment:
    """One folder: its model spec as text and as read, and the file with its network."""

    spec: ModelSpec
    spec_text: bytes
    network: Path


def names(folder: Path = MODELS) -> list[str]:
    """The names of all experiments in a folder, in alphabetical order."""
    return sorted(path.parent.name for path in folder.glob("*/model.yaml"))


def find(name: str, folder: Path = MODELS) -> Experiment:
    """The experiment of that name. Raises ValueError with a readable reason."""
    if name not in names(folder):
        raise ValueError(f"there is no experiment {name!r}; there are {', '.join(names(folder))}")
    text = (folder / name / "model.yaml").read_bytes()
    try:
        spec = parse(text)
    except ModelSpecError as error:
        raise ValueError(f"{name}/model.yaml: {error}") from None
    if spec.name != name:
        raise ValueError(f"{name}/model.yaml: the name is {spec.name!r}; it must be the folder's")
    own, shared = folder / name / "network.py", folder / "networks" / f"{spec.network}.py"
    network = own if own.exists() else shared
    if not network.exists():
        raise ValueError(f"{name}: neither {own} nor {shared} exists")
    return Experiment(spec, text, network)
