"""A deploy in a process of its own: python -m tests.kubernetes.cluster.deploying FOLDER HF_ENDPOINT."""

from __future__ import annotations

import sys
from pathlib import Path

from tritonops.kubernetes.deploy import deploy
from tritonops.project import Project


def main() -> None:
    """Deploy the only target of a checkout."""
    folder, endpoint = Path(sys.argv[1]), sys.argv[2]
    project = Project.load(folder, environ={"HF_ENDPOINT": endpoint}, cwd=folder, env_file=False)
    (target,) = project.targets.select(None)
    deploy(project, target, on_step=lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
