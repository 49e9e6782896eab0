"""Parts that are equal become one object, and nothing else does."""

import orjson
import pytest

from podium.objects import parts
from podium.objects.parts import Parts

POD = {"metadata": {"name": "a", "labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "ports": [{"containerPort": 80}]}]}}


def fresh(value):
    return orjson.loads(orjson.dumps(value))


def shared(*values):
    """The values after one `Parts` saw them in turn."""
    sharing, found = Parts(), [fresh(value) for value in values]
    for value in found:
        sharing.share(value)
    return found


def test_the_third_object_has_the_parts_of_the_second():
    _, second, third = shared(POD, POD, POD)
    assert third["metadata"]["labels"] is second["metadata"]["labels"]
    assert third["spec"]["containers"] is second["spec"]["containers"]


def test_an_object_and_what_is_directly_below_are_its_own():
    _, second, third = shared(POD, POD, POD)
    assert third is not second and third["metadata"] is not second["metadata"] and third["spec"] is not second["spec"]


def test_within_a_part_that_differs_equal_ones_are_shared():
    def pod(mount):
        return {"spec": {"containers": [{"name": "c", "mount": mount, "ports": [{"containerPort": 80}]}]}}

    _, second, third = shared(pod("x"), pod("y"), pod("z"))
    assert third["spec"]["containers"][0]["mount"] == "z"
    assert third["spec"]["containers"][0]["ports"] is second["spec"]["containers"][0]["ports"]


def test_equal_strings_become_one():
    _, second, third = shared(*({"spec": {"nodeName": "node-of-this-test"}} for _ in range(3)))
    assert third["spec"]["nodeName"] is second["spec"]["nodeName"]


@pytest.mark.parametrize(
    ("one", "other"),
    [([1], [True]), ([1], [1.0]), ([0], [False]), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({"x": [1, 2]}, {"x": [1, 2, 3]})],
)
def test_what_python_calls_equal_and_json_does_not_stays_apart(one, other):
    texts = [orjson.dumps({"spec": {"part": part}}) for part in (one, one, one, other, other, other)]
    assert [orjson.dumps(value) for value in shared(*map(orjson.loads, texts))] == texts


def test_objects_stay_what_they_were():
    values = [{"metadata": {"name": f"p{n % 7}"}, "spec": {"n": n % 3, "deep": [[{"x": n % 2}]]}, "text": "x"} for n in range(50)]
    assert shared(*values) == values


def test_deep_nesting_is_left_alone():
    value = {"spec": orjson.loads(b"[" * 200 + b"]" * 200)}
    assert shared(value, value, value) == [value, value, value]


def test_memory_of_parts_is_bounded(monkeypatch):
    monkeypatch.setattr(parts, "TEXT_BYTES_MAX", 1000)
    monkeypatch.setattr(parts, "STRINGS_MAX", 10)
    sharing = Parts()
    for number in range(100):
        for _ in range(2):
            sharing.share(fresh({"spec": {"part": [str(number) * 20] * 3}}))
        assert sharing._text_bytes <= 1000 and sum(map(len, sharing._parts)) == sharing._text_bytes
        assert len(sharing._strings) <= 10
