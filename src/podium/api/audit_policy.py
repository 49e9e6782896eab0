"""The audit policy: which requests are recorded, and how much of each.

A policy is a list of rules; the first that matches a request decides on its level. Without a match nothing is recorded.
Source: kubernetes.io/docs/tasks/debug/debug-cluster/audit; k8s.io/apiserver pkg/audit/policy (matching, validation).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podium.api.request import Request, User

LEVELS = ("None", "Metadata", "Request", "RequestResponse")
STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
NONE, METADATA, REQUEST, RESPONSE = range(4)
_API_VERSION = "audit.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`level` counts up from NONE to RESPONSE."""

    level: int
    omitted_stages: frozenset[str] = frozenset()
    omits_managed_fields: bool = False


NOTHING = Verdict(NONE)


@dataclass(frozen=True, slots=True)
class GroupResources:
    group: str
    resources: tuple[str, ...]
    names: tuple[str, ...]

    def matches(self, request: Request) -> bool:
        if request.resource.group != self.group:
            return False
        if not self.resources:
            return True
        if self.names and request.name not in self.names:
            return False
        plural, sub = request.resource.plural, request.subresource
        wanted = (f"{plural}/{sub}", f"*/{sub}", f"{plural}/*", "*") if sub else (plural, f"{plural}/*", "*")
        return any(resource in wanted for resource in self.resources)


@dataclass(frozen=True, slots=True)
class Rule:
    verdict: Verdict
    users: tuple[str, ...]
    groups: tuple[str, ...]
    verbs: tuple[str, ...]
    namespaces: tuple[str, ...]
    resources: tuple[GroupResources, ...]
    paths: tuple[str, ...]

    def matches(self, user: User, verb: str, request: Request | None, path: str) -> bool:
        """`request` is None for a path that names no resource."""
        if self.users and user.name not in self.users:
            return False
        if self.groups and not any(group in self.groups for group in user.groups):
            return False
        if self.verbs and verb not in self.verbs:
            return False
        if self.namespaces or self.resources:
            if request is None or (self.namespaces and (request.namespace or "") not in self.namespaces):
                return False
            return not self.resources or any(resources.matches(request) for resources in self.resources)
        return not self.paths or (request is None and any(_path_matches(path, spec) for spec in self.paths))


def _path_matches(path: str, spec: str) -> bool:
    return path == spec or (spec.endswith("*") and path.startswith(spec.rstrip("*")))


class Policy:
    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)

    def decide(self, user: User, verb: str, request: Request | None, path: str = "") -> Verdict:
        for rule in self._rules:
            if rule.matches(user, verb, request, path):
                return rule.verdict
        return NOTHING


def parse(text: str) -> Policy:
    """Raises ValueError, with what is wrong and where."""
    import yaml  # who has no policy need not load it

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"it is no YAML: {error}") from error
    if not isinstance(value, dict) or value.get("kind") != "Policy" or value.get("apiVersion") != _API_VERSION:
        raise ValueError(f"it must be a Policy of {_API_VERSION}")
    _check_fields("", value, ("apiVersion", "kind", "metadata", "rules", "omitStages", "omitManagedFields"))
    rules = value.get("rules") or []
    if not rules:
        raise ValueError("loaded illegal policy with 0 rules")
    omitted = _stages(value, "omitStages")
    return Policy([_rule(item, f"rules[{i}]", omitted, value.get("omitManagedFields") is True) for i, item in enumerate(rules)])


_RULE_FIELDS = (
    "level", "users", "userGroups", "verbs", "resources", "namespaces", "nonResourceURLs", "omitStages", "omitManagedFields",
)  # fmt: skip


def _rule(item: Any, path: str, omitted: frozenset[str], omits_managed_fields: bool) -> Rule:
    if not isinstance(item, dict):
        raise ValueError(f"{path} must be an object")
    _check_fields(f"{path}.", item, _RULE_FIELDS)
    if item.get("level") not in LEVELS:
        raise ValueError(f"{path}.level: Unsupported value: {item.get('level')!r}: supported values: {', '.join(LEVELS)}")
    resources = item.get("resources") or []
    if (resources or item.get("namespaces")) and item.get("nonResourceURLs"):
        raise ValueError(f"{path}.nonResourceURLs: rules cannot apply to both regular resources and non-resource URLs")
    for url in item.get("nonResourceURLs") or ():
        if url != "*" and (not url.startswith("/") or "*" in url[:-1]):
            raise ValueError(f"{path}.nonResourceURLs: {url!r} must start with '/', and '*' is only allowed at its end")
    managed = item.get("omitManagedFields")
    verdict = Verdict(
        LEVELS.index(item["level"]),
        omitted | _stages(item, f"{path}.omitStages"),
        omits_managed_fields if managed is None else managed is True,
    )
    users, groups, verbs, namespaces = (tuple(item.get(field) or ()) for field in ("users", "userGroups", "verbs", "namespaces"))
    chosen = tuple(_group_resources(entry, f"{path}.resources[{i}]") for i, entry in enumerate(resources))
    return Rule(verdict, users, groups, verbs, namespaces, chosen, tuple(item.get("nonResourceURLs") or ()))


def _group_resources(entry: Any, path: str) -> GroupResources:
    if not isinstance(entry, dict):
        raise ValueError(f"{path} must be an object")
    _check_fields(f"{path}.", entry, ("group", "resources", "resourceNames"))
    if entry.get("resourceNames") and not entry.get("resources"):
        raise ValueError(f"{path}.resourceNames: using resourceNames requires at least one resource")
    return GroupResources(entry.get("group") or "", tuple(entry.get("resources") or ()), tuple(entry.get("resourceNames") or ()))


def _stages(item: Mapping[str, Any], path: str) -> frozenset[str]:
    given = item.get("omitStages") or []
    unknown = [stage for stage in given if stage not in STAGES]
    if unknown:
        raise ValueError(f"{path}: Invalid value: {unknown[0]!r}: allowed stages are {', '.join(STAGES)}")
    return frozenset(given)


def _check_fields(path: str, value: Mapping[str, Any], known: Sequence[str]) -> None:
    unknown = [field for field in value if field not in known]
    if unknown:
        raise ValueError(f"unknown field {path}{unknown[0]}")
