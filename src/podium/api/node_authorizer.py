"""The node authorizer: a node agent reads what the pods bound to it need, and writes only what is its own.

A user is a node when it is in system:nodes and called system:node:NAME. The relation "needed by a pod on that node" comes from the store's feed of
pods (and of persistent volumes, for their claims): a pod is filed under its node, and what it refers to is looked at when first asked.
What is not divided by node follows the fixed rules of the role system:node. It allows or has no opinion; reasons are upstream's.

Source: k8s.io/kubernetes plugin/pkg/auth/authorizer/node (node_authorizer.go, graph.go).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from podium.api.attributes import Attributes, Decision
from podium.api.bootstrap_roles import NODE_RULES
from podium.api.rbac_rules import CompiledRules
from podium.api.request import User
from podium.objects.resources import resource
from podium.store.interface import Store
from podium.store.record import Event, Record

Object = dict[str, Any]
NODES_GROUP = "system:nodes"
LEASE_NAMESPACE = "kube-node-lease"
_PREFIX = "system:node:"
_ALLOWED = Decision(True)
_NO_OPINION = Decision(False)
_UNRELATED = "no relationship found between node '{}' and this object"


def is_node(user: User) -> bool:
    return NODES_GROUP in user.groups and user.name.startswith(_PREFIX)


def node_name(user: User) -> str:
    return user.name[len(_PREFIX) :] if is_node(user) else ""


class NodeAuthorizer:
    def __init__(self) -> None:
        self._rules = CompiledRules(NODE_RULES)
        self._pods: dict[str, dict[tuple[str, str], Record]] = {}  # by node, then (namespace, name)
        self._needs: dict[str, frozenset[tuple[str, str]]] = {}  # uid of a pod -> (plural, name) of what it refers to
        self._claims: dict[str, tuple[str, str]] = {}  # volume -> (namespace, name) of its claim
        self._rules_of: Mapping[tuple[str, str], Callable[[str, Attributes], Decision]] = {
            ("", "secrets"): self._read,
            ("", "configmaps"): self._read,
            ("", "persistentvolumeclaims"): self._claim,
            ("", "persistentvolumes"): self._get,
            ("", "serviceaccounts"): self._account,
            ("", "nodes"): self._node,
            ("", "pods"): self._pod,
            ("coordination.k8s.io", "leases"): self._lease,
            ("storage.k8s.io", "csinodes"): self._csi_node,
            ("storage.k8s.io", "volumeattachments"): lambda node, a: _none("Podium relates no volume attachments to nodes yet"),
            ("resource.k8s.io", "resourceclaims"): lambda node, a: _none("Podium relates no resource claims to nodes yet"),
            ("resource.k8s.io", "resourceslices"): lambda node, a: _none("Podium relates no resource slices to nodes yet"),
        }

    async def load(self, store: Store) -> None:
        """Reads what there is, after which the feed tells of every change."""
        pods, volumes = resource("pods"), resource("persistentvolumes")
        store.feed(pods.prefix, self._follow_pods)
        store.feed(volumes.prefix, self._follow_volumes)
        for record in (await store.range(pods.prefix)).records:
            self._file(record)
        for record in (await store.range(volumes.prefix)).records:
            self._file_volume(record.value)

    def _follow_pods(self, events: list[Event]) -> None:
        for event in events:
            if event.deleted:
                node = event.record.value["spec"].get("nodeName")
                if node and node in self._pods:
                    metadata = event.record.value["metadata"]
                    self._pods[node].pop((metadata["namespace"], metadata["name"]), None)
                    self._needs.pop(metadata["uid"], None)
                    if not self._pods[node]:
                        del self._pods[node]
            else:
                self._file(event.record)

    def _file(self, record: Record) -> None:
        pod = record.value
        node = pod["spec"].get("nodeName")
        if node:
            metadata = pod["metadata"]
            self._pods.setdefault(node, {})[metadata["namespace"], metadata["name"]] = record
            if "ephemeralContainers" in pod["spec"]:
                self._needs.pop(metadata["uid"], None)

    def _follow_volumes(self, events: list[Event]) -> None:
        for event in events:
            if event.deleted:
                self._claims.pop(event.record.value["metadata"]["name"], None)
            else:
                self._file_volume(event.record.value)

    def _file_volume(self, volume: Object) -> None:
        claim = volume["spec"].get("claimRef") or {}
        self._claims[volume["metadata"]["name"]] = (claim.get("namespace", ""), claim.get("name", ""))

    def pod_on(self, node: str, namespace: str, name: str) -> Object | None:
        """The pod, if it is bound to the node."""
        record = self._pods.get(node, {}).get((namespace, name))
        return record.value if record else None

    def needs(self, node: str, plural: str, namespace: str, name: str) -> bool:
        """Whether a pod on the node refers to the object."""
        if plural == "persistentvolumes":
            namespace, name = self._claims.get(name, ("", ""))
            plural = "persistentvolumeclaims"
        wanted = (plural, name)
        pods = self._pods.get(node, {})
        return any(key[0] == namespace and wanted in self._needs_of(record) for key, record in pods.items())

    def _needs_of(self, record: Record) -> frozenset[tuple[str, str]]:
        pod = record.value
        uid = pod["metadata"]["uid"]
        found = self._needs.get(uid)
        if found is None:
            found = self._needs[uid] = frozenset(references(pod))
        return found

    def decide(self, a: Attributes) -> Decision:
        node = node_name(a.user)
        if not node:
            return _NO_OPINION
        if divided := self._rules_of.get((a.group, a.resource)):
            return divided(node, a)
        if a.path:
            return Decision(self._rules.grants_path(a.verb, a.path))
        return Decision(self._rules.grants(a.verb, a.group, a.resource, a.subresource, set()))

    def _related(self, node: str, a: Attributes) -> Decision:
        if not a.name:
            return _none("No Object name found")
        return _ALLOWED if self.needs(node, a.resource, a.namespace, a.name) else _none(_UNRELATED.format(node))

    def _read(self, node: str, a: Attributes) -> Decision:
        if a.verb not in ("get", "list", "watch"):
            return _none("can only read resources of this type")
        if a.subresource:
            return _none("cannot read subresource")
        if not a.namespace:
            return _none("can only read namespaced object of this type")
        return self._related(node, a)

    def _get(self, node: str, a: Attributes) -> Decision:
        if a.verb != "get":
            return _none("can only get individual resources of this type")
        return _none("cannot get subresource") if a.subresource else self._related(node, a)

    def _claim(self, node: str, a: Attributes) -> Decision:
        if a.subresource != "status":
            return self._get(node, a)
        if a.verb not in ("get", "update", "patch"):
            return _none("can only get/update/patch this type")
        return self._related(node, a)

    def _account(self, node: str, a: Attributes) -> Decision:
        if a.subresource == "token" and a.verb != "create":
            return _none("can only create tokens for individual service accounts")
        if a.subresource != "token" and (a.verb != "get" or a.subresource):
            return _none("can only get individual service accounts, and create tokens for them")
        return self._related(node, a)

    def _node(self, node: str, a: Attributes) -> Decision:
        if a.subresource not in ("", "status"):
            return _none("cannot access subresource")
        if a.verb in ("create", "update", "patch"):
            return _ALLOWED  # which node, and which of its fields, is the concern of the admission plugin NodeRestriction
        if a.verb in ("get", "list", "watch") and not a.subresource:
            return _ALLOWED if a.name == node else _none(f"node '{node}' cannot read '{a.name}', only its own Node object")
        return _NO_OPINION

    def _pod(self, node: str, a: Attributes) -> Decision:
        if a.subresource:
            allowed = (a.subresource == "status" and a.verb in ("update", "patch")) or (a.subresource == "eviction" and a.verb == "create")
            return Decision(allowed)
        if a.verb == "get":
            return _ALLOWED if self.pod_on(node, a.namespace, a.name) else _none(_UNRELATED.format(node))
        if a.verb in ("list", "watch"):
            if ("spec.nodeName", node) in a.fields or (a.name and self.pod_on(node, a.namespace, a.name)):
                return _ALLOWED
            return _none("can only list/watch pods with spec.nodeName field selector")
        return Decision(a.verb in ("create", "delete"))

    def _lease(self, node: str, a: Attributes) -> Decision:
        return _own(a, a.verb != "create" and a.name != node, "node lease", LEASE_NAMESPACE)

    def _csi_node(self, node: str, a: Attributes) -> Decision:
        return _own(a, a.verb != "create" and a.name != node, "CSINode", "")


def _own(a: Attributes, another: bool, what: str, namespace: str) -> Decision:
    if a.subresource:
        return _none(f"cannot authorize {what} subresources")
    if a.verb not in ("get", "create", "update", "patch", "delete"):
        return _none(f"can only get, create, update, patch, or delete a {what}")
    if namespace and a.namespace != namespace:
        return _none(f'can only access leases in the "{namespace}" system namespace')
    return _none(f"can only access {what} with the same name as the requesting node") if another else _ALLOWED


def _none(reason: str) -> Decision:
    return Decision(False, reason)


def references(pod: Object) -> Iterator[tuple[str, str]]:
    """(plural, name) of the secrets, config maps, claims and the service account that a pod refers to."""
    spec = pod["spec"]
    if account := spec.get("serviceAccountName"):
        yield "serviceaccounts", account
    for pull in spec.get("imagePullSecrets") or ():
        yield "secrets", pull.get("name", "")
    for volume in spec.get("volumes") or ():
        yield from _of_volume(pod, volume)
    for field in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(field) or ():
            yield from _of_environment(container)


def _of_volume(pod: Object, volume: Object) -> Iterator[tuple[str, str]]:
    for source in (volume, *((volume.get("projected") or {}).get("sources") or ())):
        if secret := source.get("secret"):
            yield "secrets", secret.get("secretName") or secret.get("name", "")
        if config_map := source.get("configMap"):
            yield "configmaps", config_map.get("name", "")
    if claim := volume.get("persistentVolumeClaim"):
        yield "persistentvolumeclaims", claim["claimName"]
    if "ephemeral" in volume:
        yield "persistentvolumeclaims", f"{pod['metadata']['name']}-{volume['name']}"
    for source in volume.values():
        if isinstance(source, dict):
            for field in ("secretRef", "nodePublishSecretRef"):
                if reference := source.get(field):
                    yield "secrets", reference.get("name", "")


def _of_environment(container: Object) -> Iterator[tuple[str, str]]:
    for source in container.get("envFrom") or ():
        for field, plural in (("secretRef", "secrets"), ("configMapRef", "configmaps")):
            if reference := source.get(field):
                yield plural, reference.get("name", "")
    for variable in container.get("env") or ():
        for field, plural in (("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps")):
            if reference := (variable.get("valueFrom") or {}).get(field):
                yield plural, reference.get("name", "")
