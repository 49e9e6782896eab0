"""Identities from outside through the configuration folder, and what in it is refused; service account keys for others."""

from pathlib import Path

import jwt
import pytest

from podium.api import authentication_config
from podium.api.authentication import Authenticator, Sources
from podium.api.bootstrap import bootstrap
from podium.api.request import User
from podium.client.in_process import InProcessClient
from podium.control_plane import SCHEDULER, ControlPlane
from podium.objects.resources import resource
from podium.objects.status import Unauthorized
from podium.world.real import RealWorld

CONFIG = """
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: https://issuer.example, audiences: [podium]}
  claimMappings:
    username: {claim: email, prefix: "x:"}
    groups: {claim: groups, prefix: ""}
  claimValidationRules: [{claim: hd, requiredValue: example.com}]
"""


def test_an_empty_folder_is_no_source(tmp_path: Path) -> None:
    assert authentication_config.load(tmp_path / "absent", RealWorld()) == Sources(None, ())


def test_a_configuration_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    (provider,) = authentication_config.load(tmp_path, RealWorld()).providers
    config = provider._config
    assert (config.issuer, config.audiences, config.username_claim, config.username_prefix) == (
        "https://issuer.example",
        ("podium",),
        "email",
        "x:",
    )
    assert (config.groups_claim, config.groups_prefix, config.required_claims) == ("groups", "", (("hd", "example.com"),))


BAD = [
    ("kind: AuthenticationConfiguration", "kind: Other", "must be an AuthenticationConfiguration"),
    ("jwt:", "anonymous: {enabled: true}\njwt:", "anonymous"),
    ("jwt:", "jwks: []\njwt:", "jwks: Podium does not support this"),
    ("https://issuer", "http://issuer", "must be an https URL"),
    ("audiences: [podium]", "audiences: []", "at least one is required"),
    ('{claim: email, prefix: "x:"}', "{claim: email}", "claim and prefix are required"),
    ('{claim: email, prefix: "x:"}', '{expression: "claims.sub"}', "username.expression: Podium does not support this"),
    ('{claim: groups, prefix: ""}', "{claim: groups}", "groups: prefix is required"),
    ("claimValidationRules: [{claim: hd, requiredValue: example.com}]", 'claimValidationRules: [{expression: "true"}]', "expression"),
    ("jwt:", "jwt: [", "config.yaml"),
]


@pytest.mark.parametrize(("old", "new", "text"), BAD)
def test_what_is_not_supported_is_refused_by_name(tmp_path: Path, old: str, new: str, text: str) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.replace(old, new))
    with pytest.raises(ValueError, match=text):
        authentication_config.load(tmp_path, RealWorld())


async def test_a_static_token_is_its_user(plane: ControlPlane, tmp_path: Path) -> None:
    (tmp_path / "tokens.csv").write_text('# a comment\ns3cret,jane,u1,"dev, ops"\nother,bob,u2\n')
    sources = authentication_config.load(tmp_path, RealWorld())
    authenticator = Authenticator(plane.server.core, b"", sources)
    assert await authenticator.by_token("Bearer s3cret") == User("jane", ("dev", "ops", "system:authenticated"), "u1")
    assert await authenticator.by_token("bearer other") == User("bob", ("system:authenticated",), "u2")
    for header in ("Bearer s3cre", "Bearer ", "Basic s3cret", "Bearer # a comment"):
        with pytest.raises(Unauthorized, match=r"^Unauthorized$"):
            await authenticator.by_token(header)


@pytest.mark.parametrize("line", ["only,two", ",name,uid", "t,,uid", "same,a,1\nsame,b,2"])
def test_a_bad_token_file_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "tokens.csv").write_text(line)
    with pytest.raises(ValueError, match=r"tokens.csv, line \d"):
        authentication_config.load(tmp_path, RealWorld())


async def test_others_can_verify_our_tokens_by_the_published_keys(plane: ControlPlane, client: InProcessClient) -> None:
    request = {"spec": {"audiences": ["vault"]}}
    token = (await client.create(resource("serviceaccounts"), request, "default", subresource="token", name="default"))["status"]["token"]
    accounts = plane.server.authenticator.accounts
    (key,) = accounts.jwks()["keys"]
    assert jwt.get_unverified_header(token)["kid"] == key["kid"]
    claims = jwt.decode(token, jwt.PyJWK(key).key, algorithms=["ES256"], audience="vault", issuer=accounts.discovery()["issuer"])
    assert claims["sub"] == "system:serviceaccount:default:default"


async def test_the_authority_of_client_certificates_is_published(plane: ControlPlane, client: InProcessClient) -> None:
    core, name = plane.server.core, "extension-apiserver-authentication"
    await bootstrap(core, "10.96.0.0/24", None, "old")
    revision = core.store.revision
    await bootstrap(core, "10.96.0.0/24", None, "old")
    assert core.store.revision == revision
    await client.patch(resource("configmaps"), name, {"data": {"requestheader-client-ca-file": "other"}}, "kube-system")
    await bootstrap(core, "10.96.0.0/24", None, "new")
    reader = plane.client(SCHEDULER)
    assert (await reader.get(resource("configmaps"), name, "kube-system"))["data"] == {
        "client-ca-file": "new",
        "requestheader-client-ca-file": "other",
    }
