"""Bodies in protobuf, as kubectl 1.32 writes them (`kubectl create ...`, captured)."""

import base64
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podium.objects import protobuf, schema
from podium.objects.decoding import DEPTH_MAX, decode
from podium.objects.protobuf import MAGIC, MEDIA_TYPE, ProtobufError, read_protobuf
from podium.objects.status import BadRequest
from podium.objects.structure import conform
from podium.objects.values import copy

BODIES = {
    "configmap": "azhzAAoPCgJ2MRIJQ29uZmlnTWFwEi0KGAoIc2V0dGluZ3MSABoAIgAqADIAOABCABIGCgFhEgFiEgkKBWVtcHR5EgAaACIA",
    "secret": "azhzAAoMCgJ2MRIGU2VjcmV0Eh0KEQoBcxIAGgAiACoAMgA4AEIAEgYKAWESAWIaABoAIgA=",
    "service": (
        "azhzAAoNCgJ2MRIHU2VydmljZRJlChsKAXMSABoAIgAqADIAOABCAFoICgNhcHASAXMSQgoeCgY4MC13ZWISA1RDUBhQIgkIARAAGgN3ZWIogOsBEggKA2Fw"
        "cBIBcxoAIghOb2RlUG9ydDoAQgBSAFoAYABoABoCCgAaACIA"
    ),
    "deployment": (
        "azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50EswBCiMKBW5naW54EgAaACIAKgAyADgAQgBaDAoDYXBwEgVuZ2lueBKWAQgAEg4KDAoDYXBwEgVuZ2lueBp6"
        "Ch4KABIAGgAiACoAMgA4AEIAWgwKA2FwcBIFbmdpbngSWBI6CgVuZ2lueBIHbmdpbng6MRoFc2xlZXAaATEqADIKCgAQABhQIgAqAEIAagByAIABAIgBAJAB"
        "AKIBABoAMgBCAEoAUgBYAGAAaACCAQCKAQCaAQDCAQAiAgoAKAA4ABoMCAAQABgAIAAoADgAGgAiAA=="
    ),
    "ingress": (
        "azhzAAofChRuZXR3b3JraW5nLms4cy5pby92MRIHSW5ncmVzcxJEChEKAWkSABoAIgAqADIAOABCABIrEgYKAWESAXQaIQoBYRIcChoKGAoCL2ISCyIJCgFj"
        "EgQKABBQGgVFeGFjdBoCCgAaACIA"
    ),
    "cronjob": (
        "azhzAAoTCghiYXRjaC92MRIHQ3JvbkpvYhKVAQoSCgJjahIAGgAiACoAMgA4AEIAEn0KCSogKiAqICogKhoAKm4KEgoCY2oSABoAIgAqADIAOABCABJYMlYK"
        "EAoAEgAaACIAKgAyADgAQgASQhIbCgJjahIBeCoAQgBqAHIAgAEAiAEAkAEAogEAGglPbkZhaWx1cmUyAEIASgBSAFgAYABoAIIBAIoBAJoBAMIBABoAGgAi"
        "AA=="
    ),
    "poddisruptionbudget": (
        "azhzAAogCglwb2xpY3kvdjESE1BvZERpc3J1cHRpb25CdWRnZXQSNgoRCgFwEgAaACIAKgAyADgAQgASFQoJCAEQABoDNTAlEggKBgoBYRIBYhoKCAAYACAA"
        "KAAwABoAIgA="
    ),
    "priorityclass": (
        "azhzAAolChRzY2hlZHVsaW5nLms4cy5pby92MRINUHJpb3JpdHlDbGFzcxI5ChIKAnBjEgAaACIAKgAyADgAQgAQ+///////////ARgAIgAqFFByZWVtcHRM"
        "b3dlclByaW9yaXR5GgAiAA=="
    ),
    "resourcequota": "azhzAAoTCgJ2MRINUmVzb3VyY2VRdW90YRI0ChEKAXESABoAIgAqADIAOABCABIdCgoKA2NwdRIDCgExCg8KBm1lbW9yeRIFCgMxR2kaABoAIgA=",
    "token": "azhzAAooChhhdXRoZW50aWNhdGlvbi5rOHMuaW8vdjESDFRva2VuUmVxdWVzdBIdChAKABIAGgAiACoAMgA4AEIAEgMgkBwaBAoAEgAaACIA",
}


def body(name: str) -> bytes:
    return base64.b64decode(BODIES[name])


def read(name: str) -> dict[str, Any]:
    return read_protobuf(body(name), depth_max=DEPTH_MAX)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("configmap", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "b", "empty": ""}}),
        ("secret", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "Yg=="}}),
        ("service", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "labels": {"app": "s"}},
                     "spec": {"ports": [{"name": "80-web", "protocol": "TCP", "port": 80, "targetPort": "web", "nodePort": 30080}],
                              "selector": {"app": "s"}, "type": "NodePort"}, "status": {"loadBalancer": {}}}),
        ("ingress", {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"},
                     "spec": {"tls": [{"hosts": ["a"], "secretName": "t"}],
                              "rules": [{"host": "a", "http": {"paths": [{"path": "/b", "pathType": "Exact", "backend": {
                                  "service": {"name": "c", "port": {"number": 80}}}}]}}]}, "status": {"loadBalancer": {}}}),
        ("priorityclass", {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "pc"}, "value": -5,
                           "preemptionPolicy": "PreemptLowerPriority"}),
        ("resourcequota", {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"},
                           "spec": {"hard": {"cpu": "1", "memory": "1Gi"}}, "status": {}}),
    ],
)  # fmt: skip
def test_a_body_is_read_as_its_json_would_be(name: str, expected: dict[str, Any]) -> None:
    assert read(name) == expected


def test_zero_stays_where_it_means_something() -> None:
    """`--replicas 0` is a pointer in Go; a container's absent hostPort is not."""
    spec = read("deployment")["spec"]
    assert spec["replicas"] == 0
    (container,) = spec["template"]["spec"]["containers"]
    assert container == {"name": "nginx", "image": "nginx:1", "command": ["sleep", "1"], "ports": [{"containerPort": 80}], "resources": {}}


def test_strings_or_numbers_keep_their_kind() -> None:
    assert read("poddisruptionbudget")["spec"]["minAvailable"] == "50%"
    assert read("token")["spec"]["expirationSeconds"] == 3600


@pytest.mark.parametrize("name", BODIES)
def test_what_is_read_conforms(name: str) -> None:
    value = read(name)
    before = copy(value)
    findings = conform(value, value["apiVersion"], value["kind"])
    assert (findings.unknown, findings.causes, value) == ([], [], before)


def test_decode_takes_the_media_type() -> None:
    decoded = decode(body("configmap"), MEDIA_TYPE)
    assert (decoded.value["kind"], decoded.duplicates) == ("ConfigMap", [])


# A writer of the wire format, for what kubectl does not send


def field(number: int, content: bytes | str | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content & (2**64 - 1))
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + varint(value >> 7)


def envelope(api_version: str, kind: str, message: bytes) -> bytes:
    return MAGIC + field(1, field(1, api_version) + field(2, kind)) + field(2, message)


def decoded(api_version: str, kind: str, message: bytes) -> dict[str, Any]:
    value = read_protobuf(envelope(api_version, kind, message), depth_max=DEPTH_MAX)
    assert (value.pop("apiVersion"), value.pop("kind")) == (api_version, kind)
    return value


@pytest.mark.parametrize(
    ("seconds", "nanos", "expected"),
    [
        (0, 0, "1970-01-01T00:00:00Z"),
        (1767323045, 0, "2026-01-02T03:04:05Z"),
        (-1, 0, "1969-12-31T23:59:59Z"),
        (1767323045, 6000, "2026-01-02T03:04:05Z"),
    ],
)
def test_times_are_written_as_metav1_does(seconds: int, nanos: int, expected: str) -> None:
    time = field(1, seconds) + field(2, nanos)
    assert decoded("v1", "ConfigMap", field(1, field(8, time))) == {"metadata": {"creationTimestamp": expected}}


def test_micro_times_keep_their_fraction() -> None:
    lease = field(2, field(4, field(1, 1767323045) + field(2, 6000)))
    assert decoded("coordination.k8s.io/v1", "Lease", lease) == {"spec": {"renewTime": "2026-01-02T03:04:05.000006Z"}}


def test_a_zero_time_is_absent() -> None:
    assert decoded("v1", "ConfigMap", field(1, field(1, "x") + field(8, b""))) == {"metadata": {"name": "x"}}


def test_lists_of_numbers_are_read_packed_and_one_by_one() -> None:
    for groups in (field(4, varint(1) + varint(300)), field(4, 1) + field(4, 300)):
        assert decoded("v1", "Pod", field(2, field(14, groups))) == {"spec": {"securityContext": {"supplementalGroups": [1, 300]}}}


def test_fields_of_an_embedded_message_are_the_objects_own() -> None:
    probe = field(1, field(2, field(1, "/healthz") + field(2, field(1, 1) + field(3, "web")) + field(4, "HTTP"))) + field(4, 5)
    container = field(1, "c") + field(10, probe)
    assert decoded("v1", "Pod", field(2, field(2, container)))["spec"]["containers"] == [
        {"name": "c", "livenessProbe": {"httpGet": {"path": "/healthz", "port": "web", "scheme": "HTTP"}, "periodSeconds": 5}}
    ]


def test_free_form_json_is_parsed() -> None:
    revision = field(2, field(1, b'{"spec": {"a": [1, null]}}')) + field(3, 7)
    assert decoded("apps/v1", "ControllerRevision", revision) == {"data": {"spec": {"a": [1, None]}}, "revision": 7}


def test_recursive_and_alternative_schemas_are_read() -> None:
    def named(name: str, message: bytes) -> bytes:
        return field(29, field(1, name) + field(2, message))

    leaf = field(5, "string")
    whole = field(5, "object") + named("a", leaf + field(26, field(1, leaf))) + field(30, field(1, 0))
    value = protobuf._message_reader("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")(whole, 10)
    assert value["type"] == "object"
    assert value["properties"]["a"]["type"] == "string"
    assert value["additionalProperties"] is False


def test_delete_options_are_read_for_any_group() -> None:
    value = read_protobuf(envelope("apps/v1", "DeleteOptions", field(1, 0) + field(4, "Foreground")), depth_max=DEPTH_MAX)
    assert value == {"apiVersion": "apps/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Foreground"}


def test_unknown_fields_are_skipped_as_protobuf_does() -> None:
    extra = field(999, "x") + field(998, 5) + varint(997 << 3 | 1) + bytes(8) + varint(996 << 3 | 5) + bytes(4)
    assert decoded("v1", "ConfigMap", field(1, field(1, "x")) + extra) == {"metadata": {"name": "x"}}


def nested(depth: int) -> bytes:
    message = b""
    for _ in range(depth):
        message = field(1, message)
    return message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not appear to be a protobuf message"),
        (b"{}", "does not appear to be a protobuf message"),
        (MAGIC, 'no kind "" is registered for version ""'),
        (envelope("v1", "Nothing", b""), 'no kind "Nothing" is registered for version "v1"'),
        (envelope("apps/v9", "Deployment", b""), 'no kind "Deployment" is registered for version "apps/v9"'),
        (body("deployment")[:-1], "unexpected EOF"),
        (envelope("v1", "ConfigMap", b"\x0b"), "illegal wireType 3"),
        (envelope("v1", "ConfigMap", b"\xff" * 12), "integer overflow"),
        (envelope("v1", "ConfigMap", field(1, 5)), "wrong wire type"),
        (envelope("v1", "ConfigMap", field(1, field(1, b"\xff"))), "UnicodeDecodeError"),
        (envelope("v1", "ConfigMap", b"") + field(3, "gzip"), "content encoding"),
        (envelope("apps/v1", "ControllerRevision", field(2, field(1, b"{"))), "raw JSON"),
    ],
)
def test_what_is_no_such_message_is_a_bad_request(content: bytes, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        decode(content, MEDIA_TYPE, kind="ConfigMap")


def test_nesting_is_limited() -> None:
    inner = envelope("apps/v1", "ControllerRevision", b"")
    for _ in range(150):
        inner = envelope("apps/v1", "ControllerRevision", field(2, field(1, inner)))
    with pytest.raises(ProtobufError, match="exceeded max depth"):
        read_protobuf(inner, depth_max=DEPTH_MAX)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(BODIES)), st.integers(4, 400), st.binary(min_size=1, max_size=3))
def test_no_damage_makes_decode_fail_otherwise_than_with_a_status(name: str, at: int, damage: bytes) -> None:
    content = body(name)
    try:
        decode(content[:at] + damage + content[at + len(damage) :], MEDIA_TYPE)
    except BadRequest:
        pass


def test_every_kind_with_a_body_has_its_numbers() -> None:
    messages = protobuf._table()
    missing = [d for d in schema.kinds().values() if d not in messages and not d.endswith(("Info", "WatchEvent", "Patch"))]
    assert missing == []


def names_of(message: protobuf._Message) -> set[str]:
    return {f.name for f in message.fields.values()}.union(*(names_of(inner) for inner in message.inside.values()))


def test_every_field_of_every_message_has_its_number() -> None:
    without = {}
    for definition in schema.definition_names():
        if definition in protobuf._table():
            node = schema.named(definition)
            missing = set(node.properties) - names_of(protobuf._Message(definition, node)) - {"apiVersion", "kind"}
            if missing:
                without[definition] = sorted(missing)
    assert without == {}
