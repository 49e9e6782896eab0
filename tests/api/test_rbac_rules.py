"""What rules allow, what covers what, and how missing rights are told: tables, no store."""

from random import Random

import pytest

from podium.api import rbac_rules
from podium.api.bootstrap_roles import rule
from podium.api.rbac_rules import CompiledRules, covers, describe
from tests.api.test_rbac_model import a_rule

GRANTS = [
    # (rule, verb, group, resource, subresource, name) -> allowed
    (("get", "core", "pods"), ("get", "", "pods", "", "x"), True),
    (("get", "core", "pods"), ("list", "", "pods", "", ""), False),
    (("get", "core", "pods"), ("get", "apps", "pods", "", "x"), False),
    (("get", "core", "pods"), ("get", "", "pods", "log", "x"), False),
    (("get", "core", "pods/log"), ("get", "", "pods", "log", "x"), True),
    (("get", "core", "pods/log"), ("get", "", "pods", "", "x"), False),
    (("get", "*", "*/scale"), ("get", "apps", "deployments", "scale", "x"), True),
    (("get", "*", "*/scale"), ("get", "apps", "deployments", "", "x"), False),
    (("get", "*", "*/scale"), ("get", "apps", "deployments", "status", "x"), False),
    (("get", "*", "*"), ("get", "apps", "deployments", "status", "x"), True),
    (("*", "apps", "deployments"), ("anything", "apps", "deployments", "", ""), True),
    (("get", "core", "secrets", "one two"), ("get", "", "secrets", "", "two"), True),
    (("get", "core", "secrets", "one two"), ("get", "", "secrets", "", "three"), False),
    (("create", "core", "secrets", "one"), ("create", "", "secrets", "", ""), False),
    (("list", "core", "secrets", "one"), ("list", "", "secrets", "", ""), False),
]


@pytest.mark.parametrize(("row", "question", "allowed"), GRANTS)
def test_a_rule_allows(row: tuple[str, ...], question: tuple[str, str, str, str, str], allowed: bool) -> None:
    names: set[str] = set()
    *asked, name = question
    assert (CompiledRules([rule(row)]).grants(*asked, names) or name in names) is allowed  # type: ignore[arg-type]


PATHS = [
    ("/healthz", "/healthz", True),
    ("/healthz", "/healthz/ping", False),
    ("/healthz/*", "/healthz/ping", True),
    ("/healthz*", "/healthz", True),
    ("/api/*", "/apis", False),
    ("*", "/anything/at/all", True),
    ("/metrics", "/metrics/", False),
]


@pytest.mark.parametrize(("url", "path", "allowed"), PATHS)
def test_a_rule_allows_a_path(url: str, path: str, allowed: bool) -> None:
    rules = CompiledRules([rule(("get", url))])
    assert rules.grants_path("get", path) is allowed
    assert not rules.grants_path("post", path)


COVERS = [
    ([("*", "*", "*")], ("get list", "core apps", "pods deployments/scale"), []),
    ([("get", "core", "pods")], ("get list", "core", "pods"), ['{APIGroups:[""], Resources:["pods"], Verbs:["list"]}']),
    (
        [("get", "core", "pods")],
        ("get watch list", "core", "pods nodes"),
        [
            '{APIGroups:[""], Resources:["nodes"], Verbs:["get" "watch" "list"]}',
            '{APIGroups:[""], Resources:["pods"], Verbs:["watch" "list"]}',
        ],
    ),
    ([("get", "core", "pods", "a")], ("get", "core", "pods"), ['{APIGroups:[""], Resources:["pods"], Verbs:["get"]}']),
    ([("get", "core", "pods", "a")], ("get", "core", "pods", "a"), []),
    (
        [("get", "core", "pods", "a")],
        ("get", "core", "pods", "a b"),
        ['{APIGroups:[""], Resources:["pods"], ResourceNames:["b"], Verbs:["get"]}'],
    ),
    ([("get", "core", "pods")], ("get", "core", "pods", "a"), []),
    ([("get", "*", "*/scale")], ("get", "apps", "deployments/scale"), []),
    ([("get", "*", "*/scale")], ("get", "apps", "deployments"), ['{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}']),
    ([("get", "core", "pods")], ("*", "core", "pods"), ['{APIGroups:[""], Resources:["pods"], Verbs:["*"]}']),
    ([("get", "/api/*")], ("get", "/api/v1"), []),
    ([("get", "/api/*")], ("get", "/apis"), ['{NonResourceURLs:["/apis"], Verbs:["get"]}']),
]


@pytest.mark.parametrize(("owned", "wanted", "missing"), COVERS)
def test_rights_cover_rights(owned: list[tuple[str, ...]], wanted: tuple[str, ...], missing: list[str]) -> None:
    assert describe(covers([rule(row) for row in owned], [rule(wanted)])) == missing


@pytest.mark.parametrize("seed", range(5))
def test_a_rule_included_whole_is_included_piece_by_piece(seed: int) -> None:
    chance, included = Random(seed), 0
    for _ in range(2000):
        owned, wanted = [a_rule(chance) for _ in range(chance.randint(1, 3))], a_rule(chance)
        pieces = [p for p in rbac_rules._pieces(wanted) if not any(rbac_rules._rule_covers(o, p) for o in owned)]
        assert covers(owned, [wanted]) == pieces
        included += not pieces
    assert included > 100
