"""The gRPC prober: asks the standard health service, and takes SERVING for success.

With TLS the certificates are looked at through a handshake of their own, because the gRPC library does not show them.

Source: blackbox_exporter prober/grpc.go; grpc.health.v1.
"""

import asyncio
import ssl
from typing import Any

from podium.telemetry.exporters.blackbox.modules import GrpcModule
from podium.telemetry.exporters.blackbox.probing import (
    EARLIEST_TEXT,
    Address,
    Failed,
    Run,
    connect,
    resolve,
    show_tls,
    split_target,
    tls_context,
)

METHOD = "/grpc.health.v1.Health/Check"
STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
MESSAGE_BYTES_MAX = 64 * 1024
_DURATION, _DURATION_TEXT = "probe_grpc_duration_seconds", "How long a phase of the check took."


async def probe(module: GrpcModule, run: Run) -> bool:
    import grpc.aio

    host, port = split_target(run.target)
    for phase in ("resolve", "check"):
        run.phase(_DURATION, _DURATION_TEXT, phase, 0.0)
    run.gauge("probe_grpc_ssl", "Whether the check was over TLS.", 0)
    run.gauge("probe_grpc_status_code", "The status of the call.", 0)
    run.gauge("probe_ssl_earliest_cert_expiry", EARLIEST_TEXT, 0)
    _show_status(run, -1)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    address = await resolve(host, module.reach, run)
    run.phase(_DURATION, _DURATION_TEXT, "resolve", loop.time() - began_s)
    name = module.tls.server_name or run.hostname or host
    if module.use_tls:
        await _look_at_certificates(module, run, address, port, name)
    began_s = loop.time()
    request = b"\n" + _length(len(module.service.encode())) + module.service.encode() if module.service else b""
    async with _channel(grpc, module, address, port, name) as channel:
        check = channel.unary_unary(METHOD, request_serializer=None, response_deserializer=None)
        try:
            answer = await check(request)
            code, status = 0, _serving_status(answer)
        except grpc.aio.AioRpcError as error:
            run.log(f"{error.code().name}: {error.details()}")
            code, status = int(error.code().value[0]), -1
    run.phase(_DURATION, _DURATION_TEXT, "check", loop.time() - began_s)
    run.gauge("probe_grpc_status_code", "The status of the call.", code)
    run.gauge("probe_grpc_ssl", "Whether the check was over TLS.", module.use_tls)
    _show_status(run, status)
    return code == 0 and status == STATUSES.index("SERVING")


def _channel(grpc: Any, module: GrpcModule, address: Address, port: int, name: str) -> Any:
    ip = f"[{address.ip}]" if address.family == 6 else address.ip
    options: list[tuple[str, Any]] = [("grpc.max_receive_message_length", MESSAGE_BYTES_MAX), ("grpc.enable_http_proxy", 0)]
    if not module.use_tls:
        return grpc.aio.insecure_channel(f"{ip}:{port}", options=[*options, ("grpc.default_authority", name)])
    options.append(("grpc.ssl_target_name_override", name))
    tls = module.tls
    credentials = grpc.ssl_channel_credentials(_read(tls.ca_file), _read(tls.key_file), _read(tls.cert_file))
    return grpc.aio.secure_channel(f"{ip}:{port}", credentials, options=options)


def _read(path: str) -> bytes | None:
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise Failed(f"TLS files cannot be used: {error}") from error


async def _look_at_certificates(module: GrpcModule, run: Run, address: Address, port: int, name: str) -> None:
    _, writer = await connect(address, port, module.reach)
    try:
        await writer.start_tls(tls_context(module.tls, ("h2",)), server_hostname=name)
        show_tls(run, writer.get_extra_info("ssl_object"), verified=True, cipher=False)
    except ssl.SSLError as error:
        raise Failed(f"TLS: {error}") from error
    finally:
        writer.close()


def _show_status(run: Run, status: int) -> None:
    for number, name in enumerate(STATUSES):
        text = "What the health service says."
        run.gauge("probe_grpc_healthcheck_response", text, number == status, ("serving_status", name))


def _serving_status(answer: bytes) -> int:
    """Field 1, a varint, of HealthCheckResponse; UNKNOWN when it is not there."""
    if len(answer) >= 2 and answer[0] == 0x08:
        return answer[1] if answer[1] < len(STATUSES) else 0
    return 0


def _length(count: int) -> bytes:
    out = bytearray()
    while count > 0x7F:
        out.append(count & 0x7F | 0x80)
        count >>= 7
    out.append(count)
    return bytes(out)
