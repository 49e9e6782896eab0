"""Reviews are answered, not stored: who am I, whose token, may they."""

import pytest

from podium.api.request import User
from podium.client.in_process import InProcessClient
from podium.control_plane import ControlPlane
from podium.objects.resources import resource
from podium.objects.status import Invalid
from podium.objects.values import Object

AUTHENTICATION, AUTHORIZATION = "authentication.k8s.io", "authorization.k8s.io"
ACCOUNT = User("system:serviceaccount:default:default", ("system:serviceaccounts", "system:authenticated"))


async def ask(client: InProcessClient, plural: str, group: str, spec: Object | None = None, namespace: str | None = None) -> Object:
    return await client.create(resource(plural, group), {} if spec is None else {"spec": spec}, namespace)


async def test_who_am_i(plane: ControlPlane):
    review = await ask(InProcessClient(plane.server, ACCOUNT), "selfsubjectreviews", AUTHENTICATION)
    assert review["status"]["userInfo"] == {"username": ACCOUNT.name, "groups": list(ACCOUNT.groups)}
    assert review["kind"] == "SelfSubjectReview" and review["metadata"]["creationTimestamp"]


async def test_token_review_names_the_owner_of_a_good_token_only(client: InProcessClient):
    token = await client.create(resource("serviceaccounts"), {"spec": {}}, "default", subresource="token", name="default")
    good = await ask(client, "tokenreviews", AUTHENTICATION, {"token": token["status"]["token"]})
    assert good["status"]["authenticated"] and good["status"]["user"]["username"] == ACCOUNT.name
    bad = await ask(client, "tokenreviews", AUTHENTICATION, {"token": "nonsense"})
    assert bad["status"] == {"user": {}, "error": "[invalid bearer token]"}
    elsewhere = await ask(client, "tokenreviews", AUTHENTICATION, {"token": token["status"]["token"], "audiences": ["vault"]})
    assert "authenticated" not in elsewhere["status"]


@pytest.mark.parametrize(
    ("attributes", "allowed"),
    [
        ({"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "default"}}, True),
        ({"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "other"}}, False),
        ({"resourceAttributes": {"verb": "get", "resource": "secrets", "namespace": "default"}}, False),
        ({"resourceAttributes": {"verb": "list", "resource": "nodes"}}, False),
        ({"nonResourceAttributes": {"verb": "get", "path": "/version"}}, True),
    ],
)
async def test_access_reviews_answer_as_authorization_would(
    plane: ControlPlane, client: InProcessClient, attributes: Object, allowed: bool
):
    mine = await ask(InProcessClient(plane.server, ACCOUNT), "selfsubjectaccessreviews", AUTHORIZATION, attributes)
    theirs = await ask(client, "subjectaccessreviews", AUTHORIZATION, {**attributes, "user": ACCOUNT.name, "groups": list(ACCOUNT.groups)})
    assert mine["status"]["allowed"] is theirs["status"]["allowed"] is allowed


async def test_access_review_without_a_question_or_a_subject_is_invalid(client: InProcessClient):
    with pytest.raises(Invalid, match="exactly one of"):
        await ask(client, "selfsubjectaccessreviews", AUTHORIZATION, {})
    with pytest.raises(Invalid, match="at least one of user or group"):
        await ask(client, "subjectaccessreviews", AUTHORIZATION, {"nonResourceAttributes": {"verb": "get", "path": "/"}})
    with pytest.raises(Invalid, match=r"must match metadata\.namespace"):
        about = {"user": "ann", "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "other"}}
        await ask(client, "localsubjectaccessreviews", AUTHORIZATION, about, "default")


async def test_rules_review_lists_what_one_may(plane: ControlPlane, client: InProcessClient):
    admin = await ask(client, "selfsubjectrulesreviews", AUTHORIZATION, {"namespace": "default"})
    assert admin["status"]["resourceRules"] == [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    account = await ask(InProcessClient(plane.server, ACCOUNT), "selfsubjectrulesreviews", AUTHORIZATION, {"namespace": "default"})
    plurals = [r["resources"][0] for r in account["status"]["resourceRules"]]
    assert "pods" in plurals and "secrets" not in plurals and "nodes" not in plurals


async def test_reviews_are_not_stored(client: InProcessClient):
    first = await ask(client, "selfsubjectreviews", AUTHENTICATION)
    assert "uid" not in first["metadata"] and "resourceVersion" not in first["metadata"]
