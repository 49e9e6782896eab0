"""Where alerts are sent. Source: Prometheus' <alertmanager_config>, config.go for checks and defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from podium.telemetry.metrics.configuration.decoding import inline
from podium.telemetry.metrics.configuration.discovery import Discovering, check_static_targets
from podium.telemetry.metrics.configuration.http import HttpConfig
from podium.telemetry.metrics.configuration.printing import always
from podium.telemetry.metrics.configuration.values import Duration
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.relabel import RelabelRule


@dataclass(frozen=True, slots=True)
class AlertmanagerConfig(Discovering):
    GO_TYPE: ClassVar[str] = "config.AlertmanagerConfig"
    REFUSED: ClassVar[Mapping[str, str]] = {"sigv4": "use authorization, basic_auth, oauth2 or tls_config"}

    scheme: str = "http"
    path_prefix: str = ""
    timeout: Duration = 10_000
    api_version: str = field(default="v2", metadata=always())
    http: HttpConfig = field(default=HttpConfig(), metadata=inline())
    relabel_configs: tuple[RelabelRule, ...] = ()
    alert_relabel_configs: tuple[RelabelRule, ...] = ()

    def checked(self) -> "AlertmanagerConfig":
        if self.api_version != "v2":
            raise ConfigurationError(f"expected Alertmanager api version to be one of [v2] but got {self.api_version}")
        if self.scheme not in ("http", "https"):
            raise ConfigurationError(f'invalid scheme: "{self.scheme}"')
        if not self.relabel_configs:
            check_static_targets(self.discovery)
        if None in self.relabel_configs:
            raise ConfigurationError("empty or null Alertmanager target relabeling rule")
        if None in self.alert_relabel_configs:
            raise ConfigurationError("empty or null Alertmanager alert relabeling rule")
        return replace(self, http=self.http.checked())


@dataclass(frozen=True, slots=True)
class AlertingConfig:
    alert_relabel_configs: tuple[RelabelRule, ...] = ()
    alertmanagers: tuple[AlertmanagerConfig, ...] = ()

    def checked(self) -> "AlertingConfig":
        if None in self.alert_relabel_configs:
            raise ConfigurationError("empty or null alert relabeling rule")
        if None in self.alertmanagers:
            raise ConfigurationError("empty or null Alertmanager section")
        return self
