"""Certificates for approved requests of the cluster's own signers: client certificates for the API server, serving certificates for nodes.

Each signer has rules for what it signs; a request that breaks them gets the condition Failed and never a certificate. Approval is people's (or
another controller's) business.

Source: k8s.io/kubernetes pkg/controller/certificates/signer; kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests.
"""

from collections.abc import Callable, Sequence

from podium.client.control_loop import ControlLoop
from podium.client.events import EventRecorder
from podium.client.interface import Client
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.work_queue import WorkQueue
from podium.objects.certificate_requests import organizations_of
from podium.objects.resources import resource
from podium.objects.values import Object, copy, key_of
from podium.world.interface import World

Sign = Callable[[str, Sequence[str], int | None], str]
"""(request, usages, seconds or None) -> certificate: both base64 of PEM. Raises ValueError for what it cannot read."""

_CLIENT_USAGES = frozenset({"client auth", "digital signature", "key encipherment"})
_SERVING_USAGES = frozenset({"server auth", "digital signature", "key encipherment"})
_USAGES = {
    "kubernetes.io/kube-apiserver-client": ("client auth", _CLIENT_USAGES),
    "kubernetes.io/kube-apiserver-client-kubelet": ("client auth", _CLIENT_USAGES),
    "kubernetes.io/kubelet-serving": ("server auth", _SERVING_USAGES),
}
"""By signer: the usage that must be asked for, and those that may be."""


class CertificateSigningController:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World, sign: Sign) -> None:
        self._client = client
        self._sign = sign
        self._clock = world.clock
        self._kind = resource("certificatesigningrequests", "certificates.k8s.io")
        self._requests = mirrors.of(self._kind)
        self._queue = WorkQueue(world)
        self._loop = ControlLoop("certificate-signing", self._queue, self.reconcile)

    async def run(self) -> None:
        self._requests.subscribe(self._changed)
        await self._requests.synced()
        await self._loop.run()

    def _changed(self, change: Change) -> None:
        if change.new is not None and waits_for_certificate(change.new):
            self._queue.add(key_of(change.new))

    async def reconcile(self, key: str) -> None:
        value = self._requests.by_key(key)
        if value is None or not waits_for_certificate(value):
            return
        new = copy(value)
        spec, status = new["spec"], new["status"]
        why = broken_rule(spec)
        if not why:
            try:
                status["certificate"] = self._sign(spec["request"], spec["usages"], spec.get("expirationSeconds"))
            except ValueError as error:
                why = str(error)
        if why:
            now = self._clock.timestamp()
            status["conditions"].append({
                "type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": why, "lastUpdateTime": now,
                "lastTransitionTime": now,
            })  # fmt: skip
        await self._client.update(self._kind, new, subresource="status")


def waits_for_certificate(value: Object) -> bool:
    status = value.get("status") or {}
    types = {c.get("type") for c in status.get("conditions") or ()}
    return value["spec"].get("signerName") in _USAGES and "Approved" in types and "Failed" not in types and not status.get("certificate")


def broken_rule(spec: Object) -> str:
    """Why this signer does not sign this request; empty: it does."""
    needed, allowed = _USAGES[spec["signerName"]]
    usages = set(spec.get("usages") or ())
    if needed not in usages or not usages <= allowed:
        return f"usages did not match {sorted(allowed)}"
    if spec["signerName"] != "kubernetes.io/kube-apiserver-client" and organizations_of(spec["request"]) != ["system:nodes"]:
        return "subject organization is not system:nodes"
    return ""
