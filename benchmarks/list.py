"""`inv triton.list` against a bare Python script that makes the same gRPC call with tritonclient.

Both ask the same embedded Triton, which serves nothing: the figure is what the suite adds.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from _timing import INV, Contender, medians, print_ratios

from tritonops.server import embedded
from tritonops.server.ports import free_ports

BARE = """
import sys
import tritonclient.grpc
client = tritonclient.grpc.InferenceServerClient(sys.argv[1])
for model in client.get_model_repository_index().models:
    print(model.name, model.version, model.state)
"""


def main() -> None:
    # As installed: with compiled modules, and none of the caller's switches.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TRITON"))}
    with tempfile.TemporaryDirectory() as folder:
        models_dir = Path(folder, "triton")
        models_dir.mkdir()
        server = embedded.start(models_dir, Path(folder, ".server"), ports=free_ports())
        try:
            ours = [*INV, "triton.list", "--url", server.grpc_url]
            figures = medians(
                [
                    Contender("a bare script", [sys.executable, "-c", BARE, server.grpc_url], env),
                    Contender("inv triton.list", ours, env),
                ],
                rounds=int(os.environ.get("ROUNDS", "20")),
            )
        finally:
            embedded.kill(server)
    print_ratios("Listing the models of a server", figures, baseline="a bare script")


if __name__ == "__main__":
    main()
