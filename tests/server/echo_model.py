"""A model of the Python backend that answers its inputs, x_TYPE as y_TYPE, through arrays of several kinds."""

import numpy as np
import triton_python_backend_utils as pb_utils

KINDS = {
    "plain": lambda array: array,
    "transposed": lambda array: array.T.copy().T,
    "reversed": lambda array: array[::-1].copy()[::-1],
    "read-only": lambda array: np.broadcast_to(array, array.shape),
}


class TritonPythonModel:
    def execute(self, requests):
        return [self._answer({tensor.name(): tensor for tensor in request.inputs()}) for request in requests]

    def _answer(self, tensors):
        kind = tensors.pop("kind").as_numpy()[0].decode()
        outputs = [self._echo(tensor, kind) for tensor in tensors.values()]
        return pb_utils.InferenceResponse(outputs)

    def _echo(self, tensor, kind):
        name = tensor.name().replace("x", "y", 1)
        if kind == "dlpack":
            return pb_utils.Tensor.from_dlpack(name, tensor)
        return pb_utils.Tensor(name, KINDS[kind](tensor.as_numpy()))
