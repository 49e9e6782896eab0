"""Against a containerd of the test's own, with the configuration that `podium up` writes."""

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from podium.cli import containerd as containerd_process
from podium.cli.cluster import Cluster
from podium.node import images
from podium.node.drain import stop_everything
from podium.node.runtime import remains
from podium.node.runtime.cri import CriRuntime
from podium.node.runtime.cri_config import cgroup_parent
from podium.node.runtime.interface import (
    ContainerSpec,
    ContainerState,
    ImageError,
    Mount,
    Resources,
    RuntimeFailure,
    RuntimeUnavailable,
    SandboxStatus,
    SecurityContext,
)
from podium.world.real import RealWorld
from tests.node.runtime.conftest import container, pod

MISSING = [name for name in ("containerd", "runc", "ctr") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.containers,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0 or bool(MISSING), reason=f"needs root and containerd (missing: {MISSING})"),
]
IMAGE = "podium.local/test:1"


def network_name(cluster: Cluster) -> str:
    return str(json.loads(containerd_process.network_list(cluster, 1500))["name"])


def until(condition: Callable[[], bool], patience_s: float = 5.0) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def start(cluster: Cluster) -> "subprocess.Popen[bytes]":
    with (cluster.data_dir / "containerd.log").open("ab") as log:
        process = subprocess.Popen(["containerd", "--config", str(cluster.data_dir / "config.toml")], stdout=log, stderr=log)
    deadline = time.monotonic() + 20
    while not containerd_process.answers(cluster):
        assert time.monotonic() < deadline, "containerd does not answer"
        time.sleep(0.02)
    return process


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("containerd")
    made = Cluster(
        data_dir=directory,
        cluster_id=f"{os.getpid():06x}"[-6:],
        api_port=0,
        kubelet_port=0,
        service_cidr="10.98.0.0/16",
        pod_cidr="10.202.0.0/16",
        cluster_domain="cluster.local",
        dns_ip="10.98.0.10",
        runtime="cri",
        network="kernel",
    )
    paths = (containerd_process.root_dir(made), containerd_process.state_dir(made))
    for path in (*paths, containerd_process.cni_config_dir(made), made.run_dir):
        path.mkdir(parents=True, exist_ok=True)
    (containerd_process.cni_config_dir(made) / "10.conflist").write_text(containerd_process.network_list(made, 1500))
    (directory / "config.toml").write_text(containerd_process.configuration(made))
    start(made)
    for name, archive in (("pause", images.pause_image()), ("test", images.python_image(IMAGE, {}))):
        (directory / f"{name}.tar").write_bytes(archive)
        images.load(directory / f"{name}.tar", str(made.runtime_socket))
    yield made
    for pid in serving(made):
        os.kill(pid, 9)
    remains.end_containerd(made.runtime_socket, paths, network_name(made))
    assert remains.containerd_shims(made.runtime_socket) == []
    assert not [line for line in Path("/proc/mounts").read_text().splitlines() if str(directory) in line]
    assert not list(remains.CNI_RESULTS.glob(f"{network_name(made)}-*"))
    until(lambda: remains.remove_groups(cgroup_parent(made.cluster_id)))


@pytest_asyncio.fixture
async def runtime(cluster: Cluster) -> AsyncIterator[CriRuntime]:
    made = CriRuntime(str(cluster.runtime_socket), cluster.cluster_id, RealWorld())
    yield made
    assert await stop_everything(made, 0) == []
    assert await made.list_containers() == []
    assert remains.containerd_shims(cluster.runtime_socket) == []
    await made.close()


def in_image(directory: Path, script: str, **more: object) -> ContainerSpec:
    return container(directory, script, **({"image": IMAGE} | more))


async def started(runtime: CriRuntime, directory: Path, script: str, **more: object) -> tuple[SandboxStatus, str]:
    spec = pod(directory, dns_servers=("10.98.0.10",))
    sandbox = await runtime.run_sandbox(spec)
    container_id = await runtime.create_container(sandbox.id, in_image(directory, script, **more), spec)
    await runtime.start_container(container_id)
    return sandbox, container_id


async def ended(runtime: CriRuntime, container_id: str) -> tuple[int, str]:
    async with asyncio.timeout(20):
        while (status := await runtime.container_status(container_id)) is None or status.state != ContainerState.EXITED:
            await asyncio.sleep(0.02)
    # containerd notes the start when its call returns: a container may have ended by then.
    assert status.created_ns <= min(status.started_ns, status.finished_ns)
    return status.exit_code, status.reason


async def test_what_a_container_uses_is_measured(runtime: CriRuntime, tmp_path: Path) -> None:
    sandbox, container_id = await started(runtime, tmp_path, "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; sleep 100")
    async with asyncio.timeout(20):
        while not ((usage := (await runtime.usage()).containers.get(container_id)) and usage.cpu_s):
            await asyncio.sleep(0.1)
    assert usage.working_set_bytes is not None and usage.working_set_bytes > 50_000
    interfaces = (await runtime.usage()).interfaces.get(sandbox.id)
    assert interfaces is None or [interface.name for interface in interfaces] == ["eth0"]


async def test_a_container_runs_in_its_pod(runtime: CriRuntime, tmp_path: Path) -> None:
    assert (await runtime.info()).name == "containerd"
    assert (await runtime.ensure_image(IMAGE, "IfNotPresent")).startswith("sha256:")
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/file").write_text("content\n")
    script = "cat /volume/file /etc/resolv.conf; hostname; echo $A; touch /volume/x || exit 3"
    mounts = (Mount(str(tmp_path / "volume"), "/volume", read_only=True),)
    sandbox, container_id = await started(runtime, tmp_path, script, mounts=mounts, env=(("A", "b"),))
    assert await ended(runtime, container_id) == (3, "Error")
    lines = [line.split(" ", 3)[3] for line in (tmp_path / "log/c/0.log").read_text().splitlines() if " stdout " in line]
    assert lines == ["content", "nameserver 10.98.0.10", "p", "b"]
    [listed], [status] = await runtime.list_sandboxes(), await runtime.list_containers()
    assert (listed.ready, listed.ip, listed.uid) == (True, sandbox.ip, "uid-p")
    assert (status.sandbox_id, status.pod_uid, status.log_path) == (sandbox.id, "uid-p", str(tmp_path / "log/c/0.log"))


async def test_a_handler_must_be_one_of_the_runtimes(runtime: CriRuntime, tmp_path: Path) -> None:
    sandbox = await runtime.run_sandbox(pod(tmp_path, handler="runc", overhead=Resources(cpu_request_m=250, memory_limit_bytes=1 << 20)))
    assert sandbox.ready
    with pytest.raises(RuntimeFailure, match='no runtime for "gvisor" is configured'):
        await runtime.run_sandbox(pod(tmp_path, "q", handler="gvisor"))


async def test_a_later_agent_finds_everything(runtime: CriRuntime, cluster: Cluster, tmp_path: Path) -> None:
    sandbox, container_id = await started(runtime, tmp_path, "sleep 100")
    later = CriRuntime(str(cluster.runtime_socket), cluster.cluster_id, RealWorld())
    assert [found.id for found in await later.list_sandboxes()] == [sandbox.id]
    assert [(found.id, found.state) for found in await later.list_containers()] == [(container_id, ContainerState.RUNNING)]
    other = CriRuntime(str(cluster.runtime_socket), "another", RealWorld())
    assert await other.list_containers() == [] == await other.list_sandboxes()
    await other.close()
    await later.close()


async def test_stopping_and_removing_are_idempotent(runtime: CriRuntime, tmp_path: Path) -> None:
    sandbox, container_id = await started(runtime, tmp_path, "trap 'exit 5' TERM; while :; do sleep 0.05; done")
    await asyncio.sleep(0.2)
    for _ in range(2):
        await runtime.stop_container(container_id, 5)
    assert await ended(runtime, container_id) == (5, "Error")
    for _ in range(2):
        await runtime.remove_container(container_id)
        await runtime.stop_sandbox(sandbox.id)
    assert await runtime.container_status(container_id) is None
    for _ in range(2):
        await runtime.remove_sandbox(sandbox.id)


async def test_exits_are_told_as_changes(runtime: CriRuntime, tmp_path: Path) -> None:
    changes = runtime.changes()
    waiting = asyncio.ensure_future(anext(changes))
    await started(runtime, tmp_path, "sleep 0.5")
    async with asyncio.timeout(5):
        assert await waiting == "uid-p"
        while [status.state for status in await runtime.list_containers()] != [ContainerState.EXITED]:
            assert await anext(changes) == "uid-p"
    await changes.aclose()  # type: ignore[attr-defined]


async def test_limits_and_security_reach_the_container(runtime: CriRuntime, tmp_path: Path) -> None:
    security = SecurityContext(
        run_as_user=1234, run_as_group=2345, supplemental_groups=(3456,), read_only_root=True, no_new_privileges=True
    )
    script = "id; touch /x 2>/dev/null || echo read-only; cat /proc/self/status"
    _, container_id = await started(runtime, tmp_path, script, security=security)
    await ended(runtime, container_id)
    lines = [line.split(" ", 3)[3] for line in (tmp_path / "log/c/0.log").read_text().splitlines()]
    assert lines[:2] == ["uid=1234 gid=2345 groups=2345,3456", "read-only"]
    assert "NoNewPrivs:\t1" in lines


async def test_limits_of_a_running_container_are_changed(runtime: CriRuntime, tmp_path: Path) -> None:
    script = "trap 'python3 -c \"x = bytearray(100 << 20)\"; exit $?' TERM; while :; do sleep 0.05; done"
    _, container_id = await started(runtime, tmp_path, script, resources=Resources(memory_limit_bytes=512 << 20))
    await runtime.update_container(container_id, Resources(memory_limit_bytes=32 << 20, cpu_limit_m=250))
    await asyncio.sleep(0.2)
    await runtime.stop_container(container_id, 10)
    assert (await ended(runtime, container_id))[0] == 137
    await runtime.remove_container(container_id)
    with pytest.raises(RuntimeFailure):
        await runtime.update_container(container_id, Resources(cpu_limit_m=100))


async def test_a_container_sees_the_processes_of_its_target(runtime: CriRuntime, tmp_path: Path) -> None:
    sandbox, target = await started(runtime, tmp_path, "exec sleep 1234")
    for name, target_id in (("looks", target), ("blind", "")):
        log_path = str(tmp_path / f"log/{name}/0.log")
        spec = in_image(tmp_path, "cat /proc/[0-9]*/cmdline", name=name, log_path=log_path, target_id=target_id)
        made = await runtime.create_container(sandbox.id, spec, pod(tmp_path, dns_servers=("10.98.0.10",)))
        await runtime.start_container(made)
        assert await ended(runtime, made) == (0, "Completed")
        assert (b"sleep\0001234" in Path(log_path).read_bytes()) is bool(target_id)


async def test_over_the_memory_limit_is_oom_killed(runtime: CriRuntime, tmp_path: Path) -> None:
    command = ("python3", "-c", "x = bytearray(200 << 20)")
    _, container_id = await started(runtime, tmp_path, "", command=command, resources=Resources(memory_limit_bytes=32 << 20))
    assert await ended(runtime, container_id) == (137, "OOMKilled")


async def test_a_renamed_log_is_reopened(runtime: CriRuntime, tmp_path: Path) -> None:
    _, container_id = await started(runtime, tmp_path, "while :; do echo tick; sleep 0.02; done")
    log = tmp_path / "log/c/0.log"
    log.rename(tmp_path / "log/c/0.log.1")
    await runtime.reopen_log(container_id)
    async with asyncio.timeout(5):
        while not log.exists() or not log.stat().st_size:
            await asyncio.sleep(0.02)


async def test_exec_gives_streams_and_exit_code(runtime: CriRuntime, tmp_path: Path) -> None:
    _, container_id = await started(runtime, tmp_path, "sleep 100")
    result = await runtime.exec_sync(container_id, ("sh", "-c", "echo out; echo bad >&2; exit 4"), 5)
    assert (result.exit_code, result.stdout, result.stderr) == (4, b"out\n", b"bad\n")
    with pytest.raises(TimeoutError):
        await runtime.exec_sync(container_id, ("sleep", "60"), 1)
    with pytest.raises(RuntimeFailure, match="executable file not found"):
        await runtime.exec_sync(container_id, ("podium-no-such",), 5)


@pytest.mark.parametrize("tty", [False, True])
async def test_exec_streams(runtime: CriRuntime, tmp_path: Path, tty: bool) -> None:
    _, container_id = await started(runtime, tmp_path, "sleep 100")
    session = await runtime.exec(container_id, ("sh", "-c", "read x; echo got $x; echo e >&2; exit 6"), tty=tty, stdin=True)
    await session.resize(100, 40)
    await session.write(b"this\n")
    streams = {1: b"", 2: b""}
    while (piece := await session.read())[0]:
        streams[piece[0]] += piece[1]
    assert await session.wait() == 6
    assert streams == ({1: b"this\r\ngot this\r\ne\r\n", 2: b""} if tty else {1: b"got this\n", 2: b"e\n"})
    await session.kill()


async def test_standard_input_can_end(runtime: CriRuntime, tmp_path: Path) -> None:
    _, container_id = await started(runtime, tmp_path, "sleep 100", env=(("A", "b"),), security=SecurityContext(run_as_user=1234))
    session = await runtime.exec(container_id, ("sh", "-c", "cat; echo $A; id -u; exit 3"), tty=False, stdin=True)
    await session.write(b"x" * 200_000)
    await session.close_stdin()
    received = b""
    while (piece := await session.read())[0]:
        received += piece[1]
    assert (await session.wait(), received) == (3, b"x" * 200_000 + b"b\n1234\n")
    await session.kill()


async def test_a_killed_exec_ends_in_the_container(runtime: CriRuntime, tmp_path: Path) -> None:
    _, container_id = await started(runtime, tmp_path, "sleep 100")
    session = await runtime.exec(container_id, ("sleep", "308"), tty=False, stdin=True)
    await asyncio.sleep(0.3)
    assert [pid for pid in _processes() if _words(pid) == [b"sleep", b"308", b""]]
    await session.kill()
    await asyncio.sleep(0.1)
    assert not [pid for pid in _processes() if _words(pid) == [b"sleep", b"308", b""]]


@pytest.mark.parametrize(
    ("image", "policy", "reason", "message"),
    [
        (
            "podium.local/none:1",
            "Never",
            "ErrImageNeverPull",
            'Container image "podium.local/none:1" is not present with pull policy of Never',
        ),
        ("Bad//Name", "IfNotPresent", "InvalidImageName", "couldn't parse image name"),
        ("127.0.0.1:1/none:1", "IfNotPresent", "ErrImagePull", 'failed to pull image "127.0.0.1:1/none:1": .*podium image load'),
    ],
)
async def test_an_image_that_is_not_to_be_had(runtime: CriRuntime, image: str, policy: str, reason: str, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        await runtime.ensure_image(image, policy)
    assert caught.value.reason == reason


async def test_three_pods_at_once_are_running_soon(runtime: CriRuntime, tmp_path: Path) -> None:
    async def one(name: str) -> None:
        spec = pod(tmp_path, name)
        sandbox = await runtime.run_sandbox(spec)
        made = in_image(tmp_path, "sleep 100", log_path=str(tmp_path / f"log/{name}.log"))
        await runtime.start_container(await runtime.create_container(sandbox.id, made, spec))

    begun = time.monotonic()
    await asyncio.gather(*(one(f"p{index}") for index in range(3)))
    assert time.monotonic() - begun < 10
    addresses = [sandbox.ip for sandbox in await runtime.list_sandboxes()]
    assert len(set(addresses)) == 3


async def test_no_runtime_is_told_in_one_line(tmp_path: Path) -> None:
    absent = CriRuntime(str(tmp_path / "no.sock"), "c", RealWorld())
    with pytest.raises(RuntimeUnavailable, match=f"the container runtime at {tmp_path}/no.sock does not answer"):
        await absent.info()
    await absent.close()


async def test_containers_outlive_a_killed_containerd(runtime: CriRuntime, cluster: Cluster, tmp_path: Path) -> None:
    _, container_id = await started(runtime, tmp_path, "sleep 100")
    [serves] = serving(cluster)
    os.kill(serves, 9)
    with pytest.raises(RuntimeUnavailable):
        async with asyncio.timeout(5):
            while True:
                await runtime.list_containers()
    start(cluster)
    async with asyncio.timeout(10):
        while True:
            try:
                [status] = await runtime.list_containers()
                break
            except RuntimeFailure:
                await asyncio.sleep(0.02)
    assert (status.id, status.state) == (container_id, ContainerState.RUNNING)
    assert (await runtime.exec_sync(container_id, ("echo", "here"), 5)).stdout == b"here\n"


async def test_a_sweep_leaves_nothing_of_a_killed_containerd(cluster: Cluster, tmp_path: Path) -> None:
    """Last in this file: it ends the shared containerd's pods without containerd."""
    runtime = CriRuntime(str(cluster.runtime_socket), cluster.cluster_id, RealWorld())
    await started(runtime, tmp_path, "sleep 307")
    await runtime.close()
    assert remains.containerd_shims(cluster.runtime_socket) != []
    [serves] = serving(cluster)
    os.kill(serves, 9)
    await asyncio.sleep(0.1)
    before = set(os.listdir("/run/netns"))
    remains.end_containerd(
        cluster.runtime_socket, (containerd_process.root_dir(cluster), containerd_process.state_dir(cluster)), network_name(cluster)
    )
    assert remains.containerd_shims(cluster.runtime_socket) == []
    until(lambda: not [pid for pid in _processes() if _words(pid) == [b"sleep", b"307", b""]])
    until(lambda: remains.remove_groups(cgroup_parent(cluster.cluster_id)))
    assert [name for name in before - set(os.listdir("/run/netns")) if name.startswith("cni-")]


def serving(cluster: Cluster) -> list[int]:
    """The process ids of the cluster's containerd: one, or none after it was killed."""
    config = os.fsencode(cluster.data_dir / "config.toml")
    return [pid for pid in _processes() if _words(pid)[:3] == [b"containerd", b"--config", config]]


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _words(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return [b""]
