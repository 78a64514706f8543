# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["numpy==2.2.6", "onnx==1.18.0", "scikit-learn==1.6.1"]
# ///
"""Make digits.onnx and seven.json again: `uv run examples/digits/train.py`.

A network with one hidden layer learns scikit-learn's handwritten digits, 1,797 images of 8 × 8 pixels from 0 to 16.
One digit in five is kept out of the training, to measure how good the model is; seven.json is one of those.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

HERE = Path(__file__).parent
BRIGHTEST = 16.0
# Old enough for every Triton that serves ONNX models today.
IR_VERSION, OPSET = 8, 17


def main() -> None:
    images, digits = load_digits(return_X_y=True)
    split = train_test_split(images, digits, test_size=0.2, stratify=digits, random_state=0)
    train_images, test_images, train_digits, test_digits = split
    network = MLPClassifier(hidden_layer_sizes=(64,), alpha=1e-2, max_iter=500, random_state=0)
    network.fit(train_images / BRIGHTEST, train_digits)
    print(f"right about {network.score(test_images / BRIGHTEST, test_digits):.1%} of the digits it never saw")
    onnx.save_model(to_onnx(network), HERE / "digits.onnx")
    write_sample(test_images[np.flatnonzero(test_digits == 7)[0]])


def to_onnx(network: MLPClassifier) -> onnx.ModelProto:
    """Pixels from 0 to 16 go in; the digit, and how likely each of the ten is, come out."""
    (hidden, output), (hidden_bias, output_bias) = network.coefs_, network.intercepts_
    constants = {
        "brightest": np.array(BRIGHTEST),
        "hidden": hidden,
        "hidden_bias": hidden_bias,
        "output": output,
        "output_bias": output_bias,
    }
    nodes = [
        helper.make_node("Flatten", ["image"], ["pixels"]),
        helper.make_node("Div", ["pixels", "brightest"], ["scaled"]),
        helper.make_node("Gemm", ["scaled", "hidden", "hidden_bias"], ["weighted"]),
        helper.make_node("Relu", ["weighted"], ["activated"]),
        helper.make_node("Gemm", ["activated", "output", "output_bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"]),
        helper.make_node("ArgMax", ["probabilities"], ["digit"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 8, 8])],
        [
            helper.make_tensor_value_info("digit", TensorProto.INT64, ["batch", 1]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10]),
        ],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)])
    onnx.checker.check_model(model, full_check=True)
    return model


def write_sample(image: np.ndarray) -> None:
    """Write what `inv triton.infer digits --input` reads: a batch of one image."""
    rows = ",\n  ".join(json.dumps([int(pixel) for pixel in row]) for row in image.reshape(8, 8))
    (HERE / "seven.json").write_text(f'{{"image": [[\n  {rows}\n]]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
