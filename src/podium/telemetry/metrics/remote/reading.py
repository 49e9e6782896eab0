"""Remote read, the serving side: this server's samples for another's queries. The asking side is read_client.py.

Whole samples are given (SAMPLES), which every client takes; streamed chunks are not. What is given is what this server has itself: what it would
ask others for is left to whoever asks it, so that servers that read from one another do not ask for ever.

Source: Prometheus' documentation, "Remote read API".
"""

from collections.abc import Sequence
from typing import Any

from podium.telemetry.metrics.errors import LimitExceeded, StorageFailed
from podium.telemetry.metrics.exposition.steps import between_others
from podium.telemetry.metrics.labels import Labels, Matcher, MatchType, labels_of
from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.telemetry.metrics.remote.messages import compress, decode, histogram_into, message
from podium.telemetry.metrics.samples import Selection, is_absent
from podium.telemetry.metrics.storage import Queryable
from podium.world.http_messages import HttpRequest, Response

SAMPLES_MAX = 50_000_000
"""Of one request. Source: upstream's --storage.remote.read-sample-limit."""
QUERIES_MAX = 100
MATCH_TYPES = (MatchType.EQUAL, MatchType.NOT_EQUAL, MatchType.REGEXP, MatchType.NOT_REGEXP)


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
                if query.hints.func == "series":  # of which only labels are looked at
                    self._name(answer.results.add(), self._storage.series([matchers], query.start_timestamp_ms, query.end_timestamp_ms))
                    continue
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
            if not 0 <= m.type < len(MATCH_TYPES):  # type: ignore[attr-defined]  # a protobuf message
                raise MessageRefused(f"invalid matcher type {m.type}")  # type: ignore[attr-defined]
            here = self._external_labels.get(m.name) == m.value and m.type == 0  # type: ignore[attr-defined]
            value = "" if here else m.value  # type: ignore[attr-defined]  # an external label is on no series of the store
            found.append(Matcher(MATCH_TYPES[m.type], m.name, value))  # type: ignore[attr-defined]
        return found

    def _name(self, result: Any, rows: Sequence[Labels]) -> list[Any]:
        """A series of the answer for each, with external labels."""
        made = []
        for labels in rows:
            series = result.timeseries.add()
            for name, value in labels_of({**self._external_labels, **dict(labels)}):
                series.labels.add(name=name, value=value)
            made.append(series)
        return made

    def _fill(self, result: Any, selection: Selection) -> None:
        rows = selection.labels.rows()
        order = sorted(range(len(rows)), key=rows.__getitem__)
        series = dict(zip(order, self._name(result, [rows[row] for row in order]), strict=True))
        for columns in selection.columns:
            there = ~is_absent(columns.values)
            for row, present, values in zip(columns.rows.tolist(), there, columns.values, strict=True):
                for time_ms, value in zip(columns.times[present].tolist(), values[present].tolist(), strict=True):
                    series[row].samples.add(value=value, timestamp=time_ms)
        for one in selection.histograms:
            for time_ms, histogram in zip(one.times.tolist(), one.histograms, strict=True):
                histogram_into(series[one.row].histograms.add(), histogram, time_ms)
