"""Many experiments that fit: the index is walked in the order of the list until a page of them is found.

Only one key is sorted by at a time. Those that are equal in it are sorted by the next key on their own: few
of them here, and those of which there may be many by walking along the next key among them.
"""

from collections.abc import Sequence
from itertools import groupby

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session, aliased

from metadata_api.database.listing_tables import ExperimentKey
from metadata_api.database.tables import Experiment
from metadata_api.listing import keys
from metadata_api.listing.conditions import fits, has_value
from metadata_api.listing.cursor import Place
from metadata_api.listing.expressions import Comparison, Expression, IsNull, OneOf, SortKey
from metadata_api.listing.list_query import ListQuery

Tests = tuple[Expression, ...]


def walk(session: Session, wanted: ListQuery, last: Place | None, count: int) -> list[Place]:
    """The first `count` that fit after a place."""
    return _Walk(session, wanted).find(wanted.order, wanted.filter, last, count)


class _Walk:
    def __init__(self, session: Session, wanted: ListQuery) -> None:
        self.session = session
        self.wanted = wanted
        self.newest_first = wanted.newest_first

    def find(self, order: Sequence[SortKey], tests: Tests, last: Place | None, count: int) -> list[Place]:
        """In this order: those with a value in the first field, then those without."""
        if not order:
            return self._by_age(tests, last, count)
        first, *others = order
        rest = None if last is None else Place(last.keys[1:], last.experiment_id)
        found: list[Place] = []
        if last is None or last.keys[0] is not None:
            if last is not None and others:
                found = self._equal(order, tests, last.keys[0], rest, count)
            if len(found) < count:
                found += self._with_value(order, tests, last, count - len(found))
            rest = None
        if len(found) < count and not first.field.is_always_there:
            without = self.find(others, (*tests, IsNull(first.field)), rest, count - len(found))
            found += [Place((None, *one.keys), one.experiment_id) for one in without]
        return found

    def _equal(
        self, order: Sequence[SortKey], tests: Tests, key: bytes | None, last: Place | None, count: int
    ) -> list[Place]:
        """Those with this key in the first field, in the order of the others."""
        assert key is not None
        same = Comparison(order[0].field, "=", keys.decode(key))
        found = self.find(order[1:], (*tests, same), last, count)
        return [Place((key, *one.keys), one.experiment_id) for one in found]

    def _with_value(
        self, order: Sequence[SortKey], tests: Tests, last: Place | None, count: int
    ) -> list[Place]:
        """Those whose key in the first field comes after that of a place, or is the same if it is the only one."""
        by, *others = order
        some = aliased(ExperimentKey)
        # Tests of the same field make the way shorter.
        same = [one for one in tests if isinstance(one, Comparison | OneOf) and one.field == by.field]
        query = select(some.experiment_id, some.key).where(
            has_value(some.key, by.field),
            *(fits(one, some.key) for one in same),
            *self.wanted.conditions(tuple(one for one in tests if one not in same), some.experiment_id),
        )
        if last is not None and (key := last.keys[0]) is not None:
            query = query.where(some.key <= key if by.descending else some.key >= key)
            beyond = some.key < key if by.descending else some.key > key
            older = some.experiment_id < last.experiment_id
            later = older if self.newest_first else some.experiment_id > last.experiment_id
            query = query.where(beyond if others else or_(beyond, and_(some.key == key, later)))
        down = some.experiment_id.desc() if self.newest_first else some.experiment_id.asc()
        query = query.order_by(some.key.desc() if by.descending else some.key.asc(), down)
        # One more says whether there are more with the key of the last one.
        rows = [(row[0], bytes(row[1])) for row in self.session.execute(query.limit(count + 1))]
        if not others:
            return [Place((key,), one) for one, key in rows[:count]]
        found: list[Place] = []
        whole = rows if len(rows) <= count else [row for row in rows if row[1] != rows[-1][1]]
        known = self._keys_of([one for one, _ in whole], others)
        for key, group in groupby(whole, lambda row: row[1]):
            places = [Place((key, *known[one]), one) for one, _ in group]
            found += _sorted(places, others, self.newest_first)
        if len(whole) < len(rows) and len(found) < count:
            found += self._equal(order, tests, rows[-1][1], None, count - len(found))
        return found

    def _by_age(self, tests: Tests, last: Place | None, count: int) -> list[Place]:
        query = select(Experiment.id).where(*self.wanted.conditions(tests, Experiment.id))
        if last is not None:
            older = Experiment.id < last.experiment_id
            query = query.where(older if self.newest_first else Experiment.id > last.experiment_id)
        query = query.order_by(Experiment.id.desc() if self.newest_first else Experiment.id.asc())
        return [Place((), one) for one in self.session.scalars(query.limit(count))]

    def _keys_of(self, ids: Sequence[int], order: Sequence[SortKey]) -> dict[int, tuple[bytes | None, ...]]:
        """The keys of experiments in some fields."""
        wanted = or_(*(has_value(ExperimentKey.key, by.field) for by in order))
        query = select(ExperimentKey.experiment_id, ExperimentKey.key)
        found: dict[int, dict[bytes, bytes]] = {one: {} for one in ids}
        for one, key in self.session.execute(query.where(ExperimentKey.experiment_id.in_(ids), wanted)):
            found[one][bytes(key)[: keys.TYPE_AT]] = bytes(key)
        return {one: tuple(its.get(by.field.digest) for by in order) for one, its in found.items()}


def _sorted(places: list[Place], order: Sequence[SortKey], newest_first: bool) -> list[Place]:
    """Places with one first key, by their others."""
    places = sorted(places, key=lambda place: place.experiment_id, reverse=newest_first)
    for number, by in reversed([*enumerate(order, 1)]):
        there = [(key, place) for place in places if (key := place.keys[number]) is not None]
        there.sort(key=lambda pair: pair[0], reverse=by.descending)
        places = [place for _, place in there] + [place for place in places if place.keys[number] is None]
    return places
