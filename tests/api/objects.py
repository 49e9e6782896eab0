"""Small objects for tests of the request path."""

from typing import Any

from podium.client.interface import Client
from podium.objects.resources import resource

Object = dict[str, Any]


def configmap(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


def pod(name: str, **spec: Any) -> Object:
    containers = [{"name": "c", "image": "app:1", "command": ["true"]}]
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": {"app": name.split("-")[0]}},
        "spec": {"containers": containers, **spec},
    }  # fmt: skip


def service(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"ports": [{"port": 80}], "selector": {"app": name}, **spec},
    }  # fmt: skip


def deployment(name: str, replicas: int = 1) -> Object:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "app:1", "command": ["true"]}]}},
        },
    }  # fmt: skip


async def grant(client: Client, role: str, kind: str, subject: str, *, namespace: str = "") -> None:
    """Binds the ClusterRole `role` to a subject: in the namespace, or in all."""
    entry: Object = {"kind": kind, "name": subject}
    if kind == "ServiceAccount":
        entry["namespace"] = namespace
    plural = "rolebindings" if namespace else "clusterrolebindings"
    value: Object = {
        "metadata": {"name": f"{role}-{subject}".replace(":", "-"), **({"namespace": namespace} if namespace else {})},
        "subjects": [entry], "roleRef": {"kind": "ClusterRole", "name": role, "apiGroup": "rbac.authorization.k8s.io"},
    }  # fmt: skip
    await client.create(resource(plural, "rbac.authorization.k8s.io"), value)
