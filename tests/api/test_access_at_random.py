"""Roles, bindings, reviews and token requests drawn at random, right and wrong in type, by several users: a refusal at worst, never a crash."""

import random
from typing import Any

import pytest

from podium.api.node_authorizer import NODES_GROUP
from podium.api.request import Request, User
from podium.client.in_process import InProcessClient
from podium.control_plane import ADMINISTRATOR, ControlPlane
from podium.objects import schema
from podium.objects.resources import Resource, resource
from podium.objects.status import StatusError
from tests.api.objects import grant
from tests.api.test_any_object import drawn

RBAC, AUTHORIZATION, AUTHENTICATION = "rbac.authorization.k8s.io", "authorization.k8s.io", "authentication.k8s.io"
KINDS = [
    *(resource(p, RBAC) for p in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")),
    *(
        resource(p, AUTHORIZATION)
        for p in ("subjectaccessreviews", "localsubjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews")
    ),
    *(resource(p, AUTHENTICATION) for p in ("selfsubjectreviews", "tokenreviews")),
    resource("serviceaccounts"),
]
USERS = [
    ADMINISTRATOR,
    User("jane", ("system:authenticated",)),
    User("system:node:n1", (NODES_GROUP, "system:authenticated")),
    User("", ()),
]
WRONG: list[Any] = [None, 1, "x", [], [1], {}, {"a": None}, True, -1.5]
OBJECTS = 400


def a_body(kind: Resource, draw: random.Random) -> Any:
    api_version, name = (f"{AUTHENTICATION}/v1", "TokenRequest") if kind.plural == "serviceaccounts" else (kind.api_version, kind.kind)
    value = drawn(schema.load(api_version, name), draw)
    if draw.random() < 0.3:
        _spoil(value, draw)
    if isinstance(value, dict) and kind.group == RBAC:
        value["metadata"] = {"name": draw.choice("abc")}
    return value


def _spoil(value: Any, draw: random.Random) -> None:
    """Puts something of another type somewhere."""
    while isinstance(value, dict) and value:
        key = draw.choice(sorted(value))
        if draw.random() < 0.5:
            value[key] = draw.choice(WRONG)
            return
        value = value[key]


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_crashes(plane: ControlPlane, client: InProcessClient, seed: int) -> None:
    await grant(client, "admin", "User", "jane", namespace="default")
    draw = random.Random(seed)
    answered = 0
    for number in range(OBJECTS):
        kind, user = draw.choice(KINDS), draw.choice(USERS)
        namespace = "default" if kind.namespaced else None
        verb = draw.choice(("create", "create", "update", "patch")) if kind.group == RBAC else "create"
        request = Request(verb, kind, user, namespace, value=a_body(kind, draw))
        if kind.plural == "serviceaccounts":
            request.name, request.subresource = "default", "token"
        elif verb != "create":
            request.name, request.patch_type = draw.choice("abc"), "merge" if verb == "patch" else ""
        try:
            await plane.server.execute(request)
            answered += 1
        except StatusError as error:
            assert error.code < 500, (seed, number, error)
    assert answered > OBJECTS // 20
