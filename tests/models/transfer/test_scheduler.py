"""The scheduler, driven by a simulated network: what is fetched over which connection, and how much is sent for it."""

import random

import pytest

from tests.models.transfer.network import MB, Network, remote_file
from tritonops.models.transfer.file_download import FileState
from tritonops.models.transfer.scheduler import Action

SIZES = [48 * MB, 20 * MB, 9 * MB, 3 * MB, 100_000]


def files(*sizes):
    return [remote_file(number, size) for number, size in enumerate(sizes)]


def next_job(scheduler):
    job = scheduler.next_job(0.0)
    assert job
    return job


def open_next(scheduler, arrived=()):
    """Begin the next file, and return its first job."""
    job = scheduler.opened(next_job(scheduler).download, list(arrived), 0.0)
    assert job
    return job


def states(network):
    return {download.state for download in network.scheduler.downloads}


@pytest.mark.parametrize("is_starved", [False, True], ids=["idle-cpu", "starved-cpu"])
@pytest.mark.parametrize("rate", [1e4, 1e5, 1e6, 1e7, 1e8, 1e9])
@pytest.mark.parametrize("connections", [4, 16, 64])
def test_servers_send_at_most_a_tenth_more_than_the_files_have(connections, rate, is_starved):
    # Seldom more than one connection in five is as fast as the others.
    speeds = random.Random(f"{connections} {rate}")
    factors = [speeds.choice([0.05, 0.3, 1.0, 1.0, 1.0]) for _ in range(1000)]
    network = Network(
        files(*SIZES),
        connections,
        rate=lambda number: rate * factors[number % len(factors)],
        cpu_rate=min(rate, 2e7) if is_starved else 2e9,
    ).run()
    assert states(network) == {FileState.STORED}
    assert sum(SIZES) <= network.sent <= 1.1 * sum(SIZES)


def test_a_slow_connection_is_helped_by_the_others():
    fast, slow = 10e6, 0.1e6
    network = Network(files(32 * MB), 8, rate=lambda number: slow if number == 3 else fast, receive_buffer=128 << 10)
    network.run()
    assert network.now < 4.0  # the last quarter of a megabyte is not worth a request; alone it would take 42 s
    assert len(network.requests) > 8


def test_a_range_is_not_split_where_the_cpu_is_what_is_slow():
    network = Network(files(32 * MB), 4, rate=lambda number: 1e9, cpu_rate=5e6).run()
    assert len(network.requests) == 4
    assert network.sent == 32 * MB


def test_large_files_begin_first_and_sixteen_before_one_gets_a_second_connection():
    network = Network(files(*(size * MB for size in range(4, 40))), 20)
    order: list[int] = []
    while (job := network.scheduler.next_job(0.0)) and len(order) < 20:
        order.append(job.download.file.size // MB)
        job.download.opened([], 0.0)
    assert order[:16] == list(range(39, 23, -1))
    assert set(order[16:]) <= set(range(24, 40))  # a first connection for each of those that were begun


def test_every_file_has_its_share_of_connections():
    network = Network(files(*[16 * MB] * 4), 16)
    scheduler = network.scheduler
    jobs = [open_next(scheduler) for _ in range(4)]
    for job in jobs:
        scheduler.located(job.download, job.part, job.download.file.origin, 0.03)
    while len(jobs) < 16 and (job := scheduler.next_job(0.0)):
        jobs.append(job)
    ranges = [sum(job.download is download for job in jobs) for download in scheduler.downloads]
    assert ranges == [4, 4, 4, 4]


def test_only_one_range_of_a_file_finds_out_where_it_is():
    scheduler = Network(files(16 * MB), 8).scheduler
    first = open_next(scheduler)
    assert first.part.is_locating
    assert scheduler.next_job(0.0) is None
    assert scheduler.located(first.download, first.part, first.download.file.origin, 0.03)
    assert not next_job(scheduler).part.is_locating


def test_what_a_broken_connection_left_is_fetched_by_others():
    network = Network(files(16 * MB, 8 * MB), 4, fails=lambda number: number % 3 == 0).run()
    assert states(network) == {FileState.STORED}
    assert network.sent <= 1.1 * 24 * MB + network.receive_buffer


def test_a_server_that_ignores_range_is_asked_for_the_whole_file_over_one_connection():
    network = Network(files(16 * MB), 8, ignores_range=True).run()
    assert states(network) == {FileState.STORED}
    assert network.requests[-1] == (network.files[0].key, 0, 16 * MB)
    assert network.sent == 16 * MB


def test_a_file_whose_etag_changes_once_is_started_over():
    network = Network(files(16 * MB), 4, etag=lambda number: "new" if number else "old").run()
    assert states(network) == {FileState.STORED}
    assert network.actions.count(Action.RESET) == 1


def test_a_file_whose_etag_keeps_changing_fails():
    network = Network(files(16 * MB), 4, etag=str).run()
    [download] = network.scheduler.downloads
    assert download.state is FileState.FAILED
    assert "changed during the download, twice in a row" in str(download.error)


def test_a_hash_that_is_wrong_once_is_fetched_again():
    network = Network(files(4 * MB), 4, wrong_hashes=1).run()
    assert states(network) == {FileState.STORED}
    assert network.actions.count(Action.RESET) == 1
    assert network.sent == 2 * 4 * MB


def test_a_hash_that_is_wrong_twice_is_the_fault_of_the_source_and_others_are_stored():
    network = Network(files(4 * MB, 100_000), 1, wrong_hashes=2).run()
    large, small = network.scheduler.downloads
    assert "another hash" in str(large.error)
    assert small.state is FileState.STORED
    assert network.scheduler.take_stored()[1] == [small.file.key]


def test_an_empty_file_is_stored_without_a_request():
    network = Network(files(0), 4).run()
    assert states(network) == {FileState.STORED}
    assert network.requests == []


def test_what_an_earlier_run_left_is_hashed_and_not_fetched():
    scheduler = Network(files(8 * MB), 4).scheduler
    job = open_next(scheduler, [(0, 6 * MB)])
    assert (job.action, job.interval) == (Action.HASH, (0, 6 * MB))
    job = next_job(scheduler)
    assert (job.action, job.part.start, job.part.end) == (Action.FETCH, 6 * MB, 8 * MB)
    assert scheduler.progress(1.0)[0][0].earlier == 6 * MB


@pytest.mark.parametrize(
    ("round_trip", "workers", "parts"), [(None, 2, 16), (0.001, 2, 2), (0.05, 16, 16)], ids=["unknown", "near", "far"]
)
def test_a_far_server_needs_all_connections_at_once_and_a_near_one_few(round_trip, workers, parts):
    scheduler = Network(files(64 * MB), 16, latency=round_trip).scheduler
    assert scheduler.ramp.workers == workers
    assert scheduler.range_size == 64 * MB // parts


def test_there_are_no_more_connections_than_ranges():
    assert Network(files(100, 200, 300), 64).scheduler.ramp.workers == 3
