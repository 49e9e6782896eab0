"""Patches of every odd shape: they apply or are refused with a Status, and never change what they were given."""

import random
from typing import Any

import pytest

from podium.objects import patches
from podium.objects.status import StatusError
from podium.objects.values import copy

FIELDS = [
    "metadata", "spec", "status", "labels", "finalizers", "containers", "ports", "name", "containerPort", "volumes", "strategy", "conditions",
    "$patch", "$retainKeys", "$setElementOrder/containers", "$setElementOrder/finalizers", "$deleteFromPrimitiveList/finalizers",
]  # fmt: skip
LEAVES = [None, True, 1, 0, 1.5, "a", "b", "delete", "replace", "merge", "c/d", 80]
PATHS = ["", "/", "/spec", "/spec/containers/0", "/spec/containers/-", "/metadata/finalizers/-1", "/a/b", "x", None, 1]


def anything(draw: random.Random, depth: int = 0) -> Any:
    chance = draw.random()
    if depth > 5 or chance < 0.35:
        return draw.choice(LEAVES)
    if chance < 0.65:
        return {draw.choice(FIELDS): anything(draw, depth + 1) for _ in range(draw.randrange(4))}
    return [anything(draw, depth + 1) for _ in range(draw.randrange(4))]


def container(draw: random.Random) -> Any:
    chosen = {"name": draw.choice("abc"), "image": draw.choice(["x", None, 1]), "$patch": draw.choice(["delete", "replace", "merge", "z"])}
    return {k: v for k, v in chosen.items() if draw.random() < (0.2 if k == "$patch" else 0.9)}


def pod_like(draw: random.Random) -> Any:
    spec = {"containers": [container(draw) if draw.random() < 0.95 else anything(draw, 4) for _ in range(draw.randrange(4))]}
    metadata: dict[str, Any] = {"finalizers": [draw.choice(["a/a", "b/b", "c/c"]) for _ in range(draw.randrange(3))]}
    if draw.random() < 0.5:
        spec["$setElementOrder/containers"] = [{"name": c} for c in draw.sample("abc", 2)] if draw.random() < 0.7 else anything(draw, 3)
    if draw.random() < 0.5:
        metadata["$deleteFromPrimitiveList/finalizers"] = draw.choice([["a/a"], "x", None, [{}]])
        metadata["$setElementOrder/finalizers"] = draw.choice([["c/c", "a/a"], [[]], None])
    return {"spec": spec, "metadata": metadata}


@pytest.mark.parametrize("seed", range(4))
def test_any_patch_applies_or_is_refused(seed: int) -> None:
    draw = random.Random(seed)
    applied = 0
    for _ in range(300):
        odd = draw.random() < 0.4
        doc, patch = ({"spec": anything(draw)}, {"spec": anything(draw)}) if odd else (pod_like(draw), pod_like(draw))
        kinds = ["add", "remove", "replace", "move", "copy", "test", 1, []]
        ops = [
            {"op": draw.choice(kinds), "path": draw.choice(PATHS), "from": draw.choice(PATHS), "value": anything(draw, 3)} for _ in range(3)
        ]
        before = copy([doc, patch, ops])
        for attempt in (
            lambda: patches.apply_strategic(doc, patch, "v1", "Pod"),  # noqa: B023
            lambda: patches.apply_merge(doc, patch),  # noqa: B023
            lambda: patches.apply_json(doc, ops),  # noqa: B023
        ):
            try:
                attempt()
                applied += 1
            except StatusError as error:
                assert error.code in (400, 422)
        assert [doc, patch, ops] == before
    assert applied > 300


def difference(old: Any, new: Any) -> Any:
    """The merge patch from one object to another that has no nulls."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        if key not in old:
            patch[key] = value
        elif old[key] != value:
            patch[key] = difference(old[key], value) if isinstance(value, dict) and isinstance(old[key], dict) else value
    return patch


def without_nulls(value: Any) -> Any:
    return {k: without_nulls(v) for k, v in value.items() if v is not None} if isinstance(value, dict) else value


def test_a_merge_patch_leads_from_any_object_to_any_other() -> None:
    draw = random.Random(7)
    for _ in range(300):
        old, new = ({f: without_nulls(anything(draw, 2)) for f in draw.sample(FIELDS, 4)} for _ in range(2))
        old, new = without_nulls(old), without_nulls(new)
        assert patches.apply_merge(old, difference(old, new)) == new
