"""Who may ask this node for what: decided by the API server, as upstream's kubelet delegates it.

A client shows a certificate of the cluster's authority or a bearer token, which a TokenReview tells the user of; a SubjectAccessReview then says
whether that user may `get` `nodes/metrics`, `nodes/stats` or `nodes/proxy` of this node. Answers are remembered: yes for ALLOWED_S, no for REFUSED_S,
at most ANSWERS_MAX of them (then the oldest go).

Source: kubelet/server/auth.go (GetRequestAttributes), apiserver pkg/authorization/authorizerfactory/delegating.go.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from podium.client.interface import Client
from podium.objects.resources import resource
from podium.objects.status import StatusError
from podium.world.http_messages import HttpRequest
from podium.world.interface import World

ALLOWED_S = 300.0
REFUSED_S = 30.0
REVIEWED_S = 120.0
ANSWERS_MAX = 1024


@dataclass(frozen=True, slots=True)
class Denied(Exception):
    """`status` is 401 or 403, or 500 when the API server could not be asked."""

    status: int
    message: str


@dataclass(frozen=True, slots=True)
class _User:
    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""


class NodeAccess:
    def __init__(self, client: Client, world: World) -> None:
        self._client = client
        self._clock = world.clock
        self._answers: dict[tuple[str, ...], tuple[float, Any]] = {}

    async def check(self, request: HttpRequest, node: str) -> None:
        """Raises Denied."""
        user = await self._user(request)
        subresource = subresource_of(request.path)
        key = ("access", user.name, *user.groups, node, subresource)
        allowed = self._known(key)
        if allowed is None:
            allowed = await self._may(user, node, subresource)
            self._keep(key, allowed, ALLOWED_S if allowed else REFUSED_S)
        if not allowed:
            raise Denied(403, f"Forbidden (user={user.name}, verb=get, resource=nodes, subresource(s)=[{subresource}])\n")

    async def _user(self, request: HttpRequest) -> _User:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return await self._by_token(token.strip())
        if request.peer is not None and request.peer.common_name:
            return _User(request.peer.common_name, (*request.peer.organizations, "system:authenticated"))
        raise Denied(401, "Unauthorized")

    async def _by_token(self, token: str) -> _User:
        key = ("token", hashlib.sha256(token.encode()).hexdigest())
        user = self._known(key)
        if user is None:
            review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {}, "spec": {"token": token}}
            status = (await self._ask("tokenreviews", "authentication.k8s.io", review)).get("status") or {}
            told = status.get("user") or {}
            user = (
                _User(told.get("username", ""), tuple(told.get("groups") or ()), told.get("uid", ""))
                if status.get("authenticated")
                else False
            )
            self._keep(key, user, REVIEWED_S if user else REFUSED_S)
        if not isinstance(user, _User):
            raise Denied(401, "Unauthorized")
        return user

    async def _may(self, user: _User, node: str, subresource: str) -> bool:
        attributes = {"verb": "get", "resource": "nodes", "name": node, "subresource": subresource, "version": "v1"}
        spec = {"user": user.name, "groups": list(user.groups), "uid": user.uid, "resourceAttributes": attributes}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}, "spec": spec}
        answer = await self._ask("subjectaccessreviews", "authorization.k8s.io", review)
        return bool((answer.get("status") or {}).get("allowed"))

    async def _ask(self, plural: str, group: str, review: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._client.create(resource(plural, group), review)
        except (StatusError, OSError) as error:
            raise Denied(500, f"the API server cannot be asked: {error}\n") from error

    def _known(self, key: tuple[str, ...]) -> Any:
        found = self._answers.get(key)
        return found[1] if found is not None and found[0] > self._clock.monotonic() else None

    def _keep(self, key: tuple[str, ...], answer: Any, seconds: float) -> None:
        self._answers.pop(key, None)
        while len(self._answers) >= ANSWERS_MAX:
            del self._answers[next(iter(self._answers))]
        self._answers[key] = (self._clock.monotonic() + seconds, answer)


def subresource_of(path: str) -> str:
    """What of a node a path is about."""
    if path == "/metrics" or path.startswith("/metrics/"):
        return "metrics"
    if path == "/stats" or path.startswith("/stats/"):
        return "stats"
    return "proxy"
