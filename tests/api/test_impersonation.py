"""Impersonation over TLS: each part asked for needs its own permission, and what is done is done as the other."""

import pytest

from podium.api.impersonation import account_of, impersonated
from podium.api.request import User
from podium.control_plane import ControlPlane
from podium.objects.resources import resource
from podium.objects.status import BadRequest, Forbidden
from tests.api.objects import grant

ADMIN = User("admin", ("system:masters", "system:authenticated"))
JANE = User("jane", ("system:authenticated",))

BECOMES = [
    ({"impersonate-user": "bob"}, User("bob", ("system:authenticated",))),
    ({"impersonate-user": "bob", "impersonate-group": "a, b"}, User("bob", ("a", "b", "system:authenticated"))),
    ({"impersonate-user": "bob", "impersonate-group": "system:authenticated"}, User("bob", ("system:authenticated",))),
    ({"impersonate-user": "system:anonymous"}, User("system:anonymous", ("system:unauthenticated",))),
    (
        {"impersonate-user": "system:serviceaccount:ns:sa"},
        User("system:serviceaccount:ns:sa", ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")),
    ),
    (
        {"impersonate-user": "bob", "impersonate-uid": "7", "impersonate-extra-acme.com%2fproject": "x"},
        User("bob", ("system:authenticated",), "7", (("acme.com/project", ("x",)),)),
    ),
    ({}, ADMIN),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "user"), BECOMES)
async def test_an_administrator_becomes(plane: ControlPlane, headers: dict[str, str], user: User) -> None:
    assert impersonated(plane.server.core.authorizer, ADMIN, headers) == user


async def test_headers_without_a_user_are_an_error(plane: ControlPlane) -> None:
    with pytest.raises(BadRequest, match="without impersonating a user"):
        impersonated(plane.server.core.authorizer, ADMIN, {"impersonate-group": "system:masters"})


REFUSED = [
    ({"impersonate-user": "eve"}, 'users "eve" is forbidden: User "jane" cannot impersonate resource "users" in API group "" at the cluster scope'),
    ({"impersonate-user": "bob", "impersonate-group": "system:masters"}, 'groups "system:masters" is forbidden'),
    ({"impersonate-user": "bob", "impersonate-uid": "1"}, 'uids.authentication.k8s.io "1" is forbidden'),
    ({"impersonate-user": "bob", "impersonate-extra-a": "b"}, 'cannot impersonate resource "userextras/a" in API group "authentication.k8s.io"'),
    ({"impersonate-user": "system:serviceaccount:kube-system:x"}, 'cannot impersonate resource "serviceaccounts" in API group "" in the namespace'),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "text"), REFUSED)
async def test_each_part_needs_its_permission(plane: ControlPlane, headers: dict[str, str], text: str) -> None:
    client, rbac = plane.client(), "rbac.authorization.k8s.io"
    rules = [{"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"], "resourceNames": ["bob"]}]
    await client.create(resource("clusterroles", rbac), {"metadata": {"name": "actor"}, "rules": rules})
    await grant(client, "actor", "User", "jane")
    assert impersonated(plane.server.core.authorizer, JANE, {"impersonate-user": "bob"}).name == "bob"
    with pytest.raises(Forbidden) as refused:
        impersonated(plane.server.core.authorizer, JANE, headers)
    assert text in refused.value.message


@pytest.mark.parametrize("name", ["bob", "system:serviceaccount:x", "system:serviceaccount:a:b:c", "system:serviceaccount::b"])
def test_what_is_no_service_account(name: str) -> None:
    assert account_of(name) == ("", "")
