"""The order of releases is the host's: what it numbered and recorded, whatever clock anybody has."""

from __future__ import annotations

import json
import os
import shutil
import threading

import pytest

from tests.remote.client.repository import HERE, Repository
from tests.remote.project import Site
from tritonops.errors import HostLockedError, InputError
from tritonops.files import write_json
from tritonops.remote.client.checkout import GitCheckout, read_checkout
from tritonops.remote.client.host_state import inspect_host
from tritonops.remote.client.upload import begin
from tritonops.remote.layout.deploy_lock import LockOwner, deploy_lock
from tritonops.remote.layout.paths import Layout
from tritonops.remote.layout.records import ActivationRecord, ReleaseRecord
from tritonops.remote.rollback import earlier_release, roll_back_host
from tritonops.remote.ssh.host import Host


@pytest.fixture
def checkout(tmp_path):
    return read_checkout(Repository(tmp_path / "checkout").folder)


def roll_back(site: Site) -> str:
    with Host("gpu-01", ssh_config=site.fleet.config) as host:
        return roll_back_host(host, to=None, on_step=lambda line: None).release


def test_a_rollback_goes_to_what_served_before_also_after_a_rollback_and_a_deploy(site):
    def deployed(scale: int) -> str:
        site.serve(alpha=scale)
        release: str = site.deploy().release
        return release

    first, second, third = deployed(11), deployed(12), deployed(13)
    assert first < second < third
    assert roll_back(site) == second
    assert site.answers()["alpha"] == 12
    fourth = deployed(14)
    assert fourth > third
    assert roll_back(site) == second  # which served when the fourth came, not the third
    assert roll_back(site) == first
    assert site.answers()["alpha"] == 11
    site.deploy()


def test_two_deploys_at_once_get_numbers_of_their_own_and_the_loser_is_told_who_has_locked_the_host(site):
    site.serve(alpha=21)
    both, ended = threading.Barrier(2, timeout=60), []

    def deploy() -> None:
        def on_step(line: str) -> None:
            if line == "check the host":  # both have seen it free
                both.wait()

        try:
            ended.append(site.deploy(on_step=on_step).what)
        except HostLockedError as exc:
            ended.append(str(exc))

    threads = [threading.Thread(target=deploy) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "deployed" in ended
    losers = [result for result in ended if result != "deployed"]
    assert all("@" in result or "another deploy was running" in result for result in losers)
    names = Layout(site.servers["gpu-01"].root).names()
    numbers = [name.split("-")[0] for name in names if name.startswith("r")]
    assert len(numbers) == len(set(numbers))
    assert site.answers()["alpha"] == 21
    site.deploy()


def begun(host: Host, checkout: GitCheckout) -> ReleaseRecord:
    return begin(host, inspect_host(host), checkout, HERE, {})[0]


@pytest.mark.parametrize("year", [2001, 2099])
def test_number_and_time_of_a_release_are_the_hosts_own_whatever_its_clock_says(fleet, checkout, tmp_path, year):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "date").write_text(f"#!/bin/sh\necho {year}-01-02T03:04:05Z\n")
    (tools / "date").chmod(0o755)
    server = fleet.add("gpu-01", environment={"PATH": f"{tools}:{os.environ['PATH']}"})
    old = server.root / "releases/20261123T034801.204716Z-1bce04d"
    old.mkdir(parents=True)
    with Host("gpu-01", ssh_config=fleet.config) as host:
        record = [begun(host, checkout) for _ in range(3)]
    assert [each.id for each in record] == [f"r00000{number}-{checkout.label}" for number in (1, 2, 3)]
    assert {each.at for each in record} == {f"{year}-01-02T03:04:05Z"}
    assert sorted([old.name, *(each.id for each in record)])[0] == old.name


@pytest.mark.parametrize("damage", [lambda number: number.unlink(), lambda number: number.write_text("9 lives\n")])
def test_no_number_is_assigned_twice_even_without_a_readable_record(fleet, checkout, damage):
    server = fleet.add("gpu-01")
    with Host("gpu-01", ssh_config=fleet.config) as host:
        begun(host, checkout)
        shutil.rmtree(server.root / f"releases/{begun(host, checkout).id}.partial")
        assert begun(host, checkout).id == f"r000003-{checkout.label}"
        damage(server.root / "number")
        assert begun(host, checkout).id == f"r000004-{checkout.label}"


def test_a_deploy_that_begins_while_another_one_has_the_lock_is_told_by_whom(fleet, checkout):
    server = fleet.add("gpu-01")
    owner = LockOwner("ann@laptop", "2026-01-01T00:00:00Z", "deploy of r000001-1bce04d", os.getpid())
    with Host("gpu-01", ssh_config=fleet.config) as host:
        state = inspect_host(host)
        server.root.mkdir()
        with (
            deploy_lock(server.root / "lock", owner),
            pytest.raises(HostLockedError, match="gpu-01 is locked by ann@laptop, since"),
        ):
            begin(host, state, checkout, HERE, {})


def kept(layout: Layout, name: str, *, result: str = "done", before: str | None = None) -> None:
    folder = layout.root / "releases" / name
    folder.mkdir(parents=True)
    write_json(folder / "release.json", vars(ReleaseRecord(name, "abc", "subject", "f", "me", "now")))
    record = vars(ActivationRecord(result, "now", before=before))
    write_json(folder / "outcome.json", {key: value for key, value in record.items() if value is not None})


OLD = [f"2026112{day}T000000Z-abc" for day in range(1, 4)]


@pytest.mark.parametrize(
    ("releases", "current", "goes_to"),
    [
        (dict.fromkeys(OLD), OLD[2], OLD[1]),
        ({OLD[0]: None, "r000001-a": OLD[0]}, "r000001-a", OLD[0]),
        ({"r000001-a": "", "r000002-b": "r000001-a", "r000003-c": "r000001-a"}, "r000003-c", "r000001-a"),
        ({"r000001-a": ""}, "r000001-a", "has no release before"),
        ({OLD[0]: None}, OLD[0], "has no release before"),
        ({"r000002-b": "r000001-a"}, "r000002-b", "no longer has r000001-a"),
    ],
    ids=["old ones", "from new to old", "as recorded", "the first", "the first of the old", "pruned"],
)
def test_a_rollback_follows_the_records_of_the_host_and_for_old_releases_their_ids(fleet, releases, current, goes_to):
    layout = Layout(fleet.add("gpu-01").root)
    for name, before in releases.items():
        kept(layout, name, before=before)
    layout.point_current_to(layout.release(current))
    with Host("gpu-01", ssh_config=fleet.config) as host:
        state = inspect_host(host)
        if goes_to in releases:
            assert earlier_release(host, state, None).id == goes_to
        else:
            with pytest.raises(InputError, match=goes_to):
                earlier_release(host, state, None)


OLD_RELEASE = "20261123T034801.204716Z-1bce04d"
NEW_FIELDS = ("digest", "seal", "loads", "before", "by_hand", "pruned")


def as_an_earlier_version_left_it(layout: Layout) -> None:
    """Make the current release, which is the only one, one of the version before releases had numbers and digests."""
    new = layout.current
    assert new
    old = layout.root / "releases" / OLD_RELEASE
    new.path.rename(old)
    (layout.root / "number").unlink()
    (old / "manifest").unlink()
    (old / "inv").write_text((old / "inv").read_text().replace(new.id, OLD_RELEASE))
    layout.point_current_to(layout.release(OLD_RELEASE))
    for name in ("release.json", "outcome.json"):
        record = json.loads((old / name).read_text())
        write_json(old / name, {key: value for key, value in record.items() if key not in NEW_FIELDS})
    record = json.loads((old / "release.json").read_text())
    write_json(old / "release.json", {**record, "id": OLD_RELEASE, "fingerprint": "of the earlier version"})


def test_a_host_of_an_earlier_version_is_deployed_to_and_rolled_back_to_its_old_release(tmp_path):
    with Site.at(tmp_path, "gpu-01") as site:
        site.serve(alpha=51, beta=51)
        site.deploy()
        layout = Layout(site.servers["gpu-01"].root)
        as_an_earlier_version_left_it(layout)
        inv = site.clone.inv
        (status,) = json.loads(inv("remote.status", "--host", "gpu-01", "--json").stdout)
        assert (status["release"], status["digest"], status["triton"]) == (OLD_RELEASE, None, "up")
        site.serve(alpha=52)
        with site.inferring("beta") as observed:
            assert site.deploy().release.startswith("r000001-")
            assert site.answers() == {"alpha": 52, "beta": 51}
            assert roll_back(site) == OLD_RELEASE
            assert site.answers() == {"alpha": 51, "beta": 51}
        assert not observed.failures
        with pytest.raises(InputError, match="no release before the current one"):
            roll_back(site)
        assert site.deploy().release.startswith("r000002-")
        kept = json.loads(inv("remote.releases", "--host", "gpu-01", "--json").stdout)
        assert [release["id"].split("-")[0] for release in kept] == [OLD_RELEASE.split("-")[0], "r000001", "r000002"]
        assert kept[0]["digest"] == ""
