"""The index against the definition: roles and bindings come and go at random (the seed is in the test's name), and every decision equals that
of reading them all anew."""

from random import Random
from typing import Any

import pytest

from podium.api.attributes import Attributes
from podium.api.encoding import encode
from podium.api.rbac import GROUP, Rbac
from podium.api.request import User
from podium.objects.resources import resource
from podium.store.memory import MemoryStore

Object = dict[str, Any]

USERS = [User("ann", ("dev",)), User("bob", ("dev", "ops")), User("system:serviceaccount:a:robot", ("system:serviceaccounts",))]
NAMESPACES, NAMES = ("a", "b"), ("x", "y")
VERBS, GROUPS, RESOURCES = ("get", "create"), ("", "apps"), ("pods", "deployments")
SUBRESOURCES, PATHS = ("", "scale", "log"), ("/api", "/api/v1", "/metrics")

SUBJECTS: list[Object] = [
    {"kind": "User", "name": "ann"},
    {"kind": "Group", "name": "dev"},
    {"kind": "Group", "name": "ops"},
    {"kind": "ServiceAccount", "name": "robot", "namespace": "a"},
    {"kind": "ServiceAccount", "name": "robot"},
]
CHANGES = 12


def a_rule(chance: Random) -> Object:
    if chance.random() < 0.3:
        return {"verbs": [chance.choice(["get", "*"])], "nonResourceURLs": chance.sample([*PATHS, "/api*", "*"], 1)}
    return {
        "verbs": chance.sample([*VERBS, "*"], chance.randint(1, 2)),
        "apiGroups": chance.sample([*GROUPS, "*"], chance.randint(1, 2)),
        "resources": chance.sample([*RESOURCES, "*", "*/scale", "pods/log"], chance.randint(1, 2)),
        "resourceNames": chance.sample(NAMES, chance.randint(0, 1)),
    }


def a_change(chance: Random) -> tuple[str, str, str, Any]:
    """(role or binding, its namespace or none, its name, what it becomes; None: it goes)."""
    scope, gone = chance.choice(("", *NAMESPACES)), chance.random() < 0.2
    if chance.random() < 0.5:
        return "role", scope, chance.choice(("r1", "r2")), None if gone else [a_rule(chance) for _ in range(chance.randint(0, 2))]
    kind = chance.choice(("Role", "ClusterRole")) if scope else "ClusterRole"
    who = chance.sample(SUBJECTS, chance.randint(1, 3))
    return "binding", scope, chance.choice(("b1", "b2")), None if gone else (kind, chance.choice(("r1", "r2")), who)


def as_defined(roles: Object, bindings: Object, a: Attributes) -> bool:
    """RBAC as its documentation has it, without any index."""
    for (scope, _), (kind, name, who) in bindings.items():
        if scope and (scope != a.namespace or a.path):
            continue
        if any(_is(a.user, s, scope) for s in who):
            found = roles.get((scope if kind == "Role" else "", name)) or ()
            if any(_rule_allows(r, a) for r in found):
                return True
    return False


def _is(user: User, subject: Object, scope: str) -> bool:
    if subject["kind"] == "Group":
        return subject["name"] in user.groups
    if subject["kind"] == "User":
        return bool(subject["name"] == user.name)
    namespace = subject.get("namespace") or scope
    return bool(namespace) and user.name == f"system:serviceaccount:{namespace}:{subject['name']}"


def _rule_allows(rule: Object, a: Attributes) -> bool:
    if a.verb not in rule["verbs"] and "*" not in rule["verbs"]:
        return False
    if a.path:
        urls = rule.get("nonResourceURLs", ())
        return any(u == a.path or (u.endswith("*") and a.path.startswith(u[:-1])) for u in urls)
    if "resources" not in rule or (a.group not in rule["apiGroups"] and "*" not in rule["apiGroups"]):
        return False
    wanted = {"*", f"{a.resource}/{a.subresource}", f"*/{a.subresource}"} if a.subresource else {"*", a.resource}
    return bool(wanted & set(rule["resources"])) and (not rule["resourceNames"] or a.name in rule["resourceNames"])


QUESTIONS = [
    *(
        Attributes(user, verb, group, plural, subresource, namespace, name)
        for user in USERS for verb in VERBS for group in GROUPS for plural in RESOURCES for subresource in SUBRESOURCES
        for namespace in ("", *NAMESPACES) for name in ("", *NAMES)
    ),
    *(Attributes(user, "get", path=path) for user in USERS for path in PATHS),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
async def test_every_decision_is_as_defined(seed: int) -> None:
    chance, store, followed = Random(seed), MemoryStore(), Rbac()
    await followed.load(store)
    roles: Object = {}
    bindings: Object = {}
    for _ in range(CHANGES):
        what, scope, name, value = a_change(chance)
        await _write(store, what, scope, name, value)
        kept = roles if what == "role" else bindings
        if value is None:
            kept.pop((scope, name), None)
        else:
            kept[scope, name] = value
        for question in chance.sample(QUESTIONS, 100):
            assert followed.allows(question) is as_defined(roles, bindings, question), question
    started_later = Rbac()
    await started_later.load(store)
    for question in QUESTIONS:
        expected = as_defined(roles, bindings, question)
        assert followed.allows(question) is started_later.allows(question) is followed.explain(question).allowed is expected, question
    await store.close()


async def _write(store: MemoryStore, what: str, scope: str, name: str, value: Any) -> None:
    plural = what + "s" if scope else "cluster" + what + "s"
    kind = resource(
        {"roles": "roles", "bindings": "rolebindings", "clusterroles": "clusterroles", "clusterbindings": "clusterrolebindings"}[plural],
        GROUP,
    )
    key = kind.key(scope, name)
    if value is None:
        await store.delete(key, expected=None)
        return
    body: Object = {"metadata": {"name": name}}
    if what == "role":
        body["rules"] = value
    else:
        body |= {"roleRef": {"kind": value[0], "name": value[1]}, "subjects": value[2]}
    await store.put(key, encode(body), expected=None)
