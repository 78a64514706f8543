"""Every command that changes a model, in every way that ensembles use the model, under clients of these ensembles.

    ./inv bench ensembles

For each of 48 cells: were all requests answered, and is each ensemble served afterwards? A command may refuse instead,
with the ensemble's name. Exits 1 where a cell is not as it should be. Deploys and rollbacks are in tests/remote.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from _timing import INV

from tests.triton.ensemble_matrix import CELLS, Matrix
from tritonops.server import embedded
from tritonops.server.ports import free_ports


def main() -> None:
    """Run all cells, and print one line each."""
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder = Path(temporary)
        (folder / "served/triton").mkdir(parents=True)
        server = embedded.start(folder / "served/triton", folder / "served/.server", ports=free_ports())
        try:
            matrix = Matrix(server, folder, _run)
            results = [matrix.cell(*cell) for cell in CELLS]
        finally:
            embedded.kill(server)
    for result in results:
        text = result.problem or ("done" if result.code == 0 else f"exit {result.code}: {_error(result.output)}")
        print(f"{result.operation:<17} {result.situation:<26} {text}")
    if wrong := [result for result in results if result.problem]:
        raise SystemExit(f"{len(wrong)} of {len(results)} cells are not as they should be")


def _run(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRITON", "MODELS"))}
    done = subprocess.run(
        [*INV, *arguments],
        env={**kept, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def _error(output: str) -> str:
    lines = output[output.find("error:") :].splitlines()
    return " ".join(line.strip() for line in lines)


if __name__ == "__main__":
    main()
