"""Where targets come from: the sections `*_sd_configs` and `static_configs` of kinds that need nothing but files, HTTP and DNS.

Other kinds are given to `load` by whoever knows them (`kinds`: key -> section). A kind that upstream has and we do not is refused by name.

Source: Prometheus' <static_config>, <file_sd_config>, <http_sd_config>, <dns_sd_config>.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

import yaml

from podium.telemetry.metrics.configuration.decoding import Decoder, inline, line_of
from podium.telemetry.metrics.configuration.http import HttpConfig
from podium.telemetry.metrics.configuration.printing import to_plain
from podium.telemetry.metrics.configuration.urls import check_url
from podium.telemetry.metrics.configuration.values import Duration, FilePath
from podium.telemetry.metrics.errors import ConfigurationError

_FILE_PATTERN = re.compile(r"[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)")
RECORD_TYPES = ("SRV", "A", "AAAA", "MX", "NS")


@dataclass(frozen=True, slots=True)
class StaticGroup:
    GO_TYPE: ClassVar[str] = 'struct { Targets []string "yaml:\\"targets\\""; Labels model.LabelSet "yaml:\\"labels\\"" }'

    targets: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def checked(self) -> "StaticGroup":
        if "" in self.labels:
            raise ConfigurationError('"" is not a valid label name')
        return self


@dataclass(frozen=True, slots=True)
class FileDiscoveryConfig:
    GO_TYPE: ClassVar[str] = "file.plain"

    files: tuple[FilePath, ...] = ()
    refresh_interval: Duration = 300_000

    def checked(self) -> "FileDiscoveryConfig":
        if not self.files:
            raise ConfigurationError("file service discovery config must contain at least one path name")
        for name in self.files:
            if not _FILE_PATTERN.fullmatch(name):
                raise ConfigurationError(f'path name "{name}" is not valid for file discovery')
        return self


@dataclass(frozen=True, slots=True)
class HttpDiscoveryConfig:
    GO_TYPE: ClassVar[str] = "http.plain"

    http: HttpConfig = field(default=HttpConfig(), metadata=inline())
    refresh_interval: Duration = 60_000
    url: str = ""

    def checked(self) -> "HttpDiscoveryConfig":
        if not self.url:
            raise ConfigurationError("URL is missing")
        try:
            check_url(self.url)
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https"):
            raise ConfigurationError("URL scheme must be 'http' or 'https'")
        if not parts.netloc:
            raise ConfigurationError("host is missing in URL")
        return HttpDiscoveryConfig(self.http.checked(), self.refresh_interval, self.url)


@dataclass(frozen=True, slots=True)
class DnsDiscoveryConfig:
    GO_TYPE: ClassVar[str] = "dns.plain"

    names: tuple[str, ...] = ()
    refresh_interval: Duration = 30_000
    type: str = "SRV"
    port: int = 0

    def checked(self) -> "DnsDiscoveryConfig":
        if not self.names:
            raise ConfigurationError("DNS-SD config must contain at least one SRV record name")
        if self.type.upper() not in RECORD_TYPES:
            raise ConfigurationError(f"invalid DNS-SD records type {self.type}")
        if self.type.upper() != "SRV" and not self.port:
            raise ConfigurationError("a port is required in DNS-SD configs for all record types except SRV")
        return self


CORE_KINDS: Mapping[str, type] = {
    "static_configs": StaticGroup,
    "file_sd_configs": FileDiscoveryConfig,
    "http_sd_configs": HttpDiscoveryConfig,
    "dns_sd_configs": DnsDiscoveryConfig,
}

Discovery = Mapping[str, tuple[Any, ...]]
"""Sections by key."""


@dataclass(frozen=True, slots=True)
class Discovering:
    """What sections with targets have: kinds of discovery by their keys, each a list of sections."""

    discovery: Discovery = field(default_factory=dict, metadata={"key": ""})

    @staticmethod
    def decode_extra(key: str, node: yaml.Node, decoder: Decoder, given: dict[str, Any]) -> bool:
        """Takes a key of a kind of discovery; False for any other key."""
        kind = decoder.kinds.get(key)
        if kind is None:
            if key.endswith("_sd_configs"):
                known = ", ".join(sorted(decoder.kinds))
                raise ConfigurationError(f"{key}: this kind of discovery is not supported, only {known}", f"line {line_of(node)}")
            return False
        sections = decoder.value(node, tuple[kind, ...], ())  # type: ignore[valid-type]
        if any(section is None for section in sections) and not decoder.problems:
            raise ConfigurationError(f"empty or null section in {key}", f"line {line_of(node)}")
        given.setdefault("discovery", {})[key] = sections
        return True

    def print_extra(self) -> dict[str, Any]:
        return {key: [to_plain(section) for section in sections] for key, sections in self.discovery.items()}


def check_static_targets(discovery: Discovery) -> None:
    """Users put URLs there. Raises ConfigurationError."""
    for group in discovery.get("static_configs", ()):
        for address in group.targets if group is not None else ():  # an empty one is told elsewhere
            check_address(address)


def check_address(address: str) -> None:
    if "/" in address:
        raise ConfigurationError(f'"{address}" is not a valid hostname')
