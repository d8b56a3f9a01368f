"""Tasks: what some deployed models take and give alike, so that they can be asked the same and be compared."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from model_ui.api_types import Deployment, Me
from model_ui.spec_types import Tensor

# What the API derives where a model spec names no task: kinds and a hash.
DERIVED = re.compile(r"[a-z]+-[a-z]+-[0-9a-f]{8}")
RAW = Tensor(name="data", datatype="BYTES", shape=(-1,))
NAMES = {"image": "Images", "table": "Tables", "text": "Texts", "tensor": "Tensors", "raw": "Anything"}
NAMED = 2
CLASSES = frozenset(("probabilities", "label"))


@dataclass(frozen=True)
class Task:
    """One task and the deployments that a visitor may ask about it: pairs of a name and how it is shown."""

    key: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    labels: tuple[str, ...]
    deployments: tuple[tuple[str, str], ...]

    @property
    def kind(self) -> str:
        """Kind of what is given to the models: of their only input, or tensors when there are several."""
        return self.inputs[0].kind if len(self.inputs) == 1 else "tensor"

    @property
    def title(self) -> str:
        """The name that a model spec gives it, or what goes in and comes out."""
        if self.key and not DERIVED.fullmatch(self.key):
            return self.key
        name = NAMES.get(self.kind, self.kind)
        return name if self.kind == "raw" else f"{name} → {self._outcome()}"

    @property
    def about(self) -> str:
        """What goes in and what comes out, and how many are asked."""
        models = f"{len(self.deployments)} model{'' if len(self.deployments) == 1 else 's'}"
        return f"{self.takes} → {self._gives()} · {models}"

    @property
    def takes(self) -> str:
        """What goes in, in a few words."""
        first = self.inputs[0]
        if self.kind == "image":
            image = first.image
            colours = "" if image is None else "grey " if image.channels == 1 else "colour "
            size = f" {image.width} × {image.height}" if image and image.width and image.height else ""
            return f"{colours}image{size}"
        if self.kind == "table":
            return f"{len(first.columns)} value{'' if len(first.columns) == 1 else 's'}"
        return {"text": "text", "raw": "anything"}.get(self.kind, "tensors")

    def _outcome(self) -> str:
        """What comes out, told from what others of the same kind give: the first of its labels."""
        if len(self.labels) > NAMED:
            return f"{', '.join(self.labels[:NAMED])}, …"
        return " or ".join(self.labels) or self._gives()

    def _gives(self) -> str:
        kinds = {output.kind for output in self.outputs}
        if kinds & CLASSES:
            return f"{len(self.labels)} classes" if self.labels else "classes"
        for kind in ("number", "boxes", "text"):
            if kind in kinds:
                return kind
        return "tensors" if "tensor" in kinds else "anything"


def titles(tasks: Sequence[Task]) -> list[str]:
    """A title for each, all different: where two have the same, what they take is said too, else a model of theirs."""
    alike: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        alike[task.title].append(task)
    return [f"{task.title}{_apart(task, alike[task.title])}" for task in tasks]


def _apart(task: Task, alike: Sequence[Task]) -> str:
    """What tells a task from others of its title; the name of a deployment always does."""
    if len(alike) == 1:
        return ""
    taken = {one.takes for one in alike}
    return f" · {task.takes if len(taken) == len(alike) else task.deployments[0][0]}"


def tasks_of(deployments: Sequence[tuple[Deployment, str]], me: Me) -> tuple[Task, ...]:
    """The tasks of what runs and what the visitor's credential covers, those of most deployments first.

    Args:
        deployments: each with how it is shown.
    """
    found: dict[str, list[tuple[Deployment, str]]] = {}
    for item, shown in deployments:
        if item.desired == "running" and me.may("annotator", item.name):
            found.setdefault(item.task, []).append((item, shown))
    tasks = [_task(key, items) for key, items in found.items()]
    return tuple(sorted(tasks, key=lambda task: (task.kind == "raw", -len(task.deployments), task.key)))


def _task(key: str, items: list[tuple[Deployment, str]]) -> Task:
    first = items[0][0]
    names = tuple((item.name, shown) for item, shown in items)
    return Task(key, first.inputs or (RAW,), first.outputs, first.labels, names)
