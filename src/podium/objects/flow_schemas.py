"""FlowSchemas and PriorityLevelConfigurations, compiled: which level a request belongs to, and which flow within it. Pure.

Source: k8s.io/apiserver pkg/util/flowcontrol/rule.go (matching); kubernetes.io/docs/concepts/cluster-administration/flow-control.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from podium.objects.values import Object

_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request is matched by. `plural` empty for a path that names no resource; a subresource is `pods/log`."""

    user: str
    groups: tuple[str, ...]
    verb: str
    group: str = ""
    plural: str = ""
    namespace: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class _Resources:
    verbs: tuple[str, ...]
    groups: tuple[str, ...]
    resources: tuple[str, ...]
    namespaces: tuple[str, ...]
    cluster: bool

    def matches(self, asked: Asked) -> bool:
        if not (_among(asked.verb, self.verbs) and _among(asked.group, self.groups) and _among(asked.plural, self.resources)):
            return False
        return _among(asked.namespace, self.namespaces) if asked.namespace else self.cluster


@dataclass(frozen=True, slots=True)
class _Paths:
    verbs: tuple[str, ...]
    paths: tuple[str, ...]

    def matches(self, asked: Asked) -> bool:
        return _among(asked.verb, self.verbs) and any(_path_matches(asked.path, spec) for spec in self.paths)


@dataclass(frozen=True, slots=True)
class _Rule:
    users: tuple[str, ...]
    groups: tuple[str, ...]
    account_namespaces: tuple[str, ...]
    resources: tuple[_Resources, ...]
    paths: tuple[_Paths, ...]

    def matches(self, asked: Asked) -> bool:
        if not self._is_subject(asked):
            return False
        return any(rule.matches(asked) for rule in (self.resources if asked.plural else self.paths))

    def _is_subject(self, asked: Asked) -> bool:
        if _among(asked.user, self.users) or "*" in self.groups or any(group in self.groups for group in asked.groups):
            return True
        return asked.user.startswith(_ACCOUNT) and asked.user.split(":")[2] in self.account_namespaces


def _among(name: str, wanted: tuple[str, ...]) -> bool:
    return "*" in wanted or name in wanted


def _path_matches(path: str, spec: str) -> bool:
    return spec in ("*", path) or (spec.endswith("/*") and path.startswith(spec[:-1]))


@dataclass(frozen=True, slots=True)
class FlowSchema:
    name: str
    uid: str
    precedence: int
    level: str
    distinguisher: str
    rules: tuple[_Rule, ...]

    def matches(self, asked: Asked) -> bool:
        return any(rule.matches(asked) for rule in self.rules)

    def flow_of(self, asked: Asked) -> str:
        """What tells the flows of this schema apart."""
        match self.distinguisher:
            case "ByUser":
                return asked.user
            case "ByNamespace":
                return asked.namespace
        return ""


@dataclass(frozen=True, slots=True)
class Level:
    """`shares` of the server's seats; `lendable` and `borrowing` in percent (None: any number); `queues` 0: what does not fit is refused."""

    name: str
    uid: str
    exempt: bool
    shares: int
    lendable: int
    borrowing: int | None
    queues: int
    hand: int
    queue_length: int


def compile_schema(value: Object) -> FlowSchema:
    spec = value.get("spec") or {}
    return FlowSchema(
        value["metadata"]["name"], value["metadata"].get("uid", ""), spec.get("matchingPrecedence", 1000),
        (spec.get("priorityLevelConfiguration") or {}).get("name", ""), (spec.get("distinguisherMethod") or {}).get("type", ""),
        tuple(_rule(rule) for rule in spec.get("rules") or ()),
    )  # fmt: skip


def _rule(rule: Object) -> _Rule:
    subjects: Sequence[Object] = rule.get("subjects") or ()
    users = [(s.get("user") or {}).get("name", "") for s in subjects if s.get("kind") == "User"]
    groups = [(s.get("group") or {}).get("name", "") for s in subjects if s.get("kind") == "Group"]
    namespaces = []
    for account in ((s.get("serviceAccount") or {}) for s in subjects if s.get("kind") == "ServiceAccount"):
        if account.get("name") == "*":
            namespaces.append(account.get("namespace", ""))
        else:
            users.append(f"{_ACCOUNT}{account.get('namespace', '')}:{account.get('name', '')}")
    resources = tuple(
        _Resources(
            tuple(r.get("verbs") or ()),
            tuple(r.get("apiGroups") or ()),
            tuple(r.get("resources") or ()),
            tuple(r.get("namespaces") or ()),
            bool(r.get("clusterScope")),
        )
        for r in rule.get("resourceRules") or ()
    )
    paths = tuple(_Paths(tuple(r.get("verbs") or ()), tuple(r.get("nonResourceURLs") or ())) for r in rule.get("nonResourceRules") or ())
    return _Rule(tuple(users), tuple(groups), tuple(namespaces), resources, paths)


def compile_level(value: Object) -> Level:
    spec = value.get("spec") or {}
    name, uid = value["metadata"]["name"], value["metadata"].get("uid", "")
    if spec.get("type") == "Exempt":
        exempt = spec.get("exempt") or {}
        return Level(name, uid, True, exempt.get("nominalConcurrencyShares", 0), exempt.get("lendablePercent", 0), None, 0, 0, 0)
    limited = spec.get("limited") or {}
    response = limited.get("limitResponse") or {}
    queuing = (response.get("queuing") or {}) if response.get("type") == "Queue" else None
    queues, hand, length = (0, 0, 0) if queuing is None else _queuing(queuing)
    shares, lendable = limited.get("nominalConcurrencyShares", 30), limited.get("lendablePercent", 0)
    return Level(name, uid, False, shares, lendable, limited.get("borrowingLimitPercent"), queues, hand, length)


def _queuing(queuing: Object) -> tuple[int, int, int]:
    return queuing.get("queues", 64), queuing.get("handSize", 8), queuing.get("queueLengthLimit", 50)
