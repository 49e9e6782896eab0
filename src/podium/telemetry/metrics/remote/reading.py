"""Remote read, the serving side: this server's samples for another's queries. The asking side is read_client.py.

Who asks says which answers it takes, the best one first: chunks of samples, streamed (CHUNKS, the default of Prometheus 3 and Thanos), or whole
samples (SAMPLES, of who says nothing). What is given is what this server has itself: what it would ask others for is left to whoever asks it, so
that servers that read from one another do not ask for ever.

A streamed answer begins when its first query is read; what goes wrong with a later one ends the connection, so that no part passes for the whole.

Bounds: ReadLimits (reads beyond those at a time wait, as long as they stay), QUERIES_MAX, those of read_answers.py.

Source: Prometheus' documentation, "Remote read API"; upstream's storage/remote/read_handler.go for words.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from podium.instrument.log import logger
from podium.telemetry.metrics.errors import LimitExceeded, ReadAgain, StorageFailed
from podium.telemetry.metrics.exposition.steps import STEP_ROWS, Steps, between_others
from podium.telemetry.metrics.labels import LabelColumns, Labels, Matcher, MatchType, labels_of
from podium.telemetry.metrics.remote import read_answers
from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.telemetry.metrics.remote.messages import decode
from podium.telemetry.metrics.remote.read_answers import ChunkParts, Parts, SampleParts
from podium.telemetry.metrics.samples import Scan
from podium.telemetry.metrics.storage import Queryable
from podium.world.http_messages import HttpRequest, Response
from podium.world.http_server import Connection

QUERIES_MAX = 100
MATCH_TYPES = (MatchType.EQUAL, MatchType.NOT_EQUAL, MatchType.REGEXP, MatchType.NOT_REGEXP)
CHUNKS = b"application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
WRITE_BYTES, WRITE_FRAMES = 64 * 1024, 256
"""So much is gathered before it is sent."""
_RESPONSE_TYPES = {0: "SAMPLES", 1: "STREAMED_XOR_CHUNKS"}
_TEXT = ((b"content-type", b"text/plain; charset=utf-8"),)
_log = logger("metrics.remote_read")

Series = list[tuple[Labels, Sequence[bytes]]]
"""By labels: their parts of the answer."""


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Defaults are those of upstream's flags --storage.remote.read-sample-limit, -concurrent-limit and -max-bytes-in-frame. 0: no limit of
    samples."""

    samples_max: int = 50_000_000  # of one query's whole samples
    reads_max: int = 10  # at a time
    frame_bytes_max: int = read_answers.FRAME_BYTES_MAX


class ReadServer:
    """`await server(request, connection)`: the handler of POST /api/v1/read. None: the connection was taken. Without one, a streamed answer is
    a body. External labels are put on the answer, and taken off the question."""

    def __init__(self, storage: Queryable, external_labels: Labels = (), limits: ReadLimits = ReadLimits()) -> None:
        self._storage, self._limits = storage, limits
        self._external_labels = dict(external_labels)
        self._turns = asyncio.Semaphore(limits.reads_max)
        self.reads = 0
        """Those that run or wait."""

    def label(self, external_labels: Labels) -> None:
        """From the next read on."""
        self._external_labels = dict(external_labels)

    async def __call__(self, request: HttpRequest, connection: object = None) -> Response | None:
        self.reads += 1
        try:
            async with self._turns:
                return await self._answer(request, connection)
        finally:
            self.reads -= 1

    async def _answer(self, request: HttpRequest, connection: object) -> Response | None:
        try:
            asked = decode("ReadRequest", request.body)
            if len(asked.queries) > QUERIES_MAX:
                raise MessageRefused(f"{len(asked.queries)} queries in a request, at most {QUERIES_MAX}")
            if _streamed(asked.accepted_response_types):
                frames = self._frames(asked.queries)
                first = await anext(frames, b"")
                if isinstance(connection, Connection):
                    await _send(connection, first, frames)
                    return None
                return Response(200, first + b"".join([more async for more in frames]), ((b"content-type", CHUNKS),))
            samples_max = self._limits.samples_max or None
            results = [
                await between_others(read_answers.result(await self._series(query, SampleParts(), samples_max))) for query in asked.queries
            ]
        except (MessageRefused, LimitExceeded, ValueError) as error:
            return Response(400, f"{error}\n".encode(), _TEXT)
        except StorageFailed as error:
            return Response(500, f"{error}\n".encode(), _TEXT)
        headers = ((b"content-type", b"application/x-protobuf"), (b"content-encoding", b"snappy"))
        return Response(200, await between_others(read_answers.compressed(b"".join(results))), headers)

    async def _frames(self, queries: Sequence[Any]) -> AsyncIterator[bytes]:
        """Some at a time. Raises as `_series`."""
        gathered: list[bytes] = []
        size = 0
        for number, query in enumerate(queries):
            series = await self._series(query, ChunkParts(), None)
            for frame in read_answers.frames(series, number, self._limits.frame_bytes_max):
                gathered.append(frame)
                size += len(frame)
                if size >= WRITE_BYTES or len(gathered) >= WRITE_FRAMES:
                    yield b"".join(gathered)
                    gathered, size = [], 0
                    await asyncio.sleep(0)
        yield b"".join(gathered)

    async def _series(self, query: Any, parts: Parts, cells_max: int | None) -> Series:
        """Sorted. Raises MessageRefused, LimitExceeded, StorageFailed; ValueError for an expression that cannot be."""
        matchers = self._matchers(query.matchers)
        await between_others(self._storage.deciding(matchers))
        start_ms, end_ms = query.start_timestamp_ms, query.end_timestamp_ms
        if query.hints.func == "series":  # of which only labels are looked at
            return sorted((self._named(row), ()) for row in self._storage.series([matchers], start_ms, end_ms))
        while True:
            scan = self._storage.scan(matchers, start_ms, end_ms)
            if cells_max is not None and sum(one.cells for one in scan.unread) > cells_max:
                raise MessageRefused(f"exceeded sample limit ({cells_max})")
            try:
                await _read(scan, parts)
                break
            except ReadAgain:
                parts = type(parts)()
        found = await between_others(self._named_parts(scan.labels, parts))
        found.sort()
        return found

    def _named_parts(self, labels: LabelColumns, parts: Parts) -> Steps[Series]:
        found: Series = []
        for start in range(0, labels.count, STEP_ROWS):
            yield
            some = np.arange(start, min(start + STEP_ROWS, labels.count))
            rows = zip(some.tolist(), labels.take(some).rows(), strict=True)
            found += [(self._named(one), own) for row, one in rows if (own := parts.of(row))]
        return found

    def _matchers(self, asked: Sequence[Any]) -> list[Matcher]:
        """Raises ValueError for an expression that cannot be, MessageRefused for a type that is none."""
        found = []
        for m in asked:
            if not 0 <= m.type < len(MATCH_TYPES):
                raise MessageRefused(f"invalid matcher type {m.type}")
            here = self._external_labels.get(m.name) == m.value and m.type == 0
            value = "" if here else m.value  # an external label is on no series of the store
            found.append(Matcher(MATCH_TYPES[m.type], m.name, value))
        return found

    def _named(self, labels: Labels) -> Labels:
        return labels_of({**self._external_labels, **dict(labels)}) if self._external_labels else labels


def _streamed(accepted: Sequence[int]) -> bool:
    """Whether the first of the types that there are is the streamed one. Raises MessageRefused, in upstream's words."""
    for kind in accepted or (0,):
        if kind in _RESPONSE_TYPES:
            return kind == 1
    known = " ".join(f"{name}:{{}}" for name in _RESPONSE_TYPES.values())
    raise MessageRefused(f"server does not support any of the requested response types: {list(accepted)}; supported: map[{known}]")


async def _read(scan: Scan, parts: Parts) -> None:
    """Raises ReadAgain, StorageFailed, LimitExceeded."""
    for unread in scan.unread:
        [columns] = scan.each(lambda one: one.read(), [unread])
        await between_others(parts.take(columns))
    for series in scan.histograms:
        await between_others(parts.take_histograms(series))


async def _send(connection: Connection, first: bytes, frames: AsyncIterator[bytes]) -> None:
    stream = connection.start_stream(200, ((b"content-type", CHUNKS),))
    try:
        stream.write(first)
        async for more in frames:
            await stream.drain()
            if stream.closed:
                return
            stream.write(more)
    except (MessageRefused, LimitExceeded, StorageFailed, ValueError) as error:
        _log.warning("a streamed answer cannot go on", reason=str(error))
        stream.abort()
        return
    stream.end()
