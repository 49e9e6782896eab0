"""Which requests a webhook or an admission policy is asked about: rules, match policy, selectors.

`Criteria.form_for` answers what depends on the kind of request alone (operation, resource, subresource), so callers remember it;
`Criteria.selects` answers what depends on the object and its namespace. With the match policy Equivalent a rule that names another served
version of the same objects matches too, and the object is then shown in that version.

Never matched: the configurations of admission themselves, so that nobody can lock a cluster, and what is only a question (reviews).

Source: k8s.io/apiserver pkg/admission/plugin/webhook/predicates (rules, namespace, object), plugin/webhook/generic/webhook.go.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podium.objects.resources import Catalog, Resource
from podium.objects.selectors import LabelSelector, from_value
from podium.objects.values import Object

_NEVER_GROUPS = ("admissionregistration.k8s.io", "authentication.k8s.io", "authorization.k8s.io")


@dataclass(frozen=True, slots=True)
class Rule:
    """`resources` are (resource, subresource), each "*" or a name; no subresource is "". `names` empty: all."""

    operations: tuple[str, ...]
    groups: tuple[str, ...]
    versions: tuple[str, ...]
    resources: tuple[tuple[str, str], ...]
    scope: str
    names: tuple[str, ...] = ()

    def matches(self, operation: str, resource: Resource, subresource: str) -> bool:
        return (
            _among(operation, self.operations)
            and _among(resource.group, self.groups)
            and _among(resource.version, self.versions)
            and (self.scope == "*" or (self.scope == "Namespaced") == resource.namespaced)
            and any(main in ("*", resource.plural) and sub in ("*", subresource) for main, sub in self.resources)
        )


def _among(name: str, wanted: tuple[str, ...]) -> bool:
    return "*" in wanted or name in wanted


def compile_rules(rules: Iterable[Object] | None) -> tuple[Rule, ...]:
    """From the API's RuleWithOperations or NamedRuleWithOperations."""
    return tuple(
        Rule(
            tuple(rule.get("operations") or ()), tuple(rule.get("apiGroups") or ()), tuple(rule.get("apiVersions") or ()),
            tuple((main, sub) for main, _, sub in (r.partition("/") for r in rule.get("resources") or ())), rule.get("scope") or "*",
            tuple(rule.get("resourceNames") or ()),
        ) for rule in rules or ()
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Criteria:
    rules: tuple[Rule, ...]
    excluded: tuple[Rule, ...]
    namespaces: LabelSelector
    objects: LabelSelector
    equivalent: bool

    def form_for(self, operation: str, resource: Resource, subresource: str, equivalents: Sequence[Resource]) -> Resource | None:
        """The resource in whose version the object is shown; None when no rule is about it. `equivalents` are the other versions."""
        if resource.group in _NEVER_GROUPS:
            return None
        if any(not rule.names and rule.matches(operation, resource, subresource) for rule in self.excluded):
            return None
        for form in (resource, *equivalents) if self.equivalent else (resource,):
            if any(rule.matches(operation, form, subresource) for rule in self.rules):
                return form
        return None

    def names_match(self, operation: str, resource: Resource, subresource: str, name: str) -> bool:
        """For rules that name objects (of policies)."""
        if any(rule.names and name in rule.names and rule.matches(operation, resource, subresource) for rule in self.excluded):
            return False
        rules = [rule for rule in self.rules if rule.matches(operation, resource, subresource)]
        return not rules or any(not rule.names or name in rule.names for rule in rules)

    def selects(self, resource: Resource, namespace_labels: Mapping[str, str] | None, new: Object | None, old: Object | None) -> bool:
        """`namespace_labels` are those of the request's namespace; None for cluster-scoped objects, which every namespace selector takes."""
        if not self.namespaces.empty:
            labels = namespace_labels
            if resource.plural == "namespaces" and not resource.group:
                labels = _labels(new if new is not None else old) or {}
            if labels is not None and not self.namespaces.matches(labels):
                return False
        if self.objects.empty:
            return True
        return any(value is not None and "metadata" in value and self.objects.matches(_labels(value)) for value in (new, old))


def _labels(value: Object | None) -> Mapping[str, str] | None:
    metadata = (value or {}).get("metadata")
    return metadata.get("labels") if isinstance(metadata, dict) else None


def compile_criteria(value: Mapping[str, Any], rules: str = "rules", excluded: str = "excludeResourceRules") -> Criteria:
    """From a webhook, or from the matchConstraints or matchResources of a policy (`rules="resourceRules"`). Raises StatusError for selectors
    that are none."""
    return Criteria(
        compile_rules(value.get(rules)), compile_rules(value.get(excluded)), from_value(value.get("namespaceSelector") or {}),
        from_value(value.get("objectSelector") or {}), (value.get("matchPolicy") or "Equivalent") == "Equivalent",
    )  # fmt: skip


def equivalents(catalog: Catalog, resource: Resource) -> list[Resource]:
    """The other versions in which the same objects are served."""
    return [r for r in catalog if r.plural == resource.plural and r.storage_group == resource.storage_group and r != resource]
