"""A client in a pod: python -m tests.kubernetes.cluster.client_pod ADDRESS kept|new THREADS RATE.

Each thread asks the model alpha at most at this rate until SIGTERM, over one channel that it keeps or a new one for
each request. Then a JSON document is printed: how many requests were sent, what was answered, and what failed.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import closing

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

_TIMEOUT = 5.0


def ask(client: triton.InferenceServerClient) -> str:
    """Ask what alpha makes of 1."""
    tensor = triton.InferInput("x", [1, 3], "FP32")
    tensor.set_data_from_numpy(np.ones((1, 3), np.float32))
    answer = client.infer("alpha", [tensor], client_timeout=_TIMEOUT)
    return f"{float(answer.as_numpy('y')[0, 0]):g}"


def ask_until(
    ended: threading.Event, address: str, way: str, rate: float, answers: Counter[str], failures: Counter[str]
) -> None:
    """Ask again and again, and count."""
    begin = next_request = time.monotonic()
    with closing(triton.InferenceServerClient(address)) as kept:
        while not ended.is_set():
            try:
                if way == "kept":
                    answers[ask(kept)] += 1
                else:
                    with closing(triton.InferenceServerClient(address)) as client:
                        answers[ask(client)] += 1
            except InferenceServerException as exc:
                failures[f"{exc.status()} {exc.message()[:200]} after {time.monotonic() - begin:.0f} s"] += 1
            next_request = max(next_request + 1 / rate, time.monotonic() - 1)
            time.sleep(max(0.0, next_request - time.monotonic()))


def main() -> None:
    """Ask until SIGTERM."""
    address, way, number, rate = sys.argv[1:]
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    answers, failures = Counter[str](), Counter[str]()
    arguments = (ended, address, way, float(rate), answers, failures)
    threads = [threading.Thread(target=ask_until, args=arguments) for _ in range(int(number))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    requests = answers.total() + failures.total()
    print(json.dumps({"requests": requests, "answers": answers, "failures": failures}))


if __name__ == "__main__":
    main()
