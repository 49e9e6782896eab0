"""The language and its functions, from the files in cases/: one expression a line.

`expression => value` (written in CEL as well, of the same kind), `expression !! error while running`, `expression ?? error of compilation`.
"""

from pathlib import Path
from typing import Any

import pytest

from podium.objects import cel
from podium.objects.cel import authorization, values
from podium.objects.cel.types import DYN

TYPED = {
    "type": "object",
    "properties": {
        "name": {"type": "string"}, "missing": {"type": "string"}, "count": {"type": "integer"}, "ratio": {"type": "number"},
        "a-b": {"type": "integer"}, "namespace": {"type": "string"}, "when": {"type": "string", "format": "date-time"},
        "wait": {"type": "string", "format": "duration"}, "raw": {"type": "string", "format": "byte"},
        "ratios": {"type": "array", "items": {"type": "number"}},
        "times": {"type": "array", "items": {"type": "string", "format": "date-time"}},
        "port": {"x-kubernetes-int-or-string": True},
        "items": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "plain": {"type": "array", "items": {"type": "string"}},
        "inner": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
        **{
            name: {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["key"],
                "items": {"type": "object", "properties": {"key": {"type": "string"}, "value": {"type": "integer"}}},
            }
            for name in ("entries", "reordered")
        },
    },
}  # fmt: skip
TYPED_VALUE = {
    "name": "n", "count": 7, "ratio": 2, "a-b": 5, "namespace": "ns", "when": "2024-05-06T07:08:09Z", "wait": "1m30s", "raw": "aGk=",
    "ratios": [1, 2, 3], "times": ["2024-01-01T00:00:00Z"], "port": 80, "items": ["a", "b"], "plain": ["a", "b"],
    "inner": [{"name": "i1"}], "entries": [{"key": "a", "value": 1}, {"key": "b", "value": 2}],
    "reordered": [{"key": "b", "value": 2}, {"key": "a", "value": 1}],
}  # fmt: skip
OBJECT = {
    "metadata": {"labels": {"app.kubernetes.io/name": "shop"}},
    "spec": {"replicas": 3, "containers": [{"name": "one", "image": "registry/a"}, {"name": "two", "image": "registry/b"}]},
}


def decide(question: authorization.Question) -> authorization.Decision:
    allowed = question.path == "/healthz" or question.resource == "deployments" or question.service_account == "default/robot"
    return authorization.Decision(allowed, "yes" if allowed else "no")


TYPE = cel.structural_type(TYPED)
assert TYPE is not None
ENVIRONMENT = cel.Environment({"x": DYN, "typed": TYPE, "authorizer": authorization.AUTHORIZER})
BINDINGS: dict[str, Any] = {"x": OBJECT, "typed": TYPED_VALUE, "authorizer": authorization.Authorizer(decide)}


def cases() -> list[Any]:
    found = []
    for path in sorted(Path(__file__).with_name("cases").glob("*.txt")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line and not line.startswith("#"):
                found.append(pytest.param(line, id=f"{path.stem}:{number}"))
    return found


@pytest.mark.parametrize("line", cases())
def test_case(line: str) -> None:
    mark = max((" => ", " !! ", " ?? "), key=line.rfind)
    expression, _, wanted = line.rpartition(mark)
    if mark == " ?? ":
        with pytest.raises(cel.CelCompileError) as caught:
            cel.compile(expression, ENVIRONMENT)
        assert wanted in caught.value.message
        return
    program = cel.compile(expression, ENVIRONMENT)
    if mark == " !! ":
        with pytest.raises(cel.CelRuntimeError) as failed:
            program.evaluate(BINDINGS)
        assert wanted in failed.value.message
        return
    value, right = program.evaluate(BINDINGS), cel.compile(wanted, ENVIRONMENT).evaluate(BINDINGS)
    assert values.equal(value, right) and values.kind_of(value) == values.kind_of(right), f"{value!r} is not {right!r}"
