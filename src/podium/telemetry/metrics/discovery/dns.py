"""dns_sd_configs: targets from DNS records.

A name that does not exist has no targets; a name whose servers fail keeps those it had. Source: Prometheus' <dns_sd_config>.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from podium.instrument.log import logger
from podium.telemetry.metrics.configuration.discovery import DnsDiscoveryConfig
from podium.telemetry.metrics.discovery.groups import ADDRESS, META, Sink, TargetGroup
from podium.telemetry.metrics.discovery.refreshing import DiscoveryFailed, refreshing

LOOKUP_S_MAX = 10.0
_NAME, _SRV_TARGET, _SRV_PORT = META + "dns_name", META + "dns_srv_record_target", META + "dns_srv_record_port"
_MX_TARGET, _NS_TARGET = META + "dns_mx_record_target", META + "dns_ns_record_target"

log = logger("metrics.discovery")


@dataclass(frozen=True, slots=True)
class Record:
    """`host` is an address or a name with its final dot; `port` is that of an SRV record."""

    type: str
    host: str
    port: int = 0


class Resolver(Protocol):
    async def resolve(self, name: str, record_type: str) -> Sequence[Record]:
        """Empty when the name is known not to exist or to have none. Raises DiscoveryFailed when nobody knows."""
        ...


class SystemResolver:
    """The servers and search domains of /etc/resolv.conf."""

    async def resolve(self, name: str, record_type: str) -> Sequence[Record]:
        import dns.asyncresolver
        import dns.exception
        import dns.resolver

        try:
            resolver = dns.asyncresolver.Resolver()
            answer = await resolver.resolve(name, record_type, lifetime=LOOKUP_S_MAX, search=True, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return ()
        except (dns.exception.DNSException, OSError) as error:
            raise DiscoveryFailed(f'could not resolve "{name}": {error}') from error
        return [_record(record_type, item) for item in answer.rrset or ()]


def _record(record_type: str, item: object) -> Record:
    host = getattr(item, "address", None) or getattr(item, "target", None) or getattr(item, "exchange", "")
    return Record(record_type, str(host), getattr(item, "port", 0))


class DnsDiscoverer:
    def __init__(self, config: DnsDiscoveryConfig, resolver: Resolver) -> None:
        self._config = config
        self._resolver = resolver
        self._complaints: dict[str, str] = {}

    async def run(self, sink: Sink) -> None:
        await refreshing(f"dns_sd {','.join(self._config.names)}", self._config.refresh_interval, self.refresh, sink)

    async def refresh(self) -> list[TargetGroup]:
        groups = []
        for name in self._config.names:
            try:
                records = await self._resolver.resolve(name, self._config.type.upper())
            except DiscoveryFailed as error:
                if self._complaints.get(name) != str(error):
                    log.error("targets cannot be discovered", discovery=f"dns_sd {name}", error=str(error))
                self._complaints[name] = str(error)
                continue
            self._complaints.pop(name, None)
            groups.append(TargetGroup(name, tuple(self._target(name, record) for record in records)))
        return groups

    def _target(self, name: str, record: Record) -> dict[str, str]:
        port = record.port if record.type == "SRV" else self._config.port
        host = record.host.rstrip(".")
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        labels = {ADDRESS: address, _NAME: name}
        if record.type == "SRV":
            labels |= {_SRV_TARGET: record.host, _SRV_PORT: str(record.port)}
        elif record.type == "MX":
            labels[_MX_TARGET] = record.host
        elif record.type == "NS":
            labels[_NS_TARGET] = record.host
        return labels
