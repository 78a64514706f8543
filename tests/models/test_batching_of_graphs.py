"""Dynamic batching of every graph that may take it, under eight clients at once; of the others, the reason."""

import random
import threading
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import np_to_triton_dtype

from tritonops.errors import GraphError, InputError
from tritonops.models.configs.config_options import ConfigOptions
from tritonops.models.configs.rendering import render_configs
from tritonops.models.graphs.examine import examine_graph

GRAPHS = sorted((Path(__file__).with_name("graphs") / "cases").glob("*.onnx"))
BATCHED = {"batch_names_differ", "kv_cache_empty_past", "saved_by_onnxruntime_optimized"}
"""The graphs whose rows are independent of each other, and are rows."""
CLIENTS, REQUESTS = 8, 25
_DTYPES = {"tensor(float)": "float32", "tensor(int64)": "int64"}


def rendered(path):
    return render_configs(examine_graph(path), "model.onnx", Path("x"), options=ConfigOptions(dynamic_batching=True))


@pytest.mark.parametrize("path", [path for path in GRAPHS if path.stem not in BATCHED], ids=lambda path: path.stem)
def test_a_graph_without_batches_is_refused_with_the_reason(path):
    with pytest.raises((InputError, GraphError), match=r".{20,}"):
        rendered(path)


def test_no_answer_of_eight_clients_is_another_client_s(start_module_triton, tmp_path_factory):
    repository = tmp_path_factory.mktemp("batched") / "triton"
    chosen = [path for path in GRAPHS if path.stem in BATCHED]
    assert len(chosen) == len(BATCHED)
    for path in chosen:
        home = repository / path.stem
        (home / "1").mkdir(parents=True)
        (home / "1/model.onnx").write_bytes(path.read_bytes())
        (home / "config.pbtxt").write_text(rendered(path).texts[Path("x/cpu.pbtxt")])
    server = start_module_triton(repository)
    for path in chosen:
        assert wrong_answers(server.grpc_url, path) == []


def wrong_answers(url, path):
    wrong, barrier = [], threading.Barrier(CLIENTS)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def ask(number):
        client, choose = InferenceServerClient(url), random.Random(number)
        generator = np.random.default_rng(number)
        barrier.wait(30)
        for _ in range(REQUESTS):
            rows = choose.choice((1, 2, 3))
            feeds = {node.name: made_up(node, rows, generator) for node in session.get_inputs()}
            answer = client.infer(path.stem, [tensor(name, array) for name, array in feeds.items()], client_timeout=60)
            for node, expected in zip(session.get_outputs(), session.run(None, feeds), strict=True):
                if not np.array_equal(answer.as_numpy(node.name), expected):
                    wrong.append((number, node.name))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    return wrong


def made_up(node, rows, generator):
    shape = (rows, *(dim if isinstance(dim, int) else 2 for dim in node.shape[1:]))
    return generator.normal(size=shape).astype(_DTYPES[node.type])


def tensor(name, array):
    made = InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    made.set_data_from_numpy(array)
    return made
