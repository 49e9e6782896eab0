"""What the certification suite asks of service accounts and of access reviews, over TLS."""

from collections.abc import Mapping
from typing import Any

import jwt
import orjson
import pytest

from podium.client.interface import DeleteOptions
from podium.objects.resources import resource
from tests.api.objects import grant
from tests.api.test_server import Live, live

__all__ = ["live"]
ACCOUNTS = resource("serviceaccounts")
AUTHORIZATION = "authorization.k8s.io"

Object = dict[str, Any]


async def token_of(live: Live, name: str, **spec: Any) -> str:
    answer = await live.admin.create(ACCOUNTS, {"spec": spec}, "default", subresource="token", name=name)
    return str(answer["status"]["token"])


@pytest.mark.conformance("[sig-auth] SubjectReview should support SubjectReview API operations [Conformance]")
@pytest.mark.parametrize("bound", [False, True])
async def test_access_reviews_match_what_the_impersonated_account_may(live: Live, bound: bool) -> None:
    await live.admin.create(ACCOUNTS, {"metadata": {"name": "e2e", "namespace": "default"}})
    if bound:
        await grant(live.admin, "view", "ServiceAccount", "e2e", namespace="default")
    user = "system:serviceaccount:default:e2e"
    spec = {"resourceAttributes": {"verb": "list", "resource": "configmaps", "namespace": "default", "version": "v1"}, "user": user}
    review = await live.admin.create(resource("subjectaccessreviews", AUTHORIZATION), {"spec": spec})
    local = await live.admin.create(resource("localsubjectaccessreviews", AUTHORIZATION), {"spec": spec}, "default")
    asked = await live.ask("GET", "/api/v1/namespaces/default/configmaps", impersonate_user=user)
    assert review["status"]["allowed"] is local["status"]["allowed"] is (asked.status == 200) is bound


@pytest.mark.conformance("[sig-auth] ServiceAccounts should create a serviceAccountToken and ensure a successful TokenReview [Conformance]")
async def test_a_new_token_is_reviewed_as_authentic(live: Live) -> None:
    await live.admin.create(ACCOUNTS, {"metadata": {"name": "e2e", "namespace": "default"}})
    token = await token_of(live, "e2e")
    assert token
    status = (await live.admin.create(resource("tokenreviews", "authentication.k8s.io"), {"spec": {"token": token}}))["status"]
    assert status["authenticated"] is True and "error" not in status


@pytest.mark.conformance(
    "[sig-auth] ServiceAccounts ServiceAccountIssuerDiscovery should support OIDC discovery of service account issuer [Conformance]"
)
async def test_a_pod_can_verify_its_token_by_discovery(live: Live) -> None:
    token = await token_of(live, "default", audiences=["oidc-discovery-test"])
    access = await token_of(live, "default")

    async def fetch(path: str) -> Mapping[str, Any]:
        response = await live.raw.request("GET", path, b"", {"authorization": f"Bearer {access}"})
        assert response.status == 200, response.body
        return dict(orjson.loads(response.body))

    document = await fetch("/.well-known/openid-configuration")
    keys = {k["kid"]: k for k in (await fetch(document["jwks_uri"].removeprefix(document["issuer"])))["keys"]}
    key = jwt.PyJWK(keys[jwt.get_unverified_header(token)["kid"]])
    claims = jwt.decode(token, key.key, algorithms=document["id_token_signing_alg_values_supported"], audience="oidc-discovery-test")
    assert claims["iss"] == document["issuer"]
    assert claims["kubernetes.io"]["serviceaccount"]["name"] == "default"


@pytest.mark.conformance("[sig-auth] ServiceAccounts should update a ServiceAccount [Conformance]")
@pytest.mark.conformance("[sig-auth] ServiceAccounts should run through the lifecycle of a ServiceAccount [Conformance]")
async def test_the_life_of_a_service_account(live: Live) -> None:
    value = {"metadata": {"name": "e2e", "namespace": "default", "labels": {"static": "true"}}}
    created = await live.admin.create(ACCOUNTS, value)
    events = live.admin.watch(ACCOUNTS, "default", revision=str(int(created["metadata"]["resourceVersion"]) - 1), labels="static=true")
    assert (first := await anext(events)).type == "ADDED" and first.object["metadata"]["name"] == "e2e"
    patched = await live.admin.patch(ACCOUNTS, "e2e", {"automountServiceAccountToken": False}, "default")
    listed = (await live.admin.list(ACCOUNTS, labels="static=true")).items
    assert [a["automountServiceAccountToken"] for a in listed] == [False]
    updated = await live.admin.update(ACCOUNTS, {**patched, "automountServiceAccountToken": True})
    assert updated["automountServiceAccountToken"] is True
    await live.admin.delete(ACCOUNTS, "e2e", "default", DeleteOptions())
    kinds = [(await anext(events)).type for _ in range(3)]
    assert kinds == ["MODIFIED", "MODIFIED", "DELETED"]
    await events.aclose()


PATHS = [
    ("/healthz", None, 200), ("/livez", None, 200), ("/readyz", None, 200), ("/version", None, 401), ("/api", None, 401), ("/metrics", None, 401),
    ("/api/v1/pods", None, 401), ("/version", "default", 200), ("/apis", "default", 200), ("/openapi/v2", "default", 200),
    ("/metrics", "default", 403),
    ("/nowhere", "default", 403), ("/openid/v1/jwks", "default", 200), ("/api/v1/nodes", "default", 403),
]  # fmt: skip


@pytest.mark.parametrize(("path", "account", "status"), PATHS)
async def test_who_reaches_what(live: Live, path: str, account: str | None, status: int) -> None:
    headers = {"authorization": f"Bearer {await token_of(live, account)}"} if account else {}
    assert (await live.raw.request("GET", path, b"", headers)).status == status
