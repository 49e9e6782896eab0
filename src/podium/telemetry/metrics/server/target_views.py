"""Targets as the HTTP API shows them. Source: Prometheus' HTTP API, "Targets"."""

from datetime import datetime

from podium.telemetry.metrics.configuration.scraping import ScrapeConfig
from podium.telemetry.metrics.durations import format_duration
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.rules.views import NEVER
from podium.telemetry.metrics.scrape.engine import ScrapeEngine
from podium.telemetry.metrics.scrape.loop import TargetLoop
from podium.telemetry.metrics.server.sources import Json
from podium.telemetry.metrics.storage import Metadata, Queryable


class TargetViews:
    def __init__(self, scrapes: ScrapeEngine, storage: Queryable) -> None:
        self._scrapes = scrapes
        self._storage = storage

    def active(self) -> list[Json]:
        shown = [_active(job.job, loop) for job in self._scrapes.targets() for loop in job.active]
        return sorted(shown, key=lambda t: (t["scrapePool"], t["scrapeUrl"]))

    def dropped(self) -> list[Json]:
        return [{"discoveredLabels": dict(d.discovered), "scrapePool": job.job} for job in self._scrapes.targets() for d in job.dropped]

    def dropped_counts(self) -> dict[str, int]:
        return {job.job: job.dropped_count for job in self._scrapes.targets()}

    def pools(self) -> list[str]:
        return [job.job for job in self._scrapes.targets()]

    def config(self, pool: str) -> ScrapeConfig | None:
        return self._scrapes.config(pool)

    def metadata(self) -> list[tuple[Labels, dict[str, Metadata]]]:
        known = self._storage.metadata()
        return [(labels, known[labels]) for _, labels in sorted(self._scrapes.labels_of_targets()) if labels in known]


def _active(job: str, loop: TargetLoop) -> Json:
    target, status = loop.target, loop.status
    return {
        "discoveredLabels": dict(target.discovered),
        "labels": dict(target.labels),
        "scrapePool": job,
        "scrapeUrl": target.url,
        "globalUrl": target.url,
        "lastError": status.last_error,
        "lastScrape": _time(status.last_scrape),
        "lastScrapeDuration": status.last_duration_s,
        "health": status.health.value,
        "scrapeInterval": format_duration(target.interval_ms),
        "scrapeTimeout": format_duration(target.timeout_ms),
    }


def _time(moment: datetime | None) -> str:
    return NEVER if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
