"""What a database rejects because of how it is set up, as errors that say what to change there."""

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from metadata_api.errors import Unavailable

_REMEDIES = {
    "25006": (
        "database_read_only",
        "The database takes no writes: it is a standby, or was made read-only (default_transaction_read_only). Try "
        "again once it takes writes, or name the primary in the database's URL.",
    ),
    "42501": (
        "database_forbidden",
        "The database's role may not do this. Grant it usage and create on the schema, and make it the tables' owner.",
    ),
    "3F000": (
        "database_schema_missing",
        "No schema of the search_path of the database or its role is there. Create one, and grant usage and create on "
        "it.",
    ),
}
"""Postgres's code of an error -> ours, and what to do."""


def rejection(error: DBAPIError) -> Unavailable | None:
    """The error for people; None for one that has another reason than the set-up."""
    remedy = _REMEDIES.get(getattr(error.orig, "pgcode", None) or "")
    return Unavailable(*remedy) if remedy else None


def require_texts(connection: Connection) -> None:
    """Raise Unavailable for a database that cannot hold every text, or reads texts of SQL in its own way."""
    encoding = connection.scalar(text("show server_encoding"))
    if encoding != "UTF8":
        raise Unavailable(
            "database_encoding",
            f"The database has the encoding {encoding}, which does not hold every text. Make one by: create database "
            "marina encoding 'UTF8' template template0",
        )
    # No statement of ours can change it: psycopg2 quotes by what it was when the connection was made.
    if connection.scalar(text("select current_setting('standard_conforming_strings', true)")) == "off":
        raise Unavailable(
            "database_strings",
            "The database has standard_conforming_strings off. Switch it on: alter database marina set "
            "standard_conforming_strings = on",
        )
