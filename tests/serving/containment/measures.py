"""Each measure by itself: a process that takes this one only, and then does all acts."""

import json
import os
import resource
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from serving_runtime import landlock
from serving_runtime.containment import Plan
from serving_runtime.worker import containment, namespaces
from tests.serving.containment import acts
from tests.serving.containment.scene import PROCESSES, SCRATCH_BYTES

UID = 60999


def _own_user(_plan: Plan) -> None:
    os.setgroups([])
    os.setresgid(UID, UID, UID)
    os.setresuid(UID, UID, UID)


def _no_capabilities(_plan: Plan) -> None:
    containment.drop_privileges(None)


def _namespaces(plan: Plan) -> None:
    namespaces.isolate(network=True)
    namespaces.hide_all_but([plan.model, plan.scratch])
    namespaces.mount_scratch(plan.scratch, plan.scratch_bytes, os.geteuid())


def _landlock(plan: Plan) -> None:
    containment.no_new_privileges()
    landlock.restrict(containment.reach(plan, containment.readable(plan), private_shm=False))


def _limits(plan: Plan) -> None:
    """Of a user that is not root: root's processes are not counted."""
    containment.limit(plan, processes=os.geteuid() == 0)
    if os.geteuid() == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (plan.scratch_bytes, plan.scratch_bytes))
        _own_user(plan)


MEASURES: dict[str, Callable[[Plan], None]] = {
    "own user": _own_user,
    "no capabilities": _no_capabilities,
    "namespaces": _namespaces,
    "Landlock": _landlock,
    "limits": _limits,
}


def stopped_by(targets: dict[str, Any], folder: Path) -> dict[str, list[str]]:
    """Which measures stop an act when nothing else does; as root. What the limits' user stops counts for the user."""
    done = {
        name: _alone(take, targets, folder / str(number))
        for number, (name, take) in enumerate(MEASURES.items())
    }
    stopped: dict[str, list[str]] = {act: [] for act in acts.ACTS}
    for act, names in stopped.items():
        names += [name for name in MEASURES if not done[name][act]]
        if "own user" in names and "limits" in names:
            names.remove("limits")
    return stopped


def _alone(take: Callable[[Plan], None], targets: dict[str, Any], folder: Path) -> dict[str, bool]:
    archive = folder / "archive"
    archive.mkdir(parents=True)
    scratch = tempfile.mkdtemp()  # where every user can get to it
    os.chmod(scratch, 0o777)
    plan = Plan(str(archive), scratch, SCRATCH_BYTES, PROCESSES)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            acts.__file__ = str(archive / "handler.py")
            tempfile.tempdir = plan.scratch
            take(plan)
            ended = acts.attempt(targets)
            acts.end_children()
            os.write(writing, json.dumps({act: end["done"] for act, end in ended.items()}).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as results:
        found: dict[str, bool] = json.loads(results.read())
    os.waitpid(child, 0)
    shutil.rmtree(scratch)
    return found
