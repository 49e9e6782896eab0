"""CertificateSigningRequest: its request, usages, signer, and the conditions that decide on it.

Source: k8s.io/kubernetes pkg/apis/certificates/validation.
"""

import base64
import binascii
from typing import Any

from podium.objects import certificate_requests, names
from podium.objects.validation.faults import Faults
from podium.objects.values import Object

USAGES = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment", "decipher only",
    "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel", "ipsec user", "key agreement",
    "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime", "server auth", "signing", "timestamping",
)  # fmt: skip
SECONDS_MIN = 600
_DECISIONS = ("Approved", "Denied")
_FINAL = (*_DECISIONS, "Failed")


def check_request(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    try:
        certificate_requests.read(spec.get("request") or "")
    except ValueError as error:
        faults.invalid("spec.request", spec.get("request") or "", str(error))
    usages = spec.get("usages") or []
    if not usages:
        faults.required("spec.usages")
    seen: set[Any] = set()
    for i, usage in enumerate(usages):
        faults.one_of(f"spec.usages[{i}]", usage, USAGES)
        faults.unique(f"spec.usages[{i}]", usage, seen)
    signer = spec.get("signerName") or ""
    if signer == "kubernetes.io/legacy-unknown":
        faults.invalid("spec.signerName", signer, "the legacy signerName is not allowed via this API version")
    else:
        check_signer(faults, signer, "spec.signerName")
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < SECONDS_MIN:
        faults.invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 600 seconds (10 minutes)")
    _check_conditions(faults, value)


def check_signer(faults: Faults, signer: str, path: str) -> None:
    domain, slash, name = signer.partition("/")
    if not signer:
        faults.required(path)
    elif not slash or "/" in name:
        faults.invalid(path, signer, "must be a fully qualified domain and path of the form 'example.com/signer-name'")
    else:
        if "." not in domain:
            faults.invalid(path, signer, "should be a domain with at least two segments separated by dots")
        for part in (domain, name):
            faults.each(path, signer, names.dns_subdomain(part))


def check_update(faults: Faults, new: Object, old: Object) -> None:
    """Of the object itself, its approval or its status: what may change of each, its strategy has seen to."""
    _check_conditions(faults, new)
    kept = {c.get("type") for c in (new.get("status") or {}).get("conditions") or ()}
    for condition in (old.get("status") or {}).get("conditions") or ():
        if condition.get("type") in _FINAL and condition["type"] not in kept:
            faults.forbidden("status.conditions", f'updates may not remove a condition of type "{condition["type"]}"')
    certificate, before = ((value.get("status") or {}).get("certificate") for value in (new, old))
    if certificate != before and before:
        faults.forbidden("status.certificate", "updates may not modify or remove existing certificate content")
    elif certificate and certificate != before:
        _check_certificate(faults, certificate)


def _check_certificate(faults: Faults, certificate: str) -> None:
    try:
        if b"-----BEGIN CERTIFICATE-----" not in base64.b64decode(certificate, validate=True):
            faults.invalid("status.certificate", "<certificate data>", "must contain at least one CERTIFICATE PEM block")
    except binascii.Error as error:
        faults.invalid("status.certificate", "<certificate data>", str(error))


def _check_conditions(faults: Faults, value: Object) -> None:
    seen: set[Any] = set()
    for i, condition in enumerate((value.get("status") or {}).get("conditions") or ()):
        path = f"status.conditions[{i}]"
        type_ = condition.get("type") or ""
        if not type_:
            faults.required(f"{path}.type")
        if type_ in _FINAL:
            faults.one_of(f"{path}.status", condition.get("status") or "", ("True",))
        other = next((d for d in _DECISIONS if type_ in _DECISIONS and d != type_ and d in seen), "")
        if other:
            faults.invalid(f"{path}.type", type_, "Approved and Denied conditions are mutually exclusive")
        faults.unique(f"{path}.type", type_, seen)
