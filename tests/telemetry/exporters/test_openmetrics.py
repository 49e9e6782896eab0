"""What every exporter answers is the same in both formats, read back by the scraper's own parser."""

import asyncio

import pytest

from podium.client.mirror import Change
from podium.instrument.exposition import Format, render
from podium.instrument.metrics import Registry
from podium.network.measurements import DnsMeasurements, ProxyMeasurements
from podium.node.kubelet_metrics import KubeletMetrics
from podium.telemetry.exporters.blackbox.exporter import BlackboxExporter
from podium.telemetry.exporters.kube_state.resources import SHOWN
from podium.telemetry.exporters.kube_state.shown import Store
from podium.telemetry.exporters.node.exporter import NodeExporter
from podium.telemetry.exporters.pushgateway.gateway import Pushgateway
from podium.telemetry.metrics.exposition.negotiation import Protocol, parse_page, protocol_of
from podium.telemetry.metrics.exposition.page import series_of
from podium.world import virtual
from podium.world.http_messages import HttpRequest
from podium.world.interface import World
from podium.world.real import RealWorld
from podium.world.virtual import VirtualWorld
from tests.node.scene import Scene, container, pod
from tests.telemetry.exporters.kube_state.test_kube_state import objects
from tests.telemetry.exporters.linting import lint

FORMATS = {
    Format.TEXT: Protocol.TEXT_0_0_4,
    Format.OPENMETRICS: Protocol.OPENMETRICS_1_0_0,
    Format.OPENMETRICS_0: Protocol.OPENMETRICS_0_0_1,
}


def _node(format: Format) -> bytes:
    page = asyncio.run(NodeExporter(RealWorld()).collect())
    del page.families["node_scrape_collector_duration_seconds"], page.families["node_time_seconds"]
    return render(page.families.values(), format)


def _kube_state(format: Format) -> bytes:
    parts: list[bytes | bytearray] = []
    values = objects()
    for shown in SHOWN:
        store = Store(shown, {"*": ("*",)}, {"*": ("*",)})
        for plural, value in values:
            if plural == shown.resource.plural:
                store.changed(Change("added", value, None))
        store.write(parts, format)
    return b"".join(parts) + (b"# EOF\n" if format is not Format.TEXT else b"")


def _kubelet(format: Format) -> bytes:
    async def main(world: World) -> bytes:
        found = Scene(world)
        found.client.put(pod(containers=[container(readinessProbe={"exec": {"command": ["true"]}})]))
        metrics = KubeletMetrics(lambda: [found.workers], found.probes, world)
        metrics.measured(found.runtime)
        await asyncio.sleep(30)
        families = b""
        for path in ("/metrics/cadvisor", "/metrics/resource", "/metrics/probes"):
            accept = "application/openmetrics-text;version=1.0.0" if format is not Format.TEXT else ""
            answer = await metrics.respond(HttpRequest("GET", path, path, {}, {"accept": accept}, b"", None))
            parse_page(answer.body, FORMATS[Format.OPENMETRICS if accept else Format.TEXT])
            if path == "/metrics/cadvisor":
                families = answer.body
        await found.stop()
        return families

    return virtual.run(main)


def _registry(registry: Registry, format: Format) -> bytes:
    own = [family for family in registry.collected() if not family.name.startswith("process_")]
    return render(own, format)


def _pushgateway(format: Format) -> bytes:
    gateway = Pushgateway(VirtualWorld(1))
    body = (
        b'# TYPE h histogram\nh_bucket{le="1"} 1\nh_sum 3\nh_count 2\n# TYPE c_total counter\nc_total{a="\\"b\\\\"} 1\n'
        b'# TYPE s summary\ns{quantile="0"} 1\ns_sum 1\ns_count 1\n'
    )
    gateway.handle(HttpRequest("PUT", "/metrics/job/a", "/metrics/job/a", {}, {}, body, None))
    return render(gateway._groups.collected(), format)


def _dns(format: Format) -> bytes:
    measurements = DnsMeasurements(VirtualWorld(1))
    measurements.asked(".", 1, lambda _: None, stream=False)(bytes(12))
    return _registry(measurements.registry, format)


def _proxy(format: Format) -> bytes:
    measurements = ProxyMeasurements(VirtualWorld(1))
    measurements.synced(0)
    return _registry(measurements.registry, format)


def _blackbox(format: Format) -> bytes:
    return _registry(BlackboxExporter(VirtualWorld(1)).registry, format)


EXPORTERS = {
    "node": _node, "kube-state": _kube_state, "kubelet": _kubelet, "pushgateway": _pushgateway, "dns": _dns, "proxy": _proxy,
    "blackbox": _blackbox,
}  # fmt: skip


CASES = [(name, format) for name in EXPORTERS for format in (Format.OPENMETRICS, Format.OPENMETRICS_0)]


@pytest.mark.parametrize(("name", "format"), CASES)
def test_both_formats_say_the_same(name: str, format: Format) -> None:
    text = parse_page(EXPORTERS[name](Format.TEXT), FORMATS[Format.TEXT])
    other = parse_page(EXPORTERS[name](format), FORMATS[format])
    of_text = {_canonical(labels) for labels in series_of(text.layout)}
    of_other = {_canonical(labels) for labels in series_of(other.layout) if not dict(labels)["__name__"].endswith("_created")}
    assert of_text == of_other | {labels for labels in of_text if dict(labels)["__name__"].endswith("_created")}
    assert of_text


def _canonical(labels: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Bounds are written as floats in one format and as short as can be in the other."""
    return tuple((name, str(float(value)) if name in ("le", "quantile") else value) for name, value in labels)


@pytest.mark.parametrize("format", list(Format))
def test_the_scraper_knows_our_content_types(format: Format) -> None:
    assert protocol_of(format.value, None).value.startswith("OpenMetrics") is (format is not Format.TEXT)


@pytest.mark.parametrize("name", ["kubelet", "dns", "proxy", "pushgateway", "blackbox"])
def test_promtool_takes_the_text(name: str) -> None:
    own = ("container_memory_rss", "container_memory_cache")
    complaints = [line for line in lint(EXPORTERS[name](Format.TEXT)) if not line.startswith(("machine_", *own))]
    assert [line for line in complaints if "no help text" not in line] == []
