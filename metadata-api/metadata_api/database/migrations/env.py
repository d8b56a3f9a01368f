"""Alembic runs this file; the connection always comes from `metadata_api.database.migrate`."""

from alembic import context

from metadata_api.database import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.Experiment.metadata,
    transaction_per_migration=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
