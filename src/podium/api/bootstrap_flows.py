"""The flow schemas and priority levels that every cluster begins with: the mandatory ones, which come back, and the suggested ones, which are
the administrator's to change or delete.

Source: k8s.io/apiserver pkg/apis/flowcontrol/bootstrap/default.go.
"""

from collections.abc import Iterator, Sequence

from podium.objects.values import Object

_API_VERSION = "flowcontrol.apiserver.k8s.io/v1"
_AUTOUPDATE = {"apf.kubernetes.io/autoupdate-spec": "true"}
_EVERYTHING = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
_EVERY_PATH = {"verbs": ["*"], "nonResourceURLs": ["*"]}

_LEVELS: tuple[tuple[str, int, int, int, int], ...] = (
    ("system", 30, 33, 64, 6), ("node-high", 40, 25, 64, 6), ("leader-election", 10, 0, 16, 4), ("workload-high", 40, 50, 128, 6),
    ("workload-low", 100, 90, 128, 6), ("global-default", 20, 50, 128, 6),
)  # fmt: skip
"""(name, shares, lendable percent, queues, hand size)."""


def objects() -> Iterator[Object]:
    yield from _levels()
    yield from _schemas()


def _levels() -> Iterator[Object]:
    yield _object(
        "PriorityLevelConfiguration", "exempt", {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}}
    )
    reject = {"nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": {"type": "Reject"}}
    yield _object("PriorityLevelConfiguration", "catch-all", {"type": "Limited", "limited": reject})
    for name, shares, lendable, queues, hand in _LEVELS:
        queuing = {"queues": queues, "handSize": hand, "queueLengthLimit": 50}
        limited = {"nominalConcurrencyShares": shares, "lendablePercent": lendable, "limitResponse": {"type": "Queue", "queuing": queuing}}
        yield _object("PriorityLevelConfiguration", name, {"type": "Limited", "limited": limited})


def _schemas() -> Iterator[Object]:
    controllers, scheduler = _users("system:kube-controller-manager"), _users("system:kube-scheduler")
    accounts: list[Object] = [{"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": "kube-system"}}]
    everyone = _groups("system:unauthenticated", "system:authenticated")
    yield _schema("exempt", "exempt", 1, "", [_all(_groups("system:masters"))])
    yield _schema("catch-all", "catch-all", 10_000, "ByUser", [_all(everyone)])
    probes = {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}
    yield _schema("probes", "exempt", 2, "", [{"subjects": everyone, "nonResourceRules": [probes]}])
    leases = _resources(["get", "create", "update"], ["coordination.k8s.io"], ["leases"])
    yield _schema("system-leader-election", "leader-election", 100, "ByUser", [
        {"subjects": [*controllers, *scheduler, *accounts], "resourceRules": [leases]},
    ])  # fmt: skip
    endpoints = [
        _resources(["get", "create", "update"], [""], ["endpoints"]),
        _resources(["get", "create", "update"], ["discovery.k8s.io"], ["endpointslices"]),
    ]
    yield _schema("endpoint-controller", "workload-high", 150, "ByUser", [
        {"subjects": [*controllers, _account("endpoint-controller"), _account("endpointslicemirroring-controller")], "resourceRules": endpoints},
    ])  # fmt: skip
    yield _schema("workload-leader-election", "leader-election", 200, "ByUser", [{"subjects": accounts, "resourceRules": [leases]}])
    nodes = [
        {**_resources(["*"], [""], ["nodes", "nodes/status"]), "clusterScope": True},
        _resources(["*"], ["coordination.k8s.io"], ["leases"]),
    ]
    yield _schema("system-node-high", "node-high", 400, "ByUser", [{"subjects": _groups("system:nodes"), "resourceRules": nodes}])
    yield _schema("system-nodes", "system", 500, "ByUser", [_all(_groups("system:nodes"))])
    yield _schema("kube-controller-manager", "workload-high", 800, "ByNamespace", [_all(controllers)])
    yield _schema("kube-scheduler", "workload-high", 800, "ByNamespace", [_all(scheduler)])
    yield _schema("kube-system-service-accounts", "workload-high", 900, "ByNamespace", [_all(accounts)])
    yield _schema("service-accounts", "workload-low", 9000, "ByUser", [_all(_groups("system:serviceaccounts"))])
    yield _schema("global-default", "global-default", 9900, "ByUser", [_all(everyone)])


def _object(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": _API_VERSION, "kind": kind, "metadata": {"name": name, "annotations": dict(_AUTOUPDATE)}, "spec": spec}


def _schema(name: str, level: str, precedence: int, distinguisher: str, rules: Sequence[Object]) -> Object:
    spec: Object = {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence, "rules": list(rules)}
    if distinguisher:
        spec["distinguisherMethod"] = {"type": distinguisher}
    return _object("FlowSchema", name, spec)


def _all(subjects: Sequence[Object]) -> Object:
    return {"subjects": list(subjects), "resourceRules": [dict(_EVERYTHING)], "nonResourceRules": [dict(_EVERY_PATH)]}


def _resources(verbs: list[str], groups: list[str], resources: list[str]) -> Object:
    return {"verbs": verbs, "apiGroups": groups, "resources": resources, "namespaces": ["*"]}


def _users(name: str) -> list[Object]:
    return [{"kind": "User", "user": {"name": name}}]


def _groups(*names: str) -> list[Object]:
    return [{"kind": "Group", "group": {"name": name}} for name in names]


def _account(name: str) -> Object:
    return {"kind": "ServiceAccount", "serviceAccount": {"name": name, "namespace": "kube-system"}}
