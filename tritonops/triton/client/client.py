"""A typed gRPC client of Triton; each call has a deadline."""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from tritonops.errors import TritonError, TritonTimeoutError
from tritonops.models.catalog.valid_values import is_junk
from tritonops.triton.client.api_types import ModelMetadata, ModelStatistics, ModelStatus
from tritonops.triton.client.call_errors import PROBE_TIMEOUT, RESTRICTED, translate
from tritonops.triton.client.grpc_stub import ControlCallError, Server
from tritonops.triton.client.messages import (
    infer_input,
    model_statistics,
    requested_outputs,
    tensor_specs,
    version_text,
)
from tritonops.triton.client.response import InferenceResult, OutputTensor, read_response
from tritonops.triton.client.token_header import token_metadata

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tritonops.models.configs.pbtxt import ModelConfig

    Tensors = Mapping[str, NDArray[Any]]


CALL_TIMEOUT = 10.0
_MAX_ERROR = 1 << 24
_MAX_MESSAGE = 2**31 - 1
"""tritonclient's MAX_GRPC_MESSAGE_SIZE."""


@contextmanager
def connect(url: str, *, token: str | None = None) -> Iterator[TritonClient]:
    """Connect to the Triton at `url` (host:port). Nothing is sent before the first call."""
    options = [
        ("grpc.max_send_message_length", _MAX_MESSAGE),
        ("grpc.max_receive_message_length", _MAX_MESSAGE),
        # Errors come as metadata, which gRPC limits to 16 kB: a longer one would be lost.
        ("grpc.max_metadata_size", _MAX_ERROR),
        ("grpc.absolute_max_metadata_size", _MAX_ERROR),
        # The control API is on loopback or behind SSH, never behind http_proxy.
        ("grpc.enable_http_proxy", 0),
        # An earlier channel's failure to connect is no failure of this one.
        ("grpc.use_local_subchannel_pool", 1),
        # A server that starts is noticed at once.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
    with closing(Server(url, options)) as server:
        yield TritonClient(url, server, token=token)


class TritonClient:
    """The calls of one server. Each raises TritonUnreachableError, TokenRefusedError or TritonError."""

    def __init__(self, url: str, server: Server, *, token: str | None = None) -> None:
        self.url = url
        self._server = server
        self._headers = token_metadata(token)

    def is_ready(self, *, timeout: float = CALL_TIMEOUT) -> bool:
        """Whether the server reports itself ready, which proves nothing about single models."""
        return bool(self._call(self._server.is_server_ready, timeout=timeout))

    def index(self) -> list[ModelStatus]:
        """List every model of the repository, and each version that was ever loaded, sorted, without junk folders."""
        try:
            answer = self._call(self._server.get_model_repository_index)
        except TritonError as exc:
            if not exc.answer.startswith("failed to stat file"):
                raise
            # One dangling link in the repository, and Triton lists nothing; loaded models keep answering.
            raise TritonError(
                f"Triton at {self.url} lists no model while one is a dangling link: {exc.answer}",
                hint="Remove that link. Loaded models keep answering.",
            ) from exc
        rows = (
            ModelStatus(row.name, int(row.version) if row.version else None, row.state or None, row.reason or None)
            for row in answer.models
            if row.state or not is_junk(row.name)
        )
        return sorted(rows, key=lambda row: (row.name, row.version or 0))

    def is_model_ready(self, name: str, version: int) -> bool:
        """Whether a version is ready. Releases from 2026 on ask the model itself; earlier ones read the index."""
        return bool(self._call(self._server.is_model_ready, name, str(version)))

    def load(self, name: str, *, timeout: float) -> None:
        """Load a model. An answer is no proof that anything changed."""
        self._call(self._server.load_model, name, timeout=timeout)

    def unload(self, name: str, *, timeout: float) -> None:
        """Unload a model; the answer comes before the unloading ends."""
        self._call(self._server.unload_model, name, timeout=timeout)

    def config(self, name: str, *, version: int | None = None) -> ModelConfig:
        """Get the served inference.ModelConfig, completed by Triton and the backend."""
        answer = self._call(self._server.get_model_config, name, version_text(version))
        config: ModelConfig = answer.config
        return config

    def configs(self, names: Sequence[str]) -> dict[str, ModelConfig]:
        """Get the served configs of many models, without those whose call failed."""
        answers = self._server.get_model_configs(names, headers=self._headers, client_timeout=CALL_TIMEOUT)
        return {name: answer.config for name, answer in zip(names, answers, strict=True) if answer}

    def metadata(self, name: str, *, version: int | None = None) -> ModelMetadata:
        """Get the inputs and outputs of a served model."""
        answer = self._call(self._server.get_model_metadata, name, version_text(version))
        return ModelMetadata(
            answer.name, tuple(map(int, answer.versions)), tensor_specs(answer.inputs), tensor_specs(answer.outputs)
        )

    def statistics(self, name: str | None = None) -> list[ModelStatistics]:
        """Get the inference statistics of one model, or of every loaded one."""
        answer = self._call(self._server.get_inference_statistics, name or "", "")
        return [model_statistics(row) for row in answer.model_stats]

    def infer(self, name: str, inputs: Tensors, *, version: int | None = None, timeout: float) -> dict[str, Any]:
        """Run one inference, arrays in and out by name; BYTES as object arrays of bytes, BF16 as ml_dtypes has it."""
        return {
            output.name: output.array for output in self.infer_outputs(name, inputs, version=version, timeout=timeout)
        }

    def infer_outputs(
        self,
        name: str,
        inputs: Tensors,
        *,
        version: int | None = None,
        timeout: float,
        classes: Mapping[str, int] | None = None,
    ) -> tuple[OutputTensor, ...]:
        """Run one inference. Raises DecoupledModelError.

        `classes` names the requested outputs, each with the number of its largest values; 0 for the whole output.
        """
        tensors = [infer_input(name, array) for name, array in inputs.items()]
        result = self._call(
            self._server.infer, name, tensors, version_text(version), requested_outputs(classes), timeout=timeout
        )
        return read_response(result.get_response(), classes)

    def infer_stream(
        self,
        name: str,
        inputs: Tensors,
        *,
        version: int | None = None,
        timeout: float,
        max_responses: int,
        classes: Mapping[str, int] | None = None,
    ) -> InferenceResult:
        """Ask a decoupled model for its responses, at most so many; `timeout` is in seconds, for all of them."""
        arrived: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        self._server.start_stream(
            lambda result, error: arrived.put((result, error)), headers=self._headers, stream_timeout=timeout
        )
        responses: list[tuple[OutputTensor, ...]] = []
        try:
            self._server.async_stream_infer(
                name,
                [infer_input(name, array) for name, array in inputs.items()],
                model_version=version_text(version),
                outputs=requested_outputs(classes),
                enable_empty_final_response=True,
            )
            for response in self._arriving(arrived, timeout):
                if response.outputs and len(responses) == max_responses:
                    return InferenceResult(tuple(responses), is_decoupled=True, is_complete=False)
                if response.outputs:
                    responses.append(read_response(response, classes))
                if response.parameters["triton_final_response"].bool_param:
                    break
        finally:
            self._server.stop_stream(cancel_requests=True)
        return InferenceResult(tuple(responses), is_decoupled=True)

    def _arriving(self, arrived: queue.SimpleQueue[tuple[Any, Any]], timeout: float) -> Iterator[Any]:
        ends = time.monotonic() + timeout
        while True:
            try:
                result, error = arrived.get(timeout=max(0.0, ends - time.monotonic()))
            except queue.Empty:
                raise TritonTimeoutError(f"Triton at {self.url} did not answer within {timeout:g} s") from None
            if error is not None:
                raise self._translate_error(error, timeout) from error
            yield result.get_response()

    def _call(self, method: Callable[..., Any], *args: Any, timeout: float = CALL_TIMEOUT) -> Any:
        try:
            return method(*args, headers=self._headers, client_timeout=timeout)
        except _call_errors() as exc:
            raise self._translate_error(exc, timeout) from exc

    def _translate_error(self, exc: Any, timeout: float) -> Exception:
        return translate(exc, self.url, timeout=timeout, token_sent=bool(self._headers), is_running=self._is_running)

    def _is_running(self) -> bool:
        try:
            self._server.is_server_live(headers=self._headers, client_timeout=PROBE_TIMEOUT)
        except ControlCallError as exc:
            return RESTRICTED in exc.message()
        return True


def _call_errors() -> tuple[type[Exception], ...]:
    """The errors of a call; tritonclient's can only come where its client was used, and so imported."""
    utils = sys.modules.get("tritonclient.utils")
    return (ControlCallError, utils.InferenceServerException) if utils else (ControlCallError,)
