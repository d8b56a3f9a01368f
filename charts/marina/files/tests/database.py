"""What is written to the database is read back, as the API's own role, in a table that is gone afterwards."""

import os
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

url = make_url(os.environ["METADATA_API_DATABASE_URL"]).set(
    drivername="postgresql+psycopg2",
    password=Path(os.environ["METADATA_API_DATABASE_PASSWORD_FILE"]).read_text().strip(),
)
with create_engine(url, connect_args={"connect_timeout": 10}).begin() as connection:
    connection.execute(text("create temporary table round_trip (word text) on commit drop"))
    connection.execute(text("insert into round_trip values (:word)"), {"word": "there and back"})
    found = connection.execute(text("select word from round_trip")).scalar_one()
    assert found == "there and back", found
    version = connection.execute(text("show server_version")).scalar_one()
    revision = connection.execute(text("select version_num from alembic_version")).scalar_one()
print(f"Postgres {version}, schema {revision}: there and back")
