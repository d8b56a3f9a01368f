"""Versions from before every one had its task: they get it, and their experiments are found by it."""

import json

from sqlalchemy import text
from sqlalchemy.orm import Session

from metadata_api import versions
from metadata_api.database import migrate
from metadata_api.experiments import list_page
from metadata_api.schemas.experiments import Listing
from tests.databases import own_database
from tests.metadata_api.making import INPUTS, OUTPUTS

BEFORE = "0030"
FILL = (
    "insert into experiments (name, display_name) select 'run-' || n, 'Run' from generate_series(1, 4) n",
    """
    insert into model_versions
        (experiment_id, number, sha256, uploaded_sha256, size, handler, files, inputs, outputs, labels, task)
    select id, n, id::text || n, '0', 1, 'handler.py', '[]', :inputs, :outputs, '[]',
        case when name = 'run-2' and n = 2 then 'Wine' end
    from experiments, generate_series(1, 2) n where name <> 'run-4'
    """,
)


def test_versions_of_before_get_their_task_and_a_way_back_is_there(postgres_url: str) -> None:
    with own_database(postgres_url, BEFORE) as engine:
        with engine.begin() as connection:
            what = {"inputs": json.dumps(INPUTS), "outputs": json.dumps(OUTPUTS)}
            for statement in FILL:
                connection.execute(text(statement), what if ":inputs" in statement else {})
        migrate.upgrade(engine)
        with Session(engine) as session:
            row = versions.find(session, "run-1", 2)
            assert row.task == versions.interface_of(row).task != ""

            def names(task: str) -> list[str]:
                asked = Listing(task=task, sort="name")
                return [item.name for item in list_page(session, asked, limit=9, cursor=None).items]

            assert names(row.task) == ["run-1", "run-3"]
            assert names("Wine") == ["run-2"]
            missing = list_page(session, Listing(filter="task is null"), limit=9, cursor=None)
            assert [item.name for item in missing.items] == ["run-4"]
