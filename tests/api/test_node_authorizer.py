"""The node authorizer and NodeRestriction: a node sees what its pods need, and writes what is its own."""

from copy import deepcopy
from typing import Any

import pytest

from podium.api.encoding import encode
from podium.api.node_authorizer import references
from podium.api.request import User
from podium.client.in_process import InProcessClient
from podium.client.interface import DeleteOptions
from podium.control_plane import ControlPlane
from podium.objects.resources import resource
from podium.objects.status import Forbidden, NotFound
from tests.api.objects import pod

PODS, NODES, SECRETS, CONFIGMAPS = resource("pods"), resource("nodes"), resource("secrets"), resource("configmaps")
CLAIMS, VOLUMES = resource("persistentvolumeclaims"), resource("persistentvolumes")
LEASES, ACCOUNTS = resource("leases", "coordination.k8s.io"), resource("serviceaccounts")
NODE = User("system:node:n1", ("system:nodes", "system:authenticated"))

Object = dict[str, Any]


def needing(name: str, **spec: Any) -> Object:
    value = pod(name, **spec)
    value["spec"]["volumes"] = [
        {"name": "a", "secret": {"secretName": "by-volume"}},
        {"name": "b", "projected": {"sources": [{"secret": {"name": "by-projection"}}, {"configMap": {"name": "by-projection"}}]}},
    ]
    value["spec"]["containers"][0] |= {
        "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "by-variable", "key": "x"}}}],
        "envFrom": [{"secretRef": {"name": "by-variables"}}],
    }
    return value


@pytest.fixture
async def node(plane: ControlPlane, client: InProcessClient) -> InProcessClient:
    """Node n1 with the pod `near`; the pod `far` is on n2."""
    agent = plane.client(NODE)
    await agent.create(NODES, {"metadata": {"name": "n1"}})
    await client.create(NODES, {"metadata": {"name": "n2"}})
    for name, where in (("near", "n1"), ("far", "n2")):
        await client.create(PODS, needing(name) if where == "n1" else pod(name))
        await client.create(PODS, {"target": {"kind": "Node", "name": where}}, "default", subresource="binding", name=name)
    await add_claim(plane, client)
    return agent


async def add_claim(plane: ControlPlane, client: InProcessClient) -> None:
    """The pod `near` also needs the claim `by-claim`, which has the volume `bound`: written past the rules, as pods take no claims yet."""
    amount = {"storage": "1Gi"}
    spec: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": amount}}
    await client.create(CLAIMS, {"metadata": {"name": "by-claim", "namespace": "default"}, "spec": spec})
    store = plane.server.core.store
    volume = {"metadata": {"name": "bound"}, "spec": {"claimRef": {"namespace": "default", "name": "by-claim"}}}
    await store.put(VOLUMES.key(None, "bound"), encode(volume), expected=None)
    value = deepcopy(await client.get(PODS, "near", "default"))
    value["spec"]["volumes"].append({"name": "d", "persistentVolumeClaim": {"claimName": "by-claim"}})
    await store.put(PODS.key("default", "near"), encode(value), expected=None)


def test_a_pod_refers_to() -> None:
    value = needing("p", imagePullSecrets=[{"name": "pull"}], serviceAccountName="robot")
    value["spec"]["volumes"].append({"name": "c", "ephemeral": {"volumeClaimTemplate": {}}})
    assert set(references(value)) == {
        ("serviceaccounts", "robot"), ("secrets", "pull"), ("secrets", "by-volume"), ("secrets", "by-projection"), ("configmaps", "by-projection"),
        ("secrets", "by-variable"), ("secrets", "by-variables"), ("persistentvolumeclaims", "p-c"),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["by-volume", "by-projection", "by-variable", "by-variables"])
async def test_a_node_reads_what_its_pods_need_until_they_have_gone(node: InProcessClient, client: InProcessClient, name: str) -> None:
    with pytest.raises(NotFound):
        await node.get(SECRETS, name, "default")
    with pytest.raises(Forbidden, match="no relationship found between node 'n1' and this object"):
        await node.get(SECRETS, name, "kube-system")
    await client.delete(PODS, "near", "default", DeleteOptions(grace_period_s=0))
    with pytest.raises(Forbidden) as refused:
        await node.get(SECRETS, name, "default")
    assert refused.value.message == (
        f'secrets "{name}" is forbidden: User "system:node:n1" cannot get resource "secrets" in API group "" in the namespace "default": '
        "no relationship found between node 'n1' and this object"
    )


async def test_what_a_node_may(node: InProcessClient) -> None:
    assert (await node.get(PODS, "near", "default"))["spec"]["nodeName"] == "n1"
    assert [i["metadata"]["name"] for i in (await node.list(PODS, fields="spec.nodeName=n1")).items] == ["near"]
    await node.patch(PODS, "near", {"status": {"message": "x"}}, "default", subresource="status")
    await node.get(NODES, "n1")
    await node.patch(NODES, "n1", {"metadata": {"labels": {"topology.kubernetes.io/zone": "a", "node.kubernetes.io/x": "y", "mine": "z"}}})
    await node.patch(NODES, "n1", {"status": {"nodeInfo": {"kernelVersion": "1"}}}, subresource="status")
    await node.get(CLAIMS, "by-claim", "default")
    await node.patch(CLAIMS, "by-claim", {"status": {"capacity": {"storage": "2Gi"}}}, "default", subresource="status")
    await node.get(VOLUMES, "bound")
    lease = await node.create(LEASES, {"metadata": {"name": "n1", "namespace": "kube-node-lease"}})
    await node.update(LEASES, lease)
    await node.list(resource("services"))
    uid = (await node.get(PODS, "near", "default"))["metadata"]["uid"]
    bound = {"apiVersion": "v1", "kind": "Pod", "name": "near", "uid": uid}
    await node.create(ACCOUNTS, {"spec": {"boundObjectRef": bound}}, "default", subresource="token", name="default")
    await node.delete(PODS, "near", "default", DeleteOptions(grace_period_s=0))


REFUSED: list[tuple[str, str]] = [
    ("list(PODS)", "can only list/watch pods with spec.nodeName field selector"),
    ("list(PODS, fields='spec.nodeName=n2')", "can only list/watch pods with spec.nodeName field selector"),
    ("get(PODS, 'far', 'default')", "no relationship found between node 'n1' and this object"),
    (
        "patch(PODS, 'far', {'status': {'message': 'x'}}, 'default', subresource='status')",
        'node "n1" can only update pod status for pods with',
    ),
    (
        "patch(PODS, 'near', {'metadata': {'labels': {'a': 'b'}}}, 'default', subresource='status')",
        "cannot update labels through pod status",
    ),
    ("patch(PODS, 'near', {'metadata': {'labels': {'a': 'b'}}}, 'default')", 'User "system:node:n1" cannot patch resource "pods"'),
    ("delete(PODS, 'far', 'default')", 'node "n1" can only delete pods with spec.nodeName set to itself'),
    ("create(PODS, pod('mine', nodeName='n1'))", 'node "n1" can only create mirror pods'),
    ("create(PODS, {}, 'default', subresource='binding', name='near')", 'cannot create resource "pods/binding"'),
    ("get(NODES, 'n2')", "node 'n1' cannot read 'n2', only its own Node object"),
    ("list(NODES)", "only its own Node object"),
    ("create(NODES, {'metadata': {'name': 'n3'}})", 'node "n1" is not allowed to modify node "n3"'),
    ("patch(NODES, 'n2', {'metadata': {'labels': {'a': 'b'}}})", 'node "n1" is not allowed to modify node "n2"'),
    ("patch(NODES, 'n1', {'spec': {'taints': [{'key': 'a', 'effect': 'NoSchedule'}]}})", 'node "n1" is not allowed to modify taints'),
    (
        "patch(NODES, 'n1', {'metadata': {'labels': {'node-role.kubernetes.io/control-plane': ''}}})",
        "the following labels: node-role.kubernetes.io/control-plane",
    ),
    ("patch(NODES, 'n1', {'metadata': {'labels': {'node-restriction.kubernetes.io/x': 'y'}}})", "node-restriction.kubernetes.io/x"),
    ("delete(NODES, 'n1')", 'cannot delete resource "nodes"'),
    ("get(SECRETS, 'other', 'default')", "no relationship found"),
    ("list(SECRETS, 'default')", "No Object name found"),
    ("list(SECRETS)", "can only read namespaced object of this type"),
    ("create(SECRETS, {'metadata': {'name': 'x', 'namespace': 'default'}})", "can only read resources of this type"),
    ("create(LEASES, {'metadata': {'name': 'n2', 'namespace': 'kube-node-lease'}})", "with the same name as the requesting node"),
    ("get(LEASES, 'n2', 'kube-node-lease')", "can only access node lease with the same name as the requesting node"),
    ("get(LEASES, 'n1', 'default')", 'can only access leases in the "kube-node-lease" system namespace'),
    ("get(CLAIMS, 'other', 'default')", "no relationship found"),
    ("delete(CLAIMS, 'by-claim', 'default')", "can only get individual resources of this type"),
    (
        "patch(CLAIMS, 'by-claim', {'status': {'phase': 'Lost'}}, 'default', subresource='status')",
        "not allowed to update fields other than status.capacity",
    ),
    ("get(VOLUMES, 'other')", "no relationship found"),
    ("create(ACCOUNTS, {'spec': {}}, 'default', subresource='token', name='default')", "node requested token not bound to a pod"),
    (
        "create(ACCOUNTS, {'spec': {'boundObjectRef': {'kind': 'Pod', 'name': 'far', 'uid': 'x'}}}, 'default', subresource='token', name='default')",
        "node requested token bound to a pod scheduled on a different node",
    ),
    ("create(ACCOUNTS, {'spec': {}}, 'kube-system', subresource='token', name='admin')", "no relationship found"),
    ("list(resource('deployments', 'apps'))", 'cannot list resource "deployments"'),
    ("create(resource('clusterrolebindings', 'rbac.authorization.k8s.io'), {'metadata': {'name': 'x'}})", "cannot create resource"),
]


@pytest.mark.parametrize(("call", "text"), REFUSED)
async def test_what_a_node_may_not(node: InProcessClient, call: str, text: str) -> None:
    with pytest.raises(Forbidden) as refused:
        await eval(f"node.{call}", {**globals(), "node": node})  # the call reads as it is written
    assert text in refused.value.message
