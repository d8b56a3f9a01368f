"""Import a CSV of experiments: `python -m metadata_api.importing FILE [--dry-run]`.

The database is the one that METADATA_API_DATABASE_URL names; no other setting is needed. Exit code 0 when all rows
were good, 1 when some were rejected, 2 when the file as a whole was rejected, or a setting or the database is wrong.
"""

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from metadata_api.database.session import connect
from metadata_api.errors import MarinaError
from metadata_api.importing import LISTED_PROBLEMS, import_experiments
from metadata_api.settings import DatabaseSettings


def main() -> int:
    """Import the file that the command line names and print the report."""
    parser = argparse.ArgumentParser(prog="python -m metadata_api.importing", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--dry-run", action="store_true", help="report only, store nothing")
    arguments = parser.parse_args()
    try:
        settings = DatabaseSettings()
        engine = connect(**settings.connection)
    except ValidationError as error:
        return _fail(_wrong(error))
    except (SQLAlchemyError, OSError) as error:
        return _fail(f"the settings of the database are wrong: {error}")
    try:
        with Session(engine) as session, session.begin():
            report = import_experiments(
                session, arguments.file, filename=arguments.file.name, dry_run=arguments.dry_run
            )
    except (MarinaError, OSError) as error:
        return _fail(f"{arguments.file}: {error}")
    except SQLAlchemyError as error:
        return _fail(f"the database does not take the import: {error}")
    sys.stdout.write(report.readable(listed=LISTED_PROBLEMS))
    return 1 if report.rejected else 0


def _fail(reason: str) -> int:
    """Say in one line why nothing was imported."""
    sys.stderr.write(" ".join(reason.splitlines()[0].split()) + "\n")
    return 2


def _wrong(error: ValidationError) -> str:
    """The first wrong setting, by its name in the environment."""
    first = error.errors()[0]
    prefix = DatabaseSettings.model_config["env_prefix"]
    return f"{prefix}{'_'.join(map(str, first['loc'])).upper()}: {first['msg']}"


if __name__ == "__main__":
    sys.exit(main())
