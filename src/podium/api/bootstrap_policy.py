"""Puts the bootstrap roles and bindings into the store at start, and mends those that are there.

What is missing is written in one batch; a rule or a subject that somebody took away comes back, what was added stays; an object annotated
rbac.authorization.kubernetes.io/autoupdate=false is left alone. A binding to another role than ours is made anew, as roleRef cannot change.

Source: k8s.io/kubernetes pkg/registry/rbac/rest/storage_rbac.go, k8s.io/component-helpers auth/rbac/reconciliation.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from typing import Any

from podium.api.bootstrap_controller_roles import CONTROLLER_ROLES
from podium.api.bootstrap_roles import AGGREGATE_TO, AGGREGATED, CLUSTER_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES, Row, rule
from podium.api.core import Core
from podium.api.encoding import encode
from podium.api.rbac import GROUP
from podium.api.rbac_rules import covers
from podium.objects.resources import Resource, resource
from podium.store.interface import ABSENT

Object = dict[str, Any]
AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_LABEL = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"


async def write_policy(core: Core) -> None:
    """Idempotent; runs at every start."""
    writes: list[Awaitable[Any]] = []
    for plural in ("clusterroles", "roles", "clusterrolebindings", "rolebindings"):
        kind = resource(plural, GROUP)
        present = {record.key: record for record in (await core.store.range(kind.prefix)).records}
        for value in _wanted(plural):
            key = kind.key(value["metadata"].get("namespace"), value["metadata"]["name"])
            record = present.get(key)
            new = _fresh(core, kind, value) if record is None else _mended(core, kind, record.value, value)
            if new is not None:
                writes.append(core.store.put(key, encode(new), expected=record.revision if record else ABSENT, value=new))
    await asyncio.gather(*writes)


def _wanted(plural: str) -> Iterator[Object]:
    match plural:
        case "clusterroles":
            yield from _cluster_roles()
        case "roles":
            for (namespace, name), rows in ROLES.items():
                yield {"metadata": _metadata(name, namespace), "rules": _rules(rows)}
        case "clusterrolebindings":
            for name, (role, subjects) in CLUSTER_BINDINGS.items():
                yield _binding(_metadata(name), "ClusterRole", role, subjects)
            for name in CONTROLLER_ROLES:
                yield _binding(_metadata(f"system:controller:{name}"), "ClusterRole", f"system:controller:{name}", f"s:kube-system/{name}")
        case "rolebindings":
            for (namespace, name), (role, subjects) in ROLE_BINDINGS.items():
                yield _binding(_metadata(name, namespace), "Role", role, subjects)


def _cluster_roles() -> Iterator[Object]:
    """Aggregated ones come with the rules that their controller would gather, so that they mean something from the first moment."""
    for name, rows in CLUSTER_ROLES.items():
        yield {"metadata": _metadata(name), "rules": _rules(rows)}
    for name, rows in CONTROLLER_ROLES.items():
        yield {"metadata": _metadata(f"system:controller:{name}"), "rules": _rules(rows)}
    for name in AGGREGATED:
        selector = {"matchLabels": {_AGGREGATE + name: "true"}}
        yield {"metadata": _metadata(name), "aggregationRule": {"clusterRoleSelectors": [selector]}, "rules": _gathered(name)}


def _gathered(name: str) -> list[Object]:
    rules: list[Object] = []
    for member in sorted(m for m, target in AGGREGATE_TO.items() if target == name):
        rows = _gathered(member) if member in AGGREGATED else _rules(CLUSTER_ROLES[member])
        rules.extend(r for r in rows if r not in rules)
    return rules


def _rules(rows: list[Row]) -> list[Object]:
    return [rule(row) for row in rows]


def _metadata(name: str, namespace: str = "") -> Object:
    labels = dict(_LABEL)
    if name in AGGREGATE_TO:
        labels[_AGGREGATE + AGGREGATE_TO[name]] = "true"
    metadata: Object = {"name": name, "labels": labels, "annotations": {AUTOUPDATE: "true"}}
    return {**metadata, "namespace": namespace} if namespace else metadata


def _binding(metadata: Object, kind: str, role: str, subjects: str) -> Object:
    value: Object = {"metadata": metadata, "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role}}
    found = [_subject(text) for text in subjects.split()]
    return {**value, "subjects": found} if found else value


def _subject(text: str) -> Object:
    form, _, name = text.partition(":")
    if form == "s":
        namespace, _, name = name.partition("/")
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return {"kind": "User" if form == "u" else "Group", "apiGroup": GROUP, "name": name}


def _fresh(core: Core, kind: Resource, value: Object) -> Object:
    metadata = {**value["metadata"], "uid": core.world.uid(), "creationTimestamp": core.world.clock.timestamp()}
    return {"kind": kind.kind, "apiVersion": kind.api_version, **value, "metadata": metadata}


def _mended(core: Core, kind: Resource, old: Object, wanted: Object) -> Object | None:
    """`old` with what is missing of `wanted`; None when nothing is."""
    before = old["metadata"]
    if (before.get("annotations") or {}).get(AUTOUPDATE) == "false":
        return None
    metadata = {k: v for k, v in before.items() if k != "resourceVersion"}
    for field in ("labels", "annotations"):
        metadata[field] = {**(before.get(field) or {}), **wanted["metadata"][field]}
    new: Object = {**old, "metadata": metadata}
    if "roleRef" in wanted:
        if old["roleRef"] != wanted["roleRef"]:
            return _fresh(core, kind, wanted)
        have = old.get("subjects") or []
        missing = [s for s in wanted.get("subjects", ()) if s not in have]
        if missing:
            new["subjects"] = [*have, *missing]
    elif "aggregationRule" in wanted:
        new["aggregationRule"] = wanted["aggregationRule"]
    else:
        have = old.get("rules") or []
        if have != wanted["rules"] and (lacking := covers(have, wanted["rules"])):
            new["rules"] = [*have, *lacking]
    unchanged = all(new.get(k) == old.get(k) for k in new if k != "metadata")
    if unchanged and all((before.get(f) or {}) == metadata[f] for f in ("labels", "annotations")):
        return None
    return new
