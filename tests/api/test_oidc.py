"""OIDC against an issuer on loopback, over TLS: keys are discovered, kept and rotated; claims become a user; everything else is a 401."""

import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from podium.api import oidc
from podium.api.authority import Authority
from podium.api.oidc import Provider, ProviderConfig
from podium.api.request import User
from podium.objects.status import Unauthorized
from podium.world.http_server import Connection, HttpRequest, HttpServer, Response
from podium.world.real import RealWorld

Object = dict[str, Any]


@dataclass
class Issuer:
    """A small identity provider. `keys` are what it publishes; `fetches` counts how often it was asked for them."""

    url: str = ""
    keys: dict[str, Any] = field(default_factory=dict)
    fetches: int = 0
    down: bool = False

    def rotate(self, key_id: str, key: Any) -> None:
        self.keys = {key_id: key}

    async def handle(self, http: HttpRequest, connection: Connection) -> Response | None:
        if self.down:
            return Response(503, b"")
        if http.path == "/.well-known/openid-configuration":
            return Response(200, orjson.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/keys"}))
        self.fetches += 1
        published = []
        for key_id, key in self.keys.items():
            algorithm = ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else RSAAlgorithm
            published.append({**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "use": "sig"})
        return Response(200, orjson.dumps({"keys": published}))

    def token(self, key_id: str = "k1", **claims: Any) -> str:
        key = self.keys[key_id]
        algorithm = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256"
        now_s = int(RealWorld().clock.now().timestamp())
        value = {"iss": self.url, "aud": "podium", "sub": "jane", "exp": now_s + 300, **claims}
        return jwt.encode({k: v for k, v in value.items() if v is not None}, key, algorithm=algorithm, headers={"kid": key_id})


@pytest.fixture
async def issuer(authority: Authority) -> AsyncIterator[Issuer]:
    issuer = Issuer(keys={"k1": rsa.generate_private_key(65537, 2048)})
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue_files("issuer", "issuer", hosts=["127.0.0.1"]))
    server = HttpServer(issuer.handle, tls)
    issuer.url = f"https://127.0.0.1:{await server.listen('127.0.0.1', 0)}"
    yield issuer
    await server.close()


@pytest.fixture
def config(issuer: Issuer, authority: Authority) -> ProviderConfig:
    return ProviderConfig(
        issuer.url,
        ("podium", "other"),
        username_prefix="oidc:",
        groups_claim="groups",
        groups_prefix="oidc:",
        ca_pem=authority.ca_pem.decode(),
    )


USERS: list[tuple[Object, Object, User]] = [
    ({}, {}, User("oidc:jane", ("system:authenticated",))),
    ({"groups": ["dev", "ops"]}, {}, User("oidc:jane", ("oidc:dev", "oidc:ops", "system:authenticated"))),
    ({"groups": "dev"}, {}, User("oidc:jane", ("oidc:dev", "system:authenticated"))),
    ({"aud": ["other", "x"]}, {}, User("oidc:jane", ("system:authenticated",))),
    ({"email": "j@x.y", "email_verified": True}, {"username_claim": "email", "username_prefix": ""}, User("j@x.y", ("system:authenticated",))),
    ({"oid": "7"}, {"uid_claim": "oid"}, User("oidc:jane", ("system:authenticated",), "7")),
    ({"tier": "gold"}, {"required_claims": (("tier", "gold"),)}, User("oidc:jane", ("system:authenticated",))),
]  # fmt: skip


@pytest.mark.parametrize(("claims", "settings", "user"), USERS)
async def test_claims_become_a_user(issuer: Issuer, config: ProviderConfig, claims: Object, settings: Object, user: User) -> None:
    provider = Provider(replace(config, **settings), RealWorld())
    assert await provider.verify(issuer.token(**claims)) == user


REFUSED: list[tuple[Object, Object, str]] = [
    ({"aud": "somebody"}, {}, "verify token"),
    ({"aud": None}, {}, "verify token"),
    ({"exp": 1}, {}, "token is expired"),
    ({"exp": None}, {}, "verify token"),
    ({"exp": "soon"}, {}, "verify token"),
    ({"nbf": 1 << 40}, {}, "not before"),
    ({"iss": "https://elsewhere"}, {}, "verify token"),
    ({"sub": None}, {}, "claim not present"),
    ({"groups": [1]}, {}, "not a list of strings"),
    ({"email": "j@x.y", "email_verified": False}, {"username_claim": "email"}, "email not verified"),
    ({}, {"required_claims": (("tier", "gold"),)}, "required claim tier not present"),
    ({"tier": "tin"}, {"required_claims": (("tier", "gold"),)}, "value does not match"),
    ({}, {"ca_pem": ""}, "not initialized"),
]  # fmt: skip


@pytest.mark.parametrize(("claims", "settings", "text"), REFUSED)
async def test_a_token_is_refused(issuer: Issuer, config: ProviderConfig, claims: Object, settings: Object, text: str) -> None:
    with pytest.raises(Unauthorized, match=text):
        await Provider(replace(config, **settings), RealWorld()).verify(issuer.token(**claims))


FORGED: list[Callable[[Issuer], str]] = [
    lambda issuer: issuer.token()[:-4] + "AAAA",
    lambda issuer: jwt.encode(
        {"iss": issuer.url, "aud": "podium", "sub": "x", "exp": 1 << 40}, "k" * 32, algorithm="HS256", headers={"kid": "k1"}
    ),
    lambda issuer: jwt.encode(
        {"iss": issuer.url, "aud": "podium", "sub": "x", "exp": 1 << 40}, None, algorithm="none", headers={"kid": "k1"}
    ),
    lambda issuer: Issuer(issuer.url, {"k1": rsa.generate_private_key(65537, 2048)}).token(),
    lambda issuer: Issuer(issuer.url, {"k1": ec.generate_private_key(ec.SECP256R1())}).token(),
    lambda issuer: "a.b.c",
]


@pytest.mark.parametrize("forge", FORGED, ids=["signature", "symmetric", "none", "other key", "other kind of key", "rubbish"])
async def test_a_forged_token_is_refused(issuer: Issuer, config: ProviderConfig, forge: Callable[[Issuer], str]) -> None:
    with pytest.raises(Unauthorized):
        await Provider(config, RealWorld()).verify(forge(issuer))


async def test_keys_are_kept_and_follow_a_rotation(issuer: Issuer, config: ProviderConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc, "REFETCH_PAUSE_S", 0.0)
    provider = Provider(config, RealWorld())
    for number in range(3):
        await provider.verify(issuer.token(jti=str(number)))
    assert issuer.fetches == 1
    issuer.rotate("k2", ec.generate_private_key(ec.SECP256R1()))
    assert (await provider.verify(issuer.token("k2"))).name == "oidc:jane"
    assert issuer.fetches == 2


async def test_an_unknown_key_does_not_make_us_ask_again_and_again(issuer: Issuer, config: ProviderConfig) -> None:
    provider = Provider(config, RealWorld())
    await provider.verify(issuer.token())
    stranger = Issuer(issuer.url, {"k9": rsa.generate_private_key(65537, 2048)})
    for number in range(5):
        with pytest.raises(Unauthorized):
            await provider.verify(stranger.token("k9", jti=str(number)))
    assert issuer.fetches == 1


async def test_known_keys_stay_good_while_the_issuer_is_down(
    issuer: Issuer, config: ProviderConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "REFETCH_PAUSE_S", 0.0)
    monkeypatch.setattr(oidc, "KEYS_FRESH_S", 0.0)
    provider = Provider(config, RealWorld())
    await provider.verify(issuer.token())
    issuer.down = True
    assert (await provider.verify(issuer.token(jti="2"))).name == "oidc:jane"
