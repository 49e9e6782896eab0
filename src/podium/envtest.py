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
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from podium.envtest_flags import Flags, WrongFlag, check_features, check_modes, disabled_plugins, parse_flags, served

if TYPE_CHECKING:
    from podium.api.authentication import Sources
    from podium.api.pod_security_config import PodSecurity

ACTED_ON = {
    "bind-address": "address to listen on",
    "secure-port": "port to listen on",
    "cert-dir": "directory of apiserver.crt and apiserver.key, when no files are named",
    "tls-cert-file": "the server's certificate",
    "tls-private-key-file": "the server's key",
    "client-ca-file": "authority of client certificates",
    "service-cluster-ip-range": "network of Services",
    "service-account-signing-key-file": "key that signs service account tokens",
    "service-account-key-file": "key that verifies service account tokens: that of the key which signs them",
    "service-account-issuer": "issuer of service account tokens",
    "token-auth-file": 'file of static tokens: token,user,uid,"group1,group2"',
    "advertise-address": "address of the Service kubernetes",
    "allow-privileged": "true: PodSecurity decides",
    "authorization-mode": "RBAC or Node,RBAC",
    "disable-admission-plugins": "comma-separated plugins to leave out",
    "enable-admission-plugins": "comma-separated plugins, which must be among those there are: all of them are on",
    "admission-control-config-file": "settings of PodSecurity: defaults and exemptions",
    "runtime-config": "versions and resources to leave out (GROUP/VERSION=false), or that must be there (=true)",
    "feature-gates": "features, which must be asked for as they are: Podium has no switches for them",
}
WITHOUT_EFFECT = {"etcd-servers", "etcd-prefix", "event-ttl", "logging-format", "storage-backend", "v", "vmodule", "watch-cache"}
ALWAYS_THERE = frozenset(
    {
        "MutatingAdmissionPolicy", "MutatingAdmissionWebhook", "ResourceQuota", "ValidatingAdmissionPolicy", "ValidatingAdmissionWebhook",
    }
)  # fmt: skip
"""Plugins that are no rows of the admission's table."""

_USAGE_EXIT = 1

Serve = Callable[["Flags"], Coroutine[Any, Any, None]]


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
        check_modes(flags)
    except WrongFlag as error:
        print(f"Error: {error}", file=sys.stderr)
        return _USAGE_EXIT
    import uvloop

    try:
        uvloop.run(serve(flags))
    except (OSError, WrongFlag) as error:
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


async def _serve_api(flags: Flags) -> None:
    from podium.api.account_tokens import ISSUER
    from podium.api.admission import ORDER
    from podium.control_plane import build
    from podium.objects.resources import builtin
    from podium.store.memory import MemoryStore
    from podium.world.http_server import HttpServer
    from podium.world.real import RealWorld

    host, port = flags.get("bind-address", "127.0.0.1"), int(flags.get("secure-port", "6443"))
    known = {plugin.name for plugin in ORDER} | ALWAYS_THERE
    check_features(flags)
    signing_key = _signing_key(flags)
    _check_key(flags, signing_key)
    plane = await build(
        MemoryStore(), RealWorld(), service_cidr=flags.get("service-cluster-ip-range", "10.0.0.0/24").partition(",")[0],
        signing_key=signing_key, issuer=flags.get("service-account-issuer", ISSUER), resources=served(flags, builtin()),
        api_endpoint=(flags.get("advertise-address", host), port), disabled_plugins=disabled_plugins(flags, known), identities=_tokens(flags),
        pod_security=_pod_security(flags),
    )  # fmt: skip
    server = plane.server
    http = HttpServer(server.handle, _tls(flags), on_crash=server.crashed, on_too_large=server.too_large)
    await http.listen(host, port)
    await _stopped()
    await http.close()
    await plane.stop()


def _tokens(flags: Flags) -> "Sources | None":
    """Raises WrongFlag for a file that cannot be read."""
    if not (path := flags.get("token-auth-file")):
        return None
    from podium.api.authentication import Sources
    from podium.api.static_tokens import StaticTokens

    try:
        return Sources(StaticTokens(Path(path)))
    except (OSError, ValueError) as error:
        raise WrongFlag(f"--token-auth-file: {error}") from error


def _pod_security(flags: Flags) -> "PodSecurity":
    """Raises WrongFlag for a file that cannot be read."""
    from podium.api import admission_config
    from podium.api.pod_security_config import PodSecurity

    if not (path := flags.get("admission-control-config-file")):
        return PodSecurity()
    try:
        return admission_config.read(Path(path))
    except (OSError, ValueError) as error:
        raise WrongFlag(f"--admission-control-config-file: {error}") from error


def _check_key(flags: Flags, signing_key: bytes) -> None:
    """Tokens are verified with the key that signs them: raises WrongFlag when another one is asked for."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    if "service-account-signing-key-file" not in flags.values:
        return
    signer = load_pem_private_key(signing_key, None).public_key()
    for path in flags.list("service-account-key-file"):
        try:
            data = Path(path).read_bytes()
            if b"PRIVATE KEY" in data:
                key: object = load_pem_private_key(data, None).public_key()
            elif b"CERTIFICATE" in data:
                key = x509.load_pem_x509_certificate(data).public_key()
            else:
                key = load_pem_public_key(data)
        except (OSError, ValueError) as error:
            raise WrongFlag(f"--service-account-key-file: {path}: {error}") from error
        if key != signer:
            raise WrongFlag(
                f"--service-account-key-file: {path} is not the key of --service-account-signing-key-file, which alone verifies"
            )


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
