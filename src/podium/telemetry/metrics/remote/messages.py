"""Remote write and read messages: bytes to samples and back, snappy around them.

A compressed body says its size in its first bytes (a varint), so that a bomb is refused before it is opened. Protobuf is imported when the
first message is.

Source: the remote write specifications 1.0 and 2.0; snappy's block format.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from podium.telemetry.metrics.histogram import CUSTOM_BUCKETS_SCHEMA, EXPONENTIAL_SCHEMA_MAX, EXPONENTIAL_SCHEMA_MIN, Histogram, ResetHint
from podium.telemetry.metrics.labels import METRIC_NAME, Labels
from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.telemetry.metrics.samples import STALE, Exemplar, is_stale
from podium.telemetry.metrics.storage import Metadata
from podium.world.protobuf_messages import message_class

DESCRIPTORS = Path(__file__).parent / "generated" / "remote.binpb"
MESSAGE_BYTES_MAX = 32 * 1024 * 1024
"""Of one message, uncompressed."""
TYPES = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")
"""Of a metric family, by number."""


def message(name: str) -> Any:
    """The class of a message of remote.proto."""
    return message_class(DESCRIPTORS, f"prometheus.{name}")


def compress(data: bytes) -> bytes:
    import cramjam

    return bytes(cramjam.snappy.compress_raw(data))


def decompress(data: bytes) -> bytes:
    """Raises MessageRefused."""
    import cramjam

    size = shift = 0
    for byte in data[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    else:
        raise MessageRefused("snappy: corrupt input")
    if size > MESSAGE_BYTES_MAX:
        raise MessageRefused(f"the message has {size} bytes, at most {MESSAGE_BYTES_MAX}")
    try:
        return bytes(cramjam.snappy.decompress_raw(data))
    except cramjam.DecompressionError as error:
        raise MessageRefused("snappy: corrupt input") from error


def decode(name: str, body: bytes) -> Any:
    """The message in a compressed body. Raises MessageRefused."""
    return parse(name, decompress(body))


def parse(name: str, data: bytes) -> Any:
    """Raises MessageRefused."""
    from google.protobuf.message import DecodeError

    try:
        return message(name).FromString(data)
    except DecodeError as error:
        raise MessageRefused(f"proto: {error}") from error


def histogram_from(said: Any) -> Histogram:
    """Raises MessageRefused for what is no histogram."""
    floating = said.WhichOneof("count") == "count_float"
    found = Histogram(
        schema=said.schema,
        count=said.count_float if floating else float(said.count_int),
        sum=said.sum,
        zero_threshold=said.zero_threshold,
        zero_count=said.zero_count_float if floating else float(said.zero_count_int),
        positive=_buckets(said.positive_spans, said.positive_counts if floating else None, said.positive_deltas),
        negative=_buckets(said.negative_spans, said.negative_counts if floating else None, said.negative_deltas),
        custom_bounds=tuple(said.custom_values),
        reset_hint=ResetHint(said.reset_hint) if said.reset_hint in _HINTS else ResetHint.UNKNOWN,
    )
    if not math.isnan(found.sum):
        check_histogram(found, floating=floating)
    elif is_stale(np.array([found.sum])).item():
        return Histogram(0, 0.0, STALE)
    return found


_HINTS = frozenset(ResetHint)


def check_histogram(histogram: Histogram, *, floating: bool) -> None:
    """As upstream's Validate. Counts of floats are not compared: sums of them are not exact."""
    custom = histogram.schema == CUSTOM_BUCKETS_SCHEMA
    if not custom and not EXPONENTIAL_SCHEMA_MIN <= histogram.schema <= EXPONENTIAL_SCHEMA_MAX:
        raise MessageRefused(f"histogram has an invalid schema, which must be between -4 and 8 or -53: {histogram.schema}")
    counts = [*histogram.positive.values(), *histogram.negative.values()]
    if any(count < 0 for count in counts):
        raise MessageRefused(f"histogram has a bucket whose observation count is negative: {min(counts):g}")
    if not floating and histogram.zero_count + sum(counts) != histogram.count:
        total = histogram.zero_count + sum(counts)
        raise MessageRefused(f"{total:g} observations found in buckets, but the Count field is {histogram.count:g}")
    if custom:
        bounds = histogram.custom_bounds
        if any(b <= a for a, b in pairwise(bounds)) or any(math.isnan(b) or b == math.inf for b in bounds):
            raise MessageRefused("histogram custom bounds must be in strictly increasing order, and finite")
        if histogram.negative or histogram.zero_count or histogram.zero_threshold:
            raise MessageRefused("custom buckets: must have no negative buckets and no zero bucket")
        if any(not 0 <= index <= len(bounds) for index in histogram.positive):
            raise MessageRefused(f"custom buckets: only {len(bounds)} custom bounds defined which is insufficient")
    elif histogram.custom_bounds:
        raise MessageRefused("custom bounds must be empty when using exponential buckets")


def _buckets(spans: Iterable[Any], counts: Sequence[float] | None, deltas: Sequence[int]) -> dict[int, float]:
    """Index -> count. Raises MessageRefused when spans and counts do not fit."""
    given = counts if counts is not None else deltas
    found: dict[int, float] = {}
    index = at = running = 0
    for span in spans:
        index += span.offset
        if at + span.length > len(given):
            raise MessageRefused(f"spans need {at + span.length} buckets, have {len(given)} buckets")
        for _ in range(span.length):
            running += 0 if counts is not None else deltas[at]
            found[index] = float(counts[at]) if counts is not None else float(running)
            index += 1
            at += 1
    if at != len(given):
        raise MessageRefused(f"spans need {at} buckets, have {len(given)} buckets")
    return found


def histogram_into(target: Any, histogram: Histogram | None, time_ms: int) -> None:
    """Writes a float histogram; None: a stale one."""
    target.timestamp = time_ms
    if histogram is None:
        target.sum = STALE
        return
    target.count_float, target.sum, target.schema = histogram.count, histogram.sum, histogram.schema
    target.zero_threshold, target.zero_count_float = histogram.zero_threshold, histogram.zero_count
    target.reset_hint = int(histogram.reset_hint)
    target.custom_values.extend(histogram.custom_bounds)
    _spans(target.positive_spans, target.positive_counts, histogram.positive)
    _spans(target.negative_spans, target.negative_counts, histogram.negative)


def _spans(spans: Any, counts: Any, buckets: Any) -> None:
    last = None
    for index in sorted(buckets):
        if last is None or index != last + 1:
            spans.add(offset=index if last is None else index - last - 1, length=0)
        spans[-1].length += 1
        counts.append(buckets[index])
        last = index


Written = tuple[Labels, Sequence[tuple[int, float | Histogram]]]
"""One series of a request to send: its labels and its (time, value)."""


Held = Mapping[Labels, Sequence[Exemplar]]
"""Exemplars by series."""
NONE_HELD: Held = {}


def encode_version_1(series: Iterable[Written], metadata: Iterable[tuple[str, Metadata]] = (), exemplars: Held = NONE_HELD) -> bytes:
    """Compressed. Exemplars of other series than `series` are left out."""
    request = message("WriteRequest")()
    for labels, points in series:
        target = request.timeseries.add()
        for name, value in labels:
            target.labels.add(name=name, value=value)
        _points(target, points)
        for exemplar in exemplars.get(labels, ()):
            added = target.exemplars.add(value=exemplar.value, timestamp=exemplar.time_ms)
            for name, value in exemplar.labels:
                added.labels.add(name=name, value=value)
    for family, said in metadata:
        request.metadata.add(type=_type_number(said.type), metric_family_name=family, help=said.help, unit=said.unit)
    return compress(request.SerializeToString())


_SUFFIXES = ("_bucket", "_sum", "_count", "_total", "_created", "_info")
"""Of series whose family may be called what is before them."""


def about(metadata: Mapping[str, Metadata], name: str) -> Metadata | None:
    """Of the family that a metric of that name is of."""
    for suffix in ("", *_SUFFIXES):
        if name.endswith(suffix) and (found := metadata.get(name.removesuffix(suffix))):
            return found
    return None


def encode_version_2(series: Iterable[Written], metadata: Mapping[str, Metadata] | None = None, exemplars: Held = NONE_HELD) -> bytes:
    """Compressed. Exemplars of other series than `series` are left out."""
    request = message("RequestV2")()
    symbols: dict[str, int] = {"": 0}

    def references(labels: Labels) -> Iterator[int]:
        return (symbols.setdefault(text, len(symbols)) for pair in labels for text in pair)

    for labels, points in series:
        target = request.timeseries.add()
        target.labels_refs.extend(references(labels))
        _points(target, points)
        for exemplar in exemplars.get(labels, ()):
            target.exemplars.add(labels_refs=references(exemplar.labels), value=exemplar.value, timestamp=exemplar.time_ms)
        if found := about(metadata or {}, dict(labels).get(METRIC_NAME, "")):
            target.metadata.type = _type_number(found.type)
            target.metadata.help_ref = symbols.setdefault(found.help, len(symbols))
            target.metadata.unit_ref = symbols.setdefault(found.unit, len(symbols))
    request.symbols.extend(symbols)
    return compress(request.SerializeToString())


def _type_number(type: str) -> int:
    return TYPES.index(type) if type in TYPES else 0


def _points(target: Any, points: Sequence[tuple[int, float | Histogram]]) -> None:
    for time_ms, value in points:
        if isinstance(value, Histogram):
            histogram_into(target.histograms.add(), value, time_ms)
        else:
            target.samples.add(value=value, timestamp=time_ms)
