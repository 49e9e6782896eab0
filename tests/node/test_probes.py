import asyncio
import itertools
from typing import Any

import pytest

from podium.node.http_get import Get, get_of, http_get, port_of
from podium.node.probe_targets import RealTarget
from podium.node.probes import Outcome
from podium.node.runtime.interface import ExecResult, RuntimeFailure
from podium.objects.values import Object
from tests.node.scene import PODS, Scene, container, play, pod


class Scripted:
    """Answers by the seconds since the world began: `answers[kind]` is a function of the time; kinds are told by their path."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, float]] = []

    async def probe(self, probe: Object, container: Object, container_id: str, address: str, pod: Object) -> Outcome:
        now = asyncio.get_running_loop().time()
        kind = probe["httpGet"]["path"]
        self.asked.append((kind, now))
        return Outcome(self.answers[kind](now), "said so")

    def times(self, kind: str) -> list[float]:
        return [at for k, at in self.asked if k == kind]


def http(kind: str, **fields: int) -> Object:
    return {"httpGet": {"port": 80, "path": kind}, "periodSeconds": 10, "failureThreshold": 3, "successThreshold": 1, **fields}


def with_probes(target: Scripted, main: Any, **probes: Object) -> None:
    async def entry(scene: Scene) -> None:
        scene.create(pod(containers=[container(**{f"{kind}Probe": probe for kind, probe in probes.items()})]))
        await main(scene)

    play(entry, target=target)


def entry_of(scene: Scene) -> Object:
    found: Object = scene.status()["containerStatuses"][0]
    return found


def test_liveness_and_readiness_wait_for_startup() -> None:
    target = Scripted()
    target.answers = {"startup": lambda now: now > 60, "liveness": lambda now: True, "readiness": lambda now: True}

    async def main(scene: Scene) -> None:
        await asyncio.sleep(50)
        assert not target.times("liveness") and not target.times("readiness")
        assert not entry_of(scene)["started"] and not entry_of(scene)["ready"] and entry_of(scene)["restartCount"] == 0
        await asyncio.sleep(25)
        assert entry_of(scene)["started"] and entry_of(scene)["ready"]
        before = len(target.times("startup"))
        await asyncio.sleep(100)
        assert len(target.times("startup")) == before

    with_probes(target, main, startup=http("startup", failureThreshold=30), liveness=http("liveness"), readiness=http("readiness"))


def test_a_startup_that_never_comes_restarts_the_container() -> None:
    target = Scripted()
    target.answers = {"startup": lambda now: False}

    async def main(scene: Scene) -> None:
        await asyncio.sleep(20)
        assert entry_of(scene)["restartCount"] == 0
        await asyncio.sleep(20)
        assert entry_of(scene)["restartCount"] == 1
        assert scene.messages("Killing") == ["Container app failed startup probe, will be restarted"]

    with_probes(target, main, startup=http("startup"))


def test_liveness_needs_its_failures_in_a_row() -> None:
    target = Scripted()
    target.answers = {"liveness": lambda now: now % 30 > 15}

    async def main(scene: Scene) -> None:
        await asyncio.sleep(300)
        assert entry_of(scene)["restartCount"] == 0
        target.answers = {"liveness": lambda now: False}
        await asyncio.sleep(35)
        assert entry_of(scene)["restartCount"] == 1
        assert scene.messages("Unhealthy")[0] == "Liveness probe failed: said so"

    with_probes(target, main, liveness=http("liveness"))


def test_readiness_goes_and_comes_by_its_thresholds_without_restarts() -> None:
    target = Scripted()
    target.answers = {"readiness": lambda now: not 100 < now < 200}

    async def main(scene: Scene) -> None:
        readiness: dict[int, bool] = {}
        for second in range(0, 300, 5):
            await asyncio.sleep(5)
            readiness[second + 5] = entry_of(scene)["ready"]
        assert readiness[90] and readiness[120] and not readiness[140]
        assert not readiness[200] and readiness[230]
        assert entry_of(scene)["restartCount"] == 0

    with_probes(target, main, readiness=http("readiness", failureThreshold=3, successThreshold=2))


def test_initial_delay_period_and_eager_first_second() -> None:
    target = Scripted()
    target.answers = {"readiness": lambda now: now > 7.5, "liveness": lambda now: True}

    async def main(scene: Scene) -> None:
        await asyncio.sleep(60)
        started = scene.world.clock.monotonic()
        assert started == 60
        liveness = target.times("liveness")
        assert 20 < liveness[0] < 23
        assert [round(b - a) for a, b in itertools.pairwise(liveness)] == [7] * (len(liveness) - 1)
        readiness = target.times("readiness")
        gaps = [round(b - a, 1) for a, b in itertools.pairwise(readiness)]
        assert gaps[:4] == [0.1, 0.2, 0.4, 0.8]
        assert entry_of(scene)["ready"] and scene.messages("Unhealthy") == []

    with_probes(target, main, readiness=http("readiness"), liveness=http("liveness", initialDelaySeconds=20, periodSeconds=7))


def test_a_pod_that_is_being_stopped_is_asked_for_its_readiness_only() -> None:
    target = Scripted()
    target.answers = {"readiness": lambda now: now < 50, "liveness": lambda now: now < 50}

    async def main(scene: Scene) -> None:
        await asyncio.sleep(40)
        await scene.client.delete(PODS, "web", "default")
        await asyncio.sleep(60)
        assert entry_of(scene)["ready"] is False and "running" in entry_of(scene)["state"]
        assert max(target.times("liveness")) < 50 < max(target.times("readiness"))
        assert scene.messages("Killing") == ["Stopping container app"]
        await asyncio.sleep(100)
        assert scene.get() is None

    slow = {"podium.dev/simulated-stop-delay": "1000s"}
    probes = {"readinessProbe": http("readiness"), "livenessProbe": http("liveness")}

    async def entry(scene: Scene) -> None:
        scene.create(pod(containers=[container(**probes)], terminationGracePeriodSeconds=100, annotations=slow))
        await main(scene)

    play(entry, target=target)


def test_a_probe_that_cannot_be_run_changes_nothing() -> None:
    target = Scripted()
    target.answers = {"liveness": lambda now: None}

    async def main(scene: Scene) -> None:
        await asyncio.sleep(100)
        assert entry_of(scene)["restartCount"] == 0
        assert scene.messages("Unhealthy")[0] == "Liveness probe errored: said so"

    with_probes(target, main, liveness=http("liveness"))


# Against real sockets


class FakeExec:
    def __init__(self, result: ExecResult | Exception) -> None:
        self.result = result

    async def exec_sync(self, container_id: str, command: tuple[str, ...], timeout_s: float) -> ExecResult:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


EXECS = [
    (ExecResult(0, b"fine", b""), Outcome(True, "fine")),
    (ExecResult(1, b"", b"bad"), Outcome(False, "bad")),
    (TimeoutError(), Outcome(False, "command timed out: 'a b' timed out after 1s")),
    (RuntimeFailure("away"), Outcome(None, "away")),
]


@pytest.mark.parametrize(("result", "expected"), EXECS)
async def test_exec(result: ExecResult | Exception, expected: Outcome) -> None:
    target = RealTarget(FakeExec(result))  # type: ignore[arg-type]
    assert await target.probe({"exec": {"command": ["a", "b"]}}, container(), "c", "", {}) == expected


async def _answering(answer: bytes, delay_s: float = 0.0) -> tuple[asyncio.Server, int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(delay_s)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


ANSWERS = [
    (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", True, "ok"),
    (b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n", True, ""),
    (b"HTTP/1.0 404 Not Found\r\n\r\n", False, "HTTP probe failed with statuscode: 404"),
    (b"HTTP/1.1 500 Oh\r\n\r\n", False, "HTTP probe failed with statuscode: 500"),
    (b"nonsense\r\n\r\n", False, 'Get "http://127.0.0.1:PORT/": malformed HTTP response'),
]


@pytest.mark.parametrize(("answer", "ok", "output"), ANSWERS)
async def test_http(answer: bytes, ok: bool, output: str) -> None:
    server, port = await _answering(answer)
    outcome = await RealTarget(FakeExec(TimeoutError())).probe({"httpGet": {"port": port}}, container(), "c", "127.0.0.1", {})  # type: ignore[arg-type]
    server.close()
    assert outcome.ok is ok and outcome.output.startswith(output.replace("PORT", str(port)))


async def test_refused_and_late() -> None:
    server, port = await _answering(b"", 1.0)
    target = RealTarget(FakeExec(TimeoutError()))  # type: ignore[arg-type]
    late = await target.probe({"httpGet": {"port": port, "path": "/x"}, "timeoutSeconds": 0.05}, container(), "c", "127.0.0.1", {})
    assert late.output == f'Get "http://127.0.0.1:{port}/x": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
    server.close()
    await server.wait_closed()
    refused = await target.probe({"tcpSocket": {"port": port}}, container(), "c", "127.0.0.1", {})
    assert refused == Outcome(False, f"dial tcp 127.0.0.1:{port}: connect: connection refused")
    refused = await target.probe({"httpGet": {"port": port}}, container(), "c", "127.0.0.1", {})
    assert refused.output == f'Get "http://127.0.0.1:{port}/": dial tcp 127.0.0.1:{port}: connect: connection refused'


async def test_only_the_beginning_of_a_large_body_is_read() -> None:
    server, port = await _answering(b"HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n" + b"x" * 999_999)
    status, body = await http_get(Get("127.0.0.1", port, "/"))
    server.close()
    assert status == 200 and len(body) == 10 * 1024


def test_ports_by_name_and_headers() -> None:
    value = container(ports=[{"name": "web", "containerPort": 8080}])
    assert port_of("web", value) == 8080 and port_of("81", value) == 81
    with pytest.raises(ValueError, match="couldn't find port: none in container app"):
        port_of("none", value)
    got = get_of({"port": "web", "scheme": "HTTPS", "path": "x", "httpHeaders": [{"name": "A", "value": "b"}]}, value, "10.0.0.1")
    assert got.url == "https://10.0.0.1:8080/x" and got.headers == (("A", "b"),)
