"""Random env files, read by us and by the real Compose: `./inv bench env_files --arg COUNT --arg SEED`.

Prints each that is read in different ways, and fails where there is one. Needs the Compose plugin, no engine.
"""

from __future__ import annotations

import random
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from _timing import PROJECT  # noqa: F401 - puts the project on the import path

from tests.compose_env import differences, missing, our_environment, random_file
from tests.dotenv_cases import ENVIRON


def main(count: int = 1000, seed: int = 1) -> None:
    if reason := missing():
        sys.exit(reason)
    chance = random.Random(seed)
    files = [random_file(chance) for _ in range(count)]
    with ThreadPoolExecutor(4) as threads:
        different = [found for found in threads.map(_compared, files) if found]
    print("\n".join(different[:20]))
    refused = sum(our_environment(file, ENVIRON) is None for file in files)
    print(f"{count} files, seed {seed}: {len(different)} read in different ways, {refused} refused")
    sys.exit(bool(different))


def _compared(file: bytes) -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        return differences(file, ENVIRON, Path(folder))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
