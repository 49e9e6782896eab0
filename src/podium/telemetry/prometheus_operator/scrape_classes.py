"""Scrape classes: what a Prometheus says once for all monitors that name the class, or, of the default one, for those that name none.

What a monitor says itself goes before what its class says: TLS by part (CA, certificate, key) where it has a `tlsConfig`, the whole of it where
it has none; authorization where it authenticates in no way of its own; a fallback protocol; metadata. Relabelings are added: those of the class
come before the monitor's own. Secrets that a class refers to are in the Prometheus' namespace.

Unlike with upstream's operator, a default class with authorization leaves alone a monitor with basicAuth or OAuth 2 (both together are no valid
configuration, and upstream's server would not load it).

Source: the Prometheus operator's API reference, ScrapeClass; its pkg/prometheus/promcfg.go for what goes before what.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from podium.telemetry.metrics.configuration.configuration import load
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.prometheus_operator.credentials import Credentials
from podium.telemetry.prometheus_operator.errors import ResourceRefused
from podium.telemetry.prometheus_operator.relabeling import written

Config = dict[str, Any]
_AUTHENTICATED = ("authorization", "basic_auth", "bearer_token", "bearer_token_file", "oauth2")
_TLS_PARTS = (("ca", "ca_file"), ("cert", "cert_file"), ("key", "key_file"))
_CREDENTIALS = ("credentials", "credentials_file")


@dataclass(frozen=True, slots=True)
class ScrapeClass:
    """`spec` is an entry of scrapeClasses, {} for no class; `where` is its field."""

    spec: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""

    @property
    def relabelings(self) -> list[Config]:
        return written(self.spec.get("relabelings"))

    @property
    def metric_relabelings(self) -> list[Config]:
        return written(self.spec.get("metricRelabelings"))

    @property
    def fallback_protocol(self) -> str:
        return str(self.spec.get("fallbackScrapeProtocol") or "")

    def attach_metadata(self, own: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """`own`: what the monitor says, None for nothing."""
        return (own if own is not None else self.spec.get("attachMetadata")) or {}

    def access(self, own: Config, credentials: Credentials) -> Config:
        """How a target is asked, in prometheus.yml's words: `own` is the monitor's; `credentials` are those of the Prometheus. Raises
        SecretMissing."""
        given = {name: self.spec[name] for name in ("authorization", "tlsConfig") if self.spec.get(name)}
        if not given:
            return own
        mine = credentials.http(given, self.where)
        found = {**own}
        if tls := mine.get("tls_config"):
            found["tls_config"] = _with_parts(own["tls_config"], tls) if own.get("tls_config") else tls
        if authorization := mine.get("authorization"):
            if not any(own.get(name) for name in _AUTHENTICATED):
                found["authorization"] = authorization
            elif (stated := own.get("authorization")) and not any(stated.get(name) for name in _CREDENTIALS):
                found["authorization"] = {**stated, **{name: authorization[name] for name in _CREDENTIALS if name in authorization}}
        return found


def _with_parts(own: Config, tls: Config) -> Config:
    missing = [part for parts in _TLS_PARTS if not any(own.get(name) for name in parts) for part in parts]
    return {**own, **{name: tls[name] for name in missing if name in tls}}


NO_CLASS = ScrapeClass()


@dataclass(frozen=True, slots=True)
class ScrapeClasses:
    by_name: Mapping[str, ScrapeClass]
    default: ScrapeClass = NO_CLASS

    def of(self, spec: Mapping[str, Any]) -> ScrapeClass:
        """Of a monitor. Raises ResourceRefused, in upstream's words, for one that there is not."""
        name = spec.get("scrapeClass")
        if not name:
            return self.default
        if name not in self.by_name:
            raise ResourceRefused(f'scrapeClass "{name}" not found in Prometheus scrapeClasses')
        return self.by_name[name]


def scrape_classes(spec: Mapping[str, Any]) -> ScrapeClasses:
    """Of a Prometheus. Raises ResourceRefused."""
    entries: Sequence[Mapping[str, Any]] = spec.get("scrapeClasses") or ()
    found: dict[str, ScrapeClass] = {}
    default = NO_CLASS
    for number, entry in enumerate(entries):
        made = ScrapeClass(entry, f"spec.scrapeClasses[{number}]")
        _check(made)
        if entry.get("default"):
            if default is not NO_CLASS:
                raise ResourceRefused("spec.scrapeClasses: multiple default scrape classes defined")
            default = made
        if entry["name"] in found:
            raise ResourceRefused(f"{made.where}: there is a class {entry['name']!r} already")
        found[entry["name"]] = made
    return ScrapeClasses(found, default)


def _check(made: ScrapeClass) -> None:
    """Raises ResourceRefused for relabelings and a protocol that cannot be."""
    job: Config = {"job_name": "x", "relabel_configs": made.relabelings, "metric_relabel_configs": made.metric_relabelings}
    if made.fallback_protocol:
        job["fallback_scrape_protocol"] = made.fallback_protocol
    try:
        load(yaml.safe_dump({"scrape_configs": [{name: value for name, value in job.items() if value}]}))
    except ConfigurationError as error:
        raise ResourceRefused(f"{made.where}: {error}") from error
