"""Remote write and read messages: bytes to samples and back, snappy around them.

A compressed body says its size in its first bytes (a varint), so that a bomb is refused before it is opened. Protobuf is imported when the
first message is.

Source: the remote write specifications 1.0 and 2.0; snappy's block format.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from podium.telemetry.metrics.histogram import Histogram, ResetHint
from podium.telemetry.metrics.labels import METRIC_NAME, Labels, labels_of
from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.telemetry.metrics.samples import STALE, Exemplar, Sample
from podium.telemetry.metrics.storage import Metadata

DESCRIPTORS = Path(__file__).parent / "generated" / "remote.binpb"
MESSAGE_BYTES_MAX = 32 * 1024 * 1024
"""Of one message, uncompressed."""
TYPES = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")
"""Of a metric family, by number."""


@cache
def _pool() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool

    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
        pool.Add(file)
    return pool


@cache
def message(name: str) -> Any:
    """The class of a message of remote.proto."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"prometheus.{name}"))


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
    from google.protobuf.message import DecodeError

    try:
        return message(name).FromString(decompress(body))
    except DecodeError as error:
        raise MessageRefused(f"proto: {error}") from error


class WriteBatch:
    """What one remote write request holds, either version."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.histograms = 0
        self.exemplars: list[tuple[Labels, Exemplar]] = []
        self.metadata: dict[str, Metadata] = {}

    @classmethod
    def version_1(cls, body: bytes) -> "WriteBatch":
        """Raises MessageRefused."""
        batch, request = cls(), decode("WriteRequest", body)
        for series in request.timeseries:
            batch._add(
                _checked([(label.name, label.value) for label in series.labels]), series, lambda e: [(x.name, x.value) for x in e.labels]
            )
        for said in request.metadata:
            batch.metadata[said.metric_family_name] = Metadata(TYPES[said.type], said.help, said.unit)
        return batch

    @classmethod
    def version_2(cls, body: bytes) -> "WriteBatch":
        """Raises MessageRefused."""
        batch, request = cls(), decode("RequestV2", body)
        symbols = list(request.symbols)

        def resolve(references: Sequence[int]) -> list[tuple[str, str]]:
            try:
                texts = [symbols[r] for r in references]
            except IndexError as error:
                raise MessageRefused(f"a label refers to a symbol beyond the {len(symbols)} there are") from error
            if len(texts) % 2:
                raise MessageRefused(f"invalid labelRefs length {len(texts)}")
            return list(zip(texts[::2], texts[1::2], strict=True))

        for series in request.timeseries:
            labels = _checked(resolve(series.labels_refs))
            batch._add(labels, series, lambda e: resolve(e.labels_refs))
            if series.HasField("metadata"):
                about, texts = series.metadata, len(symbols)
                if about.help_ref >= texts or about.unit_ref >= texts:
                    raise MessageRefused(f"metadata refers to a symbol beyond the {texts} there are")
                name = dict(labels).get(METRIC_NAME, "")
                batch.metadata[name] = Metadata(TYPES[about.type], symbols[about.help_ref], symbols[about.unit_ref])
        return batch

    def _add(self, labels: Labels, series: Any, labels_of_exemplar: Any) -> None:
        self.samples += [Sample(labels, s.timestamp, s.value) for s in series.samples]
        self.samples += [Sample(labels, h.timestamp, histogram_from(h)) for h in series.histograms]
        self.histograms += len(series.histograms)
        for e in series.exemplars:
            self.exemplars.append((labels, Exemplar(labels_of(dict(labels_of_exemplar(e))), e.value, e.timestamp)))


def _checked(pairs: list[tuple[str, str]]) -> Labels:
    """Sorted, without empty values. Raises MessageRefused for labels that name no series."""
    ordered = sorted(pairs)
    if not ordered:
        raise MessageRefused("a series has no labels")
    names = [name for name, _ in ordered]
    if "" in names:
        raise MessageRefused("a label has no name")
    if len(set(names)) != len(names):
        raise MessageRefused(f"duplicate label with name: {next(n for n in names if names.count(n) > 1)}")
    if METRIC_NAME not in names:
        raise MessageRefused("a series has no metric name")
    return tuple((name, value) for name, value in ordered if value)


def histogram_from(said: Any) -> Histogram:
    floating = said.WhichOneof("count") == "count_float"
    return Histogram(
        schema=said.schema,
        count=said.count_float if floating else float(said.count_int),
        sum=said.sum,
        zero_threshold=said.zero_threshold,
        zero_count=said.zero_count_float if floating else float(said.zero_count_int),
        positive=_buckets(said.positive_spans, said.positive_counts if floating else None, said.positive_deltas),
        negative=_buckets(said.negative_spans, said.negative_counts if floating else None, said.negative_deltas),
        custom_bounds=tuple(said.custom_values),
        reset_hint=ResetHint(said.reset_hint),
    )


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


def encode_version_1(series: Iterable[Written], metadata: Iterable[tuple[str, Metadata]] = ()) -> bytes:
    """Compressed."""
    request = message("WriteRequest")()
    for labels, points in series:
        target = request.timeseries.add()
        for name, value in labels:
            target.labels.add(name=name, value=value)
        _points(target, points)
    for family, about in metadata:
        request.metadata.add(type=_type_number(about.type), metric_family_name=family, help=about.help, unit=about.unit)
    return compress(request.SerializeToString())


def encode_version_2(series: Iterable[Written], metadata: dict[str, Metadata] | None = None) -> bytes:
    """Compressed."""
    request = message("RequestV2")()
    symbols: dict[str, int] = {"": 0}
    for labels, points in series:
        target = request.timeseries.add()
        for pair in labels:
            target.labels_refs.extend(symbols.setdefault(text, len(symbols)) for text in pair)
        _points(target, points)
        if about := (metadata or {}).get(dict(labels).get(METRIC_NAME, "")):
            target.metadata.type = _type_number(about.type)
            target.metadata.help_ref = symbols.setdefault(about.help, len(symbols))
            target.metadata.unit_ref = symbols.setdefault(about.unit, len(symbols))
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
