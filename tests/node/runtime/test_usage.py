"""What containers use, from control groups, processes and a container runtime's own numbers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from podium.node.runtime.cri_client import message
from podium.node.runtime.cri_usage import container_usage, interfaces
from podium.node.runtime.usage import ContainerUsage, interfaces_of, of_cgroups, of_processes, sessions

V2 = {
    "cgroup.controllers": "cpu memory pids",
    "cpu.stat": "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\nnr_periods 10\nnr_throttled 3\nthrottled_usec 1500000\n",
    "memory.current": "1000\n",
    "memory.stat": "anon 300\nfile 600\ninactive_file 200\npgfault 7\npgmajfault 1\n",
    "memory.events": "low 0\noom_kill 2\n",
    "pids.current": "4\n",
}


def test_a_group_of_version_2_is_read(tmp_path: Path) -> None:
    for name, text in V2.items():
        (tmp_path / name).write_text(text)
    assert of_cgroups([str(tmp_path)]) == ContainerUsage(
        cpu_s=2.5, user_s=2.0, system_s=0.5, memory_bytes=1000, working_set_bytes=800, rss_bytes=300, cache_bytes=600, page_faults=7,
        major_page_faults=1, cpu_periods=10, cpu_throttled_periods=3, cpu_throttled_s=1.5, processes=4, out_of_memory_kills=2,
    )  # fmt: skip


def test_groups_of_version_1_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "memory/memory.usage_in_bytes": "1000", "memory/memory.stat": "total_rss 300\ntotal_cache 600\ntotal_inactive_file 1200\n",
        "memory/memory.oom_control": "oom_kill_disable 0\noom_kill 1\n", "cpu/cpu.stat": "nr_periods 1\nthrottled_time 2000000000\n",
        "cpuacct/cpuacct.usage": "3000000000", "pids/pids.current": "2",
    }  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name.replace("/", "/podium/", 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    places = [f"./sys/fs/cgroup/{controller}/podium" for controller in ("memory", "cpu", "cpuacct", "pids")]
    usage = of_cgroups(places)
    assert usage is not None
    assert (usage.cpu_s, usage.memory_bytes, usage.working_set_bytes, usage.rss_bytes) == (3.0, 1000, 0, 300)
    assert (usage.cpu_throttled_s, usage.processes, usage.out_of_memory_kills) == (2.0, 2, 1)


def test_what_is_gone_or_was_never_made_is_no_usage(tmp_path: Path) -> None:
    assert of_cgroups([]) is None
    assert of_cgroups([f"{tmp_path}/sys/fs/cgroup/memory/gone"]) is None
    assert of_processes([2**22 + 1]) is None
    assert interfaces_of(2**22 + 1) == []


def test_processes_are_added_up_by_session() -> None:
    spin = "import time\nend = time.process_time() + 0.05\nwhile time.process_time() < end: pass\nprint(flush=True)\ninput()"
    child = subprocess.Popen([sys.executable, "-c", spin], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        assert sessions()[child.pid] == [child.pid]
        usage = of_processes([child.pid, 2**22 + 1])
        assert usage is not None and usage.processes == 1
        assert usage.cpu_s is not None and 0.03 <= usage.cpu_s < 5
        assert usage.rss_bytes is not None and usage.rss_bytes > 1_000_000
    finally:
        child.communicate(b"\n")


def test_interfaces_are_those_of_the_process_s_network() -> None:
    assert "lo" not in [interface.name for interface in interfaces_of(os.getpid())]


def test_interfaces_are_read_from_proc(tmp_path: Path) -> None:
    (tmp_path / "7/net").mkdir(parents=True)
    head = "Inter-|\n face |\n"
    (tmp_path / "7/net/dev").write_text(f"{head}    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 10 2 1 3 0 0 0 0 20 4 5 6 0 0 0 0\n")
    (found,) = interfaces_of(7, str(tmp_path))
    assert (found.name, found.received_bytes, found.received_dropped, found.sent_bytes, found.sent_errors) == ("eth0", 10, 3, 20, 5)


def test_a_container_runtime_s_numbers_are_taken_over() -> None:
    stats = message("ContainerStats")()
    stats.attributes.id = "c"
    stats.cpu.usage_core_nano_seconds.value = 1_500_000_000
    stats.memory.working_set_bytes.value = 800
    stats.writable_layer.used_bytes.value = 4096
    assert container_usage(stats) == ContainerUsage(cpu_s=1.5, working_set_bytes=800, filesystem_bytes=4096)
    assert container_usage(message("ContainerStats")()) == ContainerUsage()
    sandbox = message("PodSandboxStats")()
    assert interfaces(sandbox) == []
    sandbox.linux.network.default_interface.name = "eth0"
    sandbox.linux.network.default_interface.rx_bytes.value = 5
    (found,) = interfaces(sandbox)
    assert (found.name, found.received_bytes, found.received_packets) == ("eth0", 5, None)
