"""RBAC: who may do what, from the roles and bindings in the store.

The store's feed keeps the index up to date: a role is compiled when it changes, a binding is filed under each of its subjects. A decision looks
at the bindings of the user and of each group, first those of the cluster, then those of the namespace; its outcome is remembered per user
and question until the next change of any role or binding (`REMEMBERED_MAX` answers, then all are forgotten).

Invariants: a binding whose role is absent grants nothing; paths are granted by cluster bindings only; a namespace's bindings say nothing about
other namespaces or the cluster scope.

Source: k8s.io/kubernetes plugin/pkg/auth/authorizer/rbac, pkg/registry/rbac/validation/rule.go.
"""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from podium.api.attributes import Attributes, Decision
from podium.api.rbac_rules import CompiledRules, Object
from podium.api.request import User
from podium.objects.resources import resource
from podium.objects.status import NotFound, resource_details
from podium.store.interface import Store
from podium.store.record import Event

GROUP = "rbac.authorization.k8s.io"
REMEMBERED_MAX = 16_384

RoleKey = tuple[str, str]
"""(namespace, name); the namespace of a ClusterRole is empty."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One binding as one of its subjects sees it."""

    scope: str
    binding: str
    role: RoleKey
    subject: str

    def describe(self) -> str:
        kind, name = ("RoleBinding", f"{self.binding}/{self.scope}") if self.scope else ("ClusterRoleBinding", self.binding)
        role_kind = "Role" if self.role[0] else "ClusterRole"
        return f'{kind} "{name}" of {role_kind} "{self.role[1]}" to {self.subject}'


class Rbac:
    def __init__(self) -> None:
        self._roles: dict[RoleKey, CompiledRules] = {}
        self._grants: dict[str, dict[str, list[Grant]]] = {"": {}}
        self._filed: dict[tuple[str, str], list[str]] = {}  # (scope, binding) -> the subjects it is filed under
        self._remembered: dict[tuple[Any, ...], bool | frozenset[str]] = {}

    async def load(self, store: Store) -> None:
        """Reads what there is, after which the feed tells of every change."""
        touched: set[str] = set()
        kinds = [resource(plural, GROUP) for plural in ("clusterroles", "roles", "clusterrolebindings", "rolebindings")]
        for kind in kinds:
            store.feed(kind.prefix, lambda events, kind=kind: self._follow(kind.plural, len(kind.prefix), events, touched))  # type: ignore[misc]
        for kind in kinds:
            for record in (await store.range(kind.prefix)).records:
                if record.key not in touched:
                    self._change(kind.plural, record.key[len(kind.prefix) :], record.value)
        touched.clear()

    def _follow(self, plural: str, start: int, events: list[Event], touched: set[str]) -> None:
        for event in events:
            touched.add(event.record.key)
            self._change(plural, event.record.key[start:], None if event.deleted else event.record.value)
        if len(touched) > REMEMBERED_MAX:
            touched.clear()

    def _change(self, plural: str, name: str, value: Object | None) -> None:
        self._remembered.clear()
        scope, _, name = name.rpartition("/")
        if plural in ("clusterroles", "roles"):
            if value is None:
                self._roles.pop((scope, name), None)
            else:
                self._roles[scope, name] = CompiledRules(value.get("rules"))
            return
        self._unfile(scope, name)
        if value is not None:
            self._file(scope, name, value)

    def _file(self, scope: str, name: str, value: Object) -> None:
        reference = value.get("roleRef") or {}
        role = (scope if reference.get("kind") == "Role" else "", reference.get("name", ""))
        by_subject = self._grants.setdefault(scope, {})
        filed = self._filed[scope, name] = []
        for subject in value.get("subjects") or ():
            key, text = _subject(subject, scope)
            if key:
                insort(by_subject.setdefault(key, []), Grant(scope, name, role, text), key=lambda g: g.binding)
                filed.append(key)

    def _unfile(self, scope: str, name: str) -> None:
        by_subject = self._grants.get(scope, {})
        for key in self._filed.pop((scope, name), ()):
            kept = [g for g in by_subject.get(key, ()) if g.binding != name]
            if kept:
                by_subject[key] = kept
            else:
                by_subject.pop(key, None)
        if scope and not by_subject:
            self._grants.pop(scope, None)

    # -- questions

    def allows(self, a: Attributes) -> bool:
        key = (a.user.name, a.user.groups, a.verb, a.group, a.resource, a.subresource, a.namespace, a.path)
        found = self._remembered.get(key)
        if found is None:
            found = self._find(a)
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[key] = found
        return found if isinstance(found, bool) else a.name in found

    def _find(self, a: Attributes) -> bool | frozenset[str]:
        names: set[str] = set()
        for grant in self._grants_of(a.user, a.namespace):
            rules = self._roles.get(grant.role)
            if rules is None:
                continue
            if a.path:
                if not grant.scope and rules.grants_path(a.verb, a.path):
                    return True
            elif rules.grants(a.verb, a.group, a.resource, a.subresource, names):
                return True
        return frozenset(names) if names else False

    def _grants_of(self, user: User, namespace: str) -> Iterator[Grant]:
        for scope in ("", namespace) if namespace else ("",):
            by_subject = self._grants.get(scope)
            if not by_subject:
                continue
            yield from by_subject.get("u:" + user.name, ())
            for group in user.groups:
                yield from by_subject.get("g:" + group, ())

    def explain(self, a: Attributes) -> Decision:
        """The decision with upstream's reason: which binding allowed it, or which role is missing."""
        missing: list[str] = []
        for grant in self._grants_of(a.user, a.namespace):
            rules = self._roles.get(grant.role)
            names: set[str] = set()
            if rules is None:
                missing.append(_absent(grant.role))
            elif a.path:
                if not grant.scope and rules.grants_path(a.verb, a.path):
                    return Decision(True, f"RBAC: allowed by {grant.describe()}")
            elif rules.grants(a.verb, a.group, a.resource, a.subresource, names) or a.name in names:
                return Decision(True, f"RBAC: allowed by {grant.describe()}")
        return Decision(False, f"RBAC: {_joined(missing)}" if missing else "")

    def rules_for(self, user: User, namespace: str) -> tuple[list[Object], str]:
        """Every rule that holds for the user in the namespace (cluster-wide ones first), and what could not be resolved."""
        rules: list[Object] = []
        missing: list[str] = []
        seen: set[tuple[str, str]] = set()
        for grant in self._grants_of(user, namespace):
            if (grant.scope, grant.binding) in seen:
                continue
            seen.add((grant.scope, grant.binding))
            compiled = self._roles.get(grant.role)
            if compiled is None:
                missing.append(_absent(grant.role))
            else:
                rules.extend(r for r in compiled.values if not grant.scope or "nonResourceURLs" not in r)
        return rules, _joined(missing)

    def role_rules(self, role: RoleKey) -> list[Object]:
        """Raises NotFound."""
        compiled = self._roles.get(role)
        if compiled is None:
            raise NotFound(_absent(role), details=resource_details(GROUP, _singular(role), role[1]))
        return list(compiled.values)


def _subject(subject: Object, scope: str) -> tuple[str, str]:
    """(where it is filed, how reasons name it); nothing for one that cannot be anybody."""
    kind, name = subject.get("kind"), subject.get("name", "")
    if kind == "User":
        return f"u:{name}", f'User "{name}"'
    if kind == "Group":
        return f"g:{name}", f'Group "{name}"'
    namespace = subject.get("namespace") or scope
    if kind == "ServiceAccount" and namespace:
        return f"u:system:serviceaccount:{namespace}:{name}", f'ServiceAccount "{name}/{namespace}"'
    return "", ""


def _singular(role: RoleKey) -> str:
    return "role" if role[0] else "clusterrole"


def _absent(role: RoleKey) -> str:
    return f'{_singular(role)}.{GROUP} "{role[1]}" not found'


def _joined(errors: list[str]) -> str:
    unique = list(dict.fromkeys(errors))
    return "[" + ", ".join(unique) + "]" if len(unique) > 1 else "".join(unique)
