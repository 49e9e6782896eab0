"""Certificate requests: who asks is on record, who decides needs permission, what is approved is signed."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from podium.api.authority import Authority
from podium.api.request import User
from podium.client.in_process import InProcessClient
from podium.client.mirrors import Mirrors
from podium.control_plane import ControlPlane
from podium.controllers.certificate_signing import CertificateSigningController
from podium.objects.resources import resource
from podium.objects.status import Forbidden, Invalid
from podium.objects.values import copy

REQUESTS = resource("certificatesigningrequests", "certificates.k8s.io")
SIGNER = "kubernetes.io/kube-apiserver-client"
SUITE = "[sig-auth] Certificates API [Privileged:ClusterAdmin] should support CSR API operations [Conformance]"


def csr(name: str = "jane", organization: str = "devs") -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization), x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()


def wanted(name: str = "r", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
        "spec": {"request": csr(), "signerName": SIGNER, "usages": ["client auth"], "expirationSeconds": 3600, **spec},
    }  # fmt: skip


def decided(value: dict[str, Any], type_: str = "Approved") -> dict[str, Any]:
    return {**copy(value), "status": {"conditions": [{"type": type_, "status": "True", "reason": "Because"}]}}


@pytest.fixture
async def signing(plane: ControlPlane, authority: Authority) -> AsyncIterator[None]:
    client = plane.client()
    mirrors = Mirrors(client, plane.world, plane.controllers)
    events: Any = None
    loop = CertificateSigningController(client, mirrors, events, plane.world, authority.sign_request)
    plane.controllers.start("signing", loop.run())
    yield


async def _signed(client: InProcessClient, name: str) -> dict[str, Any]:
    for _ in range(100):
        value = await client.get(REQUESTS, name)
        status = value.get("status") or {}
        if status.get("certificate") or any(c["type"] == "Failed" for c in status.get("conditions") or ()):
            return value
        await asyncio.sleep(0.01)
    raise AssertionError("never signed")


@pytest.mark.conformance(SUITE)
async def test_an_approved_request_gets_its_certificate(client: InProcessClient, authority: Authority, signing: None) -> None:
    made = await client.create(REQUESTS, wanted())
    assert made["spec"]["username"] == "kubernetes-admin" and made["spec"]["groups"] == ["system:masters", "system:authenticated"]
    approved = await client.update(REQUESTS, decided(made), subresource="approval")
    assert approved["status"]["conditions"][0]["lastUpdateTime"]
    value = await _signed(client, "r")
    certificate = x509.load_pem_x509_certificate(base64.b64decode(value["status"]["certificate"]))
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.ca_pem))
    assert [a.value for a in certificate.subject] == ["devs", "jane"]
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).total_seconds() == 3600 + 300


async def test_what_the_signer_does_not_sign_is_said(client: InProcessClient, signing: None) -> None:
    made = await client.create(REQUESTS, wanted(usages=["server auth"]))
    await client.update(REQUESTS, decided(made), subresource="approval")
    conditions = (await _signed(client, "r"))["status"]["conditions"]
    assert [(c["type"], c.get("reason")) for c in conditions] == [("Approved", "Because"), ("Failed", "SignerValidationFailure")]


async def test_each_door_changes_only_its_part(client: InProcessClient) -> None:
    made = await client.create(REQUESTS, wanted())
    changed = copy(made)
    changed["spec"]["usages"] = ["server auth"]
    changed["status"] = {"conditions": [{"type": "Approved", "status": "True"}]}
    assert (await client.update(REQUESTS, changed))["spec"] == made["spec"]
    through_status = await client.update(REQUESTS, decided(made), subresource="status")
    assert not through_status.get("status")
    denied = await client.update(REQUESTS, decided(made, "Denied"), subresource="approval")
    with pytest.raises(Invalid, match="updates may not remove a condition of type"):
        await client.update(REQUESTS, {**copy(denied), "status": {}}, subresource="approval")
    both = copy(denied)
    both["status"]["conditions"].append({"type": "Approved", "status": "True"})
    with pytest.raises(Invalid, match="Approved and Denied conditions are mutually exclusive"):
        await client.update(REQUESTS, both, subresource="approval")


async def test_deciding_and_signing_are_permissions(plane: ControlPlane, client: InProcessClient) -> None:
    rules = [
        {
            "apiGroups": ["certificates.k8s.io"],
            "resources": [f"certificatesigningrequests/{s}" for s in ("approval", "status")],
            "verbs": ["update"],
        }
    ]
    roles, bindings = (resource(plural, "rbac.authorization.k8s.io") for plural in ("clusterroles", "clusterrolebindings"))
    await client.create(roles, {"metadata": {"name": "half"}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "half"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}
    await client.create(bindings, {"metadata": {"name": "half"}, "roleRef": reference, "subjects": [subject]})
    made = await client.create(REQUESTS, wanted())
    jane = plane.client(User("jane", ("system:authenticated",)))
    with pytest.raises(Forbidden, match=f'user not permitted to approve requests with signerName "{SIGNER}"'):
        await jane.update(REQUESTS, decided(made), subresource="approval")
    certificate = base64.b64encode(b"-----BEGIN CERTIFICATE-----\n").decode()
    with pytest.raises(Forbidden, match=f'user not permitted to sign requests with signerName "{SIGNER}"'):
        await jane.update(REQUESTS, {**copy(made), "status": {"certificate": certificate}}, subresource="status")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"request": base64.b64encode(b"hello").decode()}, "PEM block type must be CERTIFICATE REQUEST"),
        ({"usages": ["walking"]}, 'spec.usages[0]: Unsupported value: "walking"'),
        ({"signerName": "plain"}, "must be a fully qualified domain and path of the form 'example.com/signer-name'"),
        ({"expirationSeconds": 60}, "may not specify a duration less than 600 seconds (10 minutes)"),
    ],
)
async def test_a_request_without_sense_is_refused(client: InProcessClient, spec: Any, why: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await client.create(REQUESTS, wanted(**spec))
    assert why in refusal.value.message


async def test_nobody_becomes_an_administrator_by_a_certificate(client: InProcessClient) -> None:
    with pytest.raises(Forbidden, match="signer with system:masters group is not allowed"):
        await client.create(REQUESTS, wanted(request=csr("eve", "system:masters")))


async def test_an_owner_that_one_cannot_keep_waiting(plane: ControlPlane, client: InProcessClient) -> None:
    configmaps, roles, bindings = resource("configmaps"), *(resource(p, "rbac.authorization.k8s.io") for p in ("roles", "rolebindings"))
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "update", "get"]}]
    await client.create(roles, {"metadata": {"name": "w", "namespace": "default"}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "w"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}
    await client.create(bindings, {"metadata": {"name": "w", "namespace": "default"}, "roleRef": reference, "subjects": [subject]})
    jane = plane.client(User("jane", ("system:authenticated",)))
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "u", "blockOwnerDeletion": True}
    value = {"metadata": {"name": "a", "namespace": "default", "ownerReferences": [owner]}}
    with pytest.raises(
        Forbidden, match="cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on"
    ):
        await jane.create(configmaps, value)
    made = await jane.create(configmaps, {"metadata": {"name": "a", "namespace": "default"}})
    del owner["blockOwnerDeletion"]
    with pytest.raises(Forbidden, match="cannot set an ownerRef on a resource you can't delete"):
        await jane.update(configmaps, {**copy(made), "metadata": {**copy(made)["metadata"], "ownerReferences": [owner]}})
