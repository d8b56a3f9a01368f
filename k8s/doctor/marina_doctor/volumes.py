"""StorageClasses and claims: those that the values ask for, and those that wait for a volume."""

from typing import Any

from marina_doctor.findings import Finding, fail, ok, warn
from marina_doctor.observed import Observed
from marina_doctor.values import Release

CHECK = "storage"
DEFAULT = "storageclass.kubernetes.io/is-default-class"
# Reasons of events that say why a claim has no volume.
NO_VOLUME = {"ProvisioningFailed", "FailedBinding"}


def check(observed: Observed) -> list[Finding]:
    """The classes that claims need, claims that must be there already, and claims that are not bound."""
    return [*_classes(observed), *_given_claims(observed), *_unbound(observed)]


def required(release: Release) -> dict[str, dict[str, Any]]:
    """The chart's claims by name: their blocks of the values, with `size` and `storageClass`."""
    values, prefix = release.values, release.prefix
    blocks = {
        f"data-{prefix}-postgres-0": (values["postgres"]["enabled"], values["postgres"]["persistence"]),
        f"{prefix}-store": (values["api"]["persistence"]["enabled"], values["api"]["persistence"]),
        f"{prefix}-backup": (values["backup"]["enabled"], values["backup"]["persistence"]),
        f"{prefix}-object-store": (values["objectStore"]["enabled"], values["objectStore"]["persistence"]),
    }
    return {name: block for name, (enabled, block) in blocks.items() if enabled and not given(block)}


def given(block: dict[str, Any]) -> str:
    """The claim that is used instead of one of the chart's own."""
    return str(block.get("existingClaim") or "")


def _classes(observed: Observed) -> list[Finding]:
    if observed.storage_classes is None:
        return []
    names = {one.metadata.name for one in observed.storage_classes}
    default = next((one.metadata.name for one in observed.storage_classes if _is_default(one)), "")
    bound = {one.metadata.name for one in observed.claims or () if one.status.phase == "Bound"}
    missing = {name: block for name, block in required(observed.release).items() if name not in bound}
    found = [
        fail(
            CHECK,
            f"the StorageClass {block['storageClass']} of the claim {name} does not exist "
            f"(there is: {', '.join(sorted(names)) or 'none'})",
            "Name one that exists in the values (`storageClass`)",
        )
        for name, block in missing.items()
        if block["storageClass"] and block["storageClass"] not in names
    ]
    if default:
        return [*found, ok(CHECK, f"the default StorageClass is {default}")]
    text = "the cluster has no default StorageClass"
    remedy = f"Annotate one with {DEFAULT}=true, or set `storageClass` in the values"
    without = sorted(name for name, block in missing.items() if not block["storageClass"])
    if without:
        return [*found, fail(CHECK, f"{text}, and these claims name none: {', '.join(without)}", remedy)]
    return [*found, warn(CHECK, f"{text}; claims made later would get no volume", remedy)]


def _given_claims(observed: Observed) -> list[Finding]:
    if observed.claims is None:
        return []
    there = {one.metadata.name for one in observed.claims}
    values = observed.release.values
    needed = {given(values[part]["persistence"]) for part in ("api", "backup")} - {""}
    if observed.release.installed:
        needed |= set(required(observed.release))
    return [
        fail(
            CHECK,
            f"the claim {name} does not exist",
            f"Restore it from a backup, or let `make deploy` make an empty one ({_backup_hint(name)})",
        )
        for name in sorted(needed - there)
    ]


def _backup_hint(name: str) -> str:
    return "then `make restore`" if "postgres" in name else "what was on it is gone"


def _unbound(observed: Observed) -> list[Finding]:
    found, bound = [], 0
    classes = {one.metadata.name: one for one in observed.storage_classes or ()}
    for claim in observed.of_release(observed.claims):
        if claim.status.phase == "Bound":
            bound += 1
            continue
        name, kind = claim.metadata.name, claim.spec.storage_class_name
        text = f"the claim {name} is {claim.status.phase or 'Pending'}"
        if claim.status.phase == "Lost":
            found.append(fail(CHECK, f"{text}: its volume is gone", "Restore the data from a backup"))
        elif observed.storage_classes is not None and kind and kind not in classes:
            text = f"{text}: its StorageClass {kind} does not exist"
            found.append(
                fail(CHECK, text, "Make that StorageClass, or delete the claim and name another one")
            )
        elif not kind and observed.storage_classes is not None:
            text = f"{text}: it has no StorageClass, and no volume fits it"
            found.append(
                fail(CHECK, text, "Make a StorageClass the default, or delete the claim and name one")
            )
        elif said := _event(observed, claim):
            found.append(fail(CHECK, f"{text}: {said}", "Look at what provisions volumes in this cluster"))
        else:
            found.append(warn(CHECK, f"{text}: it waits for its first pod", "Look at the lines on pods"))
    return [*found, ok(CHECK, f"{bound} claims of the release are bound")] if bound else found


def _event(observed: Observed, claim: Any) -> str:
    events = [one for one in observed.warnings or () if one.involved_object.uid == claim.metadata.uid]
    return next((str(one.message) for one in reversed(events) if one.reason in NO_VOLUME), "")


def _is_default(one: Any) -> bool:
    return (one.metadata.annotations or {}).get(DEFAULT) == "true"
