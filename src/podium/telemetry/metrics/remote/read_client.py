"""Remote read, the asking side: another server's samples for our queries.

What is asked for is what the section allows: selectors that have the required matchers; without read_recent, times before those that the store
here has whole. External labels are asked for, unless the selector says something about them, and taken off the answer.

An answer is whole samples, or streamed chunks of them (frames.py, xor_chunks.py, histogram_chunks.py), of which only those in the range count.
Series that share all their times are put into one matrix.

Source: Prometheus' remote read documentation and <remote_read>; upstream's storage/remote for words.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from podium.telemetry.metrics.errors import StorageFailed
from podium.telemetry.metrics.labels import LabelColumns, Labels, Matcher, MatchType, labels_of
from podium.telemetry.metrics.outbound.interface import OutboundError
from podium.telemetry.metrics.promql.reads import Read
from podium.telemetry.metrics.remote import histogram_chunks, xor_chunks
from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.telemetry.metrics.remote.frames import frames
from podium.telemetry.metrics.remote.messages import compress, histogram_from, message, parse
from podium.telemetry.metrics.remote.reading import MATCH_TYPES
from podium.telemetry.metrics.samples import Columns, HistogramSeries, Rows, Selection, Times, Values, is_stale

SAMPLES_MAX = 20_000_000
"""Of one answer."""
SAMPLES, CHUNKS = "application/x-protobuf", "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
_XOR, _HISTOGRAM, _FLOAT_HISTOGRAM = 1, 2, 3
_STREAMED = 1

Post = Callable[[bytes], Awaitable[tuple[str, bytes]]]
"""Posts a read request's body (compressed), returns the answer's content type and body (unpacked). Raises OutboundError."""


Series = tuple[Labels, Times, Values, Sequence[tuple[int, Any]]]
"""One series: labels, floats, histograms."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """As <remote_read> says. `external_labels`: () where they are not to be filtered."""

    read_recent: bool = False
    required_matchers: Mapping[str, str] | None = None
    external_labels: Labels = ()
    frame_bytes_max: int = 50_000_000


class ReadClient:
    """One remote server to read from (elsewhere.Remote). `whole_from_ms()`: from when on the store here has everything."""

    def __init__(
        self, name: str, post: Post, options: ReadOptions, whole_from_ms: Callable[[], int],
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        self.name, self.options = name, options
        self._post, self._whole_from_ms, self._close = post, whole_from_ms, close

    async def aclose(self) -> None:
        if self._close is not None:
            await self._close()

    async def select(self, read: Read) -> Selection | None:
        """None: it is not to be asked. Raises StorageFailed, in upstream's words."""
        end_ms = read.end_ms
        if not self.options.read_recent:
            whole_from_ms = self._whole_from_ms()
            if read.start_ms > whole_from_ms:
                return None
            end_ms = min(end_ms, whole_from_ms)
        equal = {(m.name, m.value) for m in read.matchers if m.type is MatchType.EQUAL}
        if not equal.issuperset((self.options.required_matchers or {}).items()):
            return None
        asked = {m.name for m in read.matchers}
        added = [Matcher(MatchType.EQUAL, name, value) for name, value in self.options.external_labels if name not in asked]
        try:
            kind, body = await self._post(compress(_request(read, [*read.matchers, *added], end_ms)))
            series = await self._series(kind, body, read.start_ms, end_ms)
        except (OutboundError, MessageRefused) as error:
            raise StorageFailed(f"remote_read: {error}") from error
        return selection_of([(_without(labels, added), times, values, histograms) for labels, times, values, histograms in series])

    async def _series(self, kind: str, body: bytes, start_ms: int, end_ms: int) -> list[Series]:
        """Raises MessageRefused."""
        if kind.startswith(CHUNKS):
            return await _of_chunks(body, self.options.frame_bytes_max, start_ms, end_ms)
        if kind.startswith(SAMPLES):
            return _of_samples(body)
        raise MessageRefused(f"unsupported content type: {kind}")


def _request(read: Read, matchers: Sequence[Matcher], end_ms: int) -> bytes:
    request = message("ReadRequest")(accepted_response_types=[_STREAMED, 0])
    query = request.queries.add(start_timestamp_ms=read.start_ms, end_timestamp_ms=end_ms)
    for m in matchers:
        query.matchers.add(type=MATCH_TYPES.index(m.type), name=m.name, value=m.value)
    hints = query.hints
    hints.func, hints.step_ms, hints.range_ms = read.hints.function, read.hints.step_ms, read.hints.range_ms
    hints.start_ms, hints.end_ms, hints.by = read.start_ms, end_ms, read.hints.by
    hints.grouping.extend(read.hints.grouping)
    return bytes(request.SerializeToString())


def _without(labels: Labels, added: Sequence[Matcher]) -> Labels:
    gone = {m.name for m in added}
    return tuple(pair for pair in labels if pair[0] not in gone) if gone else labels


def _labels(said: Any) -> Labels:
    return labels_of({label.name: label.value for label in said.labels})


def _of_samples(body: bytes) -> list[Series]:
    answer = parse("ReadResponse", body)
    if len(answer.results) != 1:
        raise MessageRefused(f"responses: want 1, got {len(answer.results)}")
    found: list[Series] = []
    for said in answer.results[0].timeseries:
        times = np.array([s.timestamp for s in said.samples], np.int64)
        values = np.array([s.value for s in said.samples], np.float64)
        histograms = [(h.timestamp, _histogram(h)) for h in said.histograms]
        found.append((_labels(said), times, values, histograms))
    return found


def _histogram(said: Any) -> Any:
    """None: stale."""
    found = histogram_from(said)
    return None if is_stale(np.array([found.sum])).item() else found


async def _of_chunks(body: bytes, frame_bytes_max: int, start_ms: int, end_ms: int) -> list[Series]:
    order: list[Labels] = []
    floats: list[tuple[int, bytes]] = []  # (series, chunk)
    natives: dict[int, list[tuple[int, Any]]] = {}
    samples = 0
    for data in frames(body, frame_bytes_max):
        for said in parse("ChunkedReadResponse", data).chunked_series:
            labels = _labels(said)
            if not order or order[-1] != labels:  # a series may go on in the next frame
                order.append(labels)
            for chunk in said.chunks:
                samples += int.from_bytes(chunk.data[:2], "big")
                if samples > SAMPLES_MAX:
                    raise MessageRefused(f"the answer has more than {SAMPLES_MAX} samples")
                if chunk.type == _XOR:
                    floats.append((len(order) - 1, chunk.data))
                elif chunk.type in (_HISTOGRAM, _FLOAT_HISTOGRAM):
                    found = histogram_chunks.decode(chunk.data, floating=chunk.type == _FLOAT_HISTOGRAM)
                    natives.setdefault(len(order) - 1, []).extend((t, h) for t, h in found if start_ms <= t <= end_ms)
                else:
                    raise MessageRefused(f"chunks of encoding {chunk.type} are not known")
        await asyncio.sleep(0)
    parts: dict[int, list[tuple[Times, Values]]] = {}
    for start in range(0, len(floats), xor_chunks.CHUNKS_AT_ONCE):
        some = floats[start : start + xor_chunks.CHUNKS_AT_ONCE]
        for (row, _), (times, values) in zip(some, xor_chunks.decode([data for _, data in some]), strict=True):
            inside = (times >= start_ms) & (times <= end_ms)
            parts.setdefault(row, []).append((times, values) if inside.all() else (times[inside], values[inside]))
        await asyncio.sleep(0)
    return [(labels, *_joined(parts.get(row, [])), natives.get(row, ())) for row, labels in enumerate(order)]


def _joined(parts: Sequence[tuple[Times, Values]]) -> tuple[Times, Values]:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return np.empty(0, np.int64), np.empty(0)
    return np.concatenate([times for times, _ in parts]), np.concatenate([values for _, values in parts])


def selection_of(series: Sequence[Series]) -> Selection:
    """Times of a series may be in any order and more than once: the first sample of a time counts. Series without samples are kept."""
    histograms: list[HistogramSeries] = []
    together: dict[tuple[int, bytes], tuple[Times, list[int], list[Values]]] = {}
    for row, (_, times, values, natives) in enumerate(series):
        if len(times):
            if not bool((np.diff(times) > 0).all()):
                times, first = np.unique(times, return_index=True)
                values = values[first]
            _, rows, columns = together.setdefault((len(times), times.tobytes()), (times, [], []))
            rows.append(row)
            columns.append(values)
        if natives:
            known: dict[int, Any] = {}
            for time_ms, histogram in natives:
                known.setdefault(time_ms, histogram)
            order = sorted(known)
            histograms.append(HistogramSeries(row, np.array(order, np.int64), [known[t] for t in order]))
    matrices = [Columns(_rows(rows), times, np.stack(columns)) for times, rows, columns in together.values()]
    return Selection(LabelColumns.of([labels for labels, *_ in series]), matrices, histograms)


def _rows(rows: list[int]) -> Rows:
    return np.array(rows, np.int32)
