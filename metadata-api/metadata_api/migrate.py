"""`python -m metadata_api.migrate` brings the database of the environment to the newest schema."""

import argparse
import logging
import sys

from metadata_api.database import migrate
from metadata_api.database.session import connect
from metadata_api.errors import Unavailable
from metadata_api.settings import DatabaseSettings

# Longer than a Postgres needs to start for the first time; after that Kubernetes starts the container again.
WAIT_SECONDS = 120
log = logging.getLogger(__name__)


def main() -> None:
    """Migrate; `--revision TEXT` writes a new migration instead."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--revision", metavar="TEXT", help="write a migration from the difference to the tables"
    )
    parser.add_argument("--id", help="number of that migration, such as 0002")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    engine = connect(**DatabaseSettings().connection)
    if arguments.revision:
        return migrate.write_revision(engine, arguments.revision, arguments.id)
    try:
        migrate.wait_for_database(engine, WAIT_SECONDS)
        migrate.upgrade(engine)
    except Unavailable as error:
        sys.exit(error.detail)
    log.info("database schema is up to date")
    return None


if __name__ == "__main__":
    main()
