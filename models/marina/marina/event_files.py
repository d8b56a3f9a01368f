"""TensorBoard's event files: each folder with some is a run of scalars and hyperparameters.

They are read by the reader that TensorBoard's package (`marina[tensorboard]`) has for those without TensorFlow.
"""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marina import points
from marina.api import Json
from marina.errors import Failure, WrongUse
from marina.points import MAX_STEP, Point

MARK = "tfevents"


@dataclass
class EventRun:
    """What the event files of one folder hold, as far as they could be read."""

    name: str
    """Of the folder, as it is shown."""
    points: list[Point] = field(default_factory=list)
    parameters: Json = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    """What could not be read, a line each."""

    @property
    def digest(self) -> str:
        """Of the content: another one where a point or a parameter is different."""
        content = json.dumps([self.points, self.parameters], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def is_event_file(path: Path) -> bool:
    """Whether a file is named as TensorBoard's writers name theirs."""
    return MARK in path.name


def runs(path: Path) -> Iterator[EventRun]:
    """The runs of a folder, or that of one event file, one after the other. Raises Failure, WrongUse."""
    try:
        from tensorboard.compat.tensorflow_stub import pywrap_tensorflow  # noqa: F401
    except ImportError as error:
        raise Failure(
            "TensorBoard's event files need its package: install marina[tensorboard], or tensorboard beside marina"
        ) from error
    base = path.resolve()
    files = [base] if base.is_file() else sorted(one for one in base.rglob(f"*{MARK}*") if one.is_file())
    if not files:
        raise WrongUse(f"{path} has no event files of TensorBoard: name a folder with some, or a CSV")
    root = base.parent if base.is_file() else base
    folders: dict[Path, list[Path]] = {}
    for file in files:
        folders.setdefault(file.parent, []).append(file)
    for folder, inside in folders.items():
        within = folder.relative_to(root).as_posix()
        run = EventRun(root.name if within == "." else within)
        reader = _Reader(run)
        for file in inside:
            reader.read(file)
        yield run


class _Reader:
    """Puts the events of a folder's files into a run; later files continue the earlier."""

    def __init__(self, run: EventRun) -> None:
        self.run = run
        self._metrics: dict[str, str] = {}
        # Which tags are scalars is said with their first value only.
        self._metadata: dict[str, Any] = {}

    def read(self, file: Path) -> None:
        """Read a file as far as it is whole."""
        from tensorboard import data_compat, dataclass_compat
        from tensorboard.compat.proto import event_pb2

        count = 0
        try:
            for record in _records(file):
                event = data_compat.migrate_event(event_pb2.Event.FromString(record))
                for one in dataclass_compat.migrate_event(event, self._metadata):
                    self._take(one)
                count += 1
        except Exception as error:  # whatever its bytes make the reader raise
            self.run.faults.append(f"{file.name} is broken after {count:,} events, which were read: {error}")

    def _take(self, event: Any) -> None:
        from tensorboard.plugins.hparams import metadata as hparams
        from tensorboard.util import tensor_util

        for value in event.summary.value:
            known: Any = value.metadata if value.HasField("metadata") else self._metadata.get(value.tag)
            plugin = known.plugin_data.plugin_name if known is not None else ""
            if plugin == "scalars":
                found = tensor_util.make_ndarray(value.tensor)
                # As it was written: 0.98, and not the double that is next to the single.
                number = float(str(found) if found.dtype == "float32" else found.item())
                if abs(event.step) <= MAX_STEP:
                    self.run.points.append(
                        Point(self._metric(value.tag), event.step, number, event.wall_time)
                    )
            elif plugin == hparams.PLUGIN_NAME and value.tag == hparams.SESSION_START_INFO_TAG:
                info = hparams.parse_session_start_info_plugin_data(known.plugin_data.content)
                given = {key: _plain(one) for key, one in info.hparams.items()}
                self.run.parameters |= points.scalars(given)

    def _metric(self, tag: str) -> str:
        """A name of its own for each tag."""
        if tag not in self._metrics:
            name, taken = points.metric_name(tag), set(self._metrics.values())
            number = 2
            while name in taken:
                name = f"{points.metric_name(tag)[:90]}_{number}"
                number += 1
            self._metrics[tag] = name
        return self._metrics[tag]


def _records(file: Path) -> Iterator[bytes]:
    """The records of a file; raises what the reader says of a broken one."""
    from tensorboard.compat.tensorflow_stub import errors, pywrap_tensorflow

    reader = pywrap_tensorflow.PyRecordReader_New(str(file))
    try:
        while True:
            try:
                reader.GetNext()
            except errors.OutOfRangeError:
                return
            yield reader.record()
    finally:
        reader.file_handle.close()


def _plain(value: Any) -> Any:
    """A hyperparameter, which protobuf has as a float even where it is a whole number."""
    kind = value.WhichOneof("kind")
    found = getattr(value, kind) if kind else ""
    is_whole = (
        isinstance(found, float) and math.isfinite(found) and found == int(found) and abs(found) < 2**53
    )
    return int(found) if is_whole else found
