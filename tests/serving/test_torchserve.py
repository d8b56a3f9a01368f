"""What only TorchServe has: a Java process, which may die and must stay small."""

import os
import signal

import psutil

from .conftest import Front
from .test_runtimes import GOLDEN, Load


class TestJava:
    def test_a_killed_java_is_replaced(self, torchserve_front: Front) -> None:
        front = torchserve_front
        restarts = front.status("summing")["restarts"]
        with Load(front) as load:
            load.go_on()
            os.kill(int(front.status("summing")["processes"][0]), signal.SIGKILL)
            front.wait_until("summing", state="ready", restarts=restarts + 1, seconds=10)
            load.go_on()
        assert set(load.statuses) <= {200, 503}
        assert load.answers[-1][0] == 200
        assert all(answer[2] == 21.0 for answer in load.answers if answer[0] == 200)
        assert all(answer[4] == "1" for answer in load.answers if answer[0] == 503)

    def test_java_and_worker_stay_small(self, torchserve_front: Front) -> None:
        java, worker = (psutil.Process(pid) for pid in torchserve_front.status("other")["processes"])
        print(
            f"java {java.memory_info().rss >> 20} MiB, worker {worker.memory_full_info().pss >> 20} MiB pss"
        )
        assert java.memory_info().rss < 300 * 1024**2
        assert worker.memory_full_info().rss < 400 * 1024**2
        assert torchserve_front.infer("other", GOLDEN).status_code == 200
