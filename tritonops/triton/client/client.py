"""A running Triton over gRPC: the few calls that we make, typed, each with a deadline, its errors told apart."""

from __future__ import annotations

import queue
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from tritonops.display_text import clip
from tritonops.errors import (
    DecoupledModelError,
    NotServedError,
    TokenRefusedError,
    TritonError,
    TritonTimeoutError,
    TritonUnreachableError,
)
from tritonops.models.catalog.rules import is_junk
from tritonops.triton.client.api_types import ModelMetadata, ModelStatistics, ModelStatus, TensorSpec
from tritonops.triton.client.response import InferenceResult, OutputTensor, read_response

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from numpy.typing import NDArray

    Tensors = Mapping[str, NDArray[Any]]


CALL_TIMEOUT = 10.0
PROBE_TIMEOUT = 2.0
_MAX_ERROR = 1 << 24
_NOT_AVAILABLE = re.compile("requested model '.*' is not available")
_TOKEN_HEADER = "triton-grpc-protocol-triton-token"  # noqa: S105 (the header's name, not a token)


class _GrpcClient(Protocol):
    """The methods of tritonclient.grpc.InferenceServerClient that we call; it comes without types."""

    def is_server_live(self, *, headers: Mapping[str, str], client_timeout: float) -> bool: ...
    def is_server_ready(self, *, headers: Mapping[str, str], client_timeout: float) -> bool: ...
    def is_model_ready(self, name: str, version: str, /, **options: Any) -> bool: ...
    def get_model_repository_index(self, *, headers: Mapping[str, str], client_timeout: float) -> Any: ...
    def get_model_metadata(self, name: str, version: str, /, **options: Any) -> Any: ...
    def get_model_config(self, name: str, version: str, /, **options: Any) -> Any: ...
    def get_inference_statistics(self, name: str, version: str, /, **options: Any) -> Any: ...
    def load_model(self, name: str, /, **options: Any) -> None: ...
    def unload_model(self, name: str, /, **options: Any) -> None: ...
    def infer(
        self, name: str, inputs: list[Any], version: str, outputs: list[Any] | None, /, **options: Any
    ) -> Any: ...
    def start_stream(self, callback: Callable[[Any, Any], None], /, **options: Any) -> None: ...
    def stop_stream(self, *, cancel_requests: bool) -> None: ...
    def async_stream_infer(self, name: str, inputs: list[Any], /, **options: Any) -> None: ...


@contextmanager
def connect(url: str, *, token: str | None = None) -> Iterator[TritonClient]:
    """Give a client of the Triton at `url` (host:port). Nothing is sent before the first call."""
    from tritonclient.grpc import MAX_GRPC_MESSAGE_SIZE, InferenceServerClient

    options = [
        ("grpc.max_send_message_length", MAX_GRPC_MESSAGE_SIZE),
        ("grpc.max_receive_message_length", MAX_GRPC_MESSAGE_SIZE),
        # Errors come as metadata, of which gRPC takes 16 kB by itself: a longer one would be lost.
        ("grpc.max_metadata_size", _MAX_ERROR),
        ("grpc.absolute_max_metadata_size", _MAX_ERROR),
        # The control API is on loopback or behind SSH; http_proxy is not meant for it.
        ("grpc.enable_http_proxy", 0),
        # Whoever waits for a server that is starting wants to know within a moment of its start.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
    with InferenceServerClient(url, channel_args=options) as server:
        yield TritonClient(url, server, token=token)


class TritonClient:
    """The calls of one server. Each raises TritonUnreachableError, TokenRefusedError or TritonError."""

    def __init__(self, url: str, server: _GrpcClient, *, token: str | None = None) -> None:
        self.url = url
        self._server = server
        self._headers = {_TOKEN_HEADER: token} if token else {}

    def is_ready(self, *, timeout: float = CALL_TIMEOUT) -> bool:
        """Ask whether the server says that it is ready; that proves nothing about single models."""
        return bool(self._call(self._server.is_server_ready, timeout=timeout))

    def index(self) -> list[ModelStatus]:
        """List every model of the repository, and each version that was ever loaded, sorted; junk folders are none."""
        try:
            answer = self._call(self._server.get_model_repository_index)
        except TritonError as exc:
            if not exc.answer.startswith("failed to stat file"):
                raise
            # One dangling link in the repository's folder, and Triton lists nothing; loaded models go on answering.
            raise TritonError(
                f"Triton at {self.url} lists no model while one is a link to what does not exist: {exc.answer}",
                hint="Remove that link. Models that are loaded go on answering.",
            ) from exc
        rows = (
            ModelStatus(row.name, int(row.version) if row.version else None, row.state or None, row.reason or None)
            for row in answer.models
            if row.state or not is_junk(row.name)
        )
        return sorted(rows, key=lambda row: (row.name, row.version or 0))

    def is_model_ready(self, name: str, version: int) -> bool:
        """Ask a version whether it is ready. Releases from 2026 on let the model answer; others read the index."""
        return bool(self._call(self._server.is_model_ready, name, str(version)))

    def load(self, name: str, *, timeout: float) -> None:
        """Ask for a model to be loaded, and wait for the answer. That it came is no proof that anything changed."""
        self._call(self._server.load_model, name, timeout=timeout)

    def unload(self, name: str, *, timeout: float) -> None:
        """Ask for a model to be unloaded; the answer comes before the unloading ends."""
        self._call(self._server.unload_model, name, timeout=timeout)

    def config(self, name: str, *, version: int | None = None) -> Message:
        """Fetch the inference.ModelConfig that is served, completed by Triton and the backend."""
        answer = self._call(self._server.get_model_config, name, _version_text(version))
        config: Message = answer.config
        return config

    def metadata(self, name: str, *, version: int | None = None) -> ModelMetadata:
        """Fetch the inputs and outputs of a served model."""
        answer = self._call(self._server.get_model_metadata, name, _version_text(version))
        return ModelMetadata(
            answer.name, tuple(map(int, answer.versions)), _specs(answer.inputs), _specs(answer.outputs)
        )

    def statistics(self, name: str | None = None) -> list[ModelStatistics]:
        """Count what one model, or every loaded one, has done."""
        answer = self._call(self._server.get_inference_statistics, name or "", "")
        return [_statistics(row) for row in answer.model_stats]

    def infer(self, name: str, inputs: Tensors, *, version: int | None = None, timeout: float) -> dict[str, Any]:
        """Run one inference; arrays in and out by name. BYTES are object arrays of bytes, BF16 those of ml_dtypes."""
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

        `classes` names the outputs to have, and how many of their largest values; 0 stands for the output as it is.
        """
        tensors = [_infer_input(name, array) for name, array in inputs.items()]
        result = self._call(
            self._server.infer, name, tensors, _version_text(version), _requested_outputs(classes), timeout=timeout
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
        """Ask a decoupled model, and take its responses until the last one, or so many; `timeout` is for all."""
        arrived: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        self._server.start_stream(
            lambda result, error: arrived.put((result, error)), headers=self._headers, stream_timeout=timeout
        )
        responses: list[tuple[OutputTensor, ...]] = []
        try:
            self._server.async_stream_infer(
                name,
                [_infer_input(name, array) for name, array in inputs.items()],
                model_version=_version_text(version),
                outputs=_requested_outputs(classes),
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
        from tritonclient.utils import InferenceServerException

        try:
            return method(*args, headers=self._headers, client_timeout=timeout)
        except InferenceServerException as exc:
            raise self._translate_error(exc, timeout) from exc

    def _translate_error(self, exc: Any, timeout: float) -> Exception:
        """Split tritonclient's single exception into the cases that our callers tell apart."""
        message, status = exc.message() or str(exc), exc.status()
        if "protocol is restricted" in message:
            return TokenRefusedError(self.url, token_sent=bool(self._headers))
        if "decoupled transaction policy" in message:
            return DecoupledModelError(f"Triton at {self.url}: {message}")
        # Triton itself says UNAVAILABLE too, of a full queue for one: whether it is there, only another call tells.
        if status in ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED") and not self._is_there():
            return TritonUnreachableError(
                self.url, _why_unreachable(message, timeout), speaks_http=_speaks_http(self.url)
            )
        if status == "StatusCode.DEADLINE_EXCEEDED":
            return TritonTimeoutError(f"Triton at {self.url} did not answer within {timeout:g} s")
        if status == "StatusCode.NOT_FOUND" or _NOT_AVAILABLE.search(message):
            hint = "`inv triton.list` shows what is served, `inv triton.load` loads a model."
            return NotServedError(f"Triton at {self.url}: {message}", hint=hint)
        return TritonError(f"Triton at {self.url}: {clip(message)}", answer=message)

    def _is_there(self) -> bool:
        from tritonclient.utils import InferenceServerException

        try:
            self._server.is_server_live(headers=self._headers, client_timeout=PROBE_TIMEOUT)
        except InferenceServerException as exc:
            return "protocol is restricted" in (exc.message() or "")
        return True


def numpy_dtype(datatype: str) -> Any:
    """Give the numpy type of a KServe datatype; a TritonError where there is none."""
    from tritonclient.utils import triton_to_np_dtype

    dtype = triton_to_np_dtype(datatype)
    if dtype is None:
        raise TritonError(f"numpy has no type for Triton's {datatype}")
    return dtype


def _why_unreachable(message: str, timeout: float) -> str:
    """Find "Connection refused" in what gRPC says, which is four layers deep."""
    if message == "Deadline Exceeded":
        return f"no answer within {timeout:g} s"
    return message.rpartition(": ")[2] if message.startswith("failed to connect") else message


def _speaks_http(url: str) -> bool:
    """Whether an HTTP server answers there, such as Triton's own on another port than gRPC's."""
    import http.client

    host, _, port = url.rpartition(":")
    if not port.isdecimal():
        return False  # the name of a server behind SSH
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=PROBE_TIMEOUT)
    try:
        connection.request("GET", "/v2")
        return bool(connection.getresponse().status)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _infer_input(name: str, array: NDArray[Any]) -> Any:
    from tritonclient.grpc import InferInput
    from tritonclient.utils import np_to_triton_dtype

    tensor = InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
    return tensor.set_data_from_numpy(array)


def _requested_outputs(classes: Mapping[str, int] | None) -> list[Any] | None:
    """Ask for these outputs, some with their largest values alone; None asks for all as they are."""
    from tritonclient.grpc import InferRequestedOutput

    return [InferRequestedOutput(name, class_count=count) for name, count in classes.items()] if classes else None


def _specs(tensors: Any) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in tensors)


def _statistics(row: Any) -> ModelStatistics:
    stats = row.inference_stats
    compute = [stats.compute_input.ns, stats.compute_infer.ns, stats.compute_output.ns]
    when = datetime.fromtimestamp(row.last_inference / 1000, UTC) if row.last_inference else None
    return ModelStatistics(
        name=row.name,
        version=int(row.version),
        inferences=row.inference_count,
        executions=row.execution_count,
        failures=stats.fail.count,
        queue_ms=_average_ms(stats.queue.ns, stats.queue.count),
        compute_ms=_average_ms(sum(compute), stats.compute_infer.count),
        last_inference=when.isoformat(timespec="seconds") if when else None,
    )


def _average_ms(nanoseconds: int, count: int) -> float | None:
    return round(nanoseconds / count / 1e6, 3) if count else None


def _version_text(version: int | None) -> str:
    return "" if version is None else str(version)
