"""Errors of scraping: reported on the target, and otherwise harmless."""

from podium.telemetry.metrics.errors import MetricsError


class ScrapeFailed(MetricsError):
    """The scrape counts as failed: nothing of it is stored; the next may do better."""


class LimitMet(ScrapeFailed):
    """A limit of the job was met. `total` samples were on the page, `kept` after relabelling."""

    def __init__(self, message: str, total: int = 0, kept: int = 0) -> None:
        super().__init__(message)
        self.total, self.kept = total, kept


class BadTarget(MetricsError):
    """What discovery and relabelling made is no target: its labels have to be corrected."""
