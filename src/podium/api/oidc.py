"""OpenID Connect: tokens of an identity provider outside, checked against the keys that it publishes.

The provider's discovery document and key set are fetched over HTTPS when first needed and kept for `KEYS_FRESH_S`; a key id that is not known makes
them be fetched anew, at most every `REFETCH_PAUSE_S`, which is how a rotation is noticed. Keys that are known stay good while the provider cannot
be reached. A verified token is remembered until it expires (at most `REMEMBERED_MAX`).

Source: kubernetes.io/docs/reference/access-authn-authz/authentication (OpenID Connect Tokens); OpenID Connect Discovery 1.0.
"""

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

from podium.api.request import User
from podium.instrument.log import logger
from podium.objects.status import Unauthorized
from podium.world.http_client import HttpClient
from podium.world.interface import World

log = logger("oidc")

KEYS_FRESH_S = 3600.0
REFETCH_PAUSE_S = 10.0
FETCH_TIMEOUT_S = 10.0
REMEMBERED_MAX = 4096
ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512")

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """One issuer. `groups_claim` may be empty: no groups. `ca_pem` empty: the system's authorities."""

    issuer: str
    audiences: tuple[str, ...]
    username_claim: str = "sub"
    username_prefix: str = ""
    groups_claim: str = ""
    groups_prefix: str = ""
    uid_claim: str = ""
    required_claims: tuple[tuple[str, str], ...] = ()
    discovery_url: str = ""
    ca_pem: str = ""


@dataclass(slots=True)
class _Keys:
    by_id: dict[str, Any] = field(default_factory=dict)
    fetched_s: float = float("-inf")
    tried_s: float = float("-inf")


class Provider:
    def __init__(self, config: ProviderConfig, world: World) -> None:
        self.issuer = config.issuer
        self._config = config
        self._clock = world.clock
        self._keys = _Keys()
        self._fetching = asyncio.Lock()
        self._remembered: dict[str, tuple[User, float]] = {}

    async def verify(self, text: str) -> User:
        """Raises Unauthorized with the reason."""
        now_s = self._clock.now().timestamp()
        if (known := self._remembered.get(text)) is not None and known[1] > now_s:
            return known[0]
        claims = await self._claims(text)
        expires_s: float = claims["exp"]
        if expires_s <= now_s:
            raise Unauthorized("oidc: verify token: oidc: token is expired")
        if claims["nbf"] > now_s + 60:
            raise Unauthorized("oidc: verify token: oidc: current time before the nbf (not before) time")
        user = self._user(claims)
        if len(self._remembered) >= REMEMBERED_MAX:
            self._remembered.clear()
        self._remembered[text] = (user, expires_s)
        return user

    async def _claims(self, text: str) -> Object:
        import jwt

        unchecked = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
        options: Any = {"require": ["exp", "iss", "aud"], **unchecked}
        try:
            header = jwt.get_unverified_header(text)
            key = await self._key(str(header.get("kid", "")))
            audiences = list(self._config.audiences)
            claims: Object = jwt.decode(text, key, algorithms=list(ALGORITHMS), audience=audiences, issuer=self.issuer, options=options)
            return {**claims, "exp": float(claims["exp"]), "nbf": float(claims.get("nbf") or 0)}
        except (jwt.PyJWTError, TypeError, ValueError) as error:
            raise Unauthorized(f"oidc: verify token: {error}") from error

    async def _key(self, key_id: str) -> Any:
        keys, now_s = self._keys, self._clock.monotonic()
        stale = keys.fetched_s + KEYS_FRESH_S < now_s
        if (stale or key_id not in keys.by_id) and keys.tried_s + REFETCH_PAUSE_S < now_s:
            async with self._fetching:
                if keys.tried_s < now_s:
                    await self._refresh()
        found = self._keys.by_id.get(key_id)
        if found is None:
            raise Unauthorized("oidc: verify token: failed to verify signature: the provider has no key of this id")
        return found

    async def _refresh(self) -> None:
        self._keys.tried_s = self._clock.monotonic()
        try:
            where = self._config.discovery_url or self.issuer.rstrip("/") + "/.well-known/openid-configuration"
            document = await self._fetch(where)
            if document.get("issuer") != self.issuer:
                raise ValueError(f"the provider calls itself {document.get('issuer')}")
            self._keys.by_id = _parse_keys(await self._fetch(str(document["jwks_uri"])))
            self._keys.fetched_s = self._keys.tried_s
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.error("the keys of the OIDC provider could not be fetched", issuer=self.issuer, error=str(error))
            if not self._keys.by_id:
                raise Unauthorized("oidc: authenticator not initialized") from error

    async def _fetch(self, url: str) -> Object:
        """Raises OSError, ValueError."""
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise ValueError(f"{url} is not an https URL")
        tls = ssl.create_default_context(cadata=self._config.ca_pem or None)
        client = HttpClient(parts.hostname, parts.port or 443, tls, timeout_s=FETCH_TIMEOUT_S)
        try:
            target = parts.path or "/"
            response = await client.request(
                "GET", f"{target}?{parts.query}" if parts.query else target, headers={"accept": "application/json"}
            )
        finally:
            await client.aclose()
        if response.status != 200:
            raise ValueError(f"{url} answered {response.status}")
        value = orjson.loads(response.body)
        if not isinstance(value, dict):
            raise ValueError(f"{url} is not a JSON object")
        return value

    def _user(self, claims: Object) -> User:
        """Raises Unauthorized when a claim that is needed is missing or of the wrong type."""
        config = self._config
        for claim, wanted in config.required_claims:
            if claim not in claims:
                raise Unauthorized(f"oidc: required claim {claim} not present in ID token")
            if claims[claim] != wanted:
                raise Unauthorized(f"oidc: required claim {claim} value does not match: got = {claims[claim]}, want = {wanted}")
        name = claims.get(config.username_claim)
        if not isinstance(name, str) or not name:
            raise Unauthorized(f'oidc: parse username claims "{config.username_claim}": claim not present')
        if config.username_claim == "email" and claims.get("email_verified", True) is not True:
            raise Unauthorized("oidc: email not verified")
        uid = claims.get(config.uid_claim, "") if config.uid_claim else ""
        groups = (config.groups_prefix + g for g in self._groups(claims))
        return User(config.username_prefix + name, (*groups, "system:authenticated"), str(uid))

    def _groups(self, claims: Object) -> list[str]:
        if not self._config.groups_claim:
            return []
        given = claims.get(self._config.groups_claim, [])
        groups = [given] if isinstance(given, str) else given
        if not isinstance(groups, list) or not all(isinstance(g, str) for g in groups):
            raise Unauthorized(f'oidc: parse groups claim "{self._config.groups_claim}": not a list of strings')
        return groups


def _parse_keys(document: Object) -> dict[str, Any]:
    """Keys for signatures by id; those of a kind that is not known are left out."""
    import jwt

    keys: dict[str, Any] = {}
    for value in document["keys"]:
        if value.get("use", "sig") == "sig":
            try:
                keys[value.get("kid", "")] = jwt.PyJWK(value).key
            except (jwt.PyJWTError, KeyError, ValueError):
                continue
    if not keys:
        raise ValueError("the provider publishes no key that can be used")
    return keys
