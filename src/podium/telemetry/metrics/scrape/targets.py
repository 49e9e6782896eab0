"""From what discovery found to what is scraped: relabelling, defaults, checks.

A target is its public labels and its URL: two that agree in both are one. Labels that begin with `__` say how to scrape (address, scheme,
path, parameters, interval, timeout) and end there; `__meta_` ones end with relabelling.

Source: Prometheus' PopulateLabels in scrape/target.go.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, urlencode

from podium.telemetry.metrics.configuration.scraping import ScrapeConfig
from podium.telemetry.metrics.discovery.groups import ADDRESS, Group, packed, unpacked
from podium.telemetry.metrics.durations import format_duration, parse_duration
from podium.telemetry.metrics.labels import Labels, labels_of
from podium.telemetry.metrics.names import NameScheme
from podium.telemetry.metrics.relabel import Relabeling
from podium.telemetry.metrics.scrape.errors import BadTarget

JOB, INSTANCE, SCHEME, METRICS_PATH = "job", "instance", "__scheme__", "__metrics_path__"
INTERVAL, TIMEOUT, PARAM = "__scrape_interval__", "__scrape_timeout__", "__param_"


@dataclass(frozen=True)
class Target:
    """What is scraped. `labels` are the public ones, which every sample gets."""

    labels: Labels
    found: bytes
    url: str
    interval_ms: int
    timeout_ms: int

    @property
    def discovered(self) -> Labels:
        """The labels before relabelling: made anew at each look, which few want."""
        return labels_of(unpacked(self.found))

    @cached_property
    def identity(self) -> bytes:
        text = repr((self.labels, self.url, self.interval_ms, self.timeout_ms))
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def offset_ms(self, now_ms: int, seed: int) -> int:
        """Until the first scrape: the same instant in every interval whenever it is asked, spread over targets. In [0, interval]."""
        spread = (int.from_bytes(self.identity[:8], "big") ^ seed) % self.interval_ms
        wait = self.interval_ms - now_ms % self.interval_ms + spread
        return wait - self.interval_ms if wait > self.interval_ms else wait


@dataclass(frozen=True, slots=True)
class Dropped:
    """A target that relabelling dropped, by what it had before."""

    found: bytes

    @property
    def discovered(self) -> Labels:
        return labels_of(unpacked(self.found))


class TargetMaker:
    """Makes the targets of one job."""

    def __init__(self, config: ScrapeConfig) -> None:
        self._config = config
        self._relabeling = Relabeling(config.relabel_configs, config.metric_name_validation_scheme or NameScheme.UTF8)
        self._defaults = {
            JOB: config.job_name,
            INTERVAL: format_duration(config.scrape_interval),
            TIMEOUT: format_duration(config.scrape_timeout),
            METRICS_PATH: config.metrics_path,
            SCHEME: config.scheme,
        }
        self._params = {PARAM + name: values[0] for name, values in config.params.items() if values}

    def of(self, group: Group) -> Iterator[Target | Dropped | BadTarget]:
        for number, own in enumerate(group.targets):
            try:
                yield self.make({**group.labels, **own})
            except BadTarget as error:
                yield BadTarget(f"instance {number} in group {group.source}: {error}")

    def make(self, found: Mapping[str, str]) -> Target | Dropped:
        """Raises BadTarget, in upstream's words."""
        labels = {n: v for n, v in found.items() if v}
        for name, value in self._defaults.items():
            labels.setdefault(name, value)
        labels |= self._params
        discovered = packed(dict(sorted(labels.items())))
        if not self._relabeling.apply(labels):
            return Dropped(discovered)
        labels = {n: v for n, v in labels.items() if v}
        address = labels.get(ADDRESS, "")
        if not address:
            raise BadTarget("no address")
        if "/" in address:
            raise BadTarget(f'"{address}" is not a valid hostname')
        interval, timeout = _times(labels)
        labels.setdefault(INSTANCE, address)
        for name, value in labels.items():
            if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
                raise BadTarget(f'invalid label value for "{name}": {value!r}')
        public = tuple(sorted((n, v) for n, v in labels.items() if not n.startswith("__")))
        return Target(public, discovered, self._url(labels), interval, timeout)

    def _url(self, labels: Mapping[str, str]) -> str:
        params = {name: list(values) for name, values in self._config.params.items()}
        for name, value in labels.items():
            if name.startswith(PARAM):
                params[name.removeprefix(PARAM)] = [value, *params.get(name.removeprefix(PARAM), [])[1:]]
        query = urlencode(sorted(params.items()), doseq=True)
        path = quote(labels.get(METRICS_PATH, ""), safe="/%:@!$&'()*+,;=~")
        path = path if path.startswith("/") else f"/{path}"
        return f"{labels.get(SCHEME, '')}://{labels[ADDRESS]}{path}{'?' if query else ''}{query}"


def _times(labels: Mapping[str, str]) -> tuple[int, int]:
    found = []
    for name, what in ((INTERVAL, "interval"), (TIMEOUT, "timeout")):
        try:
            found.append(parse_duration(labels.get(name, "")))
        except ValueError as error:
            raise BadTarget(f"error parsing scrape {what}: {error}") from error
        if not found[-1]:
            raise BadTarget(f"scrape {what} cannot be 0")
    interval, timeout = found
    if timeout > interval:
        shown = f'"{labels[TIMEOUT]}" > "{labels[INTERVAL]}"'
        raise BadTarget(f"scrape timeout cannot be greater than scrape interval ({shown})")
    return interval, timeout
