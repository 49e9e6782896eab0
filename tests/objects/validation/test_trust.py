"""Trust anchors and requests of pods for certificates, with real certificates made here."""

import base64
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from podium.objects import validation
from podium.objects.resources import resource
from podium.objects.values import copy

BUNDLES, REQUESTS = resource("clustertrustbundles", "certificates.k8s.io"), resource("podcertificaterequests", "certificates.k8s.io")
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")])


@cache
def certificate(*, ca: bool, number: int = 1) -> str:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(NAME).issuer_name(NAME).public_key(key.public_key()).serial_number(number)
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@cache
def request() -> str:
    built = (
        x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    return base64.b64encode(built.public_bytes(Encoding.DER)).decode()


def bundle(text: str, name: str = "anchors", signer: str = "") -> dict:
    return {"metadata": {"name": name}, "spec": {"trustBundle": text} | ({"signerName": signer} if signer else {})}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "at least one trust anchor must be provided"),
        (lambda: certificate(ca=False), "entry 0 does not have the CA bit set"),
        (lambda: certificate(ca=True) + certificate(ca=True), "duplicate trust anchor (indices [0 1])"),
        ("-----BEGIN KEY-----\nAA==\n-----END KEY-----\n", "entry 0 has bad block type: KEY"),
        ("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", "entry 0 does not parse as X.509"),
        ("-----BEGIN CERTIFICATE-----\nA: b\n\nAA==\n-----END CERTIFICATE-----\n", "entry 0 has PEM block headers"),
    ],
)
def test_anchors_are_certificates_of_authorities(text, why: str) -> None:
    (fault,) = validation.validate_create(BUNDLES, bundle(text() if callable(text) else text))
    assert str(fault) == f'spec.trustBundle: Invalid value: "<value omitted>": {why}'


@pytest.mark.parametrize(
    ("name", "signer", "why"),
    [
        ("anchors", "", ""),
        ("a.com:s:one", "a.com/s", ""),
        ("a.com:s:one", "", 'ClusterTrustBundle without signer name must not have ":" in its name'),
        ("one", "a.com/s", 'ClusterTrustBundle for signerName a.com/s must be named with prefix "a.com:s:"'),
    ],
)
def test_a_bundle_is_named_after_its_signer(name: str, signer: str, why: str) -> None:
    found = validation.validate_create(BUNDLES, bundle(certificate(ca=True) + certificate(ca=True, number=2), name, signer))
    assert [str(f) for f in found] == ([f'metadata.name: Invalid value: "{name}": {why}'] if why else [])


def test_the_signer_of_a_bundle_stays_and_old_anchors_are_not_read_again() -> None:
    old = bundle("stored before there were rules", "a.com:s:one", "a.com/s")
    old["metadata"]["resourceVersion"] = "1"
    new = copy(old)
    assert validation.validate_update(BUNDLES, new, old) == []
    new["spec"]["signerName"] = "a.com/t"
    assert 'spec.signerName: Invalid value: "a.com/t": field is immutable' in map(str, validation.validate_update(BUNDLES, new, old))


def pod_request(**spec: object) -> dict:
    ids = {f"{kind}{field}": "x" for kind in ("pod", "serviceAccount", "node") for field in ("Name", "UID")}
    sound = {"signerName": "a.com/s", "maxExpirationSeconds": 3600, "stubPKCS10Request": request(), **ids}
    return {"metadata": {"name": "r", "namespace": "n", "resourceVersion": "1"}, "spec": {**sound, **spec}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"maxExpirationSeconds": 60}, ["spec.maxExpirationSeconds: Invalid value: 60: must be in the range [3600, 7862400]"]),
        ({"signerName": "kubernetes.io/s", "maxExpirationSeconds": 90000},
         ["spec.maxExpirationSeconds: Invalid value: 90000: must be in the range [3600, 86400]"]),
        ({"podUID": ""}, ['spec.podUID: Invalid value: "": must not be empty']),
        ({"nodeUID": "x" * 129}, ["spec.nodeUID: Too long: may not be more than 128 bytes"]),
        ({"stubPKCS10Request": "AAAA"},
         ['spec.stubPKCS10Request: Invalid value: "<value omitted>": must be a valid PKCS#10 certificate signing request']),
    ],
)  # fmt: skip
def test_a_request_of_a_pod(spec: dict, expected: list[str]) -> None:
    assert [str(f) for f in validation.validate_create(REQUESTS, pod_request(**spec))] == expected


def test_a_request_proves_that_it_holds_the_key() -> None:
    der = bytearray(base64.b64decode(request()))
    der[-1] ^= 1
    (fault,) = validation.validate_create(REQUESTS, pod_request(stubPKCS10Request=base64.b64encode(der).decode()))
    assert "proof-of-possession" in str(fault) or "PKCS#10" in str(fault)


def test_a_request_is_decided_once() -> None:
    old, condition = pod_request(), {"type": "Denied", "status": "True", "reason": "No", "lastTransitionTime": "2026-01-01T00:00:00Z"}

    def told(status: dict, before: dict) -> list[str]:
        return [str(f) for f in validation.validate_update(REQUESTS, {**before, "status": status}, before, "status")]

    assert told({"conditions": [condition]}, old) == []
    assert "non-condition status fields must be empty when denying" in told({"conditions": [condition], "certificateChain": "x"}, old)[0]
    both = [condition, {**condition, "type": "Failed"}]
    assert told({"conditions": both}, old)[0].endswith('There may be at most one condition with type "Issued", "Denied", or "Failed"')
    assert told({"conditions": [{**condition, "type": "Issued"}]}, old)[0].startswith("status.certificateChain: Required value")
    denied = {**old, "status": {"conditions": [condition]}}
    assert told({"conditions": []}, denied)[0].endswith("immutable after PodCertificateRequest is issued, denied, or failed")
