"""Certificate signing requests: what the PKCS #10 inside one says.

`cryptography` is imported when the first is read. Source: RFC 2986; k8s.io/kubernetes pkg/apis/certificates/helpers.go.
"""

import base64
import binascii
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.x509 import CertificateSigningRequest

REQUEST_BYTES_MAX = 64 * 1024


def read(encoded: str) -> "CertificateSigningRequest":
    """`encoded` is base64 of PEM, as in `spec.request`. Raises ValueError, worded as upstream."""
    from cryptography.x509 import load_pem_x509_csr

    if len(encoded) > REQUEST_BYTES_MAX:
        raise ValueError(f"the request is larger than {REQUEST_BYTES_MAX} bytes")
    try:
        pem = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    if b"-----BEGIN CERTIFICATE REQUEST-----" not in pem:
        raise ValueError("PEM block type must be CERTIFICATE REQUEST")
    request = load_pem_x509_csr(pem)
    if not request.is_signature_valid:
        raise ValueError("the signature of the certificate request is invalid")
    return request


def organizations_of(encoded: str) -> list[str]:
    """The groups a certificate for this request would give; none for what cannot be read."""
    from cryptography.x509.oid import NameOID

    try:
        request = read(encoded)
    except ValueError:
        return []
    return [str(a.value) for a in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
