"""Which metrics, parameters and tags there are to choose from."""

from collections.abc import Sequence
from typing import Final, cast

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from metadata_api.database.listing_tables import ExperimentField
from metadata_api.listing import keys
from metadata_api.listing.fields import TASK, Field, Section
from metadata_api.schemas.fields_of_lists import ListField, ListFields

MAX_FIELDS: Final = 1000
COUNTED: Final = 1000
"""So many experiments of a field are counted exactly."""
# Each is a few entries of an index, however many experiments there are.
_LOOK = text("""
select wanted.place, (select count(*) from (
        select from experiment_keys where key >= wanted.digest || '\\x01' and key < wanted.digest || '\\x04'
        limit :counted
    ) counted),
    exists (select from experiment_keys where key >= wanted.digest || '\\x01' and key < wanted.digest || '\\x02'),
    exists (select from experiment_keys where key >= wanted.digest || '\\x03' and key < wanted.digest || '\\x04'),
    (select key from experiment_keys where key >= wanted.digest || '\\x02' and key < wanted.digest || '\\x03'
        order by key limit 1),
    (select key from experiment_keys where key >= wanted.digest || '\\x02' and key < wanted.digest || '\\x03'
        order by key desc limit 1)
from unnest(cast(:digests as bytea[])) with ordinality as wanted (digest, place)
""")
# From one task to the next, however many experiments have each.
_TASKS = text("""
with recursive found (key) as (
    (select key from experiment_keys
        where key >= cast(:first as bytea) and key < cast(:beyond as bytea) order by key limit 1)
    union all
    select (select other.key from experiment_keys other
        where other.key > found.key and other.key < cast(:beyond as bytea) order by other.key limit 1)
    from found where found.key is not null
)
select key from found where key is not null limit :most
""")
_HAVE_VALUES = text("""
select wanted.place,
    exists (select from experiment_keys where key >= wanted.digest || '\\x01' and key < wanted.digest || '\\x04')
from unnest(cast(:digests as bytea[])) with ordinality as wanted (digest, place)
""")


def known(session: Session, count: int = MAX_FIELDS, section: Section | None = None) -> list[Field]:
    """Names that some experiment has or had, by section and name; of metrics the best value."""
    query = select(ExperimentField.section, ExperimentField.name).distinct()
    if section is not None:
        query = query.where(ExperimentField.section == section)
    found = session.execute(query.order_by(ExperimentField.section, ExperimentField.name).limit(count)).all()
    return [Field(cast(Section, of), name, "best" if of == "metrics" else "") for of, name in found]


def tasks(session: Session) -> list[str]:
    """Tasks that newest versions have, sorted; at most 1,000."""
    within = {"first": TASK.digest + keys.TEXT, "beyond": TASK.digest + keys.LOWER}
    found = session.scalars(_TASKS, {**within, "most": MAX_FIELDS})
    return [str(keys.decode(bytes(key))) for key in found]


def with_values(session: Session, fields: Sequence[Field]) -> list[Field]:
    """Those of them that some experiment has a value of now."""
    found = session.execute(_HAVE_VALUES, {"digests": [field.digest for field in fields]})
    return [fields[place - 1] for place, has_value in found if has_value]


def describe(session: Session, fields: Sequence[Field]) -> ListFields:
    """Those of them that have a value, with its types, how many experiments have one, and its range."""
    what = {"digests": [field.digest for field in fields], "counted": COUNTED + 1}
    found = []
    for place, count, has_bool, has_text, lowest, highest in session.execute(_LOOK, what):
        field = fields[place - 1]
        types = [("bool", has_bool), ("number", lowest is not None), ("text", has_text)]
        if count:
            found.append(
                ListField(
                    field=str(field),
                    section=field.section or "params",
                    name=field.name,
                    types=[name for name, there in types if there],
                    experiments=min(count, COUNTED),
                    experiments_is_exact=count <= COUNTED,
                    min=None if lowest is None else float(keys.decode(bytes(lowest))),
                    max=None if highest is None else float(keys.decode(bytes(highest))),
                )
            )
    return ListFields(items=found)
