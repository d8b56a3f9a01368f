"""What the fake API makes of `filter` and `sort` of its experiments: a little of what the real one's grammar takes."""

import re
from typing import Any

Item = dict[str, Any]
_NAMED = re.compile(r"name in \((.*)\)")
_OF_TASK = re.compile(r'task (?:is null|= "([^"]+)")(?: and (.*))?')
_OTHER = re.compile(r'(.*) and not name = "([^"]+)"')
_COMPARED = re.compile(r'(metrics|params)\.("[^"]+"|[\w./-]+) (<|>|=|is not null) ?(.*)')


class BadFilter(ValueError):
    """A filter that cannot be read."""


def narrowed(items: list[Item], filter_: str) -> list[Item]:
    """Those that a filter lets through; raises BadFilter."""
    if not filter_:
        return items
    if named := _NAMED.fullmatch(filter_):
        names = re.findall(r'"([^"]+)"', named[1])
        return [item for item in items if item["name"] in names]
    if of_task := _OF_TASK.fullmatch(filter_):
        mine = [item for item in items if item["task"] == of_task[1]]
        return narrowed(mine, of_task[2] or "")
    if other := _OTHER.fullmatch(filter_):
        return [item for item in narrowed(items, other[1]) if item["name"] != other[2]]
    compared = _COMPARED.fullmatch(filter_.strip())
    if compared is None:
        raise BadFilter(
            f"The filter cannot be read at {filter_!r}: a field is expected. For example metrics.f1 > 0.9."
        )
    kind, name, operator, value = compared.groups()
    found = [(value_of(item, f"{kind}.{name}"), item) for item in items]
    there = [(own, item) for own, item in found if own is not None]
    if operator == "is not null":
        return [item for _, item in there]
    limit = float(value)
    holds = {"<": lambda own: own < limit, ">": lambda own: own > limit, "=": lambda own: own == limit}[
        operator
    ]
    return [item for own, item in there if holds(own)]


def ordered(items: list[Item], sort: str) -> list[Item]:
    """In the order of one field; those without a value come last."""
    field, down = sort.removeprefix("-"), sort.startswith("-")
    if field == "created_at":
        # They are kept newest first.
        return items if down else items[::-1]
    found = [(value_of(item, field), item) for item in items]
    there = sorted((pair for pair in found if pair[0] is not None), key=lambda pair: pair[0], reverse=down)
    return [item for _, item in there] + [item for own, item in found if own is None]


def value_of(item: Item, field: str) -> Any:
    """A field's value; of a metric the best one."""
    kind, _, name = field.partition(".")
    name = name.strip('"')
    if kind == "metrics":
        return item["metrics"].get(name, {}).get("best")
    if kind == "params":
        return item["parameters"].get(name)
    return item.get(field)
