"""Short ways to say nodes and pods in tables of cases."""

from typing import Any

from podium.objects.values import Object
from podium.scheduler.cluster import Cluster
from podium.scheduler.demand import Demands

DEMANDS = Demands()


def node(
    name: str, cpu: str = "4", memory: str = "8Gi", pods: str = "110", *, zone: str = "", taints: str = "", labels: Any = None, **more: Any
) -> Object:
    """`taints` as `key=value:Effect,key:Effect`."""
    all_labels = {"kubernetes.io/hostname": name, **({"topology.kubernetes.io/zone": zone} if zone else {}), **(labels or {})}
    spec: Object = {"taints": [_taint(text) for text in taints.split(",") if text]}
    spec |= {"unschedulable": True} if more.pop("unschedulable", False) else {}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": all_labels},
        "spec": spec,
        "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods, **more.pop("extended", {})}},
    }


def pod(name: str, cpu: str = "", memory: str = "", *, labels: Any = None, namespace: str = "ns", node: str = "", **spec: Any) -> Object:
    requests = {k: v for k, v in (("cpu", cpu), ("memory", memory)) if v} | spec.pop("requests", {})
    container: Object = {"name": "main", "resources": {"requests": requests}}
    if "ports" in spec:
        container["ports"] = spec.pop("ports")
    metadata: Object = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": labels or {}}
    if owner := spec.pop("owner", None):
        metadata["ownerReferences"] = [{"kind": "ReplicaSet", "name": owner, "uid": owner, "controller": True}]
    return {"metadata": metadata, "spec": {"containers": [container], **({"nodeName": node} if node else {}), **spec}}


def cluster_of(nodes: list[Object], pods: list[Object] = ()) -> Cluster:  # type: ignore[assignment]
    """Pods with a nodeName are placed."""
    cluster = Cluster()
    for each in nodes:
        cluster.pods.set_node(each)
    for each in pods:
        place(cluster, each)
    return cluster


def place(cluster: Cluster, value: Object, node: str = "") -> None:
    metadata = value["metadata"]
    terminating = "deletionTimestamp" in metadata
    priority = value["spec"].get("priority", 0)
    key = f"{metadata['namespace']}/{metadata['name']}"
    cluster.pods.place(key, node or value["spec"]["nodeName"], DEMANDS.of(value), terminating, priority)


def _taint(text: str) -> Object:
    head, _, effect = text.partition(":")
    key, _, value = head.partition("=")
    return {"key": key, "value": value, "effect": effect}
