"""Threads, as many as a ramp says."""

import threading

import pytest

from tritonops.models.transfer.connection_ramp import Ramp
from tritonops.models.transfer.worker_pool import WorkerPool, in_parallel


def test_an_idle_cpu_means_more_workers_up_to_the_limit():
    ramp = Ramp(20)
    ramp.start(0.0, 0.0)
    assert [ramp.look(0.001, 1.0), ramp.look(0.002, 2.0), ramp.look(0.003, 3.0)] == [8, 20, 20]
    assert ramp.poll_interval == 0.2


def test_a_busy_cpu_means_no_more_workers():
    ramp = Ramp(20)
    ramp.start(0.0, 0.0)
    assert ramp.poll_interval == 0.02
    assert ramp.look(0.6, 1.0) == 2
    assert ramp.poll_interval == 0.2
    assert ramp.look(0.7, 2.0) == 8  # it has become idle


def test_a_pool_starts_its_first_threads_and_waits_for_their_end():
    is_over, started = threading.Event(), []

    def work():
        started.append(1)
        is_over.wait(10)

    pool = WorkerPool(work, Ramp(3, first=3))
    pool.start()
    assert not pool.join(timeout=0.01)
    is_over.set()
    assert pool.join(timeout=10)
    assert len(started) == 3


def test_results_come_in_the_order_of_the_items():
    assert in_parallel(lambda item: item * 2, range(100), threads=8) == list(range(0, 200, 2))
    assert in_parallel(str, [], threads=8) == []


def test_the_first_error_is_raised_when_all_were_tried():
    tried = []

    def work(item):
        tried.append(item)
        if item == 1:
            raise ValueError(str(item))

    with pytest.raises(ValueError, match="1"):
        in_parallel(work, [0, 1, 2], threads=1)
    assert tried == [0, 1, 2]
