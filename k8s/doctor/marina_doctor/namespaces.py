"""The namespace: its Pod Security, its ResourceQuotas and LimitRanges against what the values ask for."""

from collections.abc import Mapping
from decimal import ROUND_UP, Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from marina_doctor import volumes
from marina_doctor.findings import Finding, fail, info, ok, warn
from marina_doctor.observed import Observed
from marina_doctor.values import Release, Values

CHECK = "namespace"
ENFORCE = "pod-security.kubernetes.io/enforce"
# A quota's older names for requests.
SHORT = {"cpu": "requests.cpu", "memory": "requests.memory"}
Amounts = dict[str, Decimal]


def check(observed: Observed) -> list[Finding]:
    """Everything about the namespace that stops pods."""
    name = observed.release.namespace
    if observed.namespace is None and "the namespace" not in observed.unreadable:
        return [info(CHECK, f"{name} does not exist yet; `make deploy` makes it")]
    found = []
    if observed.namespace is not None:
        if observed.namespace.metadata.deletion_timestamp:
            remedy = "Wait until it is gone, or name another one with NAMESPACE"
            return [fail(CHECK, f"{name} is being deleted", remedy)]
        level = (observed.namespace.metadata.labels or {}).get(ENFORCE, "privileged")
        found.append(ok(CHECK, f"Pod Security enforces `{level}`, and Marina's pods keep to `restricted`"))
    return [*found, *_quotas(observed), *_limits(observed)]


def needs(release: Release) -> list[tuple[str, Values]]:
    """(part, its `resources`) of every pod that an installation starts."""
    values = release.values
    pods = [("api", values["api"]["resources"])] * int(values["api"]["replicas"])
    if values["ui"]["enabled"]:
        pods += [("ui", values["ui"]["resources"])] * int(values["ui"]["replicas"])
    for part in ("postgres", "objectStore", "starter"):
        if values[part]["enabled"]:
            pods.append((part, values[part]["resources"]))
    if not values["kserve"]["enabled"]:
        return pods
    for experiment in values["experiments"].values():
        runtime = experiment.get("runtime", "torchserve")
        resources = _of_its_own(values["serving"][runtime]["resources"], experiment.get("resources") or {})
        pods += [(f"serving.{runtime}", resources)] * int(experiment.get("replicas", 1))
    if values["starter"]["enabled"] and isinstance(values["starter"]["deploy"], list):
        resources = values["serving"]["torchserve"]["resources"]
        pods += [("serving.torchserve", resources)] * len(values["starter"]["deploy"])
    return pods


def _of_its_own(default: Values, own: Mapping[str, object]) -> Values:
    """`resources` of a runtime, with what an experiment has of its own both requested and as its limit."""
    given = {name: quantity for name, quantity in own.items() if quantity is not None}
    return {kind: {**(default.get(kind) or {}), **given} for kind in ("requests", "limits")}


def _quotas(observed: Observed) -> list[Finding]:
    found = []
    needed = _needed(observed.release)
    for quota in observed.quotas or ():
        # What is only for some pods, such as those of one priority, says nothing about ours.
        if quota.spec.scopes or quota.spec.scope_selector:
            continue
        hard, used = _amounts(quota.status.hard), _amounts(quota.status.used)
        left = {name: hard[name] - used.get(name, Decimal(0)) for name in hard}
        name = f"the ResourceQuota {quota.metadata.name}"
        if observed.release.installed:
            found += [
                warn(CHECK, f"{name} has no {what} left", "Raise it: a rollout starts one more pod of a part")
                for what, amount in left.items()
                if amount <= 0
            ]
            continue
        for what, amount in left.items():
            if needed.get(what, Decimal(0)) > amount:
                text = (
                    f"{name} leaves {_short(amount)} of {what}, and the release needs {_short(needed[what])}"
                )
                found.append(fail(CHECK, text, f"Raise it to at least {_short(needed[what] + used[what])}"))
        found += _unstated(observed, name, hard)
    return found or ([ok(CHECK, "its ResourceQuotas leave room")] if observed.quotas else [])


def _unstated(observed: Observed, name: str, hard: Amounts) -> list[Finding]:
    """A quota on limits lets in no pod that states none, unless a LimitRange gives it one."""
    given = [
        limit for one in observed.limit_ranges or () for limit in one.spec.limits if limit.type == "Container"
    ]
    found = []
    for what in ("cpu", "memory"):
        if f"limits.{what}" not in hard or any(what in (limit.default or {}) for limit in given):
            continue
        parts = {part for part, block in needs(observed.release) if what not in (block.get("limits") or {})}
        if parts:
            text = (
                f"{name} wants a limit of {what} in every pod, and the values give none to {_listed(parts)}"
            )
            remedy = (
                f"Make a LimitRange with a default of {what}, or set resources.limits.{what} of these parts"
            )
            found.append(fail(CHECK, text, remedy))
    return found


def _limits(observed: Observed) -> list[Finding]:
    """What a LimitRange would not let in; only before the installation, for afterwards pods say so themselves."""
    found = []
    limits = [(one, limit) for one in observed.limit_ranges or () for limit in one.spec.limits]
    for one, limit in limits if not observed.release.installed else ():
        if limit.type != "Container":
            continue
        for kind, bound, wrong in (("limits", limit.max, ">"), ("requests", limit.min, "<")):
            for what, amount in _amounts(bound).items():
                parts = {
                    part
                    for part, block in needs(observed.release)
                    if (stated := (block.get(kind) or {}).get(what)) is not None
                    and (parse_quantity(stated) > amount if wrong == ">" else parse_quantity(stated) < amount)
                }
                if parts:
                    text = (
                        f"the LimitRange {one.metadata.name} takes no {kind}.{what} {wrong} {_short(amount)}, "
                        f"as the values have it for {_listed(parts)}"
                    )
                    found.append(
                        fail(CHECK, text, f"Change the LimitRange, or resources.{kind} of these parts")
                    )
    return found or ([ok(CHECK, "its LimitRanges fit")] if observed.limit_ranges else [])


def _needed(release: Release) -> Amounts:
    """What an installation takes, by a quota's words."""
    needed: Amounts = {}
    pods = needs(release)
    for _, block in pods:
        for kind in ("requests", "limits"):
            for what, amount in (block.get(kind) or {}).items():
                key = f"{kind}.{what}"
                needed[key] = needed.get(key, Decimal(0)) + parse_quantity(amount)
    for short, long in SHORT.items():
        needed[short] = needed.get(long, Decimal(0))
    claims = volumes.required(release)
    needed["pods"] = Decimal(len(pods))
    needed["persistentvolumeclaims"] = Decimal(len(claims))
    needed["requests.storage"] = sum((parse_quantity(one["size"]) for one in claims.values()), Decimal(0))
    return needed


def _amounts(found: dict[str, Any] | None) -> Amounts:
    return {name: parse_quantity(amount) for name, amount in (found or {}).items()}


def _short(amount: Decimal) -> str:
    """An amount for people, rather too much than too little: 2Gi, 100Mi, 0.5."""
    for unit, size in (("Gi", 1 << 30), ("Mi", 1 << 20)):
        if amount >= size:
            rounded = (amount / size).quantize(Decimal("0.1"), ROUND_UP)
            return f"{rounded}".removesuffix(".0") + unit
    return f"{amount.normalize():f}"


def _listed(parts: set[str]) -> str:
    return ", ".join(sorted(parts))
