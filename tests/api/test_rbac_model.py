"""The index against the definition: random roles and bindings come and go, and every decision equals that of reading them all anew."""

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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

some = st.lists
rules = st.one_of(
    st.fixed_dictionaries(
        {
            "verbs": some(st.sampled_from([*VERBS, "*"]), min_size=1, max_size=2),
            "apiGroups": some(st.sampled_from([*GROUPS, "*"]), min_size=1, max_size=2),
            "resources": some(st.sampled_from([*RESOURCES, "*", "*/scale", "pods/log"]), min_size=1, max_size=2),
            "resourceNames": some(st.sampled_from(NAMES), max_size=1),
        }
    ),
    st.fixed_dictionaries(
        {
            "verbs": some(st.sampled_from(["get", "*"]), min_size=1, max_size=1),
            "nonResourceURLs": some(st.sampled_from([*PATHS, "/api*", "*"]), min_size=1),
        }
    ),
)
subjects = st.sampled_from(
    [
        {"kind": "User", "name": "ann"},
        {"kind": "Group", "name": "dev"},
        {"kind": "Group", "name": "ops"},
        {"kind": "ServiceAccount", "name": "robot", "namespace": "a"},
        {"kind": "ServiceAccount", "name": "robot"},
    ]
)
scopes = st.sampled_from(("", *NAMESPACES))
role_names = st.sampled_from(("r1", "r2"))
changes = st.one_of(
    st.tuples(st.just("role"), scopes, role_names, st.none() | some(rules, max_size=2)),
    st.tuples(
        st.just("binding"),
        scopes,
        st.sampled_from(("b1", "b2")),
        st.none() | st.tuples(st.sampled_from(("Role", "ClusterRole")), role_names, some(subjects, max_size=3)),
    ),
)


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


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(st.lists(changes, min_size=1, max_size=12))
def test_every_decision_is_as_defined(history: list[Any]) -> None:
    asyncio.run(_replay(history))


async def _replay(history: list[Any]) -> None:
    store = MemoryStore()
    followed = Rbac()
    await followed.load(store)
    roles: Object = {}
    bindings: Object = {}
    for what, scope, name, value in history:
        if what == "binding" and value is not None and not scope:
            value = ("ClusterRole", *value[1:])
        (roles if what == "role" else bindings)[scope, name] = value
        if value is None:
            del (roles if what == "role" else bindings)[scope, name]
        await _write(store, what, scope, name, value)
        for question in QUESTIONS[:: 1 + len(history)]:
            assert followed.allows(question) is as_defined(roles, bindings, question), question
    started_later = Rbac()
    await started_later.load(store)
    for question in QUESTIONS:
        expected = as_defined(roles, bindings, question)
        assert followed.allows(question) is started_later.allows(question) is expected, question
        assert followed.explain(question).allowed is expected, question
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
