"""ClusterTrustBundle and PodCertificateRequest: whom pods trust, and who they are to others.

Certificates are read with `cryptography`, which is loaded by the first.

Source: k8s.io/kubernetes pkg/apis/certificates/validation, pkg/apis/core/validation (ValidateClusterTrustBundleName).
"""

import base64
import binascii
import re

from podium.objects import names
from podium.objects.validation.certificates import check_signer
from podium.objects.validation.device_statuses import check_conditions
from podium.objects.validation.faults import Faults
from podium.objects.validation.labels import check_labels
from podium.objects.values import Object

BUNDLE_BYTES_MAX = 1024 * 1024
REQUEST_BYTES_MAX = 10 * 1024
UID_LENGTH_MAX = 128
SECONDS_MIN, SECONDS_MAX, KUBERNETES_SECONDS_MAX = 3600, 91 * 86400, 86400
_OMITTED = "<value omitted>"
_BLOCK = re.compile(r"-----BEGIN ([^-\n]*)-----\r?\n(.*?)-----END \1-----", re.DOTALL)
_FINAL = ("Issued", "Denied", "Failed")
_ISSUED = ("certificateChain", "notBefore", "beginRefreshAt", "notAfter")


def check_bundle(faults: Faults, value: Object) -> None:
    _check_name_and_signer(faults, value)
    _check_anchors(faults, (value.get("spec") or {}).get("trustBundle") or "", "spec.trustBundle")


def check_bundle_update(faults: Faults, new: Object, old: Object) -> None:
    """Anchors that stay as they are are not read again."""
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    _check_name_and_signer(faults, new)
    if spec.get("trustBundle") != before.get("trustBundle"):
        _check_anchors(faults, spec.get("trustBundle") or "", "spec.trustBundle")
    faults.unchanged("spec.signerName", spec.get("signerName"), before.get("signerName"))


def _check_name_and_signer(faults: Faults, value: Object) -> None:
    signer, name = (value.get("spec") or {}).get("signerName") or "", value["metadata"].get("name") or ""
    if not signer:
        if ":" in name:
            faults.invalid("metadata.name", name, 'ClusterTrustBundle without signer name must not have ":" in its name')
        elif name:
            faults.each("metadata.name", name, names.dns_subdomain(name))
        return
    prefix = signer.replace("/", ":") + ":"
    if name and not name.startswith(prefix):
        why = f'ClusterTrustBundle for signerName {signer} must be named with prefix "{prefix}"'
        faults.invalid("metadata.name", name, why)
    elif name:
        faults.each("metadata.name", name, names.dns_subdomain(name.removeprefix(prefix)))
    check_signer(faults, signer, "spec.signerName")


def _check_anchors(faults: Faults, text: str, path: str) -> None:
    if len(text.encode()) > BUNDLE_BYTES_MAX:
        faults.too_long(path, BUNDLE_BYTES_MAX)
        return
    before, seen = len(faults), dict[bytes, list[int]]()
    for i, (kind, body) in enumerate(_BLOCK.findall(text)):
        if kind != "CERTIFICATE":
            faults.invalid(path, _OMITTED, f"entry {i} has bad block type: {kind}")
        elif ":" in body.partition("\n\n")[0]:
            faults.invalid(path, _OMITTED, f"entry {i} has PEM block headers")
        elif (problem := _problem_of_anchor(der := _decoded(body))) != "":
            faults.invalid(path, _OMITTED, f"entry {i} {problem}")
        else:
            seen.setdefault(der, []).append(i)
    if len(faults) > before:
        return
    if not seen:
        faults.invalid(path, _OMITTED, "at least one trust anchor must be provided")
    for places in seen.values():
        if len(places) > 1:
            faults.invalid(path, _OMITTED, f"duplicate trust anchor (indices [{' '.join(map(str, places))}])")


def _decoded(body: str) -> bytes:
    """Empty for what is no base64."""
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except binascii.Error:
        return b""


def _problem_of_anchor(der: bytes) -> str:
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(der)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return "does not have the CA bit set"
    except ValueError:
        return "does not parse as X.509"
    return "" if constraints.value.ca else "does not have the CA bit set"


def check_pod_request(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    signer, seconds = spec.get("signerName") or "", spec.get("maxExpirationSeconds")
    check_signer(faults, signer, "spec.signerName")
    check_labels(faults, dict.fromkeys(spec.get("unverifiedUserAnnotations") or {}, ""), "spec.unverifiedUserAnnotations")
    for kind in ("pod", "serviceAccount", "node"):
        name, uid = spec.get(f"{kind}Name") or "", spec.get(f"{kind}UID") or ""
        faults.each(f"spec.{kind}Name", name, names.dns_subdomain(name))
        if not uid:
            faults.invalid(f"spec.{kind}UID", uid, "must not be empty")
        if len(uid.encode()) > UID_LENGTH_MAX:
            faults.too_long(f"spec.{kind}UID", UID_LENGTH_MAX)
    if seconds is None:
        faults.required("spec.maxExpirationSeconds", "must be set")
    else:
        of_kubernetes = signer.partition("/")[0] == "kubernetes.io" or signer.partition("/")[0].endswith(".kubernetes.io")
        most = KUBERNETES_SECONDS_MAX if of_kubernetes else SECONDS_MAX
        if not SECONDS_MIN <= seconds <= most:
            faults.invalid("spec.maxExpirationSeconds", seconds, f"must be in the range [{SECONDS_MIN}, {most}]")
    _check_proof(faults, spec.get("stubPKCS10Request") or "", "spec.stubPKCS10Request")


def _check_proof(faults: Faults, text: str, path: str) -> None:
    """A request signed by the key that is to be certified: nobody asks for another's."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    der = _decoded(text)
    if len(der) > REQUEST_BYTES_MAX:
        faults.too_long(path, REQUEST_BYTES_MAX)
        return
    try:
        request = x509.load_der_x509_csr(der)
        sound = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        faults.invalid(path, _OMITTED, "must be a valid PKCS#10 certificate signing request")
        return
    if not sound:
        faults.invalid(path, _OMITTED, "could not verify proof-of-possession signature")


def check_pod_request_update(faults: Faults, new: Object, old: Object) -> None:
    faults.unchanged("spec", new.get("spec"), old.get("spec"))


def check_pod_request_status(faults: Faults, new: Object, old: Object) -> None:
    """Decided once: issued with a certificate and its times, or denied or failed without."""
    before, status = len(faults), new.get("status") or {}
    conditions = status.get("conditions") or []
    for i, condition in enumerate(conditions):
        at = f"status.conditions[{i}]"
        faults.one_of(f"{at}.type", condition.get("type") or "", _FINAL)
        if condition.get("type") in _FINAL:
            faults.one_of(f"{at}.status", condition.get("status") or "", ("True",))
            if any(c.get("type") in _FINAL for c in conditions[:i]):
                why = 'There may be at most one condition with type "Issued", "Denied", or "Failed"'
                faults.invalid(f"{at}.type", condition["type"], why)
    check_conditions(faults, conditions, "status.conditions")
    if len(faults) > before:
        return
    kinds = {condition["type"] for condition in conditions}
    if any(c.get("type") in _FINAL for c in (old.get("status") or {}).get("conditions") or ()):
        if status != (old.get("status") or {}):
            faults.invalid("status", status, "immutable after PodCertificateRequest is issued, denied, or failed")
    elif "Issued" in kinds:
        for field in _ISSUED:
            if not status.get(field):
                faults.required(f"status.{field}", "must be present and consistent with the issued certificate")
    elif any(status.get(field) for field in _ISSUED):
        why = "non-condition status fields must be empty when denying or failing the PodCertificateRequest"
        faults.invalid("status", status, why if kinds else "non-condition status fields must be empty until the request is issued")
