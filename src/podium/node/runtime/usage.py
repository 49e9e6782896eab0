"""What containers and pods use: the measurements that a runtime gives, as plain values.

A runtime that measures has `async usage() -> RuntimeUsage` (like `attach` an optional part of the interface). Amounts are totals since the container
or the sandbox began; None where the runtime does not know, which is then shown nowhere.

Source: k8s.io/cri-api runtime.v1 (ContainerStats, LinuxPodSandboxStats); cgroup-v2.rst and cgroup-v1/ of Linux; proc(5).
"""

import os
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class ContainerUsage:
    """`working_set_bytes` is what cannot be given back under pressure: usage without inactive file pages."""

    cpu_s: float | None = None
    user_s: float | None = None
    system_s: float | None = None
    memory_bytes: int | None = None
    working_set_bytes: int | None = None
    rss_bytes: int | None = None
    cache_bytes: int | None = None
    page_faults: int | None = None
    major_page_faults: int | None = None
    cpu_periods: int | None = None
    cpu_throttled_periods: int | None = None
    cpu_throttled_s: float | None = None
    filesystem_bytes: int | None = None
    filesystem_inodes: int | None = None
    processes: int | None = None
    out_of_memory_kills: int | None = None


@dataclass(frozen=True, slots=True)
class InterfaceUsage:
    name: str
    received_bytes: int
    received_packets: int | None
    received_errors: int
    received_dropped: int | None
    sent_bytes: int
    sent_packets: int | None
    sent_errors: int
    sent_dropped: int | None


@dataclass(frozen=True, slots=True)
class RuntimeUsage:
    """By container ID and by sandbox ID; those that do not run are missing."""

    containers: dict[str, ContainerUsage] = field(default_factory=dict)
    interfaces: dict[str, list[InterfaceUsage]] = field(default_factory=dict)


@runtime_checkable
class Measures(Protocol):
    async def usage(self) -> RuntimeUsage:
        """Raises RuntimeFailure."""
        ...


def of_cgroups(paths: list[str]) -> ContainerUsage | None:
    """From a container's control groups, of either version; None when they are gone or were never made."""
    if not paths:
        return None
    if os.path.exists(f"{paths[0]}/cgroup.controllers"):
        return _of_v2(paths[0])
    return _of_v1({path.split("/")[4]: path for path in paths if path.count("/") >= 4})


def _of_v2(path: str) -> ContainerUsage | None:
    cpu, memory, events = _table(f"{path}/cpu.stat"), _table(f"{path}/memory.stat"), _table(f"{path}/memory.events")
    used = _number(f"{path}/memory.current")
    if not cpu:
        return None
    return ContainerUsage(
        cpu_s=_micros(cpu, "usage_usec"), user_s=_micros(cpu, "user_usec"), system_s=_micros(cpu, "system_usec"),
        memory_bytes=used, working_set_bytes=None if used is None else max(0, used - memory.get("inactive_file", 0)),
        rss_bytes=memory.get("anon"), cache_bytes=memory.get("file"),
        page_faults=memory.get("pgfault"), major_page_faults=memory.get("pgmajfault"),
        cpu_periods=cpu.get("nr_periods"), cpu_throttled_periods=cpu.get("nr_throttled"), cpu_throttled_s=_micros(cpu, "throttled_usec"),
        processes=_number(f"{path}/pids.current"), out_of_memory_kills=events.get("oom_kill"),
    )  # fmt: skip


def _of_v1(groups: dict[str, str]) -> ContainerUsage | None:
    cpu_path, memory_path = groups.get("cpu", ""), groups.get("memory", "")
    cpu, memory, used = (
        _table(f"{cpu_path}/cpu.stat"),
        _table(f"{memory_path}/memory.stat"),
        _number(f"{memory_path}/memory.usage_in_bytes"),
    )
    account = groups.get("cpuacct", cpu_path)
    nanos, split = _number(f"{account}/cpuacct.usage"), _table(f"{account}/cpuacct.stat")
    if used is None and nanos is None:
        return None
    return ContainerUsage(
        cpu_s=None if nanos is None else nanos / 1e9,
        user_s=split["user"] * TICK_S if "user" in split else None, system_s=split["system"] * TICK_S if "system" in split else None,
        memory_bytes=used, working_set_bytes=None if used is None else max(0, used - memory.get("total_inactive_file", 0)),
        rss_bytes=memory.get("total_rss"), cache_bytes=memory.get("total_cache"),
        page_faults=memory.get("total_pgfault"), major_page_faults=memory.get("total_pgmajfault"),
        cpu_periods=cpu.get("nr_periods"), cpu_throttled_periods=cpu.get("nr_throttled"),
        cpu_throttled_s=cpu["throttled_time"] / 1e9 if "throttled_time" in cpu else None,
        processes=_number(f"{groups.get('pids', '')}/pids.current"),
        out_of_memory_kills=_table(f"{memory_path}/memory.oom_control").get("oom_kill"),
    )  # fmt: skip


def of_processes(pids: list[int], proc: str = "/proc") -> ContainerUsage | None:
    """The sum over processes that live, and the children that they have waited for: what is known without control groups. CPU time of
    processes that ended with nobody to wait for them is lost."""
    user = system = rss = faults = major = count = 0
    for pid in pids:
        try:
            with open(f"{proc}/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        numbers = [int(word) for word in fields[7:15]]
        faults, major = faults + numbers[0] + numbers[1], major + numbers[2] + numbers[3]
        user, system = user + numbers[4] + numbers[6], system + numbers[5] + numbers[7]
        rss += int(fields[21]) * PAGE_BYTES
        count += 1
    if not count:
        return None
    return ContainerUsage(
        cpu_s=(user + system) * TICK_S, user_s=user * TICK_S, system_s=system * TICK_S, memory_bytes=rss, working_set_bytes=rss, rss_bytes=rss,
        page_faults=faults, major_page_faults=major, processes=count,
    )  # fmt: skip


def sessions(proc: str = "/proc") -> dict[int, list[int]]:
    """The processes of each session."""
    found: dict[int, list[int]] = {}
    for name in os.listdir(proc):
        if name.isdigit():
            try:
                with open(f"{proc}/{name}/stat", "rb") as file:
                    session = int(file.read().rpartition(b")")[2].split()[3])
            except (FileNotFoundError, ProcessLookupError):
                continue
            found.setdefault(session, []).append(int(name))
    return found


def interfaces_of(pid: int, proc: str = "/proc") -> list[InterfaceUsage]:
    """Of the network namespace that a process is in, without loopback; empty when the process is gone."""
    try:
        with open(f"{proc}/{pid}/net/dev") as file:
            lines = file.read().splitlines()[2:]
    except (FileNotFoundError, ProcessLookupError, OSError):
        return []
    found = []
    for line in lines:
        name, _, rest = line.rpartition(":")
        if (name := name.strip()) == "lo":
            continue
        n = [int(word) for word in rest.split()]
        found.append(InterfaceUsage(name, n[0], n[1], n[2], n[3], n[8], n[9], n[10], n[11]))
    return found


def _table(path: str) -> dict[str, int]:
    try:
        with open(path) as file:
            return {words[0]: int(words[1]) for words in map(str.split, file) if len(words) == 2 and words[1].lstrip("-").isdigit()}
    except OSError:
        return {}


def _number(path: str) -> int | None:
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _micros(table: dict[str, int], name: str) -> float | None:
    return table[name] / 1e6 if name in table else None
