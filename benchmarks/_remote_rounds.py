"""One side of `./inv bench remote --arg earlier`: the code of CHECKOUT, timed at each line of stdin.

    python -P benchmarks/_remote_rounds.py CHECKOUT

Prints the seconds of a deploy with nothing to do on one host, and of one command on an open connection.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

COMMANDS = 100


def main(checkout: str) -> None:
    """Prepare a host, and then measure once for each line."""
    sys.path.insert(0, checkout)
    from tests.remote.project import Site

    try:
        from tritonops.remote.ssh.host import Host
    except ImportError:  # a commit before 424ebf7
        from tritonops.remote.host import Host  # type: ignore[attr-defined,no-redef]

    with tempfile.TemporaryDirectory() as folder, Site.at(Path(folder), "gpu-01") as site:
        site.serve(alpha=1)
        site.clone.inv("remote.deploy", "--host", "gpu-01")
        print("ready", flush=True)
        for _ in sys.stdin:
            started = time.perf_counter()
            site.clone.inv("remote.deploy", "--host", "gpu-01")
            deploy = time.perf_counter() - started
            with Host("gpu-01", ssh_config=site.fleet.config) as host:
                host.run("true")
                started = time.perf_counter()
                for _ in range(COMMANDS):
                    host.run("true")
                print(deploy, (time.perf_counter() - started) / COMMANDS, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
