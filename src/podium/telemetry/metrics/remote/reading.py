"""Remote read: a server's samples for another's queries, and another's for ours.

As a server, whole samples are given (SAMPLES), which every client takes; streamed chunks are not. As a client, the answer of each server is
merged with the local one: a sample that both have is taken once.

Source: Prometheus' documentation, "Remote read API".
"""

from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from podium.telemetry.metrics.errors import LimitExceeded, StorageFailed
from podium.telemetry.metrics.exposition.steps import between_others
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import LabelColumns, Labels, Matcher, MatchType, labels_of
from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.telemetry.metrics.remote.messages import compress, decode, histogram_from, histogram_into, message
from podium.telemetry.metrics.samples import Columns, HistogramSeries, Selection, is_absent
from podium.telemetry.metrics.storage import Queryable
from podium.world.http_messages import HttpRequest, Response

SAMPLES_MAX = 50_000_000
"""Of one request. Source: upstream's --storage.remote.read-sample-limit."""
QUERIES_MAX = 100
_TYPES = (MatchType.EQUAL, MatchType.NOT_EQUAL, MatchType.REGEXP, MatchType.NOT_REGEXP)


class ReadServer:
    """`await server(request)`: the handler of POST /api/v1/read. External labels are put on the answer, and taken off the question."""

    def __init__(self, storage: Queryable, external_labels: Labels = ()) -> None:
        self._storage = storage
        self._external_labels = dict(external_labels)

    async def __call__(self, request: HttpRequest) -> Response:
        try:
            asked = decode("ReadRequest", request.body)
            if len(asked.queries) > QUERIES_MAX:
                raise MessageRefused(f"{len(asked.queries)} queries in a request, at most {QUERIES_MAX}")
            answer = message("ReadResponse")()
            for query in asked.queries:
                matchers = self._matchers(query.matchers)
                await between_others(self._storage.deciding(matchers))
                selection = self._storage.select(matchers, query.start_timestamp_ms, query.end_timestamp_ms)
                count = sum(c.values.size for c in selection.columns)
                if count > SAMPLES_MAX:
                    raise MessageRefused(f"exceeded sample limit ({SAMPLES_MAX})")
                self._fill(answer.results.add(), selection)
        except (MessageRefused, LimitExceeded, ValueError) as error:
            return Response(400, f"{error}\n".encode(), ((b"content-type", b"text/plain; charset=utf-8"),))
        except StorageFailed as error:
            return Response(500, f"{error}\n".encode(), ((b"content-type", b"text/plain; charset=utf-8"),))
        headers = ((b"content-type", b"application/x-protobuf"), (b"content-encoding", b"snappy"))
        return Response(200, compress(answer.SerializeToString()), headers)

    def _matchers(self, asked: Sequence[object]) -> list[Matcher]:
        """Raises ValueError for an expression that cannot be, MessageRefused for a type that is none."""
        found = []
        for m in asked:
            if self._external_labels.get(m.name) == m.value and m.type == 0:  # type: ignore[attr-defined]  # a protobuf message
                continue
            if not 0 <= m.type < len(_TYPES):  # type: ignore[attr-defined]
                raise MessageRefused(f"invalid matcher type {m.type}")  # type: ignore[attr-defined]
            found.append(Matcher(_TYPES[m.type], m.name, m.value))  # type: ignore[attr-defined]
        return found

    def _fill(self, result: object, selection: Selection) -> None:
        rows = selection.labels.rows()
        order = sorted(range(len(rows)), key=rows.__getitem__)
        series = {}
        for row in order:
            series[row] = result.timeseries.add()  # type: ignore[attr-defined]
            for name, value in labels_of({**self._external_labels, **dict(rows[row])}):
                series[row].labels.add(name=name, value=value)
        for columns in selection.columns:
            there = ~is_absent(columns.values)
            for row, present, values in zip(columns.rows.tolist(), there, columns.values, strict=True):
                for time_ms, value in zip(columns.times[present].tolist(), values[present].tolist(), strict=True):
                    series[row].samples.add(value=value, timestamp=time_ms)
        for one in selection.histograms:
            for time_ms, histogram in zip(one.times.tolist(), one.histograms, strict=True):
                histogram_into(series[one.row].histograms.add(), histogram, time_ms)


Post = Callable[[bytes], Awaitable[bytes]]
"""Posts a read request's body, returns the answer's. Raises OSError or TimeoutError."""


class ReadClient:
    """One remote server to read from."""

    def __init__(self, post: Post, external_labels: Labels = ()) -> None:
        self._post = post
        self._external_labels = dict(external_labels)

    async def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Selection:
        """Raises StorageFailed."""
        request = message("ReadRequest")()
        query = request.queries.add(start_timestamp_ms=start_ms, end_timestamp_ms=end_ms)
        asked = {m.name for m in matchers}
        for m in matchers:
            query.matchers.add(type=_TYPES.index(m.type), name=m.name, value=m.value)
        for name, value in self._external_labels.items():
            if name not in asked:
                query.matchers.add(type=0, name=name, value=value)
        try:
            answer = decode("ReadResponse", await self._post(compress(request.SerializeToString())))
        except (OSError, TimeoutError, MessageRefused) as error:
            raise StorageFailed(f"remote read: {error}") from error
        added = {name for name in self._external_labels if name not in asked}
        return selection_from([series for result in answer.results for series in result.timeseries], added)


def selection_from(said: Sequence[object], without: set[str]) -> Selection:
    """From TimeSeries messages, less the labels `without`."""
    rows: list[Labels] = []
    columns: list[Columns] = []
    histograms: list[HistogramSeries] = []
    for series in said:
        row = len(rows)
        rows.append(labels_of({label.name: label.value for label in series.labels if label.name not in without}))  # type: ignore[attr-defined]
        points = sorted((s.timestamp, s.value) for s in series.samples)  # type: ignore[attr-defined]
        if points:
            times = np.array([t for t, _ in points], np.int64)
            columns.append(Columns(np.array([row], np.int32), times, np.array([[v for _, v in points]], np.float64)))
        if series.histograms:  # type: ignore[attr-defined]
            known = sorted(((h.timestamp, histogram_from(h)) for h in series.histograms), key=lambda pair: pair[0])  # type: ignore[attr-defined]
            histograms.append(HistogramSeries(row, np.array([t for t, _ in known], np.int64), [h for _, h in known]))
    return Selection(LabelColumns.of(rows), columns, histograms)


def merged(selections: Sequence[Selection]) -> Selection:
    """One answer of several stores': series by their labels; at a time that several have, the first store's sample."""
    filled = [s for s in selections if s.labels.count]
    if len(filled) <= 1:
        return filled[0] if filled else Selection(LabelColumns.of([]), [])
    floats: dict[Labels, dict[int, float]] = {}
    histograms: dict[Labels, dict[int, Histogram | None]] = {}
    for selection in reversed(filled):
        rows = selection.labels.rows()
        for columns in selection.columns:
            there = ~is_absent(columns.values)
            for row, present, values in zip(columns.rows.tolist(), there, columns.values, strict=True):
                floats.setdefault(rows[row], {}).update(zip(columns.times[present].tolist(), values[present].tolist(), strict=True))
        for one in selection.histograms:
            histograms.setdefault(rows[one.row], {}).update(zip(one.times.tolist(), one.histograms, strict=True))
    names = sorted({**floats, **histograms})
    columns_of = []
    for row, labels in enumerate(names):
        if points := sorted(floats.get(labels, {}).items()):
            values = np.array([[v for _, v in points]], np.float64)
            columns_of.append(Columns(np.array([row], np.int32), np.array([t for t, _ in points], np.int64), values))
    series = [
        HistogramSeries(
            row, np.array(sorted(histograms[labels]), np.int64), [h for _, h in sorted(histograms[labels].items(), key=lambda p: p[0])]
        )
        for row, labels in enumerate(names)
        if labels in histograms
    ]
    return Selection(LabelColumns.of(names), columns_of, series)
