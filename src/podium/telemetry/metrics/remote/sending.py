"""Remote write, the sending side: what is appended here goes there, in batches, as long as it takes.

`Tee` (tee.py) stands before the store: what the store takes goes to each queue, too. A queue is bounded in samples. When the other
end is slower than the samples come, the queue overflows: from then on samples are not queued; when it has been emptied, what was left out is
read back from the store (a gap, in time). So memory is bounded and nothing is lost that the store still has. The time up to which all
was taken is kept in a file; a sender that starts reads on from there. A sample may be sent twice, which receivers take in silence.

    appended ──► queue ──► batches ──► shard 0..n ──► POST        overflow: gap [from, now] ──► read from the store ──► batches

Series keep their order: a series' samples always go through the same shard, one request at a time. A refusal (4xx but 429) drops the batch
and is counted; anything else is tried again, with backoff, for as long as the server runs. Exemplars wait beside the samples and go with the
next one of their series, as 2.0 asks for.

Source: the remote write specifications; the defaults of upstream's queue_config.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from podium.instrument.log import logger
from podium.telemetry.metrics.errors import MetricsError
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import Labels, labels_of
from podium.telemetry.metrics.remote.errors import SendFailed
from podium.telemetry.metrics.remote.messages import Written, encode_version_1, encode_version_2
from podium.telemetry.metrics.samples import Exemplar, Selection, is_absent
from podium.telemetry.metrics.storage import Metadata, Queryable
from podium.world.interface import World
from podium.world.supervisor import Supervisor

GAP_WINDOW_MS = 5 * 60 * 1000
"""How much time is read back at once."""
FOREVER_MS = 2**62
"""Later than any sample."""
LATE_MS = 60_000
"""Samples are appended up to so much later than their time (a scrape's are when it ends): a sender that starts sends the last minute again."""
EXEMPLARS_WAITING_MAX = 20_000
"""Of one endpoint; what comes beyond is dropped and counted."""
ABOUT_FRESH_MS = 10_000
"""How long what is known of metric families is used before it is gathered again."""
_log = logger("metrics.remote_write")

Post = Callable[[bytes, str], Awaitable[None]]
"""Posts a compressed message of that version ("1" or "2"). Raises SendFailed."""
Relabel = Callable[[Labels], Labels | None]


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """Upstream's queue_config and its defaults; `capacity` is in samples, of all shards."""

    capacity: int = 500_000
    shards: int = 4
    max_samples_per_send: int = 2000
    batch_send_deadline_ms: int = 5000
    min_backoff_ms: int = 30
    max_backoff_ms: int = 5000
    sample_age_limit_ms: int = 0  # 0: none
    version: str = "1"
    native_histograms: bool = False
    exemplars: bool = False
    metadata: bool = True  # version 2: with the samples
    metadata_interval_ms: int = 60_000  # version 1: by itself
    metadata_per_send: int = 2000


@dataclass(slots=True)
class SendCounts:
    sent: int = 0
    dropped: int = 0  # by relabeling or age
    failed: int = 0  # refused by the other end
    retried: int = 0
    gaps: int = 0
    highest_sent_ms: int = 0
    exemplars_sent: int = 0
    exemplars_dropped: int = 0  # for want of room, or of a sample to go with
    exemplars_failed: int = 0
    metadata_sent: int = 0
    metadata_failed: int = 0


Point = tuple[int, float | Histogram]


@dataclass(slots=True)
class _Shard:
    waiting: list[tuple[Labels, Point]] = field(default_factory=list)
    exemplars: dict[Labels, list[Exemplar]] = field(default_factory=dict)  # of series as they are sent
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class RemoteWriter:
    """One remote endpoint."""

    def __init__(
        self, name: str, storage: Queryable, world: World, post: Post, options: QueueOptions, *,
        external_labels: Labels = (), relabel: Relabel | None = None, position_file: Path | None = None,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        self.name, self.options, self.counts = name, options, SendCounts()
        self._storage, self._world, self._post = storage, world, post
        self._external_labels, self._relabel = dict(external_labels), relabel
        self._position_file, self._close = position_file, close
        self._shards = [_Shard() for _ in range(options.shards)]
        self._pending = 0
        self._exemplars = 0
        self._about: dict[str, Metadata] = {}
        self._about_until_ms = 0
        self._known: dict[Labels, tuple[Labels, int] | None] = {}  # as sent, its shard; None: relabeling drops it
        self._gap_from_ms: int | None
        self._missed_from_ms: int | None  # time of the oldest sample that came when the gap was read beyond it already
        self._read_to_ms: int
        self._begin_gap(self._position())
        self._drained = asyncio.Event()
        if self._gap_from_ms is not None:
            self._drained.set()

    @property
    def pending(self) -> int:
        return self._pending

    @property
    def exemplars_pending(self) -> int:
        return self._exemplars

    def offer(self, samples: Sequence[tuple[Labels, int, float | Histogram]]) -> None:
        """Takes samples that were appended; never waits."""
        if self._gap_from_ms is not None:
            oldest_ms = min((time_ms for _, time_ms, _ in samples), default=FOREVER_MS + 1)
            if oldest_ms <= self._read_to_ms:
                self._missed_from_ms = min(oldest_ms, self._missed_from_ms or oldest_ms)
            return  # they are in the gap, which ends when it is read
        if self._pending + len(samples) > self.options.capacity:
            self._begin_gap(min((time_ms for _, time_ms, _ in samples), default=self._now_ms()))
            self.counts.gaps += 1
            _log.warning("remote write falls behind: samples will be read back from the store", remote=self.name, pending=self._pending)
            if not self._pending:
                self._drained.set()
            return
        self._enqueue(samples)

    def offer_exemplars(self, exemplars: Sequence[tuple[Labels, Exemplar]]) -> None:
        """Takes exemplars that were appended, after the samples that they are of; never waits."""
        if not self.options.exemplars or (self._gap_from_ms is not None and all(e.time_ms > self._read_to_ms for _, e in exemplars)):
            return  # those of a gap are read back with it
        for labels, exemplar in exemplars:
            target = self._known[labels] if labels in self._known else self._learn(labels)
            if target is None or self._exemplars >= EXEMPLARS_WAITING_MAX:
                self.counts.exemplars_dropped += 1
                continue
            shown, number = target
            self._shards[number].exemplars.setdefault(shown, []).append(exemplar)
            self._exemplars += 1

    def _begin_gap(self, from_ms: int | None) -> None:
        """None: there is none."""
        self._gap_from_ms, self._missed_from_ms = from_ms, None
        self._read_to_ms = from_ms - 1 if from_ms is not None else 0

    def _enqueue(self, samples: Sequence[tuple[Labels, int, float | Histogram]]) -> None:
        oldest_ms = self._now_ms() - self.options.sample_age_limit_ms if self.options.sample_age_limit_ms else None
        for labels, time_ms, value in samples:
            target = self._known[labels] if labels in self._known else self._learn(labels)
            if not self.options.native_histograms and isinstance(value, Histogram):
                target = None
            if target is None or (oldest_ms is not None and time_ms < oldest_ms):
                self.counts.dropped += 1
                continue
            shown, number = target
            shard = self._shards[number]
            shard.waiting.append((shown, (time_ms, value)))
            self._pending += 1
            if len(shard.waiting) == 1 or len(shard.waiting) == self.options.max_samples_per_send:
                shard.wake.set()

    def _learn(self, labels: Labels) -> tuple[Labels, int] | None:
        shown: Labels | None = labels_of({**self._external_labels, **dict(labels)}) if self._external_labels else labels
        if self._relabel is not None and shown is not None:
            shown = self._relabel(shown)
        known = (shown, zlib.crc32(repr(shown).encode()) % len(self._shards)) if shown else None
        if len(self._known) > 4 * self.options.capacity:
            self._known.clear()
        self._known[labels] = known
        return known

    def _now_ms(self) -> int:
        return int(self._world.clock.now().timestamp() * 1000)

    async def run(self) -> None:
        """For ever; closes its connections when it is cancelled."""
        supervisor = Supervisor(f"remote write {self.name}")
        if self._gap_from_ms is None:
            self._write_position(self._now_ms())  # a start after a death before anything was sent reads from here
        try:
            for number, shard in enumerate(self._shards):
                supervisor.start(f"shard {number}", self._send_from(shard))
            supervisor.start("gaps", self._fill_gaps())
            if self.options.metadata and self.options.version == "1":
                supervisor.start("metadata", self._send_metadata())
            await supervisor.failed()
        finally:
            await supervisor.stop()
            if self._close is not None:
                await self._close()

    async def _send_metadata(self) -> None:
        """Of every family, from time to time."""
        while True:
            await asyncio.sleep(self.options.metadata_interval_ms / 1000)
            families, at_once = sorted(self._described().items()), self.options.metadata_per_send
            for start in range(0, len(families), at_once):
                part = families[start : start + at_once]
                if (reason := await self._post_until_taken(encode_version_1([], part))) is None:
                    self.counts.metadata_sent += len(part)
                else:
                    self.counts.metadata_failed += len(part)
                    _log.info("sending metadata was refused", remote=self.name, reason=str(reason))

    async def _fill_gaps(self) -> None:
        while True:
            await self._drained.wait()
            self._drained.clear()
            while self._gap_from_ms is not None:
                await self._emptied()
                await self._fill_gap(self._gap_from_ms)

    async def _fill_gap(self, start_ms: int) -> None:
        """Reads the gap's first part back; after its last part, what was missed meanwhile is the next gap."""
        now_ms = self._now_ms()
        last = start_ms + GAP_WINDOW_MS >= now_ms
        self._read_to_ms = FOREVER_MS if last else start_ms + GAP_WINDOW_MS
        try:
            found = samples_of(self._storage.select((), start_ms, self._read_to_ms))
            exemplars = self._storage.exemplars((), start_ms, self._read_to_ms) if self.options.exemplars else []
        except MetricsError as error:
            _log.warning("reading back for remote write failed", remote=self.name, reason=str(error))
            self._read_to_ms = start_ms - 1
            await asyncio.sleep(1.0)
            return
        self.offer_exemplars([(labels, exemplar) for labels, kept in exemplars for exemplar in kept])
        for start in range(0, len(found), self.options.capacity):
            if start:
                await self._emptied()
            self._enqueue(found[start : start + self.options.capacity])
        if last:
            self._begin_gap(self._missed_from_ms)
        else:
            self._gap_from_ms = self._read_to_ms + 1

    async def _emptied(self) -> None:
        while self._pending:
            await asyncio.sleep(0.05)

    async def _send_from(self, shard: _Shard) -> None:
        while True:
            await shard.wake.wait()
            if len(shard.waiting) < self.options.max_samples_per_send:
                await self._fill_or_deadline(shard)
            batch = shard.waiting[: self.options.max_samples_per_send]
            if batch:
                await self._deliver(batch, shard.exemplars)
                del shard.waiting[: len(batch)]
                self._pending -= len(batch)
                if not self._pending and self._gap_from_ms is not None:
                    self._drained.set()
            if not shard.waiting:
                shard.wake.clear()
                if not self._pending:
                    self._keep_position()

    async def _fill_or_deadline(self, shard: _Shard) -> None:
        shard.wake.clear()
        try:
            async with asyncio.timeout(self.options.batch_send_deadline_ms / 1000):
                while len(shard.waiting) < self.options.max_samples_per_send:
                    await shard.wake.wait()
                    shard.wake.clear()
        except TimeoutError:
            pass
        shard.wake.set()

    async def _deliver(self, batch: Sequence[tuple[Labels, Point]], waiting: dict[Labels, list[Exemplar]]) -> None:
        """With the exemplars that wait for one of its series."""
        by_series: dict[Labels, list[Point]] = {}
        for labels, point in batch:
            by_series.setdefault(labels, []).append(point)
        series: list[Written] = list(by_series.items())
        held = {labels: waiting.pop(labels) for labels in by_series if labels in waiting} if waiting else {}
        exemplars = sum(map(len, held.values()))
        self._exemplars -= exemplars
        if self.options.version == "1":
            body = encode_version_1(series, (), held)
        else:
            body = encode_version_2(series, self._described() if self.options.metadata else {}, held)
        if (reason := await self._post_until_taken(body, len(batch))) is None:
            self.counts.sent += len(batch)
            self.counts.exemplars_sent += exemplars
            self.counts.highest_sent_ms = max(self.counts.highest_sent_ms, *(p[0] for _, p in batch))
        else:
            self.counts.failed += len(batch)
            self.counts.exemplars_failed += exemplars
            _log.warning("remote write refused", remote=self.name, samples=len(batch), reason=str(reason))

    async def _post_until_taken(self, body: bytes, samples: int = 0) -> SendFailed | None:
        """None: taken; otherwise why it is refused for good."""
        backoff_ms = self.options.min_backoff_ms
        while True:
            try:
                await self._post(body, self.options.version)
            except SendFailed as error:
                if error.again_after_s is None:
                    return error
                self.counts.retried += samples
                await asyncio.sleep(max(error.again_after_s, backoff_ms / 1000))
                backoff_ms = min(backoff_ms * 2, self.options.max_backoff_ms)
            else:
                return None

    def _described(self) -> dict[str, Metadata]:
        """What is known of metric families, by name."""
        if (now_ms := self._now_ms()) >= self._about_until_ms:
            self._about = {family: about for families in self._storage.metadata().values() for family, about in families.items()}
            self._about_until_ms = now_ms + ABOUT_FRESH_MS
        return self._about

    def _position(self) -> int | None:
        """From when on some may not be sent, by the file; None: nothing is known, start from now."""
        try:
            sent_ms = int(self._position_file.read_text()) if self._position_file is not None else None
        except (OSError, ValueError):
            return None
        return None if sent_ms is None else min(sent_ms, self._now_ms()) - LATE_MS

    def _keep_position(self) -> None:
        """All that was offered is sent: a next start reads on from here."""
        if self._gap_from_ms is None and self.counts.highest_sent_ms:
            self._write_position(self.counts.highest_sent_ms)

    def _write_position(self, time_ms: int) -> None:
        if self._position_file is None:
            return
        fresh = self._position_file.with_suffix(".new")
        try:
            fresh.write_text(str(time_ms))
            fresh.replace(self._position_file)
        except OSError as error:
            _log.warning("remote write's position cannot be kept", remote=self.name, reason=str(error))


def samples_of(selection: Selection) -> list[tuple[Labels, int, float | Histogram]]:
    """All of them, series by series, ascending in time."""
    rows = selection.labels.rows()
    found: list[tuple[Labels, int, float | Histogram]] = []
    for columns in selection.columns:
        there = ~is_absent(columns.values)
        for row, present, values in zip(columns.rows.tolist(), there, columns.values, strict=True):
            found += [(rows[row], t, v) for t, v in zip(columns.times[present].tolist(), values[present].tolist(), strict=True)]
    for one in selection.histograms:
        found += [(rows[one.row], t, h) for t, h in zip(one.times.tolist(), one.histograms, strict=True) if h is not None]
    return found
