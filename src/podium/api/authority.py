"""The cluster's own certificate authority and the service-account signing key.

Everything is on EC P-256 (a key and a certificate take about 1 ms). `cryptography` is imported only when something is issued; a start on
an existing directory reads files. Layout of the directory: `ca.crt`, `ca.key`, `sa.key`, `sa.pub`, then NAME.crt and NAME.key of what
`issue_files` wrote. Private keys are 0600 from the moment they exist.
"""

import base64
import fcntl
import ipaddress
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from podium.objects import certificate_requests

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

CA_DAYS = 3650
LEAF_DAYS = 365
RENEW_BEFORE_DAYS = 30


class Authority:
    """Issues certificates from the CA in `directory`. Create it with `load_or_create`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca_path = directory / "ca.crt"
        self._ca: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None

    @classmethod
    def load_or_create(cls, directory: Path) -> "Authority":
        """Safe to call from several processes at once: one creates, the others wait for it."""
        authority = cls(directory)
        if not authority.ca_path.exists():
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _locked(directory):
                if not authority.ca_path.exists():
                    authority._create()
        return authority

    @property
    def ca_pem(self) -> bytes:
        return self.ca_path.read_bytes()

    @property
    def service_account_key(self) -> bytes:
        """PEM of the private key that signs service-account tokens (ES256)."""
        return (self.directory / "sa.key").read_bytes()

    def issue(self, common_name: str, organizations: Sequence[str] = (), hosts: Sequence[str] = ()) -> tuple[bytes, bytes]:
        """(certificate, key) as PEM. With `hosts` (names and addresses) it is a server certificate as well as a client's."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

        ca, ca_key = self._load_ca()
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations]
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
        now = datetime.now(UTC)
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH] + ([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(ca.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=LEAF_DAYS))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(x509, signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(h) for h in hosts]), critical=False)
        return _pem(builder.sign(ca_key, hashes.SHA256())), _key_pem(key)

    def sign_request(self, request: str, usages: Sequence[str], seconds: int | None) -> str:
        """A certificate for a PKCS #10 request (both base64 of PEM), for as long as it asks, a year at most. Raises ValueError."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.x509.oid import ExtendedKeyUsageOID

        asked = certificate_requests.read(request)
        ca, ca_key = self._load_ca()
        now = datetime.now(UTC)
        extended = [
            oid
            for usage, oid in (("client auth", ExtendedKeyUsageOID.CLIENT_AUTH), ("server auth", ExtendedKeyUsageOID.SERVER_AUTH))
            if usage in usages
        ]
        builder = (
            x509.CertificateBuilder()
            .subject_name(asked.subject)
            .issuer_name(ca.subject)
            .public_key(asked.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(seconds=min(seconds or LEAF_DAYS * 86_400, LEAF_DAYS * 86_400)))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(x509, signs_certificates=False), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        )
        if extended:
            builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
        try:
            names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            builder = builder.add_extension(names, critical=False)
        except x509.ExtensionNotFound:
            pass
        return base64.b64encode(_pem(builder.sign(ca_key, hashes.SHA256()))).decode()

    def issue_files(self, name: str, common_name: str, organizations: Sequence[str] = (), hosts: Sequence[str] = ()) -> tuple[Path, Path]:
        """Paths of NAME.crt and NAME.key, issued when absent, near their end, or not naming all of `hosts`."""
        certificate_path, key_path = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        note = self.directory / f"{name}.hosts"
        wanted = "\n".join(hosts)
        fresh_until = datetime.now(UTC) - timedelta(days=LEAF_DAYS - RENEW_BEFORE_DAYS)
        try:
            if (
                note.read_text() == wanted
                and datetime.fromtimestamp(certificate_path.stat().st_mtime, UTC) > fresh_until
                and key_path.exists()
            ):
                return certificate_path, key_path
        except FileNotFoundError:
            pass
        certificate, key = self.issue(common_name, organizations, hosts)
        write_private(key_path, key)
        _write(certificate_path, certificate, 0o644)
        _write(note, wanted.encode(), 0o644)
        return certificate_path, key_path

    def _create(self) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID

        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "podium-ca")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=CA_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(x509, signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        signing = ec.generate_private_key(ec.SECP256R1())
        public = signing.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        write_private(self.directory / "sa.key", _key_pem(signing))
        _write(self.directory / "sa.pub", public, 0o644)
        write_private(self.directory / "ca.key", _key_pem(key))
        _write(self.ca_path, _pem(certificate), 0o644)  # last: its presence says that the rest is there

    def _load_ca(self) -> "tuple[x509.Certificate, ec.EllipticCurvePrivateKey]":
        if self._ca is None:
            from cryptography import x509
            from cryptography.hazmat.primitives.asymmetric import ec
            from cryptography.hazmat.primitives.serialization import load_pem_private_key

            key = load_pem_private_key((self.directory / "ca.key").read_bytes(), None)
            assert isinstance(key, ec.EllipticCurvePrivateKey)
            self._ca = (x509.load_pem_x509_certificate(self.ca_pem), key)
        return self._ca


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _general_name(host: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(x509: Any, *, signs_certificates: bool) -> "x509.KeyUsage":
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: "x509.Certificate") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: "ec.EllipticCurvePrivateKey") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_private(path: Path, data: bytes) -> None:
    """Writes atomically; the file is 0600 from the first byte."""
    _write(path, data, 0o600)


def _write(path: Path, data: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
