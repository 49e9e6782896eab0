"""Custom resources at random: whatever is sent, the answer is a Status, nothing breaks a list, and what is stored obeys its schema."""

import random
from typing import Any

import pytest

from podium.client.in_process import InProcessClient
from podium.control_plane import ControlPlane
from podium.objects.custom.validity import compile_check
from podium.objects.status import StatusError
from tests.api.test_custom_resources import DEFINITIONS, SCHEMA, crontab, define, definition, served, version

OBJECTS, DEFINED = 250, 100
WORDS = ["", "a", "* *", "x" * 30, "name", "spec", "1", "é", "a/b"]
NAMES = [
    "spec",
    "status",
    "metadata",
    "apiVersion",
    "kind",
    "cron",
    "replicas",
    "steps",
    "tags",
    "name",
    "run",
    "labels",
    "finalizers",
    "x",
]
TYPES = ["string", "integer", "object", "array", "boolean", "number", "null", "text", ""]
KEYWORDS = [
    "properties", "items", "required", "enum", "default", "nullable", "pattern", "format", "minimum", "maxLength", "maxItems", "anyOf", "oneOf",
    "allOf", "not", "additionalProperties", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource", "x-kubernetes-validations", "x-kubernetes-map-type",
]  # fmt: skip


def anything(draw: random.Random, depth: int = 0) -> Any:
    kind = draw.randrange(8 if depth < 4 else 5)
    if kind == 5:
        return [anything(draw, depth + 1) for _ in range(draw.randrange(3))]
    if kind >= 6:
        return {draw.choice(NAMES): anything(draw, depth + 1) for _ in range(draw.randrange(4))}
    return [None, draw.choice([True, False]), draw.choice([0, 1, -3, 7, 2**31, 2**63, 1.5]), draw.choice(WORDS), draw.choice(WORDS)][kind]


def a_schema(draw: random.Random, depth: int = 0) -> Any:
    node: dict[str, Any] = {"type": "object" if depth == 0 else draw.choice(TYPES)}
    for keyword in draw.sample(KEYWORDS, draw.randrange(4)):
        if keyword == "properties":
            node[keyword] = {draw.choice(NAMES): a_schema(draw, depth + 1) for _ in range(draw.randrange(3))} if depth < 3 else {}
        elif keyword in ("items", "not", "additionalProperties"):
            node[keyword] = a_schema(draw, depth + 1) if depth < 3 else {}
        elif keyword in ("anyOf", "oneOf", "allOf"):
            node[keyword] = [a_schema(draw, depth + 1)] if depth < 3 else []
        elif keyword == "x-kubernetes-validations":
            node[keyword] = [{"rule": draw.choice(["self == oldSelf", "has(self.x)", "self.size() > 1", "true", "("])}]
        elif keyword in ("required", "enum", "x-kubernetes-list-map-keys"):
            node[keyword] = draw.sample(NAMES, 2)
        elif keyword in ("pattern", "format"):
            node[keyword] = draw.choice(["^a+$", "(", "ipv4", "date-time", ""])
        elif keyword in ("minimum", "maxLength", "maxItems"):
            node[keyword] = draw.choice([0, 1, 5])
        elif keyword == "default":
            node[keyword] = anything(draw, 2)
        elif keyword.endswith("type"):
            node[keyword] = draw.choice(["set", "map", "atomic", "granular", "x"])
        else:
            node[keyword] = draw.choice([True, False])
    return node


async def asked(answer: Any) -> Any:
    """What came of it; None when it was refused as clients are refused."""
    try:
        return await answer
    except StatusError as error:
        assert error.code < 500, error.message
        return None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
async def test_objects_at_random(plane: ControlPlane, client: InProcessClient, seed: int) -> None:
    crontabs = await define(plane, version(subresources={"status": {}}), version("v2"))
    v2, draw, valid = served(plane, "v2"), random.Random(f"objects/{seed}"), compile_check(SCHEMA)
    await client.create(crontabs, crontab())
    for i in range(OBJECTS):
        resource = draw.choice((crontabs, v2))
        value = crontab(f"r{i}", resource.api_version, **{draw.choice(["cron", "replicas", "steps", "tags"]): anything(draw, 2)})
        if draw.random() < 0.3:
            value[draw.choice(NAMES)] = anything(draw)
        if draw.random() < 0.5:
            await asked(client.create(resource, value, "default"))
        else:
            type_ = draw.choice(("merge", "json", "strategic"))
            patch = [{"op": "add", "path": f"/spec/{draw.choice(NAMES)}", "value": anything(draw)}] if type_ == "json" else anything(draw)
            sub = draw.choice(("", "status"))
            await asked(client.patch(resource, "a", patch, "default", type=type_, subresource=sub))
    for resource in (crontabs, v2):
        for item in (await client.list(resource)).items:
            assert valid(item), item


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
async def test_definitions_at_random(plane: ControlPlane, client: InProcessClient, seed: int) -> None:
    draw, taken = random.Random(f"definitions/{seed}"), 0
    for i in range(DEFINED):
        value = definition(version(schema=a_schema(draw)), plural=f"p{i}", kind=f"K{i}")
        if draw.random() < 0.2:
            value["spec"][draw.choice(["scope", "names", "conversion", "versions", "group"])] = anything(draw)
        if await asked(client.create(DEFINITIONS, value)) is None:
            continue
        taken += 1
        resource = plane.server.core.catalog.lookup("example.com", "v1", f"p{i}")
        if resource is None:
            continue
        for n in range(5):
            body = anything(draw)
            body = body if isinstance(body, dict) else {"spec": body}
            body["metadata"] = {"name": f"o{n}"}
            await asked(client.create(resource, {**body, "apiVersion": resource.api_version, "kind": resource.kind}, "default"))
        await client.list(resource)
    assert taken > DEFINED // 10
