"""Who asks: a verified client certificate, or a bearer token of a service account.

Tokens are ES256 JWTs with upstream's claims (iss, sub, aud, exp, kubernetes.io/...). A token is verified once and then remembered until it expires
(at most `REMEMBERED_MAX`), but the objects it is bound to (service account, pod) are looked up every time, so a deleted pod's token ends with it.

Source: kubernetes.io/docs/reference/access-authn-authz/authentication, KEP-1205.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from podium.api.core import Core
from podium.api.request import ANONYMOUS, User
from podium.objects.resources import resource
from podium.objects.status import BadRequest, Unauthorized
from podium.world.http_server import Peer

ISSUER = "https://kubernetes.default.svc.cluster.local"
REMEMBERED_MAX = 4096
TOKEN_BYTES_MAX = 16 * 1024
_AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True, slots=True)
class _Token:
    namespace: str
    name: str
    uid: str
    expires_s: float
    bound: tuple[str, str, str] | None  # (plural, name, uid) of the object it lives with


def impersonated(headers: Mapping[str, str]) -> User | None:
    """Whom the Impersonate-* headers (kubectl --as, --as-group) name; None without them. Raises BadRequest.

    Repeated headers arrive joined by ", ". Source: k8s.io/apiserver endpoints/filters/impersonation.go.
    """
    name = headers.get("impersonate-user", "")
    if not name:
        if "impersonate-group" in headers or "impersonate-uid" in headers:
            raise BadRequest("requested to impersonate groups or a uid without impersonating a user")
        return None
    if any(header.startswith("impersonate-extra-") for header in headers):
        raise BadRequest("Podium does not impersonate extra fields of users yet: leave out the Impersonate-Extra headers")
    groups = [g for g in headers.get("impersonate-group", "").split(", ") if g]
    if not groups and name.startswith("system:serviceaccount:"):
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{name.split(':')[2]}"]
    if name != ANONYMOUS.name and _AUTHENTICATED not in groups:
        groups.append(_AUTHENTICATED)
    return User(name, tuple(groups), headers.get("impersonate-uid", ""))


class Authenticator:
    """Certificates are verified by TLS before they come here. `signing_key` is the PEM of the service accounts' private key."""

    def __init__(self, core: Core, signing_key: bytes) -> None:
        self._core = core
        self._signing_key_pem = signing_key
        self._keys: tuple[Any, Any] | None = None
        self._remembered: dict[str, _Token] = {}
        self._users: dict[Peer, User] = {}

    def by_certificate(self, peer: Peer) -> User:
        user = self._users.get(peer)
        if user is None:
            if len(self._users) >= REMEMBERED_MAX:
                self._users.clear()
            user = self._users[peer] = User(peer.common_name, (*peer.organizations, _AUTHENTICATED))
        return user

    async def by_token(self, header: str) -> User:
        """Raises Unauthorized."""
        scheme, _, text = header.partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise Unauthorized("Unauthorized")
        token = self._remembered.get(text)
        now_s = self._core.world.clock.now().timestamp()
        if token is None:
            token = self._verify(text)
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[text] = token
        if token.expires_s <= now_s or not await self._alive(token):
            self._remembered.pop(text, None)
            raise Unauthorized("Unauthorized")
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{token.namespace}", _AUTHENTICATED)
        return User(f"system:serviceaccount:{token.namespace}:{token.name}", groups, token.uid)

    async def _alive(self, token: _Token) -> bool:
        account = await self._core.store.get(resource("serviceaccounts").key(token.namespace, token.name))
        if account is None or account.value["metadata"]["uid"] != token.uid:
            return False
        if token.bound is None:
            return True
        plural, name, uid = token.bound
        holder = await self._core.store.get(resource(plural).key(token.namespace, name))
        return holder is not None and holder.value["metadata"]["uid"] == uid

    def _verify(self, text: str) -> _Token:
        import jwt

        if len(text) > TOKEN_BYTES_MAX:
            raise Unauthorized("Unauthorized")
        try:
            claims = jwt.decode(
                text, self._key_pair()[1], algorithms=["ES256"], audience=ISSUER, issuer=ISSUER,
                options={"require": ["exp", "sub", "iss", "aud"], "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )  # fmt: skip
            own = claims["kubernetes.io"]
            account = own["serviceaccount"]
            bound = next(
                ((plural, own[kind]["name"], own[kind]["uid"]) for kind, plural in (("pod", "pods"), ("secret", "secrets")) if kind in own),
                None,
            )
            return _Token(own["namespace"], account["name"], account["uid"], float(claims["exp"]), bound)
        except (jwt.PyJWTError, KeyError, TypeError, ValueError) as error:
            raise Unauthorized("Unauthorized") from error

    def sign(self, claims: dict[str, Any]) -> str:
        import jwt

        return jwt.encode(claims, self._key_pair()[0], algorithm="ES256")

    def _key_pair(self) -> tuple[Any, Any]:
        if self._keys is None:
            from cryptography.hazmat.primitives.serialization import load_pem_private_key

            private = load_pem_private_key(self._signing_key_pem, None)
            self._keys = (private, private.public_key())
        return self._keys
