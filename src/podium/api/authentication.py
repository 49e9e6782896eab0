"""Who asks: a verified client certificate, or a bearer token.

A token is asked of each kind in turn: the static file, the service accounts (by issuer), then the OIDC providers (by issuer). On the wire every
failure is a bare 401; a TokenReview is told the reason.

Source: kubernetes.io/docs/reference/access-authn-authz/authentication; k8s.io/apiserver pkg/authentication.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from podium.api.account_tokens import ISSUER, AccountTokens
from podium.api.core import Core
from podium.api.request import User
from podium.objects.status import Unauthorized
from podium.world.http_server import Peer

if TYPE_CHECKING:
    from podium.api.oidc import Provider
    from podium.api.static_tokens import StaticTokens

REMEMBERED_MAX = 4096
TOKEN_BYTES_MAX = 16 * 1024
_AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose token it is, and which of the audiences asked for it is meant for."""

    user: User
    audiences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """Identities from outside the cluster (authentication_config.py reads them)."""

    static: "StaticTokens | None" = None
    providers: Sequence["Provider"] = field(default=())


class Authenticator:
    """Certificates are verified by TLS before they come here."""

    def __init__(self, core: Core, signing_key: bytes, sources: Sources | None = None, issuer: str = ISSUER) -> None:
        self.accounts = AccountTokens(core, signing_key, issuer)
        self._sources = sources or Sources()
        self._users: dict[Peer, User] = {}

    def by_certificate(self, peer: Peer) -> User:
        user = self._users.get(peer)
        if user is None:
            if len(self._users) >= REMEMBERED_MAX:
                self._users.clear()
            user = self._users[peer] = User(peer.common_name, (*peer.organizations, _AUTHENTICATED))
        return user

    async def by_token(self, header: str) -> User:
        """Raises Unauthorized, without a reason."""
        scheme, _, text = header.partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise Unauthorized("Unauthorized")
        try:
            return (await self.holder(text.strip())).user
        except Unauthorized as error:
            raise Unauthorized("Unauthorized") from error

    async def holder(self, text: str, audiences: Sequence[str] = ()) -> Holder:
        """`audiences`: who asks on whose behalf; empty for this API server. Raises Unauthorized with the reason."""
        own = self.accounts.issuer
        wanted = tuple(audiences) or (own,)
        if len(text) > TOKEN_BYTES_MAX:
            raise Unauthorized("invalid bearer token")
        static, providers = self._sources.static, self._sources.providers
        if static is not None and (user := static.find(text)) is not None:
            return Holder(user, _meant((own,), wanted))
        issuer = own if self.accounts.remembers(text) else _issuer(text)
        if issuer == own:
            token = await self.accounts.verify(text)
            return Holder(token.user, _meant(token.audiences, wanted))
        for provider in providers:
            if provider.issuer == issuer:
                return Holder(await provider.verify(text), _meant((own,), wanted))
        raise Unauthorized("invalid bearer token")


def _meant(given: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    common = tuple(a for a in wanted if a in given)
    if not common:
        show = [" ".join(f'"{a}"' for a in some) for some in (given, wanted)]
        raise Unauthorized(f"token audiences [{show[0]}] is invalid for the target audiences [{show[1]}]")
    return common


def _issuer(text: str) -> Any:
    """Who a token says it is from: nothing is believed yet."""
    import jwt

    try:
        return jwt.decode(text, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError):
        return None
