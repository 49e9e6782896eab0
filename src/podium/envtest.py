"""Wires Podium as the two programs that controller-runtime's envtest starts: `kube-apiserver` and `etcd`.

`podium envtest DIR` writes both into DIR, and `KUBEBUILDER_ASSETS=DIR go test ./...` runs an operator's suite. As with the real ones there are no
controllers, no scheduler and no nodes: an API server alone, on a store in memory that ends with it. `etcd` here only answers its health check,
because the store is inside the API server; it says so when it starts.

Flags are upstream's. Those below that Podium acts on work; those it knows and that change nothing here are accepted; any other is an
error, as upstream's own would be.

Source: sigs.k8s.io/controller-runtime pkg/internal/testing/controlplane (flags, health checks, file names in the certificate directory).
"""

import asyncio
import signal
import ssl
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ACTED_ON = {
    "bind-address": "address to listen on",
    "secure-port": "port to listen on",
    "cert-dir": "directory of apiserver.crt and apiserver.key, when no files are named",
    "tls-cert-file": "the server's certificate",
    "tls-private-key-file": "the server's key",
    "client-ca-file": "authority of client certificates",
    "service-cluster-ip-range": "network of Services",
    "service-account-signing-key-file": "key that signs service account tokens",
    "disable-admission-plugins": "comma-separated plugins to leave out",
}
WITHOUT_EFFECT = {
    "advertise-address", "allow-privileged", "authorization-mode", "enable-admission-plugins", "etcd-servers", "etcd-prefix", "event-ttl",
    "feature-gates",
    "logging-format", "runtime-config", "service-account-issuer", "service-account-key-file", "storage-backend", "v", "vmodule", "watch-cache",
}  # fmt: skip
_USAGE_EXIT = 1

Serve = Callable[["Flags"], Coroutine[Any, Any, None]]


class _WrongFlag(Exception):
    pass


@dataclass
class Flags:
    values: dict[str, str] = field(default_factory=dict)

    def get(self, name: str, default: str = "") -> str:
        return self.values.get(name, default)


def parse_flags(arguments: Sequence[str], known: Sequence[str]) -> Flags:
    """`--name=value`, `--name value` and a bare `--name` (true). Raises _WrongFlag for an unknown one."""
    flags, rest = Flags(), list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            raise _WrongFlag(f"unknown command {word!r}")
        name, equals, value = word.lstrip("-").partition("=")
        if name not in known:
            raise _WrongFlag(f"unknown flag: --{name}")
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("-") else "true"
        flags.values[name] = value
    return flags


def apiserver(arguments: Sequence[str]) -> int:
    known = [*ACTED_ON, *sorted(WITHOUT_EFFECT)]
    if "--help" in arguments or "-h" in arguments:
        print("Podium as kube-apiserver, for envtest.\n\nFlags:")
        for name in sorted(known):
            print(f"      --{name} string   {ACTED_ON.get(name, 'accepted; changes nothing here')}")
        return 0
    if "--version" in arguments:
        from podium.api.discovery import version_info

        print(f"Kubernetes {version_info()['gitVersion']}")
        return 0
    return _run(arguments, known, _serve_api)


def etcd(arguments: Sequence[str]) -> int:
    known = (
        "listen-peer-urls", "listen-client-urls", "advertise-client-urls", "initial-advertise-peer-urls", "data-dir", "unsafe-no-fsync", "name",
        "initial-cluster", "log-level", "logger", "quota-backend-bytes", "auto-compaction-retention",
    )  # fmt: skip
    if "--help" in arguments or "-h" in arguments:
        print("Podium as etcd, for envtest: answers the health check; the store is inside the API server.\n\nFlags:")
        for name in sorted(known):
            print(f"      --{name}")
        return 0
    return _run(arguments, known, _serve_etcd)


def _run(arguments: Sequence[str], known: Sequence[str], serve: Serve) -> int:
    try:
        flags = parse_flags(arguments, known)
        _check_modes(flags)
    except _WrongFlag as error:
        print(f"Error: {error}", file=sys.stderr)
        return _USAGE_EXIT
    import uvloop

    try:
        uvloop.run(serve(flags))
    except OSError as error:
        print(f"Error: {error}", file=sys.stderr)
        return _USAGE_EXIT
    return 0


async def _stopped() -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await stopping.wait()


async def _serve_etcd(flags: Flags) -> None:
    from podium.world.http_server import Connection, HttpRequest, HttpServer, Response

    def answer(request: HttpRequest, connection: Connection) -> Response:
        found = request.path in ("/health", "/readyz", "/livez")
        return (
            Response(200, b'{"health":"true","reason":""}')
            if found
            else Response(404, b'{"error":"Podium keeps its store in the API server"}')
        )

    url = urlsplit(flags.get("listen-client-urls", "http://127.0.0.1:2379").partition(",")[0])
    server = HttpServer(answer)
    await server.listen(url.hostname or "127.0.0.1", url.port or 2379)
    print("podium: this etcd answers health checks only; the store is inside the API server", file=sys.stderr)
    await _stopped()
    await server.close()


def _check_modes(flags: Flags) -> None:
    """Raises _WrongFlag for an authorization without RBAC: this server always asks it."""
    modes = flags.get("authorization-mode", "RBAC").split(",")
    if "RBAC" not in modes or "AlwaysAllow" in modes:
        raise _WrongFlag(f"--authorization-mode={','.join(modes)} is not supported: Podium authorizes by Node and RBAC")


async def _serve_api(flags: Flags) -> None:
    from podium.control_plane import build
    from podium.store.memory import MemoryStore
    from podium.world.http_server import HttpServer
    from podium.world.real import RealWorld

    host, port = flags.get("bind-address", "127.0.0.1"), int(flags.get("secure-port", "6443"))
    plane = await build(
        MemoryStore(), RealWorld(), service_cidr=flags.get("service-cluster-ip-range", "10.0.0.0/24").partition(",")[0],
        signing_key=_signing_key(flags), api_endpoint=(host, port),
        disabled_plugins=frozenset(p for p in flags.get("disable-admission-plugins").split(",") if p),
    )  # fmt: skip
    server = plane.server
    http = HttpServer(server.handle, _tls(flags), on_crash=server.crashed, on_too_large=server.too_large)
    await http.listen(host, port)
    await _stopped()
    await http.close()
    await plane.stop()


def _tls(flags: Flags) -> ssl.SSLContext:
    directory = Path(flags.get("cert-dir", "."))
    certificate = flags.get("tls-cert-file") or str(directory / "apiserver.crt")
    key = flags.get("tls-private-key-file") or str(directory / "apiserver.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if authority := flags.get("client-ca-file"):
        context.load_verify_locations(cafile=authority)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _signing_key(flags: Flags) -> bytes:
    if path := flags.get("service-account-signing-key-file"):
        return Path(path).read_bytes()
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def main(arguments: Sequence[str]) -> int:
    """`python -m podium.envtest kube-apiserver|etcd FLAGS`."""
    programs = {"kube-apiserver": apiserver, "etcd": etcd}
    if not arguments or arguments[0] not in programs:
        print("usage: python -m podium.envtest kube-apiserver|etcd FLAGS", file=sys.stderr)
        return _USAGE_EXIT
    return programs[arguments[0]](arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
