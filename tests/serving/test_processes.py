"""What a serving process does as the first process of a container, and with its memory."""

import subprocess
import sys

# A subreaper inherits orphans as process 1 does.
FIRST = """
import asyncio, ctypes, subprocess, sys
import psutil
from serving_runtime import processes

ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
orphan = "import os, sys; sys.exit(0) if os.fork() else os._exit(0)"
for _ in range(3):
    subprocess.run([sys.executable, "-c", orphan], check=True)

def zombies():
    return [child.status() for child in psutil.Process().children()].count(psutil.STATUS_ZOMBIE)

async def until_there_are(count):
    async with asyncio.timeout(10):
        while zombies() != count:
            await asyncio.sleep(0.02)

async def main():
    await until_there_are(3)
    before = zombies()
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
    task = asyncio.create_task(processes.reap_orphans(seconds=0.2))
    code = await asyncio.to_thread(child.wait)
    await until_there_are(0)
    print(before, zombies(), code, task.done())

asyncio.run(main())
"""

# A batch as a network computes it: results of some megabytes, each freed when the next is there.
BATCHES = """
import resource
import numpy as np
from serving_runtime import processes

{first}
def batch():
    results = [np.ones(600_000, np.float32) for _ in range(4)]
    return len(results)

batch(), batch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    batch()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 20)
"""


def test_orphans_are_reaped_and_own_children_keep_their_exit_codes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["3", "0", "7", "False"]


def faults(first: str) -> int:
    """Page faults of a batch in a process of its own that has run the line `first`."""
    program = BATCHES.format(first=first)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    return int(done.stdout)


def test_memory_of_a_batch_is_kept_for_the_next_one() -> None:
    assert faults("processes.tune_malloc()") < 10 < 1000 < faults("")
