import json

import orjson
import pytest

from podium.objects.decoding import BODY_BYTES_MAX, DEPTH_MAX, decode
from podium.objects.status import BadRequest, TooLarge, UnsupportedMediaType


@pytest.mark.parametrize(
    "media", ["", "application/json", "application/json; charset=utf-8", "application/merge-patch+json", "Application/JSON"]
)
def test_json_media_types_are_read_as_json(media: str) -> None:
    assert decode(b'{"a": [1, null]}', media).value == {"a": [1, None]}


@pytest.mark.parametrize("media", ["application/yaml", "text/yaml", "application/apply-patch+yaml"])
def test_yaml_media_types_are_read_as_yaml(media: str) -> None:
    assert decode(b"a: [1, null]\n", media).value == {"a": [1, None]}


def test_other_media_types_are_refused_with_those_accepted() -> None:
    with pytest.raises(UnsupportedMediaType, match="accepted media types include: application/json, application/yaml"):
        decode(b"\xd9\xd9\xf7", "application/cbor")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "unexpected end of JSON input"),
        (b'{"a":', "unexpected end of JSON input"),
        (b'{"a":"x', "unexpected end of JSON input"),
        (b"hello", "invalid character 'h' looking for beginning of value"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b"{a: 1}", "invalid character 'a' looking for beginning of object key string"),
        (b'{"a": 1 "b": 2}', "invalid character '\"' after object key:value pair"),
        (b'{"a": 1} x', "invalid character 'x' after top-level value"),
        (b'{"a": "\\x"}', "in string escape code"),
        (b'{"a":NaN}', "line 1 column 6"),
        (b'{"a":1e999}', "number is infinity"),
        (b'{"a": ' + b"1" * 5000 + b"}", "number is infinity"),
        (b"[" * 100_000, "exceeded max depth"),
        (b'{"a":"\xff"}', "invalid UTF-8"),
        (b"[1]", "cannot unmarshal array into Go value"),
        (b'"x"', "cannot unmarshal string into Go value"),
        (b"null", "cannot unmarshal null into Go value"),
    ],
)
def test_what_is_not_a_json_object_is_a_bad_request(body: bytes, message: str) -> None:
    with pytest.raises(BadRequest, match="couldn't get version/kind; json parse error: .*" + message):
        decode(body, "application/json")


def test_the_message_names_the_kind_and_the_beginning_of_the_body() -> None:
    with pytest.raises(BadRequest) as refused:
        decode(b'{"metadata":{"name":"0123456789012345678901234567"', "application/json", kind="Pod")
    assert refused.value.message.startswith("the object provided is unrecognized (must be of type Pod): ")
    assert refused.value.message.endswith('({"metadata":{"name":"012345678 ...)')


@pytest.mark.parametrize(
    "text", ['{"a":1,"spec":{"c":[{"x":1,"x":2,"x":3}]},"a":2}', '{"a": 1, "spec": {"c": [{"x": 1, "x": 2}]}, "a": 2}']
)
def test_duplicate_keys_are_named_by_path_and_the_last_wins(text: str) -> None:
    decoded = decode(text.encode(), "application/json")
    assert decoded.duplicates == ['duplicate field "spec.c[0].x"', 'duplicate field "a"']
    assert decoded.value["a"] == 2


def test_equal_keys_in_different_objects_are_no_duplicates() -> None:
    assert decode(b'{ "a": {"a": {"a": "a"}}, "b": [{"a": 1}, {"a": 1}] }', "application/json").duplicates == []


@pytest.mark.parametrize("media", ["application/json", "application/yaml"])
def test_nesting_is_limited(media: str) -> None:
    depth = DEPTH_MAX - 1
    deepest = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    assert orjson.dumps(decode(deepest, media).value) == deepest
    with pytest.raises(BadRequest, match=f"exceeded max depth of {DEPTH_MAX}"):
        decode(b'{"a":' + b"[" * (depth + 1) + b"]" * (depth + 1) + b"}", media)


def test_many_shallow_objects_are_not_deep() -> None:
    assert len(decode(orjson.dumps({"a": [{}] * 1000}), "application/json").value["a"]) == 1000


def test_a_body_over_the_limit_is_too_large() -> None:
    with pytest.raises(TooLarge, match="limit is 3145728"):
        decode(b" " * (BODY_BYTES_MAX + 1), "application/json")


def test_a_json_patch_may_be_a_list() -> None:
    assert decode(b"[]", "application/json-patch+json", allow_list=True).value == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2001-01-01", "2001-01-01"),
        ("2001-01-01T00:00:00Z", "2001-01-01T00:00:00Z"),
        ("!!binary aGk=", "aGk="),
        ("!!str 1e3", "1e3"),
        ("'1'", "1"),
        ("!custom x", "x"),
        ("12:30:45", "12:30:45"),
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("", None),
        ("1.0", 1),
        ("1.5", 1.5),
        ("1e3", 1000),
        ("010", 8),
        ("0o17", 15),
        ("0x1F", 31),
        ("-0b11", -3),
        ("1_000", 1000),
        ("-", [None]),
        ("-.x", "-.x"),
    ],
)
def test_yaml_scalars_become_json_as_upstream_reads_them(text: str, value: object) -> None:
    body = f"a:\n  {text}\n".encode()
    assert decode(body, "application/yaml").value == {"a": value}
    assert type(decode(body, "application/yaml").value["a"]) is type(value)


def test_yaml_keys_become_strings_and_merges_are_written_out() -> None:
    text = b"base: &b {1: x, true: y}\nmerged: {<<: *b, true: z}\n"
    assert decode(text, "application/yaml").value == {"base": {"1": "x", "true": "y"}, "merged": {"1": "x", "true": "z"}}


def test_yaml_aliases_are_not_shared() -> None:
    value = decode(b"a: &a {x: 1}\nb: *a\n", "application/yaml").value
    value["a"]["x"] = 2
    assert value["b"] == {"x": 1}


def test_yaml_duplicates_are_named_by_path() -> None:
    assert decode(b"a:\n- b: 1\n  b: 2\n", "application/yaml").duplicates == ['duplicate field "a[0].b"']


_BOMB = b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 10)
)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (_BOMB, "excessive aliasing"),
        (b"a: [" + b"1," * 300_000 + b"]", "more than 250000 values"),
        (b"a: &a [*a]", "unknown anchor 'a'"),
        (b"[" * 500_000, "max depth"),
        (b"- " * 500_000 + b"a", "max depth"),
        (b"? " * 500_000 + b"a", "a key must be a scalar"),
        (b"a: [", "did not find expected node content"),
        (b"a: 1\n---\nb: 2\n", "expected a single document"),
        (b"a: .inf", "not a JSON number"),
        (b"a: 1e999", "not a JSON number"),
        (b"a: " + b"1" * 5000, "not a JSON number"),
        (b"a: 0x" + b"f" * 5000, "not a JSON number"),
        (b"a: \xff", "invalid leading UTF-8"),
        (b"- a", "cannot unmarshal array"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_bad_yaml_is_a_bad_request(body: bytes, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        decode(body, "application/yaml")


def test_python_tags_build_nothing() -> None:
    assert decode(b"a: !!python/object/apply:os.system [ls]", "application/yaml").value == {"a": ["ls"]}


def test_duplicates_are_found_in_spaced_json() -> None:
    text = json.dumps({"a": {"b": "é\n"}}, indent=2).replace('"b"', '"b": 1, "b"')
    assert decode(text.encode(), "application/json").duplicates == ['duplicate field "a.b"']


def test_a_trailing_newline_changes_nothing() -> None:
    assert decode(b'{"a":1}\n', "application/json").value == {"a": 1}


def test_a_number_beyond_64_bits_is_a_float() -> None:
    assert decode(b'{ "a": 123456789012345678901234567890 }', "application/json").value == {"a": 123456789012345678901234567890.0}
    assert decode(b"a: 123456789012345678901234567890", "application/yaml").value == {"a": 123456789012345678901234567890.0}
