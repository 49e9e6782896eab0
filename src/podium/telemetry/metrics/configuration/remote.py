"""remote_write and remote_read. Source: Prometheus' sections of these names, config.go for checks and defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from podium.telemetry.metrics.configuration.decoding import inline
from podium.telemetry.metrics.configuration.http import RESERVED_HEADERS, HttpConfig
from podium.telemetry.metrics.configuration.printing import always
from podium.telemetry.metrics.configuration.values import NO_URL, Duration, Uint, Url
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.relabel import RelabelRule

WRITE_1_0, WRITE_2_0 = "prometheus.WriteRequest", "io.prometheus.write.v2.Request"

_CLOUD_AUTHENTICATION = "use authorization, basic_auth, oauth2 or tls_config, or a proxy that signs requests"
_REFUSED = dict.fromkeys(("sigv4", "azuread", "google_iam"), _CLOUD_AUTHENTICATION)


@dataclass(frozen=True, slots=True)
class QueueConfig:
    capacity: int = 10_000
    max_shards: int = 50
    min_shards: int = 1
    max_samples_per_send: int = 2000
    batch_send_deadline: Duration = 5000
    min_backoff: Duration = 30
    max_backoff: Duration = 5000
    retry_on_http_429: bool = False
    sample_age_limit: Duration = 0

    def checked(self) -> "QueueConfig":
        for name in ("capacity", "max_shards", "min_shards", "max_samples_per_send"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"queue_config {name} must be at least 1")
        if self.min_shards > self.max_shards:
            raise ConfigurationError("queue_config min_shards must not be greater than max_shards")
        return self


@dataclass(frozen=True, slots=True)
class MetadataConfig:
    send: bool = field(default=True, metadata=always())
    send_interval: Duration = 60_000
    max_samples_per_send: int = 2000


@dataclass(frozen=True, slots=True)
class RemoteWriteConfig:
    REFUSED: ClassVar[Mapping[str, str]] = _REFUSED

    url: Url = NO_URL
    remote_timeout: Duration = 30_000
    headers: Mapping[str, str] = field(default_factory=dict)
    write_relabel_configs: tuple[RelabelRule, ...] = ()
    name: str = ""
    send_exemplars: bool = False
    send_native_histograms: bool = False
    round_robin_dns: bool = False
    protobuf_message: str = WRITE_1_0
    http: HttpConfig = field(default=HttpConfig(enable_http2=False), metadata=inline())
    queue_config: QueueConfig = field(default=QueueConfig())
    metadata_config: MetadataConfig = field(default=MetadataConfig())

    def checked(self) -> "RemoteWriteConfig":
        if not self.url:
            raise ConfigurationError("url for remote_write is empty")
        if None in self.write_relabel_configs:
            raise ConfigurationError("empty or null relabeling rule in remote write config")
        _check_headers(self.headers)
        if self.protobuf_message not in (WRITE_1_0, WRITE_2_0):
            raise ConfigurationError(
                f"invalid protobuf_message value: unknown type for remote write protobuf message {self.protobuf_message}"
            )
        if self.round_robin_dns:
            raise ConfigurationError("round_robin_dns is not supported: name each receiver, or put a balancer before them")
        return replace(self, http=self.http.checked())


@dataclass(frozen=True, slots=True)
class RemoteReadConfig:
    REFUSED: ClassVar[Mapping[str, str]] = _REFUSED

    url: Url = NO_URL
    remote_timeout: Duration = 60_000
    chunked_read_limit: Uint = 50_000_000
    headers: Mapping[str, str] = field(default_factory=dict)
    read_recent: bool = False
    name: str = ""
    http: HttpConfig = field(default=HttpConfig(), metadata=inline())
    required_matchers: Mapping[str, str] = field(default_factory=dict)
    filter_external_labels: bool = field(default=True, metadata=always())

    def checked(self) -> "RemoteReadConfig":
        if not self.url:
            raise ConfigurationError("url for remote_read is empty")
        _check_headers(self.headers)
        return replace(self, http=self.http.checked())


def _check_headers(headers: Mapping[str, str]) -> None:
    for name in headers:
        if name.lower() == "authorization":
            allowed = "the basic_auth, authorization, oauth2, sigv4, azuread or google_iam parameter"
            raise ConfigurationError(f"authorization header must be changed via {allowed}")
        if name.lower() in RESERVED_HEADERS:
            raise ConfigurationError(f"{name} is a reserved header. It must not be changed")
