"""TokenRequest: a new token for a service account, for some audiences, for some time, optionally bound to a pod, a secret or a node.

Source: k8s.io/kubernetes pkg/registry/core/serviceaccount/storage/token.go, pkg/apis/authentication/validation.
"""

from datetime import timedelta
from typing import Any

from podium.api import node_restriction
from podium.api.authentication import Authenticator
from podium.api.bodies import refusal, take
from podium.api.core import Core
from podium.api.request import ObjectResult, Request
from podium.objects.cause import Cause, invalid
from podium.objects.resources import resource
from podium.objects.status import BadRequest, conflict, not_found

Object = dict[str, Any]
SECONDS_MIN, SECONDS_DEFAULT, SECONDS_MAX = 600, 3600, 1 << 32
_GROUP = "authentication.k8s.io"
_BOUND = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}


async def create_token(core: Core, request: Request, authenticator: Authenticator) -> ObjectResult:
    """Raises Invalid, BadRequest, NotFound, Conflict."""
    account = (await core.fetch(request)).value
    value = take(request, _GROUP, "v1", "TokenRequest")
    if value.setdefault("metadata", {}).setdefault("name", request.name) != request.name:
        raise BadRequest(f"name in URL does not match name in TokenRequest object: {request.name} != {value['metadata']['name']}")
    spec = value.get("spec") or {}
    seconds = spec.get("expirationSeconds") or SECONDS_DEFAULT
    if causes := _check_seconds(seconds):
        raise refusal(_GROUP, "TokenRequest", value, causes)
    node_restriction.check_token(core.authorizer, request, spec)
    now = core.world.clock.now()
    expires = now + timedelta(seconds=seconds)
    audiences = spec.get("audiences") or [authenticator.accounts.issuer]
    own: Object = {"namespace": request.namespace, "serviceaccount": {"name": request.name, "uid": account["metadata"]["uid"]}}
    if bound := spec.get("boundObjectRef"):
        own |= await _bound(core, request, bound)
    issued_s = int(now.timestamp())
    claims = {
        "aud": audiences, "exp": int(expires.timestamp()), "iat": issued_s, "nbf": issued_s, "iss": authenticator.accounts.issuer,
        "sub": f"system:serviceaccount:{request.namespace}:{request.name}", "jti": core.world.uid(), "kubernetes.io": own,
    }  # fmt: skip
    status = {"token": authenticator.accounts.sign(claims), "expirationTimestamp": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}
    metadata = {"name": request.name, "namespace": request.namespace, "creationTimestamp": core.world.clock.timestamp()}
    answer = {
        "kind": "TokenRequest", "apiVersion": f"{_GROUP}/v1", "metadata": metadata,
        "spec": {**spec, "audiences": audiences, "expirationSeconds": seconds}, "status": status,
    }  # fmt: skip
    return ObjectResult(value=answer, status=201)


def _check_seconds(seconds: int) -> list[Cause]:
    if seconds < SECONDS_MIN:
        return [invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")]
    if seconds > SECONDS_MAX:
        return [invalid("spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")]
    return []


async def _bound(core: Core, request: Request, reference: Object) -> Object:
    """The claims that bind the token, by kind."""
    kind = reference.get("kind", "")
    if kind not in _BOUND or reference.get("apiVersion", "v1") != "v1":
        raise BadRequest(f"cannot bind token to object of type {reference.get('apiVersion', '')}, Kind={kind}")
    held = await _held(core, request, _BOUND[kind], reference)
    claims: Object = {kind.lower(): {"name": held["metadata"]["name"], "uid": held["metadata"]["uid"]}}
    if kind != "Pod":
        return claims
    if held["spec"].get("serviceAccountName", "default") != request.name:
        raise BadRequest(f'cannot bind token for serviceaccount "{request.name}" to pod running with different serviceaccount name.')
    if node := held["spec"].get("nodeName"):
        record = await core.store.get(resource("nodes").key(None, node))
        claims["node"] = {"name": node, "uid": record.value["metadata"]["uid"] if record else ""}
    return claims


async def _held(core: Core, request: Request, plural: str, reference: Object) -> Object:
    kind, name = resource(plural), reference.get("name", "")
    record = await core.store.get(kind.key(request.namespace, name))
    if record is None:
        raise not_found("", plural, name)
    uid = record.value["metadata"]["uid"]
    if reference.get("uid") and reference["uid"] != uid:
        why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record ({uid})"
        raise conflict("", plural, name, f"{why}. The object might have been deleted and then recreated")
    return record.value
