"""Discovery by files, HTTP and DNS, and how what they find is put together."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from podium.telemetry.metrics.configuration.configuration import load
from podium.telemetry.metrics.configuration.discovery import Discovery, DnsDiscoveryConfig, FileDiscoveryConfig, HttpDiscoveryConfig
from podium.telemetry.metrics.discovery.dns import DnsDiscoverer, Record, SystemResolver
from podium.telemetry.metrics.discovery.files import FileDiscoverer
from podium.telemetry.metrics.discovery.groups import TargetGroup
from podium.telemetry.metrics.discovery.http import HttpDiscoverer
from podium.telemetry.metrics.discovery.refreshing import DiscoveryFailed
from podium.telemetry.metrics.discovery.runner import DiscoveryRunner, core_makers
from podium.telemetry.metrics.outbound.interface import OutboundError, OutboundResponse
from podium.world import virtual
from podium.world.supervisor import Supervisor
from podium.world.virtual import VirtualWorld
from tests.telemetry.metrics.scrape.fake_targets import FakeTargets

URL = "http://sd/targets"
JSON = {"content-type": "application/json; charset=utf-8"}


class Found:
    """Groups as a reader keeps them."""

    def __init__(self) -> None:
        self.groups: dict[str, TargetGroup] = {}
        self.updates = 0

    def __call__(self, groups: Sequence[TargetGroup]) -> None:
        self.updates += 1
        for group in groups:
            if group.targets:
                self.groups[group.source] = group
            else:
                self.groups.pop(group.source, None)

    def shown(self) -> dict[str, list[str]]:
        return {source: [target["__address__"] for target in group.targets] for source, group in self.groups.items()}


def run(test: Callable[[VirtualWorld, Supervisor], Awaitable[None]]) -> None:
    async def main(world: VirtualWorld) -> None:
        supervisor = Supervisor("test")
        try:
            await test(world, supervisor)
        finally:
            await supervisor.stop()

    virtual.run(main)


def test_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    one, two = tmp_path / "a.json", tmp_path / "b.yml"
    one.write_text(json.dumps([{"targets": ["a:1", "a:2"], "labels": {"x": "1"}}, {"targets": ["b:1"]}]))
    two.write_text("- targets: [c:1]\n  labels: {port: 80}\n")

    async def test(world: VirtualWorld, supervisor: Supervisor) -> None:
        found = Found()
        config = FileDiscoveryConfig((str(tmp_path / "*.json"), str(tmp_path / "*.yml")), 600_000)
        supervisor.start("files", FileDiscoverer(config, world).run(found))
        await asyncio.sleep(1.5)
        assert found.shown() == {f"{one}:0": ["a:1", "a:2"], f"{one}:1": ["b:1"], f"{two}:0": ["c:1"]}
        assert found.groups[f"{one}:0"].labels == {"x": "1", "__meta_filepath": str(one)}
        assert found.groups[f"{two}:0"].labels == {"port": "80", "__meta_filepath": str(two)}
        await asyncio.sleep(10)
        assert found.updates == 1
        one.write_text('[{"targets": ["z:1"]}]')
        await asyncio.sleep(1)
        assert found.shown() == {f"{one}:0": ["z:1"], f"{two}:0": ["c:1"]}
        one.write_text('[{"targets": [')
        two.unlink()
        await asyncio.sleep(1)
        assert found.shown() == {f"{one}:0": ["z:1"]}
        one.write_text("[]")
        await asyncio.sleep(1)
        assert found.shown() == {}
        before = found.updates
        await asyncio.sleep(601)
        assert found.updates == before + 1

    run(test)


BAD_FILES = [
    ("json", "{}", "a list of target groups is expected"),
    ("json", "[null]", "nil target group item found"),
    ("json", '[{"targets": [1]}]', "targets is a list of strings"),
    ("json", '[{"targets": ["a"], "labels": {"x": 1}}]', "labels are strings by name"),
    ("json", '[{"targets": ["a"], "lables": {}}]', 'json: unknown field "lables"'),
    ("json", "\x00", "unexpected character"),
    ("yml", "- targets: [a]\n  lables: {}\n", "yaml: line 2: field lables not found in type struct { Targets []string"),
    ("yml", "- null\n", "nil target group item found"),
    ("yml", "a: [", "yaml: "),
    ("yml", "just text", "cannot unmarshal !!str `just text` into []*struct"),
]


@pytest.mark.parametrize(("kind", "text", "message"), BAD_FILES)
def test_a_file_that_is_wrong_is_told_and_keeps_its_groups(kind: str, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{kind}"
    path.write_text('[{"targets": ["a:1"]}]')
    discoverer = FileDiscoverer(FileDiscoveryConfig((str(path),)), VirtualWorld(0))
    stamps = {str(path): (0, 0, 0)}
    assert len(discoverer.read(stamps)) == 1
    path.write_text(text)
    assert discoverer.read(stamps) == []
    assert message in discoverer._complaints[str(path)]


def test_http_gives_groups_and_failures_keep_them() -> None:
    async def test(world: VirtualWorld, supervisor: Supervisor) -> None:
        found, server = Found(), FakeTargets()
        config = HttpDiscoveryConfig(refresh_interval=30_000, url=URL)
        server.pages[URL] = OutboundResponse(200, JSON, b'[{"targets": ["a:1"], "labels": {"x": "1"}}, {"targets": ["b:1"]}]')
        supervisor.start("http", HttpDiscoverer(config, server).run(found))
        await asyncio.sleep(1)
        assert found.groups[f"{URL}:0"] == TargetGroup(f"{URL}:0", ({"__address__": "a:1"},), {"x": "1", "__meta_url": URL})
        assert server.headers["x-prometheus-refresh-interval-seconds"] == "30"
        bad: list[OutboundResponse | Exception] = [
            OutboundError("refused"), OutboundResponse(500), OutboundResponse(200, {"content-type": "text/html"}, b"[]"),
            OutboundResponse(200, JSON, b"{}"), OutboundResponse(200, JSON, b"\xff"),
        ]  # fmt: skip
        for answer in bad:
            server.pages[URL] = answer
            await asyncio.sleep(30)
            assert len(found.groups) == 2
        server.pages[URL] = OutboundResponse(200, JSON, b'[{"targets": ["c:1"]}]')
        await asyncio.sleep(30)
        assert found.shown() == {f"{URL}:0": ["c:1"]}

    run(test)


class FakeResolver:
    def __init__(self) -> None:
        self.records: dict[str, Sequence[Record] | Exception] = {}

    async def resolve(self, name: str, record_type: str) -> Sequence[Record]:
        answer = self.records.get(name, ())
        if isinstance(answer, Exception):
            raise answer
        return answer


DNS: list[tuple[DnsDiscoveryConfig, Record, dict[str, str]]] = [
    (
        DnsDiscoveryConfig(("n",)), Record("SRV", "host.example.", 99),
        {"__address__": "host.example:99", "__meta_dns_srv_record_target": "host.example.", "__meta_dns_srv_record_port": "99"},
    ),
    (DnsDiscoveryConfig(("n",), type="A", port=80), Record("A", "10.0.0.1"), {"__address__": "10.0.0.1:80"}),
    (DnsDiscoveryConfig(("n",), type="AAAA", port=80), Record("AAAA", "fd00::1"), {"__address__": "[fd00::1]:80"}),
    (
        DnsDiscoveryConfig(("n",), type="mx", port=25), Record("MX", "mail.example."),
        {"__address__": "mail.example:25", "__meta_dns_mx_record_target": "mail.example."},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("config", "record", "labels"), DNS)
def test_records_are_targets(config: DnsDiscoveryConfig, record: Record, labels: dict[str, str]) -> None:
    async def test(world: VirtualWorld, supervisor: Supervisor) -> None:
        resolver = FakeResolver()
        resolver.records["n"] = [record]
        (group,) = await DnsDiscoverer(config, resolver).refresh()
        assert (group.source, group.targets) == ("n", ({**labels, "__meta_dns_name": "n"},))

    run(test)


def test_a_name_without_an_answer_keeps_its_targets_and_one_that_is_gone_loses_them() -> None:
    async def test(world: VirtualWorld, supervisor: Supervisor) -> None:
        found, resolver = Found(), FakeResolver()
        resolver.records = {"a": [Record("A", "10.0.0.1")], "b": [Record("A", "10.0.0.2")]}
        supervisor.start("dns", DnsDiscoverer(DnsDiscoveryConfig(("a", "b"), 30_000, "A", 80), resolver).run(found))
        await asyncio.sleep(1)
        resolver.records = {"a": DiscoveryFailed("timeout"), "b": []}
        await asyncio.sleep(30)
        assert found.shown() == {"a": ["10.0.0.1:80"]}

    run(test)


def discovery(text: str) -> dict[str, Discovery]:
    return {job.job_name: job.discovery for job in load("scrape_configs:\n" + text).jobs}


def test_the_groups_of_a_job_come_together_from_all_its_sections(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text('[{"targets": ["f:1"]}]')

    async def test(world: VirtualWorld, supervisor: Supervisor) -> None:
        told: list[tuple[str, Mapping[str, TargetGroup]]] = []
        server = FakeTargets()
        server.pages[URL] = OutboundResponse(200, JSON, b'[{"targets": ["h:1"]}]')
        runner = DiscoveryRunner(core_makers(world, requester=lambda http: server), supervisor, lambda *update: told.append(update))

        def addresses() -> list[Any]:
            return [target["__address__"] for group in told[-1][1].values() for target in group.targets]

        both = (
            f"- job_name: a\n  static_configs: [{{targets: [s:1]}}, {{targets: [s:2]}}]\n  file_sd_configs: [{{files: [{path}]}}]\n"
            f"  http_sd_configs: [{{url: '{URL}'}}]\n- job_name: b\n  static_configs: [{{targets: [s:3]}}]\n"
        )
        runner.apply(discovery(both))
        assert [name for name, _ in told] == ["a", "b"]
        assert [len(groups) for _, groups in told] == [2, 1]
        await asyncio.sleep(2)
        assert len(told) == 3
        assert addresses() == ["s:1", "s:2", "f:1", "h:1"]
        path.write_text('[{"targets": ["f:2"]}]')
        server.pages[URL] = OutboundResponse(200, JSON, b"[]")
        await asyncio.sleep(62)
        assert addresses() == ["s:1", "s:2", "f:2"]
        counted = {family.name: family.samples for family in runner.families("scrape")}
        assert counted["prometheus_sd_discovered_targets"]["", (("config", "a"), ("name", "scrape"))] == 3
        assert counted["prometheus_sd_failed_configs"]["", (("name", "scrape"),)] == 0
        assert counted["prometheus_sd_updates_total"]["", (("name", "scrape"),)] == len(told)
        count = len(told)
        runner.apply(discovery(both.split("- job_name: b")[0]))
        await asyncio.sleep(120)
        assert len(told) == count
        runner.apply(discovery("- job_name: a\n  static_configs: [{targets: [t:1]}]\n"))
        assert addresses() == ["t:1"]
        asked = len(server.asked)
        await asyncio.sleep(300)
        assert len(server.asked) == asked
        assert server.closed == 1
        runner.stop()

    run(test)


def test_a_discoverer_that_breaks_is_started_again() -> None:
    async def test(world: VirtualWorld, supervisor: Supervisor) -> None:
        told: list[Mapping[str, TargetGroup]] = []
        attempts = 0

        class Breaking:
            async def run(self, sink: Callable[[Sequence[TargetGroup]], None]) -> None:
                nonlocal attempts
                attempts += 1
                if attempts < 3:
                    raise KeyError("a bug")
                sink([TargetGroup("s", ({"__address__": "a:1"},))])
                await asyncio.sleep(1000)

        runner = DiscoveryRunner({"dns_sd_configs": lambda config: Breaking()}, supervisor, lambda name, groups: told.append(groups))
        runner.apply(discovery("- {job_name: a, dns_sd_configs: [{names: [x]}]}\n"))
        await asyncio.sleep(20)
        assert (attempts, [len(groups) for groups in told]) == (3, [0, 1])
        runner.stop()

    run(test)


async def test_the_systems_resolver_tells_none_from_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    import dns.asyncresolver
    import dns.message
    import dns.rcode
    import dns.rrset

    answers: dict[str, list[str]] = {"srv.test.": ["1 2 99 host.test."], "a.test.": ["10.0.0.1", "10.0.0.2"], "mx.test.": ["10 mail.test."]}

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, address: Any) -> None:
            query = dns.message.from_wire(data)
            (question,) = query.question
            response = dns.message.make_response(query)
            if records := answers.get(str(question.name)):
                response.answer.append(dns.rrset.from_text(question.name, 1, "IN", dns.rdatatype.to_text(question.rdtype), *records))
            elif str(question.name) == "broken.test.":
                response.set_rcode(dns.rcode.SERVFAIL)
            elif str(question.name) != "empty.test.":
                response.set_rcode(dns.rcode.NXDOMAIN)
            self.transport.sendto(response.to_wire(), address)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    own = dns.asyncresolver.Resolver(configure=False)
    own.nameservers, own.port, own.timeout = ["127.0.0.1"], transport.get_extra_info("sockname")[1], 0.5
    monkeypatch.setattr(dns.asyncresolver, "Resolver", lambda: own)
    monkeypatch.setattr("podium.telemetry.metrics.discovery.dns.LOOKUP_S_MAX", 1.0)
    resolver = SystemResolver()
    assert await resolver.resolve("srv.test", "SRV") == [Record("SRV", "host.test.", 99)]
    assert sorted(record.host for record in await resolver.resolve("a.test", "A")) == ["10.0.0.1", "10.0.0.2"]
    assert await resolver.resolve("mx.test", "MX") == [Record("MX", "mail.test.")]
    assert list(await resolver.resolve("none.test", "A")) == []
    assert list(await resolver.resolve("empty.test", "A")) == []
    with pytest.raises(DiscoveryFailed, match=r'could not resolve "broken\.test"'):
        await resolver.resolve("broken.test", "A")
    transport.close()
