"""The scraping of one target: ask, read, write, report, at every interval.

Times: the first scrape is at the target's offset in the interval, so that targets spread and stay where they are when the server restarts.
Samples get the time of the tick, not of the answer; a scrape that is late by up to TOLERANCE_MS counts as on time, which keeps the
distances between samples equal. A tick that comes while a scrape runs is left out.

A target that is gone is not forgotten at once: its series end (stale) after two intervals and a bit, at the time of the first scrape that did not
happen, unless it is back by then. When the server stops, nothing is marked.

Source: scrapeLoop in Prometheus' scrape.go.
"""

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from podium.instrument.log import logger
from podium.telemetry.metrics.configuration.scraping import Escaping, ScrapeConfig
from podium.telemetry.metrics.errors import MetricsError
from podium.telemetry.metrics.exposition.custom_buckets import base_layout, with_custom_buckets
from podium.telemetry.metrics.exposition.negotiation import accept_header, protocol_of, read_page
from podium.telemetry.metrics.exposition.page import PageSource
from podium.telemetry.metrics.exposition.steps import between_others
from podium.telemetry.metrics.outbound.interface import RESPONSE_BYTES_MAX, OutboundError, Requester, ResponseTooLarge
from podium.telemetry.metrics.scrape.counts import ScrapeCounts
from podium.telemetry.metrics.scrape.errors import LimitMet, ScrapeFailed
from podium.telemetry.metrics.scrape.reports import Report, ReportWriter
from podium.telemetry.metrics.scrape.series import SeriesWriter, Written
from podium.telemetry.metrics.scrape.targets import Target
from podium.telemetry.metrics.storage import Appendable, Rejected
from podium.world.interface import World

TOLERANCE_MS = 2
"""Never more than a hundredth of the interval. Source: ScrapeTimestampTolerance."""
OVERDUE_SHARE = 0.1
"""Of the interval: waited beyond two intervals before a target that is gone ends."""

log = logger("metrics.scrape")


class Health(enum.Enum):
    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


@dataclass(slots=True)
class TargetStatus:
    """What is known of a target, for the API. `last_error` is empty when the last scrape went well."""

    health: Health = Health.UNKNOWN
    last_error: str = ""
    last_scrape: datetime | None = None
    last_duration_s: float = 0.0
    samples: int = 0


FailureListener = Callable[[Target, str], None]


class TargetLoop:
    """`forced_error`: scrapes fail with it, unasked (the job has too many targets). `source`: asked instead of the target's URL."""

    def __init__(
        self, target: Target, config: ScrapeConfig, storage: Appendable, requester: Requester, world: World, *, seed: int = 0,
        counts: ScrapeCounts | None = None, source: PageSource | None = None,
    ) -> None:  # fmt: skip
        self.target = target
        self._source = source
        self.status = TargetStatus()
        self.forced_error = ""
        self.on_failure: FailureListener | None = None
        self._config = config
        self._requester = requester
        self._world = world
        self._seed = seed
        self._counts = counts or ScrapeCounts()
        self._begun_s = 0.0
        self._writer = SeriesWriter(storage, config, target.labels)
        extra = (target.timeout_ms / 1000, float(config.limits.sample_limit)) if config.extra_scrape_metrics else None
        self._reports = ReportWriter(storage, target.labels, extra)
        escaping = config.metric_name_escaping_scheme or Escaping.UTF8
        self._headers = {
            "accept": accept_header(config.scrape_protocols, escaping.value),
            "x-prometheus-scrape-timeout-seconds": f"{target.timeout_ms / 1000:g}",
        }

    def _now_ms(self) -> int:
        return int(self._world.clock.now().timestamp() * 1000)

    async def run(self) -> None:
        """Until it is cancelled."""
        interval = self.target.interval_ms
        await asyncio.sleep(self.target.offset_ms(self._now_ms(), self._seed) / 1000)
        start_s, tick = self._world.clock.monotonic(), 0
        aligned = self._now_ms()
        while True:
            time_ms = self._now_ms()
            if time_ms < aligned - interval:  # the clock was set back: it is right now, and not all scrapes are of one time
                aligned = time_ms
            aligned += max(0, time_ms - aligned) // interval * interval
            if time_ms - aligned <= min(TOLERANCE_MS, interval // 100):
                time_ms = aligned
            await self.scrape(time_ms)
            tick = max(tick + 1, int((self._world.clock.monotonic() - start_s) * 1000 // interval))
            await asyncio.sleep(max(0.0, start_s + tick * interval / 1000 - self._world.clock.monotonic()))

    async def scrape(self, time_ms: int) -> None:
        """Once; never raises but when it is cancelled."""
        started = self._world.clock.now()
        begun_s = self._world.clock.monotonic()
        if self._begun_s:
            self._counts.interval(self.target.interval_ms, begun_s - self._begun_s)
        self._begun_s = begun_s
        body_bytes, error, written, kept, total = 0, self.forced_error, None, 0, 0
        if not error:
            try:
                written, body_bytes = await self._scraped(time_ms)
                total, kept = written.total, written.kept
            except MetricsError as failure:
                error = str(failure)
                self._counts.limit_met(error)
                self._counts.exceeded_body_size += isinstance(failure, ResponseTooLarge)
                body_bytes = -1 if isinstance(failure, ResponseTooLarge) else 0
                total, kept = (failure.total, failure.kept) if isinstance(failure, LimitMet) else (0, 0)
            except Exception as failure:  # a mistake of ours, met by one target's page, must not end the others' scrapes
                log.error("a scrape ended in an internal error", target=self.target.url, error=failure)
                error = f"internal error: {failure!r}"
        duration_s = self._world.clock.monotonic() - begun_s
        try:
            if written is None:
                self._writer.end(time_ms)
            report = Report(written is not None, duration_s, total, kept, written.series_added if written else 0, body_bytes)
            self._reports.write(report, time_ms)
        except MetricsError as failure:
            error = error or str(failure)
        self._note(error, started, duration_s, written)

    async def _scraped(self, time_ms: int) -> tuple[Written, int]:
        """(what was written, the body's size). Raises MetricsError."""
        config = self._config
        if self._source is not None:
            return await self._taken(self._source, time_ms)
        url = self.target.url
        try:
            response = await self._requester.request(
                "GET",
                url,
                headers=self._headers,
                timeout_s=self.target.timeout_ms / 1000,
                response_bytes_max=config.limits.body_size_limit or RESPONSE_BYTES_MAX,
            )
        except ResponseTooLarge:
            raise
        except OutboundError as error:
            raise ScrapeFailed(f'Get "{url}": {error}') from error
        if response.status != 200:
            raise ScrapeFailed(f"server returned HTTP status {response.status_text}")
        if not response.body:
            self._writer.end(time_ms)
            return Written(0, 0, 0, Rejected(), 0), 0
        protocol = protocol_of(response.headers.get("content-type", ""), config.fallback_scrape_protocol)
        native, classic = bool(config.scrape_native_histograms), bool(config.always_scrape_classic_histograms)
        known = self._writer.layout
        page = await between_others(read_page(response.body, protocol, base_layout(known), native=native, classic=classic))
        if config.convert_classic_histograms_to_nhcb:
            page = with_custom_buckets(page, known, classic=classic)
        return await between_others(self._writer.write_steps(page, time_ms)), len(response.body)

    async def _taken(self, source: PageSource, time_ms: int) -> tuple[Written, int]:
        page, body_bytes = source.page()
        if body_bytes >= (self._config.limits.body_size_limit or RESPONSE_BYTES_MAX):
            raise ResponseTooLarge("body size limit exceeded")
        return await between_others(self._writer.write_steps(page, time_ms)), body_bytes

    def _note(self, error: str, started: datetime, duration_s: float, written: Written | None) -> None:
        status = self.status
        if error and error != status.last_error:
            log.warning("scrape failed", target=self.target.url, error=error)
        if error and self.on_failure is not None:
            self.on_failure(self.target, error)
        if written is not None and (written.rejected or written.duplicates):
            r = written.rejected
            self._counts.out_of_order += r.out_of_order
            self._counts.out_of_bounds += r.too_old
            self._counts.duplicates += r.duplicate + written.duplicates
            log.debug(
                "samples were not taken", target=self.target.url, out_of_order=r.out_of_order, too_old=r.too_old,
                duplicate=r.duplicate + written.duplicates,
            )  # fmt: skip
        status.health = Health.DOWN if error else Health.UP
        status.last_error, status.last_scrape, status.last_duration_s = error or _untaken(written), started, duration_s
        status.samples = written.total if written is not None else 0

    async def end(self, is_back: Callable[[], bool]) -> None:
        """After `run` was cancelled because the target is gone: waits, then marks its series stale, unless the target is back."""
        if self.status.last_scrape is None:
            return
        interval_s = self.target.interval_ms / 1000
        last_s = self.status.last_scrape.timestamp()
        next_s = last_s + interval_s
        wait_s = next_s + interval_s * (1 + OVERDUE_SHARE) - self._world.clock.now().timestamp()
        await asyncio.sleep(min(max(0.0, wait_s), (2 + OVERDUE_SHARE) * interval_s))  # whatever the clock was set to meanwhile
        if is_back():
            return
        try:
            self._writer.end(int(next_s * 1000))
            self._reports.end(int(next_s * 1000))
        except MetricsError as error:
            log.warning("a target's series could not be ended", target=self.target.url, error=str(error))


def _untaken(written: Written | None) -> str:
    """What a target that is up is told when most of its samples are of a time that is past: a clock was set back, here or there. (Of a few,
    as of duplicates, nothing is told: upstream counts them.)"""
    if written is None:
        return ""
    r = written.rejected
    counts = {"out of order": r.out_of_order, "too old": r.too_old}
    if not any(counts.values()) or 2 * sum(counts.values()) < written.total:
        return ""
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f"{r.count} of {written.total} samples were not taken: {said}; the clock here or the target's may have been set back"
