"""What all probers share: a run with its page of metrics and its log, addresses, TLS.

A prober adds to the run and returns whether the probe succeeded; it raises `Failed` (or an OSError) to say that it did not.

Source: blackbox_exporter prober/utils.go, prober/tls.go.
"""

import asyncio
import socket
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from podium.instrument.exposition import Page
from podium.telemetry.exporters.blackbox.modules import Reach, Tls

LOG_LINES_MAX = 1000
NO_CHAIN_S = -62135596800
"""Go's zero time: what upstream shows as the expiry of a chain that was not verified."""
EARLIEST_TEXT = "When the first of the shown certificates ends, in seconds since the epoch."
_VERSIONS = {"TLSv1": "TLS 1.0", "TLSv1.1": "TLS 1.1", "TLSv1.2": "TLS 1.2", "TLSv1.3": "TLS 1.3"}
_LIMITS = {
    "TLS10": ssl.TLSVersion.TLSv1, "TLS11": ssl.TLSVersion.TLSv1_1, "TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3,
}  # fmt: skip


class Failed(Exception):
    """The probe did not succeed; the message is for its log."""


@dataclass(slots=True)
class Run:
    """One probe of one target. `hostname` replaces the target's name towards the server, when it is given."""

    target: str
    hostname: str = ""
    page: Page = field(default_factory=Page)
    lines: list[str] = field(default_factory=list)

    def log(self, text: str) -> None:
        if len(self.lines) < LOG_LINES_MAX:
            self.lines.append(text)

    def gauge(self, name: str, text: str, value: float, *labels: tuple[str, str]) -> None:
        self.page.gauge(name, text, value, labels)

    def phase(self, name: str, text: str, phase: str, seconds: float) -> None:
        """Adds to what is there: redirects repeat phases."""
        samples = self.page.family(name, "gauge", text).samples
        key = ("", (("phase", phase),))
        samples[key] = samples.get(key, 0.0) + seconds

    def failed_by_pattern(self, failed: bool) -> None:
        self.gauge("probe_failed_due_to_regex", "Whether the probe failed because of a regular expression.", failed)


@dataclass(frozen=True, slots=True)
class Address:
    ip: str
    family: int

    @property
    def socket_family(self) -> socket.AddressFamily:
        return socket.AF_INET if self.family == 4 else socket.AF_INET6


async def resolve(host: str, reach: Reach, run: Run) -> Address:
    """The target's address in the preferred family, or in the other. Raises Failed."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    run.gauge("probe_ip_protocol", "The version of IP that the probe uses.", 0)
    run.gauge("probe_ip_addr_hash", "A hash of the target's address: it changes when the address does.", 0)
    try:
        found: list[Any] = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Failed(f"resolution of {host!r} failed: {error}") from error
    finally:
        run.gauge("probe_dns_lookup_time_seconds", "How long it took to look up the target's name.", loop.time() - began_s)
    by_family = {4: [i for i in found if i[0] == socket.AF_INET], 6: [i for i in found if i[0] == socket.AF_INET6]}
    wanted = reach.family
    if not by_family[wanted] and reach.fallback:
        wanted = 10 - wanted
    if not by_family[wanted]:
        raise Failed(f"{host!r} has no IPv{reach.family} address")
    ip = str(by_family[wanted][0][4][0])
    run.gauge("probe_ip_protocol", "The version of IP that the probe uses.", wanted)
    run.gauge(
        "probe_ip_addr_hash",
        "A hash of the target's address: it changes when the address does.",
        _fnv32a(ip_address(ip.split("%")[0]).packed),
    )
    run.log(f"resolved {host} to {ip}")
    return Address(ip, wanted)


def _fnv32a(data: bytes) -> int:
    value = 0x811C9DC5
    for byte in data:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


async def connect(address: Address, port: int, reach: Reach) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Raises OSError."""
    local = (reach.source, 0) if reach.source else None
    return await asyncio.open_connection(address.ip, port, family=address.socket_family, local_addr=local)


def tls_context(tls: Tls, protocols: tuple[str, ...] = ()) -> ssl.SSLContext:
    """Raises Failed when a file cannot be used."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file or None)
        if tls.cert_file:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        raise Failed(f"TLS files cannot be used: {error}") from error
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.min_version:
        context.minimum_version = _LIMITS[tls.min_version]
    if tls.max_version:
        context.maximum_version = _LIMITS[tls.max_version]
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def split_target(target: str, default_port: int | None = None) -> tuple[str, int]:
    """`host:port`, `[::1]:port`. Raises Failed."""
    host, colon, port = target.rpartition(":")
    if default_port is not None and (not colon or target.endswith("]") or (target.count(":") > 1 and not target.startswith("["))):
        host, port = target, str(default_port)
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise Failed(f"{target!r} is no host:port")
    return host.strip("[]"), int(port)


def show_tls(run: Run, ssl_object: ssl.SSLObject, verified: bool, *, cipher: bool = True) -> None:
    """Expiry, chain, version and cipher of a connection."""
    chain = _chain(ssl_object)
    if chain:
        expiries = [_expiry_s(certificate) for certificate in chain]
        run.gauge("probe_ssl_earliest_cert_expiry", EARLIEST_TEXT, min(expiries))
        text = "When the chain that lasts longest ends, in seconds since the epoch."
        run.gauge("probe_ssl_last_chain_expiry_timestamp_seconds", text, min(expiries) if verified else NO_CHAIN_S)
        run.gauge("probe_ssl_last_chain_info", "The certificate that was shown; always 1.", 1, *_about(chain[0]))
    version = ssl_object.version() or ""
    run.gauge("probe_tls_version_info", "The version of TLS; always 1.", 1, ("version", _VERSIONS.get(version, version)))
    if cipher and (negotiated := ssl_object.cipher()) is not None:
        run.gauge("probe_tls_cipher_info", "The negotiated cipher; always 1.", 1, ("cipher", str(negotiated[0])))


def _chain(ssl_object: ssl.SSLObject) -> list[Any]:
    """The certificates that were shown, the server's own first. Public only from Python 3.13 on; before, what the C object offers."""
    from cryptography import x509

    shown = getattr(ssl_object, "get_unverified_chain", None)
    if shown is not None:
        return [x509.load_der_x509_certificate(der) for der in shown()]
    inner = getattr(getattr(ssl_object, "_sslobj", None), "get_unverified_chain", None)
    if inner is not None:
        import _ssl

        return [x509.load_der_x509_certificate(c.public_bytes(_ssl.ENCODING_DER)) for c in inner() or ()]
    own = ssl_object.getpeercert(binary_form=True)
    return [x509.load_der_x509_certificate(own)] if own else []


def _expiry_s(certificate: Any) -> float:
    end = getattr(certificate, "not_valid_after_utc", None)
    when: datetime = end if end is not None else certificate.not_valid_after.replace(tzinfo=UTC)
    return when.timestamp()


def _about(certificate: Any) -> list[tuple[str, str]]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = []
    return [
        ("fingerprint_sha256", certificate.fingerprint(hashes.SHA256()).hex()), ("subject", certificate.subject.rfc4514_string()),
        ("issuer", certificate.issuer.rfc4514_string()), ("subjectalternative", ",".join(names)),
        ("serialnumber", f"{certificate.serial_number:x}"),
    ]  # fmt: skip
