"""Every component under its own identity: what each may, because it must, and what it cannot. One row is one question."""

import re
from pathlib import Path

import pytest

from podium.api import authentication_config
from podium.api.attributes import Attributes
from podium.api.bootstrap_controller_roles import CONTROLLER_ROLES
from podium.api.bootstrap_roles import CLUSTER_ROLES
from podium.api.request import User
from podium.control_plane import CONTROLLER_MANAGER, SCHEDULER, ControlPlane, controller
from podium.node_process import FLEET
from podium.world.real import RealWorld
from tests.api.conftest import authority, plane

__all__ = ["authority", "plane"]

_IN = ("system:authenticated",)
IDENTITIES = {
    "scheduler": SCHEDULER,
    "controller-manager": CONTROLLER_MANAGER,
    "deployments": controller("deployment-controller"),
    "replica-sets": controller("replicaset-controller"),
    "namespaces": controller("namespace-controller"),
    "garbage": controller("generic-garbage-collector"),
    "nodes": controller("node-controller"),
    "pod-garbage": controller("pod-garbage-collector"),
    "endpoints": controller("endpoint-controller"),
    "slices": controller("endpointslice-controller"),
    "accounts": controller("service-account-controller"),
    "root-ca": controller("root-ca-cert-publisher"),
    "aggregation": controller("clusterrole-aggregation-controller"),
    "network": User("system:kube-proxy", _IN),
    "fleet": User(FLEET, _IN),
    "to-nodes": User("kube-apiserver-kubelet-client", _IN),
    "server-certificate": User("kube-apiserver", _IN),
}

MAY = """
scheduler            create pods/binding, list pods, list nodes, patch pods/status, create events, list replicasets.apps
controller-manager   list secrets, watch pods, list anything.example.com
deployments          create replicasets.apps, update deployments.apps/status, patch deployments.apps, create events
replica-sets         create pods, delete pods, patch pods, update replicasets.apps/status
namespaces           list widgets.example.com, delete pods, update namespaces/finalize, update namespaces/status
garbage              delete pods, patch widgets.example.com, get deployments.apps
nodes                patch nodes/status, patch nodes, delete pods, patch pods/status
pod-garbage          delete pods, patch pods/status, get nodes
endpoints            create endpoints, update endpoints
slices               create endpointslices.discovery.k8s.io, delete endpointslices.discovery.k8s.io
accounts             create serviceaccounts
root-ca              create configmaps, update configmaps
aggregation          update clusterroles.rbac.authorization.k8s.io, escalate clusterroles.rbac.authorization.k8s.io
network              list services, watch endpointslices.discovery.k8s.io, list namespaces, create events
fleet                create nodes, patch nodes/status, list pods, patch pods/status, delete pods, create events
"""

MAY_NOT = """
scheduler            create pods, update pods, get secrets, list secrets, delete nodes, create deployments.apps, get configmaps
controller-manager   create pods, delete pods, update deployments.apps, create clusterrolebindings.rbac.authorization.k8s.io, delete namespaces
deployments          create pods, delete pods, get secrets, list secrets, update nodes, delete deployments.apps, create configmaps
replica-sets         get secrets, create replicasets.apps, delete replicasets.apps, update deployments.apps, update nodes
namespaces           create namespaces, create pods, update pods, patch pods, create secrets
garbage              create pods, create clusterrolebindings.rbac.authorization.k8s.io, escalate roles.rbac.authorization.k8s.io
nodes                create pods, get secrets, create nodes, update deployments.apps, create pods/eviction
pod-garbage          create pods, delete nodes, get secrets
endpoints            update services, delete pods, get secrets, create endpointslices.discovery.k8s.io
slices               update services, delete pods, get secrets, create endpoints
accounts             delete serviceaccounts, update serviceaccounts, create serviceaccounts/token, get secrets
root-ca              delete configmaps, get secrets, create serviceaccounts
aggregation          create clusterroles.rbac.authorization.k8s.io, update roles.rbac.authorization.k8s.io, get pods
network              update services, list pods, get secrets, list secrets, patch nodes, create pods, delete endpointslices.discovery.k8s.io
fleet                create pods, update pods, get secrets, list secrets, get configmaps, delete nodes, create serviceaccounts/token
to-nodes             list pods, get nodes, get secrets, create pods/exec
server-certificate   list pods, get nodes, get secrets
"""


def questions(text: str) -> list[tuple[str, str, str]]:
    rows = []
    for line in text.strip().splitlines():
        who, _, rest = line.partition(" ")
        rows += [(who, *question.strip().partition(" ")[::2]) for question in rest.split(",")]
    return rows  # type: ignore[return-value]


def asked(user: User, verb: str, what: str) -> Attributes:
    qualified, _, subresource = what.partition("/")
    plural, _, group = qualified.partition(".")
    return Attributes(user, verb, group, plural, subresource, "", "x")


async def test_each_may_what_it_must_and_nothing_else(plane: ControlPlane) -> None:
    authorizer = plane.server.core.authorizer
    wrong = [
        f"{who} may not {verb} {what}" for who, verb, what in questions(MAY) if not authorizer.allows(asked(IDENTITIES[who], verb, what))
    ]
    wrong += [f"{who} may {verb} {what}" for who, verb, what in questions(MAY_NOT) if authorizer.allows(asked(IDENTITIES[who], verb, what))]
    assert not wrong


async def test_the_fleet_renews_leases_of_nodes_only(plane: ControlPlane) -> None:
    allows, fleet = plane.server.core.authorizer.allows, IDENTITIES["fleet"]
    assert allows(Attributes(fleet, "update", "coordination.k8s.io", "leases", "", "kube-node-lease", "n"))
    assert not allows(Attributes(fleet, "update", "coordination.k8s.io", "leases", "", "kube-system", "n"))


@pytest.mark.parametrize("name", sorted(CONTROLLER_ROLES))
async def test_no_controller_is_an_administrator(plane: ControlPlane, name: str) -> None:
    user = controller(name)
    authorizer = plane.server.core.authorizer
    for verb, group, plural in (("*", "*", "*"), ("bind", "rbac.authorization.k8s.io", "clusterroles"), ("impersonate", "", "users")):
        assert not authorizer.allows(Attributes(user, verb, group, plural, "", "", "x"))


PAGE = (Path(__file__).parents[1] / "docs" / "access.md").read_text()


def test_the_page_on_access_names_what_exists() -> None:
    groups = ("system:masters", "system:nodes", "system:node:NAME", "system:serviceaccount:kube-system:NAME", "system:controller:NAME")
    known = {*CLUSTER_ROLES, *(user.name for user in IDENTITIES.values()), *groups}
    named = re.findall(r"`((?:system|podium):[^`]+)`", PAGE)
    assert named and [name for name in named if name not in known] == []


def test_the_configuration_on_the_page_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])
    (tmp_path / "tokens.csv").write_text(re.findall(r"`(token,user,.*?)`", PAGE)[0])
    sources = authentication_config.load(tmp_path, RealWorld())
    assert [p.issuer for p in sources.providers] == ["https://issuer.example.com"]
    assert sources.static is not None and sources.static.find("token") == User("user", ("group1", "group2", "system:authenticated"), "uid")
