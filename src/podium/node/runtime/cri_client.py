"""Calls to a container runtime's socket: gRPC, with messages from the compiled cri.proto.

grpc and protobuf are imported when the first client is made (70 ms of CPU that other runtimes need not spend). Every failure is one of the
errors of the runtime interface; NotFound is its own, because stopping and removing are idempotent.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from podium.node.runtime.interface import RuntimeFailure, RuntimeUnavailable
from podium.world.protobuf_messages import message_class, pool

DESCRIPTORS = Path(__file__).parent / "generated" / "cri.binpb"
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
CALL_S_MAX = 60.0
RUNTIME, IMAGES = "runtime.v1.RuntimeService", "runtime.v1.ImageService"


class NotFound(RuntimeFailure):
    """The runtime does not know that sandbox or container."""


class Unimplemented(RuntimeFailure):
    """The runtime is too old for this call."""


class DeadlineExceeded(RuntimeFailure):
    """No answer in time, or the command that was run did not end in time."""


def message(name: str) -> Any:
    """The class of a message of cri.proto."""
    return message_class(DESCRIPTORS, f"runtime.v1.{name}")


class CriClient:
    def __init__(self, socket: str) -> None:
        # Commands are started without fork handlers (vfork): gRPC's would only complain of other threads.
        os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
        import grpc.aio

        self.socket = socket
        # The default backs off to two minutes, during which a runtime that is back would still be called absent.
        options = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.enable_http_proxy", 0),
        ]
        self._channel = grpc.aio.insecure_channel(f"unix:{socket.removeprefix('unix://')}", options=options)
        self._calls: dict[str, Any] = {}

    def _stub(self, service: str, method: str) -> Any:
        stub = self._calls.get(method)
        if stub is None:
            described = pool(DESCRIPTORS).FindServiceByName(service).methods_by_name[method]
            make = self._channel.unary_stream if described.server_streaming else self._channel.unary_unary
            request, response = message(described.input_type.name), message(described.output_type.name)
            stub = make(f"/{service}/{method}", request_serializer=request.SerializeToString, response_deserializer=response.FromString)
            self._calls[method] = stub
        return stub

    async def call(self, method: str, request: Any = None, *, service: str = RUNTIME, timeout_s: float = CALL_S_MAX) -> Any:
        """`request` defaults to an empty one. Raises NotFound, Unimplemented, DeadlineExceeded, RuntimeUnavailable, RuntimeFailure."""
        import grpc

        try:
            return await self._stub(service, method)(request if request is not None else message(f"{method}Request")(), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise self._failure(error, method) from error

    async def stream(self, method: str, request: Any) -> AsyncIterator[Any]:
        import grpc

        try:
            async for item in self._stub(RUNTIME, method)(request):
                yield item
        except grpc.aio.AioRpcError as error:
            raise self._failure(error, method) from error

    def _failure(self, error: Any, method: str) -> RuntimeFailure:
        import grpc

        details = error.details() or str(error.code())
        match error.code():
            case grpc.StatusCode.NOT_FOUND:
                return NotFound(details)
            case grpc.StatusCode.UNIMPLEMENTED:
                return Unimplemented(f"the container runtime at {self.socket} lacks {method} of CRI runtime.v1: {details}")
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return DeadlineExceeded(details)
            case grpc.StatusCode.UNAVAILABLE:
                return RuntimeUnavailable(f"the container runtime at {self.socket} does not answer: {details}")
        return RuntimeFailure(details)

    async def close(self) -> None:
        await self._channel.close()
