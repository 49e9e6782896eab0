"""Protobuf bodies, written here byte by byte from the wire format's own rules, and read as the objects they stand for."""

from typing import Any

import pytest

from podium.objects import protobuf_decoding
from podium.objects.protobuf_decoding import MAGIC, decode
from podium.objects.status import BadRequest


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _message(*fields: tuple[int, Any]) -> bytes:
    """Fields as (number, value): an int is a varint, text and bytes are length-delimited."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += _varint(number << 3 | 2) + _varint(len(data)) + data
    return out


def _body(api_version: str, kind: str, *fields: tuple[int, Any]) -> bytes:
    return MAGIC + _message((1, _message((1, api_version), (2, kind))), (2, _message(*fields)), (3, ""), (4, ""))


METADATA = _message((1, "x"), (2, ""), (3, "n"), (8, b""), (11, _message((1, "app"), (2, "web"))))
DEPLOYMENT_SPEC = _message(
    (1, 0),  # replicas: a pointer, so that 0 is meant
    (2, _message((1, _message((1, "app"), (2, "web"))))),
    (3, _message((1, METADATA), (2, _message((2, _message((1, "c"), (2, "app:1"), (3, "sleep"), (3, "1"), (14, ""))), (3, ""))))),
    (4, _message((1, ""))),
    (5, 0),  # minReadySeconds: no pointer, so that 0 is nothing
)

CASES = [
    (
        _body("apps/v1", "Deployment", (1, METADATA), (2, DEPLOYMENT_SPEC)),
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "x", "namespace": "n", "labels": {"app": "web"}},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"name": "x", "namespace": "n", "labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "c", "image": "app:1", "command": ["sleep", "1"]}]},
                },
            },
        },
    ),
    (
        _body("v1", "Service", (1, _message((1, "s"))), (2, _message((1, _message((1, "http"), (3, 80), (4, _message((1, 0), (2, 8080)))))))),
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}},
    ),
    (
        _body("v1", "Secret", (1, _message((1, "s"))), (2, _message((1, "k"), (2, b"\x00\xff")))),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "AP8="}},
    ),
    (
        _body("v1", "ResourceQuota", (2, _message((1, _message((1, "cpu"), (2, _message((1, "500m")))))))),
        {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"cpu": "500m"}}},
    ),
    (
        _body("v1", "Pod", (2, _message((1, _message((1, "v"), (2, _message((19, _message((1, _message((1, "cm")))))))))))),
        {"apiVersion": "v1", "kind": "Pod", "spec": {"volumes": [{"name": "v", "configMap": {"name": "cm"}}]}},
    ),
    (
        _body("policy/v1", "Eviction", (2, _message((1, -1)))),
        {"apiVersion": "policy/v1", "kind": "Eviction", "deleteOptions": {"gracePeriodSeconds": -1}},
    ),
    (
        _body("coordination.k8s.io/v1", "Lease", (2, _message((1, "me"), (4, _message((1, 1767225600), (2, 5000)))))),
        {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"holderIdentity": "me", "renewTime": "2026-01-01T00:00:00.000005Z"}},
    ),
]


@pytest.mark.parametrize(("body", "value"), CASES, ids=[c[1]["kind"] for c in CASES])
def test_a_body_is_the_object_it_stands_for(body: bytes, value: dict[str, Any]) -> None:
    assert decode(body) == value


BROKEN = [
    b"",
    b"{}",
    MAGIC,
    MAGIC + b"\xff",
    MAGIC + b"\xff" * 20,
    _body("v9", "Gadget"),
    _body("v1", "Pod", (2, b"\x0a\xff")),
    _body("v1", "Pod") + b"\x0b",
    MAGIC + _message((1, b"\xff\xfe")),
]


@pytest.mark.parametrize("body", BROKEN)
def test_a_broken_body_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest):
        decode(body, "Pod")


def test_every_known_field_is_a_field_of_the_schema() -> None:
    """Numbers of fields that the schemas do not know would be read and lost."""
    from podium.objects import schema

    names = set(schema.definition_names())
    lost = [
        f"{definition}.{name}"
        for definition, message in protobuf_decoding._messages().items()
        if definition in names
        for name, _ in message.names.values()
        if name not in schema.named(definition).properties
    ]
    assert lost == []
