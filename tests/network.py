"""The table of docs/network.md, which the tests of the chart and those on a cluster hold the policies against."""

from tests.conftest import ROOT

STRANGER = "any other pod"
KUBERNETES = "Kubernetes API"


class Matrix:
    """Sources, targets with their ports, and what each cell says."""

    def __init__(self) -> None:
        lines = (ROOT / "docs" / "network.md").read_text().splitlines()
        head, _, *rows = [_cells(line) for line in lines if line.startswith("|")]
        self.ports = {name.rpartition(" ")[0]: int(name.rpartition(" ")[2]) for name in head[1:]}
        self.cells = {
            (source, target): cell
            for source, *cells in rows
            for target, cell in zip(self.ports, cells, strict=True)
        }
        self.sources = [source for source, *_ in rows]

    def allowed(self, *, s3: bool) -> set[tuple[str, str]]:
        """Pairs of source and target that may talk, in a release with or without the object store."""
        assert set(self.cells.values()) <= {"yes", "no", "-", "with S3", "without S3"}
        true = {"yes", "with S3" if s3 else "without S3"}
        return {pair for pair, cell in self.cells.items() if cell in true}

    def asked(self) -> set[tuple[str, str]]:
        """Pairs that the policies of a release decide about."""
        return {pair for pair, cell in self.cells.items() if cell != "-"}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
