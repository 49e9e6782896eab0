import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from podium.network.fabric import Fabric, teardown
from podium.node.runtime.interface import ContainerState, ContainerStatus, Mount, Resources, RuntimeFailure, SecurityContext
from podium.node.runtime.pod_network import PodAddress
from podium.node.runtime.process import ProcessRuntime
from podium.world.real import RealWorld
from tests.e2e.leftovers import commands
from tests.node.runtime.conftest import container, left_behind, pod, process_runtime

LIMIT_FILES = ("memory.max", "memory.limit_in_bytes", "cpu.max", "cpu.cfs_quota_us")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


async def started(runtime: ProcessRuntime, directory: Path, script: str, **more: object) -> str:
    spec = pod(directory)
    sandbox = await runtime.run_sandbox(spec)
    container_id = await runtime.create_container(sandbox.id, container(directory, script, **more), spec)
    await runtime.start_container(container_id)
    return container_id


async def ended(runtime: ProcessRuntime, container_id: str) -> ContainerStatus:
    async with asyncio.timeout(20):
        while True:
            status = await runtime.container_status(container_id)
            assert status is not None
            if status.state == ContainerState.EXITED:
                return status
            await asyncio.sleep(0.005)


def log(directory: Path) -> list[str]:
    return (directory / "log/c/0.log").read_text().splitlines()


async def printed(directory: Path, lines: int) -> None:
    async with asyncio.timeout(20):
        while absent(str(directory / "log/c/0.log")) or sum(" stdout " in line for line in log(directory)) < lines:
            await asyncio.sleep(0.005)


def absent(*paths: str) -> bool:
    return not any(os.path.exists(path) for path in paths)


def living() -> str:
    """The command lines of all processes that are not zombies."""
    return "\n".join(" ".join(words) for _, words in commands())


async def test_a_handler_must_be_one_of_the_runtimes(runtime: ProcessRuntime, tmp_path: Path) -> None:
    assert (await runtime.run_sandbox(pod(tmp_path, handler="process"))).ready
    with pytest.raises(RuntimeFailure, match='no runtime for "gvisor" is configured'):
        await runtime.run_sandbox(pod(tmp_path, "q", handler="gvisor"))


async def test_output_is_logged_in_cri_format(runtime: ProcessRuntime, tmp_path: Path) -> None:
    container_id = await started(runtime, tmp_path, "echo one; echo two >&2; printf three")
    await ended(runtime, container_id)
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"
    assert all(re.fullmatch(f"{stamp} std(out|err) F \\w+", line) for line in log(tmp_path))
    assert sorted(line.split(" ", 1)[1] for line in log(tmp_path)) == ["stderr F two", "stdout F one", "stdout F three"]


@pytest.mark.parametrize(
    ("script", "code", "reason"),
    [("true", 0, "Completed"), ("exit 3", 3, "Error"), ("kill -9 $$", 137, "Error"), ("kill -TERM $$", 143, "Error")],
)
async def test_exit_is_told_as_cri_does(runtime: ProcessRuntime, tmp_path: Path, script: str, code: int, reason: str) -> None:
    status = await ended(runtime, await started(runtime, tmp_path, script))
    assert (status.exit_code, status.reason) == (code, reason)
    assert 0 < status.created_ns <= status.started_ns <= status.finished_ns


async def test_volumes_are_at_their_mount_paths_and_the_host_stays_as_it_was(runtime: ProcessRuntime, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/file").write_text("content\n")
    mounts = (Mount(str(tmp_path / "volume"), "/podium-test/a", read_only=True), Mount(str(tmp_path / "volume"), "/etc/podium-test"))
    mounts += (Mount(str(tmp_path / "volume/file"), "/var/run/secrets/podium-test/file"),)
    script = (
        "cat /podium-test/a/file /var/run/secrets/podium-test/file; touch /podium-test/a/no && echo WRITTEN;"
        "echo new > /etc/podium-test/new;"
        "echo x > /tmp/podium-test-write; cat /tmp/podium-test-write"
    )
    await ended(runtime, await started(runtime, tmp_path, script, mounts=mounts))
    lines = [line.split(" ", 3)[3] for line in log(tmp_path) if " stdout " in line]
    assert lines == ["content", "content", "x"]
    assert (tmp_path / "volume/new").read_text() == "new\n"
    assert absent("/podium-test", "/etc/podium-test", "/tmp/podium-test-write")


async def test_files_of_the_host_are_never_written(runtime: ProcessRuntime, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("host\n")
    beside = Path(f"/tmp/podium-test-file-{os.getpid()}")
    beside.write_text("host\n")
    script = f"for f in {tmp_path}/file {beside}; do cat $f; echo container > $f; done; echo x > {tmp_path}/new; exit 0"
    await ended(runtime, await started(runtime, tmp_path, script))
    texts = [(tmp_path / "file").read_text(), beside.read_text()]
    beside.unlink()
    assert texts == ["host\n", "host\n"]
    assert [line.split(" ", 3)[3] for line in log(tmp_path) if " stdout " in line] == ["host", "host"]
    assert absent(str(tmp_path / "new"))


async def test_name_resolution_and_host_name_are_the_pods(runtime: ProcessRuntime, tmp_path: Path) -> None:
    spec = pod(tmp_path, dns_servers=("10.96.0.10",), dns_searches=("default.svc.cluster.local",), dns_options=("ndots:5",))
    sandbox = await runtime.run_sandbox(spec)
    made = container(tmp_path, "cat /etc/resolv.conf; hostname; grep -c p$ /etc/hosts; echo $POD_IP $HOSTNAME $A", env=(("A", "b"),))
    container_id = await runtime.create_container(sandbox.id, made, spec)
    await runtime.start_container(container_id)
    await ended(runtime, container_id)
    assert [line.split(" ", 3)[3] for line in log(tmp_path)] == [
        "nameserver 10.96.0.10",
        "search default.svc.cluster.local",
        "options ndots:5",
        "p",
        "1",
        f"{sandbox.ip} p b",
    ]


class BrokenNetwork:
    """Fails to attach; remembers what was given back."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.attached: list[str] = []

    async def attach(self, sandbox_uid: str) -> PodAddress:
        self.attached.append(sandbox_uid)
        raise self.error

    async def detach(self, sandbox_uid: str) -> None:
        self.attached.remove(sandbox_uid)


async def test_a_sandbox_without_network_is_not_kept(tmp_path: Path) -> None:
    network = BrokenNetwork(OSError("no bridge"))
    runtime = ProcessRuntime(tmp_path, network, RealWorld())
    with pytest.raises(RuntimeFailure, match="the pod's network cannot be made: no bridge"):
        await runtime.run_sandbox(pod(tmp_path))
    assert network.attached == []
    assert await runtime.list_sandboxes() == []


async def test_an_agent_killed_while_it_made_a_sandbox_leaves_one_to_remove(tmp_path: Path) -> None:
    network = BrokenNetwork(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await ProcessRuntime(tmp_path, network, RealWorld()).run_sandbox(pod(tmp_path))  # type: ignore[arg-type]
    later = ProcessRuntime(tmp_path, network, RealWorld())
    [sandbox] = await later.list_sandboxes()
    assert not sandbox.ready
    await later.remove_sandbox(sandbox.id)
    assert network.attached == []


async def test_without_command_is_refused(runtime: ProcessRuntime, tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match=r"ignores the image 'any'.*container 'c' must give `command`"):
        await started(runtime, tmp_path, "", command=())


async def test_missing_program_is_a_start_error(runtime: ProcessRuntime, tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match=r"exec 'podium-no-such': executable file not found in \$PATH"):
        await started(runtime, tmp_path, "", command=("podium-no-such",))
    [status] = await runtime.list_containers()
    assert (status.exit_code, status.reason) == (128, "StartError")


async def test_a_working_directory_is_made_where_it_is_missing(runtime: ProcessRuntime, tmp_path: Path) -> None:
    await ended(runtime, await started(runtime, tmp_path, "pwd", working_dir="/tmp/podium-test-new/deep"))
    assert log(tmp_path)[0].endswith(" F /tmp/podium-test-new/deep")
    assert absent("/tmp/podium-test-new")


async def test_a_container_that_cannot_be_made_leaves_nothing(runtime: ProcessRuntime, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("not a directory")
    with pytest.raises(RuntimeFailure, match=r"container 'c' cannot be made: .*Not a directory"):
        await started(runtime, tmp_path, "true")
    assert await runtime.list_containers() == []
    assert os.listdir(tmp_path / "pods/containers") == []


async def test_kin_that_left_the_session_ends_with_the_container(runtime: ProcessRuntime, tmp_path: Path) -> None:
    await ended(runtime, await started(runtime, tmp_path, "setsid sleep 303 & sleep 304 & echo $!; exit 0"))
    assert not re.search("sleep 30[34]", living())


async def test_stop_is_term_then_kill(runtime: ProcessRuntime, tmp_path: Path) -> None:
    polite = await started(runtime, tmp_path, "trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done")
    await printed(tmp_path, 1)
    await runtime.stop_container(polite, 5)
    assert (await ended(runtime, polite)).exit_code == 5
    stubborn = await started(runtime, tmp_path, "trap '' TERM; echo up; while :; do sleep 0.01; done")
    await printed(tmp_path, 2)
    await runtime.stop_container(stubborn, 0.05)
    await runtime.stop_container(stubborn, 0.05)
    assert (await ended(runtime, stubborn)).exit_code == 137


async def test_a_container_that_was_never_started_can_be_removed(runtime: ProcessRuntime, tmp_path: Path) -> None:
    spec = pod(tmp_path)
    sandbox = await runtime.run_sandbox(spec)
    container_id = await runtime.create_container(sandbox.id, container(tmp_path, "true"), spec)
    status = await runtime.container_status(container_id)
    assert status is not None and status.state == ContainerState.CREATED
    await runtime.remove_container(container_id)
    assert await runtime.list_containers() == []


async def test_exits_are_told_as_changes(runtime: ProcessRuntime, tmp_path: Path) -> None:
    container_id = await started(runtime, tmp_path, "sleep 0.05")
    changes = runtime.changes()
    async with asyncio.timeout(5):
        assert await anext(changes) == "uid-p"
    status = await runtime.container_status(container_id)
    assert status is not None and status.state == ContainerState.EXITED
    await changes.aclose()  # type: ignore[attr-defined]


async def test_a_killed_agent_loses_nothing(runtime: ProcessRuntime, tmp_path: Path) -> None:
    agent = f"""
import asyncio, os, sys
from pathlib import Path
from podium.network.fabric import Fabric, teardown
from tests.node.runtime.conftest import container, left_behind, pod, process_runtime
async def main():
    directory = Path({str(tmp_path)!r})
    runtime, spec = process_runtime(directory), pod(directory)
    sandbox = await runtime.run_sandbox(spec)
    ticking = container(directory, "while :; do echo tick; sleep 0.02; done")
    ids = [await runtime.create_container(sandbox.id, ticking, spec) for _ in range(2)]
    await runtime.start_container(ids[0])
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    died = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", agent], check=False, cwd=Path(__file__).parents[3])
    assert died.returncode == -signal.SIGKILL
    [sandbox] = await runtime.list_sandboxes()
    statuses = sorted(await runtime.list_containers(), key=lambda status: status.state)
    assert sandbox.ready and sandbox.ip.startswith("127.")
    assert [status.state for status in statuses] == [ContainerState.CREATED, ContainerState.RUNNING]
    await runtime.start_container(statuses[0].id)
    assert (await runtime.exec_sync(statuses[1].id, ("echo", "joined"), 5)).stdout == b"joined\n"
    await printed(tmp_path, len(log(tmp_path)) + 3)
    await runtime.stop_container(statuses[1].id, 2)
    assert (await ended(runtime, statuses[1].id)).exit_code == 143


async def test_an_exit_while_no_agent_ran_is_known_to_the_next(tmp_path: Path, runtime: ProcessRuntime) -> None:
    container_id = await started(runtime, tmp_path, "sleep 0.05; exit 7")
    await runtime.close()
    await asyncio.sleep(0.15)
    later = process_runtime(tmp_path)
    status = await later.container_status(container_id)
    assert status is not None and (status.state, status.exit_code) == (ContainerState.EXITED, 7)
    await later.close()


async def test_a_killed_shim_takes_its_container_along(runtime: ProcessRuntime, tmp_path: Path) -> None:
    container_id = await started(runtime, tmp_path, "sleep 305 & sleep 306")
    shim = int((tmp_path / "pods/containers" / container_id / "shim").read_text().split()[0])
    os.kill(shim, signal.SIGKILL)
    status = await ended(runtime, container_id)
    assert (status.exit_code, status.message) == (137, "the container's shim was killed")
    await asyncio.sleep(0.05)
    assert not re.search("sleep 30[56]", living())


async def test_exec_gives_streams_and_exit_code(runtime: ProcessRuntime, tmp_path: Path) -> None:
    container_id = await started(runtime, tmp_path, "sleep 100", env=(("FROM_POD", "yes"),), working_dir="/usr")
    result = await runtime.exec_sync(container_id, ("sh", "-c", "pwd; echo $FROM_POD; echo bad >&2; exit 4"), 5)
    assert (result.exit_code, result.stdout, result.stderr) == (4, b"/usr\nyes\n", b"bad\n")
    missing = await runtime.exec_sync(container_id, ("podium-no-such",), 5)
    assert (missing.exit_code, missing.stderr) == (127, b"exec 'podium-no-such': executable file not found in $PATH\n")
    with pytest.raises(TimeoutError):
        await runtime.exec_sync(container_id, ("sleep", "60"), 0.1)


async def test_exec_takes_standard_input(runtime: ProcessRuntime, tmp_path: Path) -> None:
    container_id = await started(runtime, tmp_path, "sleep 100")
    session = await runtime.exec(container_id, ("cat",), tty=False, stdin=True)
    payload = b"0123456789abcdef" * 20_000
    sending = asyncio.create_task(session.write(payload))
    received = b""
    while len(received) < len(payload):
        received += (await session.read())[1]
    await sending
    await session.close_stdin()
    assert await session.read() == (0, b"")
    assert await session.wait() == 0
    assert received == payload
    await session.kill()


async def test_exec_on_a_terminal_follows_its_size(runtime: ProcessRuntime, tmp_path: Path) -> None:
    container_id = await started(runtime, tmp_path, "sleep 100")
    session = await runtime.exec(container_id, ("sh", "-c", "read line; tty; stty size; echo $TERM"), tty=True, stdin=True)
    await session.resize(120, 40)
    await session.write(b"go\n")
    output = b""
    while (piece := await session.read())[0]:
        output += piece[1]
    assert await session.wait() == 0
    assert re.search(rb"/dev/pts/\d+\r\n40 120\r\nxterm\r\n", output)
    await session.kill()


async def test_a_container_with_a_terminal_logs_what_it_prints(runtime: ProcessRuntime, tmp_path: Path) -> None:
    await ended(runtime, await started(runtime, tmp_path, "tty", tty=True))
    assert "/dev/pts/" in log(tmp_path)[0]


async def test_read_only_root(runtime: ProcessRuntime, tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    script = "touch /tmp/podium-test-x || echo no; touch /podium-test-x || echo no; touch /etc/v/x && echo yes"
    mounts = (Mount(str(tmp_path / "v"), "/etc/v"),)
    await ended(runtime, await started(runtime, tmp_path, script, mounts=mounts, security=SecurityContext(read_only_root=True)))
    assert [line.split(" ", 3)[3] for line in log(tmp_path) if "stdout" in line] == ["no", "no", "yes"]


async def test_run_as_user(runtime: ProcessRuntime, tmp_path: Path) -> None:
    security = SecurityContext(run_as_user=12345, run_as_group=23456, no_new_privileges=True)
    container_id = await started(runtime, tmp_path, "id -u; id -g; grep NoNewPrivs /proc/self/status; sleep 100", security=security)
    result = await runtime.exec_sync(container_id, ("sh", "-c", "id -u; id -g"), 5)
    assert result.stdout == b"12345\n23456\n"
    await printed(tmp_path, 3)
    assert [line.split(" ", 3)[3] for line in log(tmp_path)] == ["12345", "23456", "NoNewPrivs:\t1"]


@pytest.mark.root
@as_root
async def test_capabilities_are_a_containers_not_roots(runtime: ProcessRuntime, tmp_path: Path) -> None:
    security = SecurityContext(add_capabilities=("NET_ADMIN",), drop_capabilities=("CAP_CHOWN",))
    await ended(runtime, await started(runtime, tmp_path, "grep CapEff /proc/self/status", security=security))
    effective = int(log(tmp_path)[0].split()[-1], 16)
    assert (effective >> 0 & 1, effective >> 12 & 1, effective >> 21 & 1, effective >> 10 & 1) == (0, 1, 0, 1)


@pytest.mark.root
@as_root
async def test_limits_of_a_running_container_are_changed(runtime: ProcessRuntime, tmp_path: Path) -> None:
    script = "trap 'python3 -c \"x = bytearray(100 << 20)\"; exit $?' TERM; while :; do sleep 0.05; done"
    container_id = await started(runtime, tmp_path, script, resources=Resources(memory_limit_bytes=512 << 20, cpu_limit_m=500))
    groups = runtime._state.containers[container_id].cgroups
    assert groups, "this machine lets no control groups be made"
    await runtime.update_container(container_id, Resources(memory_limit_bytes=32 << 20, cpu_limit_m=250, cpu_request_m=100))
    texts = [(Path(group) / name).read_text().split() for group in groups for name in LIMIT_FILES if (Path(group) / name).exists()]
    assert [str(32 << 20)] in texts and any(text[:1] == ["25000"] for text in texts)
    await asyncio.sleep(0.2)
    await runtime.stop_container(container_id, 10)
    assert (await ended(runtime, container_id)).exit_code == 137


async def test_limits_without_control_groups_are_refused(runtime: ProcessRuntime, tmp_path: Path) -> None:
    container_id = await started(runtime, tmp_path, "sleep 100")
    runtime._state.containers[container_id].cgroups.clear()
    await runtime.update_container(container_id, Resources(cpu_request_m=100))
    with pytest.raises(RuntimeFailure, match="control groups"):
        await runtime.update_container(container_id, Resources(cpu_limit_m=100))


@pytest.mark.root
@as_root
async def test_over_the_memory_limit_is_oom_killed(runtime: ProcessRuntime, tmp_path: Path) -> None:
    limits = Resources(memory_limit_bytes=32 << 20, cpu_limit_m=500)
    command = ("python3", "-c", "x = bytearray(200 << 20)")
    status = await ended(runtime, await started(runtime, tmp_path, "", command=command, resources=limits))
    assert (status.exit_code, status.reason) == (137, "OOMKilled")


@pytest.mark.root
@as_root
async def test_pods_with_their_own_networks_reach_each_other(tmp_path: Path) -> None:
    device = f"podium-{os.getpid() % 0xFFFFFF:06x}"
    fabric = Fabric(device, "10.203.0.0/20", "10.203.0.0/16", "10.204.0.0/16", tmp_path / "fabric")
    fabric.set_up()
    runtime = ProcessRuntime(tmp_path / "pods", fabric, RealWorld())
    try:
        specs = [pod(tmp_path, "a"), pod(tmp_path, "b")]
        served, asking = [await runtime.run_sandbox(spec) for spec in specs]
        command = ("python3", "-m", "http.server", "8080", "--bind", served.ip)
        server = await runtime.create_container(served.id, container(tmp_path, "", command=command), specs[0])
        await runtime.start_container(server)
        ask = f"import urllib.request as u; print(u.urlopen('http://{served.ip}:8080/', timeout=1).status)"
        client = await runtime.create_container(asking.id, container(tmp_path, "sleep 100"), specs[1])
        await runtime.start_container(client)
        for _ in range(100):
            result = await runtime.exec_sync(client, ("python3", "-c", ask), 5)
            if result.exit_code == 0:
                break
        assert result.stdout == b"200\n"
        addresses = (await runtime.exec_sync(client, ("ip", "-o", "-4", "addr"), 5)).stdout.decode()
        assert asking.ip in addresses and served.ip not in addresses
        for sandbox in (served, asking):
            await runtime.remove_sandbox(sandbox.id)
        assert fabric.attached() == []
        await runtime.close()
    finally:
        teardown(device)
    assert left_behind(tmp_path) == []


NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "HOME=/tmp", "PYTHONDONTWRITEBYTECODE=1")


def python_for_everybody() -> list[str]:
    """A command that runs this Python, or the same version of the system's with these packages, as an ordinary user."""
    system = f"/usr/bin/python3.{sys.version_info[1]}"
    for command in ([sys.executable], ["env", f"PYTHONPATH={os.pathsep.join(path for path in sys.path if path)}", system]):
        if subprocess.run([*NOBODY, *command, "-c", "import pytest, podium"], check=False, capture_output=True).returncode == 0:
            return command
    return []


@pytest.mark.root
@pytest.mark.slow
@as_root
def test_an_ordinary_user_can_do_the_same() -> None:
    """Runs this file again as an ordinary user."""
    python = python_for_everybody()
    if not python:
        pytest.skip("an ordinary user cannot run this interpreter and read these sources")
    directory = f"/tmp/podium-test-{os.getpid()}"
    command = [*NOBODY, *python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={directory}", __file__]
    ran = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False)
    subprocess.run(["rm", "-rf", directory], check=True)
    assert ran.returncode == 0, ran.stdout[-2000:]


async def test_what_a_container_uses_is_measured(runtime: ProcessRuntime, tmp_path: Path) -> None:
    script = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; echo done; sleep 100"
    container_id = await started(runtime, tmp_path, script)
    await printed(tmp_path, 1)
    usage = (await runtime.usage()).containers[container_id]
    assert usage.cpu_s is not None and 0.01 < usage.cpu_s < 20
    assert usage.working_set_bytes is not None and usage.working_set_bytes > 50_000
    await runtime.stop_container(container_id, 0)
    assert (await runtime.usage()).containers == {}
