"""What is written to the database is read back, as the API's own role, in a table that is gone afterwards."""

import os
import sys
import time
from pathlib import Path

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

url = make_url(os.environ["METADATA_API_DATABASE_URL"]).set(
    drivername="postgresql+psycopg2",
    password=Path(os.environ["METADATA_API_DATABASE_PASSWORD_FILE"]).read_text().strip(),
)
engine = create_engine(url, connect_args={"connect_timeout": 10})
for left in range(30, -1, -1):
    try:
        engine.connect().close()
        break
    except OperationalError:
        # A pod that is seconds old may not have got its network yet.
        if left == 0:
            raise
        time.sleep(1)
with engine.begin() as connection:
    connection.execute(text("create temporary table round_trip (word text) on commit drop"))
    connection.execute(text("insert into round_trip values (:word)"), {"word": "there and back"})
    found = connection.execute(text("select word from round_trip")).scalar_one()
    assert found == "there and back", found
    version = connection.execute(text("show server_version")).scalar_one()
    revision = connection.execute(text("select version_num from alembic_version")).scalar_one()
sys.stdout.write(f"Postgres {version}, schema {revision}: there and back\n")
