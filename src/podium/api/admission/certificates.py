"""CertificateApproval, CertificateSigning, CertificateSubjectRestriction: who may decide on certificate requests, and what nobody may ask for.

Approving and signing are permissions of their own: the verbs `approve` and `sign` on the resource `signers`, by the signer's full name or by
its domain (`example.com/*`). Who asks is written into the request here, since admission knows the caller.

Source: k8s.io/kubernetes plugin/pkg/admission/certificates, pkg/registry/certificates/certificates/strategy.go (the requester's identity).
"""

from podium.api.admission.plugin import forbidden
from podium.api.attributes import Attributes
from podium.api.core import Core, Object
from podium.api.request import Request
from podium.objects.certificate_requests import organizations_of

CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
_GROUP = "certificates.k8s.io"


async def set_requester(core: Core, request: Request, new: Object, old: Object | None) -> None:
    """Whatever the request says about its author is replaced by who sends it."""
    spec, user = new["spec"], request.user
    for name in ("username", "uid", "groups", "extra"):
        spec.pop(name, None)
    spec["username"], spec["groups"] = user.name, list(user.groups)
    if user.uid:
        spec["uid"] = user.uid
    if extra := getattr(user, "extra", None):
        spec["extra"] = {key: list(values) for key, values in dict(extra).items()}


async def check_approval(core: Core, request: Request, new: Object | None, old: Object | None) -> None:
    assert old is not None
    signer = old["spec"]["signerName"]
    if not _may(core, request, "approve", signer):
        raise forbidden(request, f'user not permitted to approve requests with signerName "{signer}"')


async def check_signing(core: Core, request: Request, new: Object | None, old: Object | None) -> None:
    """Only a certificate, or a word on why there is none, is the signer's alone."""
    assert new is not None and old is not None
    status, before = new.get("status") or {}, old.get("status") or {}
    if status.get("certificate") == before.get("certificate") and status.get("conditions") == before.get("conditions"):
        return
    signer = old["spec"]["signerName"]
    if not _may(core, request, "sign", signer):
        raise forbidden(request, f'user not permitted to sign requests with signerName "{signer}"')


def _may(core: Core, request: Request, verb: str, signer: str) -> bool:
    wide = signer.partition("/")[0] + "/*"
    return any(core.authorizer.allows(Attributes(request.user, verb, _GROUP, "signers", name=name)) for name in (signer, wide))


async def check_subject(core: Core, request: Request, new: Object | None, old: Object | None) -> None:
    """Nobody becomes an administrator by a certificate."""
    assert new is not None
    spec = new["spec"]
    if spec.get("signerName") == CLIENT_SIGNER and "system:masters" in organizations_of(spec.get("request") or ""):
        raise forbidden(request, f"use of {CLIENT_SIGNER} signer with system:masters group is not allowed")
