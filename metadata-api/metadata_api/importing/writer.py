"""Stores the rows of a file in the caller's transaction, many at a time; called by `import_experiments`."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import count

from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from metadata_api import curves
from metadata_api.database.tables import Experiment, MetricPoints
from metadata_api.errors import Conflict
from metadata_api.experiments import summaries
from metadata_api.importing.readers import Row
from metadata_api.schemas.imports import ImportReport, Problem

BATCH_ROWS = 500
BATCH_POINTS = 100_000
MAX_NAME = 40
ADVISORY_LOCK = 7_303_014_483
# Problems are counted to the end, but only so many are kept in memory.
KEPT_PROBLEMS = 1000


def write(session: Session, rows: Iterable[Row | Problem], *, listed: int) -> ImportReport:
    """Insert what is new; a name that is there with the same content is unchanged, with another a problem."""
    if not session.scalar(text("select pg_try_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK}):
        raise Conflict("import_running", "Another import is running. Try again when it has ended.")
    writer = _Writer(session, listed)
    for batch in _batches(rows):
        writer.take(batch)
    return writer.report


class _Writer:
    """What one import has seen so far: names of the file with line and content, and names that are taken."""

    def __init__(self, session: Session, listed: int) -> None:
        self.session = session
        self.listed = listed
        self.seen: dict[str, tuple[int, str]] = {}
        self.taken: set[str] = set()
        self.report = ImportReport(
            id=None, filename="", dry_run=False, accepted=0, unchanged=0, rejected=0, problems=[], experiments=[],
            created_at=None,
        )  # fmt: skip

    def take(self, batch: list[Row | Problem]) -> None:
        """Judge every row of a batch, then insert the new ones."""
        rows = [item for item in batch if isinstance(item, Row)]
        existing = self._existing(rows)
        new = []
        for item in batch:
            if isinstance(item, Problem):
                self._reject(item)
            elif self._is_new(item, existing):
                new.append(item)
        self._insert(new)

    def _is_new(self, row: Row, there: dict[str, str | None]) -> bool:
        line, known = self.seen.setdefault(row.name, (row.line, row.content_hash))
        where = f"in line {line}"
        if line == row.line and row.name in there:
            known, where = there[row.name] or "", "already"
        elif line == row.line:
            return True
        if known == row.content_hash:
            self.report.unchanged += 1
        else:
            reason = f"an experiment of this name is there {where}, with other values; choose another name"
            self._reject(Problem(line=row.line, column="Experiment Name", reason=reason))
        return False

    def _reject(self, problem: Problem) -> None:
        self.report.rejected += 1
        if len(self.report.problems) < KEPT_PROBLEMS:
            self.report.problems.append(problem)

    def _existing(self, rows: list[Row]) -> dict[str, str | None]:
        """Content by name of those experiments that were stored before this import."""
        names = [row.name for row in rows if row.name not in self.seen]
        found = select(Experiment.display_name, Experiment.content_hash).where(
            Experiment.display_name.in_(names)
        )
        return dict(self.session.execute(found).all())

    def _insert(self, rows: list[Row]) -> None:
        if not rows:
            return
        names = self._names(rows)
        values = [
            {
                "name": name,
                "display_name": row.name,
                "parameters": row.parameters,
                "source": "import",
                "content_hash": row.content_hash,
                **summaries({"loss": row.loss}, {}),
            }
            for name, row in zip(names, rows, strict=True)
        ]
        made = insert(Experiment).returning(Experiment.id, sort_by_parameter_order=True)
        ids = self.session.scalars(made, values).all()
        points = [
            chunk
            for id_, row in zip(ids, rows, strict=True)
            for chunk in curves.chunks(id_, "loss", row.loss)
        ]
        self.session.execute(insert(MetricPoints), points)
        self.report.accepted += len(rows)
        self.report.experiments.extend(names[: self.listed - len(self.report.experiments)])

    def _names(self, rows: list[Row]) -> list[str]:
        """A free DNS label for each row: derived from its name, with -2, -3, ... where another has it."""
        slugs = [slug(row.name) for row in rows]
        self.taken.update(self.session.scalars(select(Experiment.name).where(Experiment.name.in_(slugs))))
        names = []
        for base in slugs:
            name = base if base not in self.taken else self._numbered(base)
            self.taken.add(name)
            names.append(name)
        return names

    def _numbered(self, base: str) -> str:
        for number in count(2):
            suffix = f"-{number}"
            name = base[: MAX_NAME - len(suffix)].rstrip("-") + suffix
            if name not in self.taken:
                self.taken.add(name)
                if self.session.scalar(select(Experiment.id).where(Experiment.name == name)) is None:
                    return name
        raise AssertionError("count() does not end")


def slug(name: str) -> str:
    """The DNS label nearest to a name: small letters, digits and -, from a letter on, at most 40 characters."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    label = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not label or not label[0].isalpha():
        label = f"e-{label}".rstrip("-")
    return label[:MAX_NAME].rstrip("-")


def _batches(rows: Iterable[Row | Problem]) -> Iterator[list[Row | Problem]]:
    """Some hundred rows at a time, fewer of those with long curves, so that memory stays bounded."""
    batch: list[Row | Problem] = []
    points = 0
    for row in rows:
        batch.append(row)
        points += len(row.loss.steps) if isinstance(row, Row) else 0
        if len(batch) == BATCH_ROWS or points > BATCH_POINTS:
            yield batch
            batch, points = [], 0
    yield batch
