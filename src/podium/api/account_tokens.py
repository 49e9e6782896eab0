"""Service account tokens: signed, verified, and alive only as long as what they are bound to.

Tokens are ES256 JWTs with upstream's claims. A signature is verified once and remembered until the token expires (at most `REMEMBERED_MAX`
tokens); the service account, and the pod, secret or node that a token is bound to, are looked up at every use.

Source: KEP-1205, KEP-4193; k8s.io/kubernetes pkg/serviceaccount (claims.go, jwt.go, openidmetadata.go).
"""

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from podium.api.core import Core
from podium.api.impersonation import account_groups
from podium.api.request import User
from podium.objects.resources import resource
from podium.objects.status import Unauthorized

ISSUER = "https://kubernetes.default.svc.cluster.local"
JWKS_PATH, DISCOVERY_PATH = "/openid/v1/jwks", "/.well-known/openid-configuration"
REMEMBERED_MAX = 4096
DELETED_GRACE_S = 60
"""How long a token outlives the moment when what it is bound to should have gone."""
_BOUND = (("pod", "pods"), ("secret", "secrets"), ("node", "nodes"))
_CLAIM = "authentication.kubernetes.io/"

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class AccountToken:
    user: User
    namespace: str
    account: str
    audiences: tuple[str, ...]
    not_before_s: float
    expires_s: float
    bound: tuple[str, str, str] | None  # (plural, name, uid) of the object it lives with


class AccountTokens:
    def __init__(self, core: Core, signing_key: bytes, issuer: str = ISSUER) -> None:
        """`signing_key`: PEM of the service accounts' private key. `issuer` is also who the tokens are for, unless they say otherwise."""
        self.issuer = issuer
        self._core = core
        self._signing_key_pem = signing_key
        self._keys: tuple[Any, Any, str] | None = None
        self._remembered: dict[str, AccountToken] = {}

    def remembers(self, text: str) -> bool:
        return text in self._remembered

    async def verify(self, text: str) -> AccountToken:
        """Raises Unauthorized with the reason."""
        token = self._remembered.get(text)
        if token is None:
            token = self._decode(text)
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[text] = token
        now_s = self._core.world.clock.now().timestamp()
        if token.expires_s <= now_s:
            self._remembered.pop(text, None)
            raise Unauthorized("service account token has expired")
        if token.not_before_s > now_s + 1:
            raise Unauthorized("service account token is not valid yet")
        await self._check_alive(token, now_s)
        return token

    async def _check_alive(self, token: AccountToken, now_s: float) -> None:
        accounts = resource("serviceaccounts")
        await self._check_object(accounts.key(token.namespace, token.account), token.user.uid, "service account", now_s)
        if token.bound is not None:
            plural, name, uid = token.bound
            await self._check_object(resource(plural).key(token.namespace, name), uid, f"{plural[:-1]} it is bound to", now_s)

    async def _check_object(self, key: str, uid: str, what: str, now_s: float) -> None:
        record = await self._core.store.get(key)
        if record is None or record.value["metadata"]["uid"] != uid:
            raise Unauthorized(f"service account token has been invalidated: the {what} is gone")
        deleted = record.value["metadata"].get("deletionTimestamp")
        if deleted and datetime.fromisoformat(deleted).timestamp() + DELETED_GRACE_S < now_s:
            raise Unauthorized(f"service account token has been invalidated: the {what} is deleted")

    def _decode(self, text: str) -> AccountToken:
        import jwt

        unchecked = {"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
        options: Any = {"require": ["exp", "sub", "iss", "aud"], **unchecked}
        try:
            claims = jwt.decode(text, self._key_pair()[1], algorithms=["ES256"], issuer=self.issuer, options=options)
            return _token_of(claims)
        except (jwt.PyJWTError, KeyError, TypeError, ValueError) as error:
            raise Unauthorized("invalid bearer token") from error

    def sign(self, claims: Object) -> str:
        import jwt

        private, _, key_id = self._key_pair()
        return jwt.encode(claims, private, algorithm="ES256", headers={"kid": key_id})

    def jwks(self) -> Object:
        """The public key, for others that verify tokens."""
        from jwt.algorithms import ECAlgorithm

        _, public, key_id = self._key_pair()
        key = ECAlgorithm.to_jwk(public, as_dict=True)
        return {"keys": [{"use": "sig", "kty": key["kty"], "kid": key_id, "crv": key["crv"], "alg": "ES256", "x": key["x"], "y": key["y"]}]}

    def discovery(self) -> Object:
        return {
            "issuer": self.issuer,
            "jwks_uri": self.issuer.rstrip("/") + JWKS_PATH,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }

    def _key_pair(self) -> tuple[Any, Any, str]:
        if self._keys is None:
            from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

            private: Any = load_pem_private_key(self._signing_key_pem, None)
            public = private.public_key()
            digest = hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
            self._keys = (private, public, base64.urlsafe_b64encode(digest).rstrip(b"=").decode())
        return self._keys


def _token_of(claims: Object) -> AccountToken:
    """Raises KeyError, TypeError or ValueError for claims that are not ours."""
    own = claims["kubernetes.io"]
    namespace, account, uid = own["namespace"], own["serviceaccount"]["name"], own["serviceaccount"]["uid"]
    name = f"system:serviceaccount:{namespace}:{account}"
    if claims["sub"] != name:
        raise ValueError("the subject is not the service account")
    bound = next(((plural, own[kind]["name"], own[kind]["uid"]) for kind, plural in _BOUND if kind in own), None)
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    extra: list[tuple[str, tuple[str, ...]]] = []
    if jti := claims.get("jti"):
        extra.append((_CLAIM + "credential-id", (f"JTI={jti}",)))
    for kind in ("node", "pod"):
        if held := own.get(kind):
            extra += [(f"{_CLAIM}{kind}-name", (held["name"],)), (f"{_CLAIM}{kind}-uid", (held.get("uid", ""),))]
    user = User(name, (*account_groups(namespace), "system:authenticated"), uid, tuple(extra))
    not_before_s = float(claims.get("nbf") or claims.get("iat") or 0)
    return AccountToken(user, namespace, account, tuple(audiences), not_before_s, float(claims["exp"]), bound)
