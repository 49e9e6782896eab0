"""What the node's network counts: the service proxy under kube-proxy's names (kubeproxy_*), DNS under CoreDNS' (coredns_*).

Source: kubernetes pkg/proxy/metrics/metrics.go; coredns plugin/metrics/vars.
"""

from collections.abc import Callable

from podium import __version__
from podium.instrument.metrics import Registry
from podium.world.interface import World

_SYNC_BUCKETS_S = tuple(0.001 * 2**n for n in range(15))
_DNS_BUCKETS_S = tuple(0.00025 * 2**n for n in range(16))
_TYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 43: "DS", 46: "RRSIG", 47: "NSEC",
    48: "DNSKEY", 50: "NSEC3", 64: "SVCB", 65: "HTTPS", 255: "ANY",
}  # fmt: skip
_CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
SERVER = "dns://:53"


class ProxyMeasurements:
    def __init__(self, world: World) -> None:
        self._clock = world.clock
        self.registry = registry = Registry()
        registry.constant("kubernetes_build_info", "The version of this component; always 1.", {"git_version": f"v{__version__}"})
        text = "How long it takes to bring rules in step with services."
        self._seconds = registry.histogram("kubeproxy_sync_proxy_rules_duration_seconds", text, (), _SYNC_BUCKETS_S).labels()
        text = "When rules were brought in step last, in seconds since the epoch."
        self._last = registry.gauge("kubeproxy_sync_proxy_rules_last_timestamp_seconds", text).labels()
        text = "When a change was noticed last, in seconds since the epoch."
        self._queued = registry.gauge("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds", text).labels()
        text = "Rules that the kernel refused."
        self.failures = registry.counter("kubeproxy_sync_proxy_rules_nftables_sync_failures_total", text).labels()
        self._services = registry.counter("kubeproxy_sync_proxy_rules_service_changes_total", "Changes of services.").labels()
        self._endpoints = registry.counter("kubeproxy_sync_proxy_rules_endpoint_changes_total", "Changes of endpoints.").labels()

    def service_changed(self) -> None:
        self._services.add()
        self._queued.set(self._clock.now().timestamp())

    def endpoints_changed(self) -> None:
        self._endpoints.add()
        self._queued.set(self._clock.now().timestamp())

    def synced(self, began_s: float) -> None:
        """Since `began_s` (monotonic) rules were brought in step."""
        self._seconds.observe(self._clock.monotonic() - began_s)
        self._last.set(self._clock.now().timestamp())


class DnsMeasurements:
    def __init__(self, world: World) -> None:
        self._clock = world.clock
        self.registry = registry = Registry()
        registry.constant("coredns_build_info", "The version of this component; always 1.", {"version": __version__})
        names = ("server", "zone", "view", "proto", "family", "type")
        self._requests = registry.counter("coredns_dns_requests_total", "Questions asked.", names)
        outcomes = ("server", "zone", "view", "rcode", "plugin")
        self._responses = registry.counter("coredns_dns_responses_total", "Answers given, by code.", outcomes)
        text = "How long an answer takes."
        self._seconds = registry.histogram("coredns_dns_request_duration_seconds", text, ("server", "zone", "view"), _DNS_BUCKETS_S)

    def asked(self, zone: str, type: int, send: Callable[[bytes], None], *, stream: bool) -> Callable[[bytes], None]:
        """Counts a question; the `send` that is given back counts its answer. `zone` is `.` for names of others."""
        self._requests.labels(SERVER, zone, "", "tcp" if stream else "udp", "1", _TYPES.get(type, "other")).add()
        began_s = self._clock.monotonic()

        def counted(answer: bytes) -> None:
            code = answer[3] & 0x0F if len(answer) > 3 else 2
            self._responses.labels(SERVER, zone, "", _CODES.get(code, str(code)), "").add()
            self._seconds.labels(SERVER, zone, "").observe(self._clock.monotonic() - began_s)
            send(answer)

        return counted
