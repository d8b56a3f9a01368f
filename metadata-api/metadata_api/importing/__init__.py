"""Import of experiments from files of other systems, for the routes and the command line.

`encodings`, `header`, `records` and `cells` read what programs write, `readers` turns it into rows and problems, all
without a database; `writer` stores rows. A fault of the whole file is
raised as Invalid; a fault of a row is a problem in the report, and that row is left out (docs/adr/0006).
"""

import hashlib
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from metadata_api.csv_cells import cell, lines
from metadata_api.database import pages
from metadata_api.database.tables import Import
from metadata_api.errors import NotFound
from metadata_api.importing import readers, writer
from metadata_api.importing.encodings import as_utf8
from metadata_api.schemas.imports import ImportPage, ImportReport, Problem

LISTED_PROBLEMS = 1000
LISTED_EXPERIMENTS = 100


def import_experiments(
    session: Session, path: Path, *, filename: str, dry_run: bool = False, folder: Path | None = None
) -> ImportReport:
    """Store every good row of a CSV file and report the bad ones; with `dry_run` only report.

    Importing a file again changes nothing. `folder` takes what is written meanwhile, by default the system's folder for
    temporary files. Raises Invalid when the file as a whole cannot be read, Conflict while
    another import runs; then nothing is stored.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        with as_utf8(file, folder) as text:
            table = readers.Table(text)
            trial = session.begin_nested()
            report = writer.write(session, table.rows(), listed=LISTED_EXPERIMENTS)
    report.filename = filename
    report.dry_run = dry_run
    report.problems = sorted(report.problems, key=lambda problem: problem.line)[:LISTED_PROBLEMS]
    if dry_run:
        trial.rollback()
        return report
    trial.commit()
    return _recorded(session, report, digest)


def list_page(session: Session, *, limit: int, before: int | None) -> ImportPage:
    """The `limit` newest reports, or those numbered below `before`; fewer when they are long."""
    large = (Import.problems,)
    rows, following = pages.newest(
        session, select(Import), Import.id, limit=limit, before=before, large=large
    )
    total = session.scalar(select(func.count()).select_from(Import)) or 0
    return ImportPage(items=[_shown(row) for row in rows], total=total, next=following)


def show(session: Session, number: int) -> ImportReport:
    """One report; raises NotFound."""
    row = session.get(Import, number)
    if row is None:
        raise NotFound("import_unknown", f"There is no import {number}. See /v1/imports.")
    return _shown(row)


def rejected_as_csv(session: Session, number: int) -> str:
    """The rows of a report that were left out, as CSV with line, column and reason; raises NotFound."""
    fields = tuple(Problem.model_fields)
    rows = ([cell(getattr(problem, field)) for field in fields] for problem in show(session, number).problems)
    return lines([fields, *rows])


def _recorded(session: Session, report: ImportReport, digest: str) -> ImportReport:
    row = Import(
        filename=report.filename,
        sha256=digest,
        accepted=report.accepted,
        unchanged=report.unchanged,
        rejected=report.rejected,
        problems=[problem.model_dump() for problem in report.problems],
        experiments=report.experiments,
    )
    session.add(row)
    session.flush()
    return _shown(row)


def _shown(row: Import) -> ImportReport:
    """A stored report as it was given."""
    return ImportReport(
        id=row.id,
        filename=row.filename,
        dry_run=False,
        accepted=row.accepted,
        unchanged=row.unchanged,
        rejected=row.rejected,
        problems=[Problem(**problem) for problem in row.problems],
        experiments=row.experiments,
        created_at=row.created_at,
    )
