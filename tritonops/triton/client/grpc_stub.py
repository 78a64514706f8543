"""The control calls of Triton's gRPC API, by the generated stub alone; inferences go through tritonclient's client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from tritonops.models.configs.generated_protobuf import generated

_CALLS_AT_ONCE = 64


class ControlCallError(Exception):
    """A call that failed, with the methods of tritonclient's InferenceServerException that we use."""

    def __init__(self, message: str, status: str) -> None:
        super().__init__(message)
        self._message, self._status = message, status

    def message(self) -> str:
        """Give the server's message, or gRPC's."""
        return self._message

    def status(self) -> str:
        """Give the code as tritonclient writes it: "StatusCode.UNAVAILABLE"."""
        return self._status


class Server:
    """A channel to one server, opened with the first call. The methods have the names that tritonclient gives them."""

    def __init__(self, url: str, options: Sequence[tuple[str, int]]) -> None:
        self._url, self._options = url, [*options]

    def is_server_live(self, *, headers: Mapping[str, str], client_timeout: float) -> bool:
        """Whether the server answers."""
        return bool(self._call("ServerLive", "ServerLiveRequest", headers, client_timeout).live)

    def is_server_ready(self, *, headers: Mapping[str, str], client_timeout: float) -> bool:
        """Whether the server is ready."""
        return bool(self._call("ServerReady", "ServerReadyRequest", headers, client_timeout).ready)

    def is_model_ready(self, name: str, version: str, *, headers: Mapping[str, str], client_timeout: float) -> bool:
        """Whether a version is ready."""
        answer = self._call("ModelReady", "ModelReadyRequest", headers, client_timeout, name=name, version=version)
        return bool(answer.ready)

    def get_model_repository_index(self, *, headers: Mapping[str, str], client_timeout: float) -> Any:
        """Get the RepositoryIndexResponse."""
        return self._call("RepositoryIndex", "RepositoryIndexRequest", headers, client_timeout)

    def get_model_metadata(self, name: str, version: str, *, headers: Mapping[str, str], client_timeout: float) -> Any:
        """Get the ModelMetadataResponse."""
        return self._call("ModelMetadata", "ModelMetadataRequest", headers, client_timeout, name=name, version=version)

    def get_model_config(self, name: str, version: str, *, headers: Mapping[str, str], client_timeout: float) -> Any:
        """Get the ModelConfigResponse."""
        return self._call("ModelConfig", "ModelConfigRequest", headers, client_timeout, name=name, version=version)

    def get_model_configs(
        self, names: Sequence[str], *, headers: Mapping[str, str], client_timeout: float
    ) -> Iterator[Any]:
        """Get the ModelConfigResponse of each model, many at a time; None where the call failed."""
        import grpc

        request, metadata = generated("service_pb2").ModelConfigRequest, tuple(headers.items())
        for start in range(0, len(names), _CALLS_AT_ONCE):
            calls = [
                self._stub.ModelConfig.future(request(name=name), metadata=metadata, timeout=client_timeout)
                for name in names[start : start + _CALLS_AT_ONCE]
            ]
            for call in calls:
                try:
                    yield call.result()
                except grpc.RpcError:
                    yield None

    def get_inference_statistics(
        self, name: str, version: str, *, headers: Mapping[str, str], client_timeout: float
    ) -> Any:
        """Get the ModelStatisticsResponse."""
        return self._call(
            "ModelStatistics", "ModelStatisticsRequest", headers, client_timeout, name=name, version=version
        )

    def load_model(self, name: str, *, headers: Mapping[str, str], client_timeout: float) -> None:
        """Load a model."""
        self._call("RepositoryModelLoad", "RepositoryModelLoadRequest", headers, client_timeout, model_name=name)

    def unload_model(self, name: str, *, headers: Mapping[str, str], client_timeout: float) -> None:
        """Unload a model, and none that uses it."""
        self._call("RepositoryModelUnload", "RepositoryModelUnloadRequest", headers, client_timeout, model_name=name)

    def infer(self, *args: Any, **options: Any) -> Any:
        """Run an inference."""
        return self._inference.infer(*args, **options)

    def start_stream(self, callback: Callable[[Any, Any], None], **options: Any) -> None:
        """Open the stream for decoupled models."""
        self._inference.start_stream(callback, **options)

    def stop_stream(self, *, cancel_requests: bool) -> None:
        """Close the stream."""
        self._inference.stop_stream(cancel_requests=cancel_requests)

    def async_stream_infer(self, name: str, inputs: list[Any], **options: Any) -> None:
        """Send a request over the stream."""
        self._inference.async_stream_infer(name, inputs, **options)

    def close(self) -> None:
        """Close what was opened."""
        if "_stub" in self.__dict__:
            self._channel.close()
        if "_inference" in self.__dict__:
            self._inference.close()

    def _call(self, method: str, request: str, headers: Mapping[str, str], timeout: float, **fields: str) -> Any:
        import grpc

        message = getattr(generated("service_pb2"), request)(**fields)
        try:
            return getattr(self._stub, method)(message, metadata=tuple(headers.items()), timeout=timeout)
        except grpc.RpcError as exc:
            error: Any = exc
            raise ControlCallError(error.details() or "", str(error.code())) from exc

    @cached_property
    def _channel(self) -> Any:
        import grpc

        return grpc.insecure_channel(self._url, options=self._options)

    @cached_property
    def _stub(self) -> Any:
        return generated("service_pb2_grpc").GRPCInferenceServiceStub(self._channel)

    @cached_property
    def _inference(self) -> Any:
        from tritonclient.grpc import InferenceServerClient

        return InferenceServerClient(self._url, channel_args=self._options)
