"""RBAC through the request path: roles and bindings decide at once, nobody grants what they do not have, refusals read as upstream's."""

from copy import deepcopy
from typing import Any

import pytest

from podium.api.attributes import Attributes
from podium.api.bootstrap_policy import write_policy
from podium.api.bootstrap_roles import rule
from podium.api.rbac import GROUP
from podium.api.request import Request, User
from podium.client.in_process import InProcessClient
from podium.control_plane import ControlPlane
from podium.objects.resources import resource
from podium.objects.status import Forbidden, Invalid, NotFound
from tests.api.objects import configmap, grant
from tests.api.test_custom_resources import crontab, define

CONFIGMAPS, NAMESPACES = resource("configmaps"), resource("namespaces")
ROLES, CLUSTER_ROLES = resource("roles", GROUP), resource("clusterroles", GROUP)
BINDINGS, CLUSTER_BINDINGS = resource("rolebindings", GROUP), resource("clusterrolebindings", GROUP)
JANE = User("jane", ("dev", "system:authenticated"))

Object = dict[str, Any]


def role(name: str, *rows: tuple[str, ...], namespace: str = "") -> Object:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"metadata": metadata, "rules": [rule(row) for row in rows]}


def binding(name: str, role_kind: str, role_name: str, *subjects: Object, namespace: str = "") -> Object:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"metadata": metadata, "roleRef": {"apiGroup": GROUP, "kind": role_kind, "name": role_name}, "subjects": list(subjects)}


USER: Object = {"kind": "User", "name": "jane"}


async def test_without_a_binding_nothing_is_allowed(plane: ControlPlane) -> None:
    jane = plane.client(JANE)
    with pytest.raises(Forbidden) as refused:
        await jane.get(CONFIGMAPS, "a", "default")
    assert refused.value.message == (
        'configmaps "a" is forbidden: User "jane" cannot get resource "configmaps" in API group "" in the namespace "default"'
    )
    assert refused.value.details == {"name": "a", "kind": "configmaps"}
    with pytest.raises(Forbidden) as refused:
        await jane.list(resource("deployments", "apps"))
    assert refused.value.message == (
        'deployments.apps is forbidden: User "jane" cannot list resource "deployments" in API group "apps" at the cluster scope'
    )


@pytest.mark.parametrize(
    "subject", [USER, {"kind": "Group", "name": "dev"}, {"kind": "ServiceAccount", "name": "robot"}], ids=["user", "group", "account"]
)
async def test_a_binding_counts_from_its_creation_to_its_end(plane: ControlPlane, client: InProcessClient, subject: Object) -> None:
    user = User("system:serviceaccount:default:robot", ("system:authenticated",)) if subject["kind"] == "ServiceAccount" else JANE
    asker = plane.client(user)
    await client.create(ROLES, role("reader", ("get list", "core", "configmaps"), namespace="default"))
    await client.create(BINDINGS, binding("b", "Role", "reader", subject, namespace="default"))
    assert (await asker.list(CONFIGMAPS, "default")).items == []
    for refused in (asker.list(CONFIGMAPS), asker.list(CONFIGMAPS, "kube-system"), asker.create(CONFIGMAPS, configmap("a"))):
        with pytest.raises(Forbidden):
            await refused
    await client.patch(ROLES, "reader", {"rules": [rule(("get", "core", "configmaps"))]}, "default")
    with pytest.raises(Forbidden):
        await asker.list(CONFIGMAPS, "default")
    await client.patch(ROLES, "reader", {"rules": [rule(("list", "core", "configmaps"))]}, "default")
    await asker.list(CONFIGMAPS, "default")
    await client.delete(BINDINGS, "b", "default")
    with pytest.raises(Forbidden):
        await asker.list(CONFIGMAPS, "default")


async def test_names_narrow_a_rule_also_for_lists_that_ask_for_one(plane: ControlPlane, client: InProcessClient) -> None:
    await client.create(CONFIGMAPS, configmap("mine"))
    await client.create(ROLES, role("r", ("get list", "core", "configmaps", "mine"), namespace="default"))
    await client.create(BINDINGS, binding("b", "Role", "r", USER, namespace="default"))
    jane = plane.client(JANE)
    assert (await jane.get(CONFIGMAPS, "mine", "default"))["metadata"]["name"] == "mine"
    assert len((await jane.list(CONFIGMAPS, "default", fields="metadata.name=mine")).items) == 1
    for refused in (jane.get(CONFIGMAPS, "other", "default"), jane.list(CONFIGMAPS, "default")):
        with pytest.raises(Forbidden):
            await refused


async def test_a_namespace_is_read_through_a_role_in_it(plane: ControlPlane, client: InProcessClient) -> None:
    await grant(client, "view", "User", "jane", namespace="default")
    jane = plane.client(JANE)
    assert (await jane.get(NAMESPACES, "default"))["metadata"]["name"] == "default"
    with pytest.raises(Forbidden, match='in the namespace "kube-system"'):
        await jane.get(NAMESPACES, "kube-system")


async def test_a_binding_of_a_missing_role_says_so(plane: ControlPlane, client: InProcessClient) -> None:
    await client.create(BINDINGS, binding("b", "ClusterRole", "ghost", USER, namespace="default"))
    with pytest.raises(Forbidden, match=r'in the namespace "default": RBAC: clusterrole.rbac.authorization.k8s.io "ghost" not found'):
        await plane.client(JANE).get(CONFIGMAPS, "a", "default")
    await client.create(CLUSTER_ROLES, role("ghost", ("get", "core", "configmaps")))
    with pytest.raises(NotFound):
        await plane.client(JANE).get(CONFIGMAPS, "a", "default")


# -- escalation


async def test_nobody_grants_what_they_do_not_have(plane: ControlPlane, client: InProcessClient) -> None:
    await grant(client, "admin", "User", "jane", namespace="default")
    jane = plane.client(JANE)
    await jane.create(ROLES, role("fine", ("get", "core", "pods"), namespace="default"))
    with pytest.raises(Forbidden) as refused:
        await jane.create(ROLES, role("greedy", ("get list", "core", "nodes pods"), ("get", "core", "pods"), namespace="default"))
    assert refused.value.message == (
        'roles.rbac.authorization.k8s.io "greedy" is forbidden: user "jane" (groups=["dev" "system:authenticated"]) is attempting to grant '
        'RBAC permissions not currently held:\n{APIGroups:[""], Resources:["nodes"], Verbs:["get" "list"]}'
    )
    with pytest.raises(Forbidden, match="not currently held"):
        await jane.patch(ROLES, "fine", {"rules": [rule(("escalate", "*", "*"))]}, "default")
    await jane.patch(ROLES, "fine", {"metadata": {"finalizers": ["example.com/x"]}}, "default")


async def test_escalate_and_bind_are_enough(plane: ControlPlane, client: InProcessClient) -> None:
    jane = plane.client(JANE)
    rows = [("create escalate", GROUP, "roles"), ("create", GROUP, "rolebindings"), ("bind", GROUP, "clusterroles", "edit")]
    await client.create(ROLES, role("keeper", *rows, namespace="default"))
    await client.create(BINDINGS, binding("keeper", "Role", "keeper", USER, namespace="default"))
    await jane.create(ROLES, role("greedy", ("*", "*", "*"), namespace="default"))
    await jane.create(BINDINGS, binding("edit", "ClusterRole", "edit", USER, namespace="default"))
    with pytest.raises(Forbidden, match="not currently held"):
        await jane.create(BINDINGS, binding("admin", "ClusterRole", "admin", USER, namespace="default"))
    with pytest.raises(NotFound, match=r'clusterrole.rbac.authorization.k8s.io "ghost" not found'):
        await jane.create(BINDINGS, binding("ghost", "ClusterRole", "ghost", USER, namespace="default"))


async def test_an_aggregation_rule_needs_everything(plane: ControlPlane, client: InProcessClient) -> None:
    await client.create(CLUSTER_ROLES, role("writer", ("create update patch", GROUP, "clusterroles")))
    await client.create(CLUSTER_BINDINGS, binding("writer", "ClusterRole", "writer", USER))
    value = {**role("sum"), "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}
    with pytest.raises(Forbidden, match="must have cluster-admin privileges to use the aggregationRule"):
        await plane.client(JANE).create(CLUSTER_ROLES, value)
    await grant(client, "cluster-admin", "User", "jane")
    await plane.client(JANE).create(CLUSTER_ROLES, value)


async def test_rules_without_measure_are_not_taken_to_pieces(plane: ControlPlane, client: InProcessClient) -> None:
    await grant(client, "admin", "User", "jane", namespace="default")
    many = " ".join(f"w{number}" for number in range(400))
    with pytest.raises(Forbidden, match="more than 10000 permissions"):
        await plane.client(JANE).create(ROLES, role("vast", (many, many, many), namespace="default"))
    await grant(client, "cluster-admin", "User", "jane")
    await plane.client(JANE).create(ROLES, role("vast", (many, many, many), namespace="default"))


# -- validation

INVALID = [
    (ROLES, {**role("r", ("get", "core", "pods"), namespace="default"), "rules": [{"verbs": [], "resources": ["pods"]}]},
     ["rules[0].verbs: Required value: verbs must contain at least one value",
      "rules[0].apiGroups: Required value: resource rules must supply at least one api group"]),
    (ROLES, role("r", ("get", "/metrics"), namespace="default"),
     ['rules[0].nonResourceURLs: Invalid value: ["/metrics"]: namespaced rules cannot apply to non-resource URLs']),
    (CLUSTER_ROLES, {**role("r"), "rules": [{"verbs": ["get"], "nonResourceURLs": ["/a"], "resources": ["pods"]}]},
     ['rules[0].nonResourceURLs: Invalid value: ["/a"]: rules cannot apply to both regular resources and non-resource URLs']),
    (CLUSTER_ROLES, {**role("r"), "aggregationRule": {}},
     ["aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil"]),
    (CLUSTER_BINDINGS, binding("b", "Role", "x"), ['roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"']),
    (CLUSTER_BINDINGS, binding("b", "ClusterRole", ""), ["roleRef.name: Required value"]),
    (CLUSTER_BINDINGS, binding("b", "ClusterRole", "x", {"kind": "ServiceAccount", "name": "s"}),
     ["subjects[0].namespace: Required value"]),
    (CLUSTER_BINDINGS, binding("b", "ClusterRole", "x", {"kind": "Robot", "name": "s"}),
     ['subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"']),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "faults"), INVALID)
async def test_what_makes_no_sense_is_refused(client: InProcessClient, kind: Any, value: Object, faults: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        await client.create(kind, value)
    assert refused.value.details
    assert [f"{c['field']}: {c['message']}" for c in refused.value.details["causes"]] == faults


async def test_a_role_reference_stays(client: InProcessClient) -> None:
    await client.create(BINDINGS, binding("b", "ClusterRole", "view", USER, namespace="default"))
    with pytest.raises(Invalid, match="cannot change roleRef"):
        await client.patch(BINDINGS, "b", {"roleRef": {"name": "edit"}}, "default")
    await client.patch(BINDINGS, "b", {"subjects": []}, "default")


# -- bootstrap


async def test_what_was_taken_from_a_bootstrap_role_comes_back(plane: ControlPlane, client: InProcessClient) -> None:
    before = plane.server.core.store.revision
    await write_policy(plane.server.core)
    assert plane.server.core.store.revision == before
    whole = await client.get(CLUSTER_ROLES, "system:discovery")
    await client.patch(CLUSTER_ROLES, "system:discovery", {"rules": [rule(("get", "/api /mine"))]})
    await client.patch(CLUSTER_BINDINGS, "system:basic-user", {"subjects": []})
    await client.patch(
        CLUSTER_ROLES, "view", {"metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}, "rules": []}
    )
    await client.delete(CLUSTER_ROLES, "edit")
    await write_policy(plane.server.core)
    mended = (await client.get(CLUSTER_ROLES, "system:discovery"))["rules"]
    assert mended[0]["nonResourceURLs"] == ["/api", "/mine"]
    assert {u for r in mended for u in r["nonResourceURLs"]} == {*whole["rules"][0]["nonResourceURLs"], "/mine"}
    assert (await client.get(CLUSTER_BINDINGS, "system:basic-user"))["subjects"][0]["name"] == "system:authenticated"
    assert (await client.get(CLUSTER_ROLES, "view"))["rules"] == []
    assert (await client.get(CLUSTER_ROLES, "edit"))["rules"]


AGGREGATED = [
    ("view", "get", "pods", True), ("view", "get", "secrets", False), ("view", "create", "pods", False), ("view", "list", "roles", False),
    ("edit", "create", "pods", True), ("edit", "get", "secrets", True), ("edit", "get", "pods/log", True), ("edit", "create", "roles", False),
    ("admin", "create", "roles", True), ("admin", "create", "pods/exec", True), ("admin", "update", "resourcequotas", False),
    ("cluster-admin", "update", "resourcequotas", True),
]  # fmt: skip


@pytest.mark.parametrize(("name", "verb", "what", "allowed"), AGGREGATED)
async def test_the_roles_of_users_are_upstreams(
    plane: ControlPlane, client: InProcessClient, name: str, verb: str, what: str, allowed: bool
) -> None:
    await grant(client, name, "User", "jane", namespace="default")
    plural, _, subresource = what.partition("/")
    group = GROUP if plural == "roles" else ""
    question = Attributes(JANE, verb, group, plural, subresource, "default", "x")
    assert plane.server.core.authorizer.allows(question) is allowed
    assert plane.server.core.authorizer.decide(question).allowed is allowed


async def test_every_decision_has_its_reason(plane: ControlPlane, client: InProcessClient) -> None:
    authorizer = plane.server.core.authorizer
    await grant(client, "view", "User", "jane", namespace="default")
    assert authorizer.decide(Attributes(JANE, "get", "", "pods", "", "default", "x")).reason == (
        'RBAC: allowed by RoleBinding "view-jane/default" of ClusterRole "view" to User "jane"'
    )
    assert authorizer.decide(Attributes(JANE, "get", path="/api")).reason == (
        'RBAC: allowed by ClusterRoleBinding "system:discovery" of ClusterRole "system:discovery" to Group "system:authenticated"'
    )
    with pytest.raises(Forbidden) as refused:
        authorizer.authorize_path(JANE, "get", "/metrics")
    assert refused.value.message == 'forbidden: User "jane" cannot get path "/metrics"'


async def test_an_apply_that_creates_needs_create_too(plane: ControlPlane, client: InProcessClient) -> None:
    await client.create(ROLES, role("patcher", ("patch get", "core", "configmaps"), namespace="default"))
    await client.create(BINDINGS, binding("patcher", "Role", "patcher", USER, namespace="default"))
    value = {**configmap("a"), "apiVersion": "v1", "kind": "ConfigMap"}

    def apply() -> Request:
        options = {"fieldManager": "jane"}
        return Request("patch", CONFIGMAPS, JANE, "default", "a", value=deepcopy(value), options=options, patch_type="apply")

    with pytest.raises(Forbidden, match='"a" is forbidden: User "jane" cannot create resource "configmaps"'):
        await plane.server.execute(apply())
    await client.create(CONFIGMAPS, configmap("a"))
    await plane.server.execute(apply())


async def test_a_custom_resource_is_authorized_like_any_other(plane: ControlPlane, client: InProcessClient) -> None:
    crontabs = await define(plane)
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    await client.create(
        CLUSTER_ROLES, {**role("crontabs", ("get list", "example.com", "crontabs")), "metadata": {"name": "crontabs", "labels": labels}}
    )
    jane = plane.client(JANE)
    with pytest.raises(
        Forbidden, match=r'crontabs.example.com is forbidden: User "jane" cannot list resource "crontabs" in API group "example.com"'
    ):
        await jane.list(crontabs, "default")
    await grant(client, "crontabs", "User", "jane", namespace="default")
    assert (await jane.list(crontabs, "default")).items == []
    for refused in (jane.create(crontabs, crontab()), jane.list(crontabs)):
        with pytest.raises(Forbidden):
            await refused
