"""Reads the protobuf exposition (delimited MetricFamily messages), which Go programs push by default.

Counters, gauges, untyped metrics, summaries and classic histograms; a native histogram without classic buckets is refused. Bounds are those
of the text format (SAMPLES_MAX, LABELS_MAX).

Source: prometheus/client_model metrics.proto; Protocol Buffers encoding.
"""

import struct
from collections.abc import Iterator
from typing import Any

from podium.instrument.exposition import Family, Pairs, number
from podium.telemetry.exporters.errors import BadExposition
from podium.telemetry.exporters.text_format import LABEL_NAME, LABELS_MAX, NAME, SAMPLES_MAX

MEDIA_TYPE = "application/vnd.google.protobuf"
_KINDS = {0: "counter", 1: "gauge", 2: "summary", 3: "untyped", 4: "histogram"}
_VALUES = {"counter": 3, "gauge": 2, "untyped": 5, "summary": 4, "histogram": 7}
"""The field of Metric in which a kind has its value."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def parse_protobuf(data: bytes) -> dict[str, Family]:
    """The families by name. Raises BadExposition."""
    families: dict[str, Family] = {}
    position = count = 0
    try:
        while position < len(data):
            length, position = _varint(data, position)
            if position + length > len(data):
                raise BadExposition("the last message is cut off")
            family = _family(data[position : position + length])
            position += length
            count += len(family.samples)
            if count > SAMPLES_MAX:
                raise BadExposition(f"more than {SAMPLES_MAX} samples")
            if family.name in families:
                raise BadExposition(f"metric family {family.name!r} is there twice")
            families[family.name] = family
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise BadExposition(f"not a protobuf exposition: {error}") from error
    return {name: family for name, family in families.items() if family.samples}


def _fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """(number, wire type, value): an int, 8 or 4 raw bytes, or bytes."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        wire = key & 7
        value: Any
        if wire == _VARINT:
            value, position = _varint(data, position)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
            value, position = data[position : position + size], position + size
        elif wire == _BYTES:
            length, position = _varint(data, position)
            value, position = data[position : position + length], position + length
        else:
            raise BadExposition(f"not a protobuf exposition: wire type {wire}")
        if position > len(data):
            raise BadExposition("not a protobuf exposition: a field is cut off")
        yield key >> 3, wire, value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return result, position
        shift += 7
        if shift > 63:
            raise BadExposition("not a protobuf exposition: a number is too long")


def _first(data: bytes, field: int, wire: int) -> Any:
    """The last value of a field with that wire type, None when it is not there."""
    found = None
    for number_, kind, value in _fields(data):
        if number_ == field and kind == wire:
            found = value
    return found


def _double(data: bytes, field: int) -> float:
    raw = _first(data, field, _FIXED64)
    return 0.0 if raw is None else struct.unpack("<d", raw)[0]


def _family(data: bytes) -> Family:
    name, text, kind, metrics = "", "", 0, []
    for field, wire, value in _fields(data):
        if field in (1, 2) and wire == _BYTES:
            name, text = (value.decode(), text) if field == 1 else (name, value.decode())
        elif field == 3 and wire == _VARINT:
            kind = value
        elif field == 4 and wire == _BYTES:
            metrics.append(value)
    if not NAME.fullmatch(name):
        raise BadExposition(f"invalid metric name {name[:80]!r}")
    if kind not in _KINDS:
        raise BadExposition(f"metric family {name!r} is of a kind that is not supported")
    family = Family(name, _KINDS[kind], text)
    for metric in metrics:
        _metric(family, metric)
    return family


def _metric(family: Family, data: bytes) -> None:
    labels = _labels(data)
    value = _first(data, _VALUES[family.kind], _BYTES)
    if value is None:
        raise BadExposition(f"a metric of {family.name!r} is no {family.kind}")
    stamp = _first(data, 6, _VARINT)
    if family.kind == "summary":
        samples = _summary(value, labels)
    elif family.kind == "histogram":
        samples = _histogram(family.name, value, labels)
    else:
        samples = [("", labels, _double(value, 1))]
    for suffix, pairs, amount in samples:
        if (suffix, pairs) in family.samples:
            raise BadExposition(f"a second sample of {family.name} with the same labels")
        family.samples[suffix, pairs] = amount
        if stamp is not None:
            family.timestamps_ms[suffix, pairs] = stamp - (1 << 64) if stamp >> 63 else stamp


def _labels(data: bytes) -> Pairs:
    pairs: dict[str, str] = {}
    for field, wire, value in _fields(data):
        if field != 1 or wire != _BYTES:
            continue
        name, text = (_first(value, 1, _BYTES) or b"").decode(), (_first(value, 2, _BYTES) or b"").decode()
        if not LABEL_NAME.fullmatch(name) or name in pairs:
            raise BadExposition(f"label {name[:80]!r} is invalid or there twice")
        pairs[name] = text
    if len(pairs) > LABELS_MAX:
        raise BadExposition(f"more than {LABELS_MAX} labels")
    return tuple(sorted(pairs.items()))


def _summary(data: bytes, labels: Pairs) -> list[tuple[str, Pairs, float]]:
    samples: list[tuple[str, Pairs, float]] = []
    for field, wire, value in _fields(data):
        if field == 3 and wire == _BYTES:
            samples.append(("", (*labels, ("quantile", number(_double(value, 1)))), _double(value, 2)))
    return [*samples, ("_sum", labels, _double(data, 2)), ("_count", labels, float(_first(data, 1, _VARINT) or 0))]


def _histogram(name: str, data: bytes, labels: Pairs) -> list[tuple[str, Pairs, float]]:
    count = float(_first(data, 1, _VARINT) or 0)
    buckets = [
        (_double(value, 2), float(_first(value, 1, _VARINT) or 0)) for field, wire, value in _fields(data) if (field, wire) == (3, _BYTES)
    ]
    if not buckets and any(field in (5, 9, 10, 12, 13) for field, _, _ in _fields(data)):
        raise BadExposition(f"{name} is a native histogram without classic buckets, which is not supported")
    if not any(bound == float("inf") for bound, _ in buckets):
        buckets.append((float("inf"), count))
    samples: list[tuple[str, Pairs, float]] = [("_bucket", (*labels, ("le", number(bound))), amount) for bound, amount in buckets]
    return [*samples, ("_sum", labels, _double(data, 2)), ("_count", labels, count)]
