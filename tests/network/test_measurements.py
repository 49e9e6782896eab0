"""What the node's network counts."""

from podium.network import dns_wire
from podium.network.dns import DnsServer
from podium.network.measurements import DnsMeasurements, ProxyMeasurements
from podium.world.supervisor import Supervisor
from podium.world.virtual import VirtualWorld
from tests.network.test_dns import ZONE


def test_questions_and_answers_are_counted_by_zone_type_and_code() -> None:
    world = VirtualWorld(1)
    measurements = DnsMeasurements(world)
    server = DnsServer(ZONE, world, Supervisor("test"), measurements=measurements)
    answers: list[bytes] = []
    for name, type in (("web.shop.svc.cluster.local", 1), ("none.shop.svc.cluster.local", 28), ("example.com", 65280)):
        server.handle(dns_wire.make_query(7, dns_wire.name_of(name), type), answers.append, stream=type == 28)
    text = measurements.registry.exposition().decode()
    assert len(answers) == 3
    of_zone = 'server="dns://:53",zone="cluster.local.",view=""'
    assert f'coredns_dns_requests_total{{{of_zone},proto="udp",family="1",type="A"}} 1' in text
    assert f'coredns_dns_requests_total{{{of_zone},proto="tcp",family="1",type="AAAA"}} 1' in text
    assert 'coredns_dns_requests_total{server="dns://:53",zone=".",view="",proto="udp",family="1",type="other"} 1' in text
    assert f'coredns_dns_responses_total{{{of_zone},rcode="NXDOMAIN",plugin=""}} 1' in text
    assert 'coredns_dns_responses_total{server="dns://:53",zone=".",view="",rcode="REFUSED",plugin=""} 1' in text
    assert f"coredns_dns_request_duration_seconds_count{{{of_zone}}} 2" in text


def test_the_proxy_says_when_it_was_in_step() -> None:
    world = VirtualWorld(1)
    measurements = ProxyMeasurements(world)
    measurements.service_changed()
    measurements.endpoints_changed()
    measurements.synced(world.clock.monotonic())
    text = measurements.registry.exposition().decode()
    assert "kubeproxy_sync_proxy_rules_duration_seconds_count 1" in text
    assert f"kubeproxy_sync_proxy_rules_last_timestamp_seconds {int(world.clock.now().timestamp())}" in text
    assert "kubeproxy_sync_proxy_rules_endpoint_changes_total 1" in text
