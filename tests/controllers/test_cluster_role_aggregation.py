"""Aggregated ClusterRoles: the plan as a table, and the controller on a real API under its own identity."""

import asyncio
from typing import Any

import pytest

from podium.control_plane import ControlPlane, start_controllers
from podium.controllers.cluster_role_aggregation import plan_rules
from podium.objects.resources import resource
from tests.api.conftest import authority, plane

__all__ = ["authority", "plane"]
CLUSTER_ROLES = resource("clusterroles", "rbac.authorization.k8s.io")

Object = dict[str, Any]


def role(name: str, *rules: str, labels: dict[str, str] | None = None, selects: list[dict[str, str]] | None = None) -> Object:
    value: Object = {"metadata": {"name": name, "labels": labels or {}}, "rules": [rule(r) for r in rules]}
    if selects is not None:
        value["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": s} for s in selects]}
    return value


def rule(plural: str) -> Object:
    return {"apiGroups": [""], "resources": [plural], "verbs": ["get"]}


X, Y = {"to": "x"}, {"to": "y"}
MEMBERS = [
    role("a", "pods", "nodes", labels=X),
    role("b", "nodes", "secrets", labels=X),
    role("c", "events", labels=Y),
    role("d", "leases"),
]

PLANS = [
    (role("sum", selects=[X]), ["pods", "nodes", "secrets"]),
    (role("sum", "pods", "nodes", "secrets", selects=[X]), None),
    (role("sum", "by-hand", selects=[X]), ["pods", "nodes", "secrets"]),
    (role("sum", selects=[Y, X]), ["events", "pods", "nodes", "secrets"]),
    (role("sum", "pods", selects=[{"to": "nobody"}]), []),
    (role("plain", "pods"), None),
    (role("a", "old", labels=X, selects=[X]), ["nodes", "secrets"]),
]


@pytest.mark.parametrize(("value", "rules"), PLANS)
def test_rules_are_gathered(value: Object, rules: list[str] | None) -> None:
    assert plan_rules(value, MEMBERS) == (None if rules is None else [rule(r) for r in rules])


async def test_a_labelled_role_reaches_view_edit_and_admin(plane: ControlPlane) -> None:
    start_controllers(plane, ca_pem="", scheduler=False)
    client = plane.client()
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    before = {name: (await client.get(CLUSTER_ROLES, name))["rules"] for name in ("view", "edit", "admin")}
    await client.create(CLUSTER_ROLES, role("shops", "shops", labels=labels))
    await _until(client, "admin", lambda rules: rule("shops") in rules)
    for name in ("view", "edit"):
        assert rule("shops") in (await client.get(CLUSTER_ROLES, name))["rules"]
    await client.delete(CLUSTER_ROLES, "shops")
    await _until(client, "admin", lambda rules: rule("shops") not in rules)
    assert {name: (await client.get(CLUSTER_ROLES, name))["rules"] for name in before} == before


async def _until(client: Any, name: str, done: Any) -> None:
    async with asyncio.timeout(5):
        while not done((await client.get(CLUSTER_ROLES, name))["rules"]):
            await asyncio.sleep(0.005)
