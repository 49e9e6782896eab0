"""What every component tells of its own process, under the names that Prometheus' client libraries give it (process_*).

Read from /proc when somebody asks; on a system without it nothing is registered. Only live roles register it: a rehearsal's metrics
are the same bytes at each run.

Source: proc(5); client_golang process_collector_linux.go.
"""

import os
import resource
from pathlib import Path

from podium.instrument.metrics import Registry

_PROC = Path("/proc/self")


def register_process(registry: Registry, process: Path = _PROC) -> None:
    """Adds process_* of the process whose folder of /proc is given."""
    if not (process / "stat").exists():
        return
    tick_s, page_bytes = 1 / os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    boot_s = _boot_s(process.parent / "stat")
    gauges = [
        registry.gauge(name, text).labels()
        for name, text in (
            ("process_virtual_memory_bytes", "Virtual memory size in bytes."),
            ("process_resident_memory_bytes", "Resident memory size in bytes."),
            ("process_start_time_seconds", "Start time of the process since the epoch in seconds."),
            ("process_open_fds", "Number of open file descriptors."),
            ("process_max_fds", "Maximum number of open file descriptors."),
        )
    ]
    cpu = registry.counter("process_cpu_seconds_total", "User and system CPU time spent in seconds.").labels()
    virtual, resident, start, open_files, most_files = gauges

    def collect() -> None:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        cpu.set((int(fields[11]) + int(fields[12])) * tick_s)
        start.set(boot_s + int(fields[19]) * tick_s)
        virtual.set(int(fields[20]))
        resident.set(int(fields[21]) * page_bytes)
        open_files.set(len(os.listdir(process / "fd")))
        most_files.set(resource.getrlimit(resource.RLIMIT_NOFILE)[0])

    registry.on_collect(collect)


def _boot_s(stat: Path) -> int:
    for line in stat.read_text().splitlines():
        if line.startswith("btime "):
            return int(line[6:])
    return 0
