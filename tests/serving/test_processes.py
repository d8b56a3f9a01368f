"""What a serving process does as the first process of a container."""

import subprocess
import sys

# A subreaper inherits orphans as process 1 does.
FIRST = """
import asyncio, ctypes, subprocess, sys, time
import psutil
from serving_runtime import processes

ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
orphan = "import os, sys; sys.exit(0) if os.fork() else os._exit(0)"
for _ in range(3):
    subprocess.run([sys.executable, "-c", orphan], check=True)
time.sleep(0.2)  # until they are dead

def zombies():
    return [child.status() for child in psutil.Process().children()].count(psutil.STATUS_ZOMBIE)

async def main():
    before = zombies()
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
    task = asyncio.create_task(processes.reap_orphans(seconds=0.2))
    code = await asyncio.to_thread(child.wait)
    await asyncio.sleep(2)
    print(before, zombies(), code, task.done())

asyncio.run(main())
"""


def test_orphans_are_reaped_and_own_children_keep_their_exit_codes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["3", "0", "7", "False"]
