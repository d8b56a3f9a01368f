"""Import a CSV of experiments: `python -m metadata_api.importing FILE [--dry-run]`.

The database is the one that METADATA_API_DATABASE_URL names. Exit code 0 when all rows were good, 1 when some were
left out, 2 when the file as a whole was refused.
"""

import argparse
import sys
from pathlib import Path

from sqlalchemy.orm import Session

from metadata_api.database.session import connect
from metadata_api.errors import MarinaError
from metadata_api.importing import import_experiments
from metadata_api.schemas.imports import ImportReport
from metadata_api.settings import Settings


def main() -> int:
    """Import the file that the command line names and print the report."""
    parser = argparse.ArgumentParser(prog="python -m metadata_api.importing", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--dry-run", action="store_true", help="report only, store nothing")
    arguments = parser.parse_args()
    settings = Settings()
    engine = connect(settings.database_url, password_file=settings.database_password_file)
    try:
        with Session(engine) as session, session.begin():
            report = import_experiments(
                session, arguments.file, filename=arguments.file.name, dry_run=arguments.dry_run
            )
    except (MarinaError, OSError) as error:
        sys.stderr.write(f"{arguments.file}: {error}\n")
        return 2
    sys.stdout.write(readable(report))
    return 1 if report.rejected else 0


def readable(report: ImportReport) -> str:
    """The report for people."""
    head = f"{report.accepted} imported, {report.unchanged} unchanged, {report.rejected} left out"
    if report.dry_run:
        head += " (dry run: nothing was stored)"
    lines = [
        f"line {problem.line}{f', {problem.column}' if problem.column else ''}: {problem.reason}"
        for problem in report.problems
    ]
    return "\n".join([head, *lines]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
