"""The screens of several hosts."""

from tests.remote.project import Site
from tests.screens import INV

HOSTS = ("gpu-01", "gpu-02", "a-host-with-a-rather-long-name")


def test_the_status_of_three_hosts_is_a_line_each_that_fits(screen, tmp_path):
    with Site.at(tmp_path, *HOSTS) as site:
        terminal = screen(80, **site.clone.environment)
        shown = terminal.run(f"{INV} remote.status --host {','.join(HOSTS)}")
    rows = [line for line in shown.splitlines() if line.split()[:1] and line.split()[0] in HOSTS]
    assert sorted(row.split()[0] for row in rows) == sorted(HOSTS)
    assert all("down" in row for row in rows)
    assert max(map(len, rows)) <= 80
