"""prometheus.yml, whole: read strictly, completed with defaults, printed without secrets, compared when it is read again.

Everything is immutable and compares by value, so a reload restarts only what differs. What a section says and we do not act on is refused (tracing,
cloud authentication) or, where it means nothing here and does no harm, noted in `warnings`.

Source: Prometheus 3's configuration page; config.go for defaults, checks and words.
"""

import glob
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args, get_type_hints

from podium.telemetry.metrics.configuration.alerting import AlertingConfig
from podium.telemetry.metrics.configuration.decoding import decode
from podium.telemetry.metrics.configuration.discovery import CORE_KINDS
from podium.telemetry.metrics.configuration.otlp import AS_THEY_ARE, OtlpConfig
from podium.telemetry.metrics.configuration.printing import print_section
from podium.telemetry.metrics.configuration.remote import RemoteReadConfig, RemoteWriteConfig
from podium.telemetry.metrics.configuration.scraping import GlobalConfig, ScrapeConfig
from podium.telemetry.metrics.configuration.values import ByteSize, Duration, FilePath
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.relabel import check_rules

T = TypeVar("T")
_PATTERN_OF_FILES = re.compile(r"[^*]*(\*[^/]*)?")
_VARIABLE = re.compile(r"\$(?:(\$)|\{([^}]*)\}|(\w+))")
_NOT_SENT = "traces of the server itself are not sent anywhere"


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    gogc: int = 0


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    time: Duration = 0
    size: ByteSize = 0


@dataclass(frozen=True, slots=True)
class TsdbConfig:
    out_of_order_time_window: Duration = 0
    retention: RetentionConfig | None = None


@dataclass(frozen=True, slots=True)
class ExemplarsConfig:
    max_exemplars: int = 100_000


@dataclass(frozen=True, slots=True)
class StorageConfig:
    tsdb: TsdbConfig | None = None
    exemplars: ExemplarsConfig | None = None


@dataclass(frozen=True, slots=True)
class ScrapeConfigFile:
    """What a file of scrape_config_files says."""

    GO_TYPE: ClassVar[str] = "config.ScrapeConfigs"

    scrape_configs: tuple[ScrapeConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class Configuration:
    REFUSED: ClassVar[Mapping[str, str]] = {"tracing": _NOT_SENT}

    global_config: GlobalConfig = field(default=GlobalConfig().checked(), metadata={"key": "global"})
    runtime: RuntimeConfig | None = None
    alerting: AlertingConfig | None = None
    rule_files: tuple[FilePath, ...] = ()
    scrape_config_files: tuple[FilePath, ...] = ()
    scrape_configs: tuple[ScrapeConfig, ...] = ()
    storage: StorageConfig | None = None
    remote_write: tuple[RemoteWriteConfig, ...] = ()
    remote_read: tuple[RemoteReadConfig, ...] = ()
    otlp: OtlpConfig = field(default=OtlpConfig())
    included: tuple[ScrapeConfig, ...] = field(default=(), metadata={"key": ""})
    """Those of scrape_config_files, completed; not part of the printed form."""
    warnings: tuple[str, ...] = field(default=(), metadata={"key": ""}, compare=False)

    @property
    def jobs(self) -> tuple[ScrapeConfig, ...]:
        """All scrape configurations, completed; names are unique."""
        return (*self.scrape_configs, *self.included)

    def checked(self) -> "Configuration":
        for name, patterns in (("rule", self.rule_files), ("scrape config", self.scrape_config_files)):
            for pattern in patterns:
                if not _PATTERN_OF_FILES.fullmatch(pattern):
                    raise ConfigurationError(f'invalid {name} file path "{pattern}"')
        for what, sections in (("scrape", self.scrape_configs), ("remote write", self.remote_write), ("remote read", self.remote_read)):
            if None in sections:
                raise ConfigurationError(f"empty or null {what} config section")
        jobs = tuple(job.completed(self.global_config) for job in self.scrape_configs)
        _check_unique([job.job_name for job in jobs], "scrape")
        _check_unique([remote.name for remote in self.remote_write if remote.name], "remote write")
        _check_unique([remote.name for remote in self.remote_read if remote.name], "remote read")
        scheme = self.global_config.metric_name_validation_scheme
        if scheme == "legacy" and self.otlp.translation_strategy in AS_THEY_ARE:
            strategy = self.otlp.translation_strategy
            raise ConfigurationError(f'OTLP translation strategy "{strategy}" is not allowed when UTF8 is disabled')
        for remote in self.remote_write:
            check_rules(remote.write_relabel_configs, scheme)
        if self.alerting is not None:
            check_rules(self.alerting.alert_relabel_configs, scheme)
        warnings = ("runtime.gogc has no effect: this server has no Go runtime",) if self.runtime else ()
        return replace(self, scrape_configs=jobs, warnings=warnings)

    def printed(self) -> str:
        """As YAML, with defaults, without secrets."""
        return print_section(self)


def _check_unique(names: list[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f'found multiple {what} configs with job name "{name}"')


def load(
    text: str | bytes,
    kinds: Mapping[str, type] = CORE_KINDS,
    *,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Configuration:
    """Raises ConfigurationError. Relative paths are taken from `directory`; `$NAME` in external labels from `environment`."""
    configuration = decode(text, Configuration, kinds)
    section = configuration.global_config
    if section.external_labels:
        expanded, missing = _expanded(section.external_labels, environment or {})
        section = replace(section, external_labels=expanded)
        warnings = (*configuration.warnings, *(f"external_labels: the environment has no {name}" for name in missing))
        configuration = replace(configuration, global_config=section, warnings=warnings)
    return _in_directory(configuration, directory) if directory is not None else configuration


def load_file(path: Path, kinds: Mapping[str, type] = CORE_KINDS, environment: Mapping[str, str] | None = None) -> Configuration:
    """With the files that it includes. Raises ConfigurationError that names the file."""
    try:
        configuration = load(_read(path), kinds, directory=path.parent, environment=environment)
    except ConfigurationError as error:
        raise ConfigurationError(f"parsing YAML file {path}: {error}", error.where and str(path)) from error
    return replace(configuration, included=_included(configuration, kinds))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"open {path}: {(error.strerror or str(error)).lower()}") from error


def _included(configuration: Configuration, kinds: Mapping[str, type]) -> tuple[ScrapeConfig, ...]:
    found: list[ScrapeConfig] = []
    places = {job.job_name: "main config file" for job in configuration.scrape_configs}
    for pattern in configuration.scrape_config_files:
        for name in sorted(glob.glob(pattern)):
            path = Path(name)
            try:
                section = _in_directory(decode(_read(path), ScrapeConfigFile, kinds), path.parent)
                for job in section.scrape_configs:
                    if job is None:
                        raise ConfigurationError("empty or null scrape config section")
                    if job.job_name in places:
                        first = places[job.job_name]
                        raise ConfigurationError(f'found multiple scrape configs with job name "{job.job_name}", first found in {first}')
                    places[job.job_name] = f'"{path}"'
                    found.append(job.completed(configuration.global_config))
            except ConfigurationError as error:
                raise ConfigurationError(f'"{path}": {error}') from error
    return tuple(found)


def _expanded(labels: Mapping[str, str], environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    missing: list[str] = []

    def variable(match: "re.Match[str]") -> str:
        if match[1]:
            return "$"
        name = match[2] or match[3] or ""
        if not environment.get(name):
            missing.append(name)
        return environment.get(name, "")

    return {name: _VARIABLE.sub(variable, value) for name, value in labels.items()}, missing


def _in_directory(value: T, directory: Path) -> T:
    """With every relative path in it taken from that directory."""
    joined: T = _joined(value, type(value), directory)
    return joined


def _joined(value: Any, kind: Any, directory: Path) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        hints = get_type_hints(type(value), include_extras=True)
        changes = {f.name: _joined(getattr(value, f.name), hints[f.name], directory) for f in fields(value) if f.init}
        return replace(value, **changes)
    if isinstance(value, tuple):
        item_kind = next(iter(get_args(kind)), None)
        return tuple(_joined(item, item_kind, directory) for item in value)
    if isinstance(value, Mapping):
        item_kind = (get_args(kind) or (None, None))[-1]
        return {key: _joined(item, item_kind, directory) for key, item in value.items()}
    return str(directory / value) if kind == FilePath and value and not value.startswith("/") else value
