"""What clients ask of the models, without HTTP: metadata, readiness, statistics, index, and inference.

`front/` is its HTTP side. Everything that can go wrong is a ServingError.
"""

from typing import NamedTuple

from serving_runtime.errors import Unavailable
from serving_runtime.models import documents
from serving_runtime.models.documents import Document
from serving_runtime.models.jobs import Answer
from serving_runtime.models.metrics import Gauges
from serving_runtime.models.registry import Models
from serving_runtime.models.source import ModelSource
from serving_runtime.models.version import Version
from serving_runtime.protocol import rest
from serving_runtime.protocol import server as about
from serving_runtime.protocol.handler_headers import Returned
from serving_runtime.protocol.rest import InferRequest
from serving_runtime.protocol.tensors import Tensor


class Inference(NamedTuple):
    """What is sent back for one request."""

    version: Version
    id: str | None
    outputs: list[Tensor]
    binary: frozenset[str]
    """The names of the outputs that go out in binary."""
    returned: Returned | None
    """What the handler adds to the response."""


class DataPlane:
    """The models of one process, as clients of any transport see them."""

    def __init__(self, models: Models, source: ModelSource) -> None:
        self._models = models
        self._source = source
        self.stopping = False

    @property
    def ready(self) -> bool:
        """Whether every desired model answers and the list of models can be read."""
        return self._models.ready and not self.stopping and self._source.problem is None

    def model_ready(self, name: str, number: str | None) -> str | None:
        """None when the model is ready, else the reason. Raises NotFound."""
        try:
            version = self._models.find(name, number)
        except Unavailable as error:
            return str(error) or "not ready"
        if version.ready and not self.stopping:
            return None
        return version.reason or "not ready"

    def model_state(self, name: str) -> str:
        """What /status says: starting, ready, failed or stopping. Raises NotFound."""
        return self._models.state(name)

    def server(self) -> Document:
        return about.metadata()

    def status(self) -> Document:
        return {"models": self._models.status(), "problem": self._source.problem}

    def metadata(self, name: str, number: str | None) -> Document:
        """Raises NotFound, Unavailable; so do the next two."""
        return documents.metadata(self._models.find(name, number))

    def configuration(self, name: str, number: str | None) -> Document:
        return documents.configuration(self._models.find(name, number))

    def statistics(self, name: str, number: str | None) -> Document:
        return documents.statistics([self._models.find(name, number)])

    def all_statistics(self) -> Document:
        return documents.statistics(self._models.live)

    def index(self, *, only_ready: bool) -> list[Document]:
        return documents.repository_index(self._models.status(), only_ready=only_ready)

    def gauges(self) -> list[Gauges]:
        """Of every version that takes traffic."""
        return [Gauges(each.metrics, each.batcher.waiting, each.ready) for each in self._models.live]

    def find(self, name: str, number: str | None) -> Version:
        """The version that answers for a model. Raises NotFound, or Unavailable while there is none."""
        return self._models.find(name, number)

    def admit(self, version: Version) -> None:
        """To be asked before a request is read, which costs more than to reject it. Raises Unavailable."""
        if not version.ready:
            raise Unavailable(f"model {version.entry.name!r} is not ready: {version.reason}")
        version.batcher.admit()

    async def infer(self, version: Version, request: InferRequest) -> Inference:
        """Answer one request within the deadline: the outputs it asked for, checked. Raises ServingError."""
        answered = await version.batcher.submit(request)
        outputs = answered.outputs
        rest.check_outputs(outputs, version.outputs, request.rows, more=bool(request.parameters))
        if not request.outputs and not request.parameters:
            return Inference(version, request.id, outputs, request.binary, answered.returned)
        return _selected(version, request, answered)


def _selected(version: Version, request: InferRequest, answered: Answer) -> Inference:
    """The outputs that were asked for, and those that a parameter has added."""
    found = {tensor.name: tensor for tensor in answered.outputs}
    declared = [spec.name for spec in version.outputs]
    added = [name for name in found if name not in declared]
    names = [*(request.outputs or declared), *added]
    binary = request.binary.union(added) if request.binary_by_default else request.binary
    return Inference(version, request.id, [found[name] for name in names], binary, answered.returned)
