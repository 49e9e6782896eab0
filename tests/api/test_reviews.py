"""Reviews: asked over the request path, answered with upstream's words, stored nowhere."""

from typing import Any

import pytest

from podium.api.request import User
from podium.client.in_process import InProcessClient
from podium.control_plane import ControlPlane
from podium.objects.resources import Resource, resource
from podium.objects.status import BadRequest, Forbidden, Invalid
from tests.api.objects import grant, pod

AUTHORIZATION, AUTHENTICATION = "authorization.k8s.io", "authentication.k8s.io"
SUBJECT = resource("subjectaccessreviews", AUTHORIZATION)
LOCAL = resource("localsubjectaccessreviews", AUTHORIZATION)
SELF = resource("selfsubjectaccessreviews", AUTHORIZATION)
RULES = resource("selfsubjectrulesreviews", AUTHORIZATION)
WHO = resource("selfsubjectreviews", AUTHENTICATION)
TOKEN = resource("tokenreviews", AUTHENTICATION)
JANE = User("jane", ("dev", "system:authenticated"))

Object = dict[str, Any]


def about(verb: str, plural: str, namespace: str = "default", **more: str) -> Object:
    return {"resourceAttributes": {"verb": verb, "resource": plural, "namespace": namespace, **more}}


@pytest.mark.parametrize(
    ("question", "status"),
    [
        (
            about("get", "pods"),
            {"allowed": True, "reason": 'RBAC: allowed by RoleBinding "view-jane/default" of ClusterRole "view" to User "jane"'},
        ),
        (about("get", "pods", subresource="log"), {"allowed": True}),
        (about("get", "secrets"), {"allowed": False}),
        (about("get", "pods", "kube-system"), {"allowed": False}),
        (about("get", "pods", ""), {"allowed": False}),
        (about("*", "*", ""), {"allowed": False}),
        ({"nonResourceAttributes": {"verb": "get", "path": "/api"}}, {"allowed": True}),
        ({"nonResourceAttributes": {"verb": "get", "path": "/metrics"}}, {"allowed": False}),
    ],
)
async def test_access_is_told(plane: ControlPlane, client: InProcessClient, question: Object, status: Object) -> None:
    await grant(client, "view", "User", "jane", namespace="default")
    other = await client.create(SUBJECT, {"spec": {**question, "user": "jane", "groups": ["system:authenticated"]}})
    own = await plane.client(JANE).create(SELF, {"spec": question})
    assert other["status"] == own["status"]
    assert {k: other["status"][k] for k in status} == status


async def test_masters_may_everything_without_a_reason(client: InProcessClient) -> None:
    assert (await client.create(SELF, {"spec": about("*", "*", "")}))["status"] == {"allowed": True}


async def test_a_local_review_stays_in_its_namespace(plane: ControlPlane, client: InProcessClient) -> None:
    await grant(client, "admin", "User", "jane", namespace="default")
    jane = plane.client(JANE)
    spec = {**about("get", "pods"), "user": "bob"}
    assert (await jane.create(LOCAL, {"spec": spec}, "default"))["status"] == {"allowed": False}
    with pytest.raises(Forbidden):
        await jane.create(LOCAL, {"spec": spec}, "kube-system")
    with pytest.raises(Invalid, match=r"spec.resourceAttributes.namespace: Invalid value: \"other\": must match metadata.namespace"):
        await jane.create(LOCAL, {"spec": {**about("get", "pods", "other"), "user": "bob"}}, "default")


BAD: list[tuple[Resource, Object, str]] = [
    (SUBJECT, about("get", "pods"), 'spec.user: Invalid value: "": at least one of user or group must be specified'),
    (SUBJECT, {"user": "x"}, "exactly one of nonResourceAttributes or resourceAttributes must be specified"),
    (SELF, {**about("get", "pods"), "nonResourceAttributes": {"path": "/"}}, "cannot be specified in combination with resourceAttributes"),
]


@pytest.mark.parametrize(("kind", "spec", "text"), BAD)
async def test_half_a_question_is_refused(client: InProcessClient, kind: Resource, spec: Object, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        await client.create(kind, {"spec": spec})
    assert text in refused.value.message


async def test_the_wrong_type_is_refused_like_any_other(client: InProcessClient) -> None:
    with pytest.raises((BadRequest, Invalid)):
        await client.create(SELF, {"spec": {"resourceAttributes": "pods"}})


async def test_rules_are_listed(plane: ControlPlane, client: InProcessClient) -> None:
    await grant(client, "view", "User", "jane", namespace="default")
    status = (await plane.client(JANE).create(RULES, {"spec": {"namespace": "default"}}))["status"]
    assert status["incomplete"] is False
    assert any("pods" in r["resources"] and r["verbs"] == ["get", "list", "watch"] for r in status["resourceRules"])
    assert any("/api/*" in r["nonResourceURLs"] for r in status["nonResourceRules"])
    elsewhere = (await plane.client(JANE).create(RULES, {"spec": {"namespace": "kube-system"}}))["status"]
    assert not any("pods" in r["resources"] for r in elsewhere["resourceRules"])
    with pytest.raises(BadRequest, match="no namespace on request"):
        await client.create(RULES, {"spec": {}})


async def test_everybody_learns_who_they_are(plane: ControlPlane) -> None:
    user = User("jane", ("dev", "system:authenticated"), "u-1", (("scopes", ("a", "b")),))
    answer = await plane.client(user).create(WHO, {})
    expected = {"username": "jane", "uid": "u-1", "groups": ["dev", "system:authenticated"], "extra": {"scopes": ["a", "b"]}}
    assert answer["status"] == {"userInfo": expected}


async def test_a_token_is_reviewed(client: InProcessClient) -> None:
    created = await client.create(resource("pods"), pod("p"))
    accounts = resource("serviceaccounts")
    bound = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": created["metadata"]["uid"]}
    request = {"spec": {"audiences": ["vault"], "boundObjectRef": bound}}
    token = (await client.create(accounts, request, "default", subresource="token", name="default"))["status"]["token"]
    status = (await client.create(TOKEN, {"spec": {"token": token, "audiences": ["vault", "other"]}}))["status"]
    assert status["authenticated"] is True
    assert status["audiences"] == ["vault"]
    assert status["user"]["username"] == "system:serviceaccount:default:default"
    assert status["user"]["groups"] == ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]
    assert status["user"]["extra"]["authentication.kubernetes.io/pod-name"] == ["p"]
    for spec in ({"token": token}, {"token": token + "x", "audiences": ["vault"]}, {"token": "rubbish"}):
        status = (await client.create(TOKEN, {"spec": spec}))["status"]
        assert "authenticated" not in status
        assert status["error"]
    with pytest.raises(BadRequest, match="token is required for TokenReview in authentication"):
        await client.create(TOKEN, {"spec": {"token": ""}})


TOKEN_REQUESTS = [
    ({"expirationSeconds": 5}, Invalid, "may not specify a duration less than 10 minutes"),
    ({"boundObjectRef": {"apiVersion": "v1", "kind": "ConfigMap"}}, BadRequest, "object of type v1, Kind=ConfigMap"),
    ({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}}, BadRequest, "to pod running with different serviceaccount name"),
    ({"expirationSeconds": "soon"}, (BadRequest, Invalid), "expirationSeconds"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "error", "text"), TOKEN_REQUESTS)
async def test_a_token_request_that_makes_no_sense(client: InProcessClient, spec: Object, error: Any, text: str) -> None:
    accounts = resource("serviceaccounts")
    await client.create(accounts, {"metadata": {"name": "other", "namespace": "default"}})
    await client.create(resource("pods"), pod("p"))
    with pytest.raises(error, match=text):
        await client.create(accounts, {"spec": spec}, "default", subresource="token", name="other")


async def test_no_token_lives_in_a_secret(client: InProcessClient) -> None:
    value = {"metadata": {"name": "t", "namespace": "default", "annotations": {"kubernetes.io/service-account.name": "default"}},
             "type": "kubernetes.io/service-account-token"}  # fmt: skip
    with pytest.raises(Invalid, match="kubectl create token"):
        await client.create(resource("secrets"), value)
