"""RBAC rules: what a rule allows, and whether rules cover others. Pure.

A `PolicyRule` is a cross product (verbs x groups x resources x names); it is never multiplied out for a decision, so that a role costs memory
in proportion to its text. `covers` does multiply out, one question at a time, as upstream: that is where its messages come from.

Source: k8s.io/kubernetes pkg/apis/rbac/v1/evaluation_helpers.go; k8s.io/component-helpers auth/rbac/validation (policy_comparator, policy_compact).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any

Object = dict[str, Any]

PIECES_MAX = 10_000


class _Rule:
    __slots__ = ("groups", "names", "verbs")

    def __init__(self, rule: Object) -> None:
        self.verbs = frozenset(rule.get("verbs") or ())
        self.groups = frozenset(rule.get("apiGroups") or ())
        self.names = frozenset(rule.get("resourceNames") or ())


class CompiledRules:
    """The rules of one role, by the resource they name. `values` are the rules as they were written."""

    __slots__ = ("_by_resource", "_paths", "values")

    def __init__(self, rules: Sequence[Object] | None) -> None:
        self.values: Sequence[Object] = rules or ()
        self._by_resource: dict[str, list[_Rule]] = {}
        self._paths: list[tuple[frozenset[str], tuple[str, ...]]] = []
        for value in self.values:
            if urls := value.get("nonResourceURLs"):
                self._paths.append((frozenset(value.get("verbs") or ()), tuple(urls)))
            if resources := value.get("resources"):
                rule = _Rule(value)
                for resource in dict.fromkeys(resources):
                    self._by_resource.setdefault(resource, []).append(rule)

    def grants(self, verb: str, group: str, resource: str, subresource: str, names: set[str]) -> bool:
        """True when every object is allowed; else `names` gets those that are."""
        by_resource = self._by_resource
        wanted = (f"{resource}/{subresource}", "*", f"*/{subresource}") if subresource else (resource, "*")
        for key in wanted:
            for rule in by_resource.get(key, ()):
                if (verb in rule.verbs or "*" in rule.verbs) and (group in rule.groups or "*" in rule.groups):
                    if not rule.names:
                        return True
                    names.update(rule.names)
        return False

    def grants_path(self, verb: str, path: str) -> bool:
        return any((verb in verbs or "*" in verbs) and any(_url_covers(u, path) for u in urls) for verbs, urls in self._paths)


def _url_covers(owned: str, path: str) -> bool:
    return owned == "*" or owned == path or (owned.endswith("*") and path.startswith(owned.rstrip("*")))


class TooManyPermissions(Exception):
    """Rules that speak of more than PIECES_MAX single permissions which no one rule includes."""


def covers(owned: Sequence[Object], wanted: Iterable[Object]) -> list[Object]:
    """The single permissions of `wanted` that no rule of `owned` includes. Raises TooManyPermissions."""
    rest = [rule for rule in wanted if not any(_includes(o, rule) for o in owned)]
    if sum(_size(rule) for rule in rest) > PIECES_MAX:
        raise TooManyPermissions
    return [piece for rule in rest for piece in _pieces(rule) if not any(_rule_covers(o, piece) for o in owned)]


def _size(rule: Object) -> int:
    words = [len(rule.get(f) or ()) for f in ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")]
    return words[0] * (words[1] * words[2] * max(1, words[3]) + words[4])


def _includes(owned: Object, rule: Object) -> bool:
    """Whether one rule includes another whole: the usual case, told without taking it to pieces."""
    verbs, groups = owned.get("verbs") or (), owned.get("apiGroups") or ()
    if "*" not in verbs and any(v not in verbs for v in rule.get("verbs") or ()):
        return False
    if urls := rule.get("nonResourceURLs"):
        return not rule.get("resources") and all(any(_url_covers(o, u) for o in owned.get("nonResourceURLs") or ()) for u in urls)
    if "*" not in groups and any(g not in groups for g in rule.get("apiGroups") or ()):
        return False
    names, resources = owned.get("resourceNames") or (), owned.get("resources") or ()
    if names and not (rule.get("resourceNames") and all(n in names for n in rule["resourceNames"])):
        return False
    return all(_resource_covers(resources, r) for r in rule.get("resources") or ())


def _pieces(rule: Object) -> Iterator[Object]:
    """A rule as single permissions: one verb on one resource (and name), or on one path."""
    verbs = rule.get("verbs") or ()
    for group, resource, verb in product(rule.get("apiGroups") or (), rule.get("resources") or (), verbs):
        piece: Object = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
        names = rule.get("resourceNames")
        if not names:
            yield piece
        for name in names or ():
            yield {**piece, "resourceNames": [name]}
    for url, verb in product(rule.get("nonResourceURLs") or (), verbs):
        yield {"nonResourceURLs": [url], "verbs": [verb]}


def _rule_covers(owned: Object, piece: Object) -> bool:
    verbs = owned.get("verbs") or ()
    if "*" not in verbs and piece["verbs"][0] not in verbs:
        return False
    if urls := piece.get("nonResourceURLs"):
        return any(_url_covers(u, urls[0]) for u in owned.get("nonResourceURLs") or ())
    groups, names = owned.get("apiGroups") or (), owned.get("resourceNames") or ()
    if "*" not in groups and piece["apiGroups"][0] not in groups:
        return False
    if names and not (piece.get("resourceNames") and piece["resourceNames"][0] in names):
        return False
    return _resource_covers(owned.get("resources") or (), piece["resources"][0])


def _resource_covers(owned: Sequence[str], resource: str) -> bool:
    if "*" in owned or resource in owned:
        return True
    _, slash, subresource = resource.partition("/")
    return bool(slash) and f"*/{subresource}" in owned


def describe(pieces: Sequence[Object]) -> list[str]:
    """Single permissions gathered by what they are about, as upstream prints them, sorted."""
    gathered: dict[tuple[str, ...], Object] = {}
    rest: list[Object] = []
    for piece in pieces:
        if "resources" not in piece:
            rest.append(piece)
            continue
        key = (piece["apiGroups"][0], piece["resources"][0], *piece.get("resourceNames", ()))
        if key in gathered:
            gathered[key]["verbs"] = list(dict.fromkeys([*gathered[key]["verbs"], *piece["verbs"]]))
        else:
            gathered[key] = dict(piece)
    return sorted({_text(rule) for rule in [*rest, *gathered.values()]})


_SHOWN = (
    ("apiGroups", "APIGroups"),
    ("resources", "Resources"),
    ("nonResourceURLs", "NonResourceURLs"),
    ("resourceNames", "ResourceNames"),
    ("verbs", "Verbs"),
)


def _text(rule: Object) -> str:
    return "{" + ", ".join(f"{label}:{_quoted(rule[field])}" for field, label in _SHOWN if rule.get(field)) + "}"


def _quoted(words: Iterable[str]) -> str:
    """As Go's %q prints a slice of strings."""
    return "[" + " ".join(f'"{w}"' for w in words) + "]"
