"""A scrape_config: which targets, how often, what is taken from them. Source: Prometheus' <scrape_config>, config.go for checks and defaults."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeVar

from podium.telemetry.metrics.configuration.decoding import inline
from podium.telemetry.metrics.configuration.discovery import Discovering, check_static_targets
from podium.telemetry.metrics.configuration.http import HttpConfig
from podium.telemetry.metrics.configuration.printing import always
from podium.telemetry.metrics.configuration.values import ByteSize, Duration, FilePath, Uint
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.exposition.negotiation import Protocol
from podium.telemetry.metrics.names import NameScheme, is_label_name
from podium.telemetry.metrics.relabel import RelabelRule, check_rules

TEXT_PROTOCOLS = (Protocol.OPENMETRICS_1_0_0, Protocol.OPENMETRICS_0_0_1, Protocol.TEXT_1_0_0, Protocol.TEXT_0_0_4)
"""Asked for by default, in this order."""
PROTOBUF_FIRST = (Protocol.PROTOBUF, *TEXT_PROTOCOLS)
"""Asked for where native histograms are scraped, which only protobuf has."""

T = TypeVar("T")


class Escaping(enum.Enum):
    UTF8 = "allow-utf-8"
    UNDERSCORES = "underscores"
    DOTS = "dots"
    VALUES = "values"

    @staticmethod
    def complaint(text: str) -> str:
        schemes = "'allow-utf-8', 'underscores', 'dots', or 'values'"
        return f'unknown scrape config name escaping method specified, must be one of {schemes}, got "{text}"'


_NONE: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class ScrapeLimits:
    """0: no limit. Those of a job that it does not set are the global ones."""

    body_size_limit: ByteSize = 0
    sample_limit: Uint = 0
    target_limit: Uint = 0
    label_limit: Uint = 0
    label_name_length_limit: Uint = 0
    label_value_length_limit: Uint = 0
    keep_dropped_targets: Uint = 0

    def completed(self, other: "ScrapeLimits") -> "ScrapeLimits":
        return ScrapeLimits(*(getattr(self, n) or getattr(other, n) for n in ScrapeLimits.__slots__))


@dataclass(frozen=True, slots=True)
class GlobalConfig:
    scrape_interval: Duration = 60_000
    scrape_timeout: Duration | None = None
    scrape_protocols: tuple[Protocol, ...] = ()
    evaluation_interval: Duration = 60_000
    rule_query_offset: Duration = 0
    query_log_file: FilePath = ""
    scrape_failure_log_file: FilePath = ""
    external_labels: Mapping[str, str] = field(default_factory=dict)
    limits: ScrapeLimits = field(default=ScrapeLimits(), metadata=inline())
    metric_name_validation_scheme: NameScheme = NameScheme.UTF8
    metric_name_escaping_scheme: Escaping | None = None
    scrape_native_histograms: bool = False
    convert_classic_histograms_to_nhcb: bool = False
    always_scrape_classic_histograms: bool = False
    extra_scrape_metrics: bool = False

    def checked(self) -> "GlobalConfig":
        interval = self.scrape_interval or 60_000
        if self.scrape_timeout is not None and self.scrape_timeout > interval:
            raise ConfigurationError("global scrape timeout greater than scrape interval")
        for name in self.external_labels:
            if not is_label_name(name, self.metric_name_validation_scheme):
                raise ConfigurationError(f'"{name}" is not a valid label name')
        if self.scrape_protocols:
            _check_protocols(self.scrape_protocols, "global config")
        return replace(
            self,
            scrape_interval=interval,
            scrape_timeout=self.scrape_timeout or min(10_000, interval),
            evaluation_interval=self.evaluation_interval or 60_000,
        )


@dataclass(frozen=True, slots=True)
class ScrapeConfig(Discovering):
    """As written; `completed` with the global section it has a value for everything."""

    GO_TYPE: ClassVar[str] = "config.ScrapeConfig"

    job_name: str = field(default="", metadata=always())
    honor_labels: bool = False
    honor_timestamps: bool = field(default=True, metadata=always())
    track_timestamps_staleness: bool = field(default=False, metadata=always())
    params: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scrape_interval: Duration = 0
    scrape_timeout: Duration = 0
    scrape_protocols: tuple[Protocol, ...] = ()
    fallback_scrape_protocol: Protocol | None = None
    scrape_native_histograms: bool | None = None
    always_scrape_classic_histograms: bool | None = None
    convert_classic_histograms_to_nhcb: bool | None = None
    scrape_failure_log_file: FilePath = ""
    metrics_path: str = "/metrics"
    scheme: str = "http"
    enable_compression: bool = field(default=True, metadata=always())
    limits: ScrapeLimits = field(default=ScrapeLimits(), metadata=inline())
    native_histogram_bucket_limit: Uint = 0
    native_histogram_min_bucket_factor: float = 0.0
    metric_name_validation_scheme: NameScheme | None = None
    metric_name_escaping_scheme: Escaping | None = None
    extra_scrape_metrics: bool | None = None
    http: HttpConfig = field(default=HttpConfig(), metadata=inline())
    relabel_configs: tuple[RelabelRule, ...] = ()
    metric_relabel_configs: tuple[RelabelRule, ...] = ()

    def checked(self) -> "ScrapeConfig":
        if not self.job_name:
            raise ConfigurationError("job_name is empty")
        if not self.relabel_configs:
            check_static_targets(self.discovery)
        if None in self.relabel_configs:
            raise ConfigurationError("empty or null target relabeling rule in scrape config")
        if None in self.metric_relabel_configs:
            raise ConfigurationError("empty or null metric relabeling rule in scrape config")
        return replace(self, http=self.http.checked())

    def completed(self, above: GlobalConfig) -> "ScrapeConfig":
        """With the global section's values where it has none of its own. Raises ConfigurationError."""
        interval = self.scrape_interval or above.scrape_interval
        if self.scrape_timeout > interval:
            raise ConfigurationError(f'scrape timeout greater than scrape interval for scrape config with job name "{self.job_name}"')
        assert above.scrape_timeout is not None  # a checked global section has one
        native = _given(self.scrape_native_histograms, above.scrape_native_histograms)
        protocols = self.scrape_protocols or above.scrape_protocols or (PROTOBUF_FIRST if native else TEXT_PROTOCOLS)
        _check_protocols(protocols, f'scrape config with job name "{self.job_name}"')
        scheme = _given(self.metric_name_validation_scheme, above.metric_name_validation_scheme)
        check_rules((*self.relabel_configs, *self.metric_relabel_configs), scheme)
        return replace(
            self,
            scrape_interval=interval,
            scrape_timeout=self.scrape_timeout or min(above.scrape_timeout, interval),
            limits=self.limits.completed(above.limits),
            scrape_failure_log_file=self.scrape_failure_log_file or above.scrape_failure_log_file,
            scrape_native_histograms=native,
            scrape_protocols=protocols,
            metric_name_validation_scheme=scheme,
            metric_name_escaping_scheme=self._escaping(above, scheme),
            convert_classic_histograms_to_nhcb=_given(self.convert_classic_histograms_to_nhcb, above.convert_classic_histograms_to_nhcb),
            always_scrape_classic_histograms=_given(self.always_scrape_classic_histograms, above.always_scrape_classic_histograms),
            extra_scrape_metrics=_given(self.extra_scrape_metrics, above.extra_scrape_metrics),
        )

    def _escaping(self, above: GlobalConfig, scheme: NameScheme) -> Escaping:
        plain = Escaping.UNDERSCORES if scheme is NameScheme.LEGACY else Escaping.UTF8
        inherited = above.metric_name_escaping_scheme if self.metric_name_validation_scheme is None else None
        escaping = self.metric_name_escaping_scheme or inherited or plain
        if escaping is Escaping.UTF8 and scheme is not NameScheme.UTF8:
            raise ConfigurationError("utf8 metric names requested but validation scheme is not set to UTF8")
        return escaping


def _given(own: T | None, above: T) -> T:
    return above if own is None else own


def _check_protocols(protocols: tuple[Protocol, ...], where: str) -> None:
    if len(set(protocols)) != len(protocols):
        names = " ".join(protocol.value for protocol in protocols)
        raise ConfigurationError(f"duplicated protocol in scrape_protocols, got [{names}] for {where}")
