"""CPU and scheduling: cpu, cpufreq, loadavg, pressure, schedstat, softnet, stat.

Source: proc(5); Documentation/scheduler/sched-stats, accounting/psi, admin-guide/pm/cpufreq of the kernel; node exporter's collectors of
these names.
"""

import os

from podium.instrument.exposition import Page
from podium.telemetry.exporters.node.sources import Absent, Roots, entries, integer, optional, read, required, rows

MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
JUMP_BACK_S = 3.0
"""The kernel's counters step back a little now and then, which is hidden; by more than this, the CPU was unplugged meanwhile."""

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class CpuCollector:
    """Keeps what it showed last, so that counters never step back."""

    def __init__(self) -> None:
        self._shown: dict[str, list[float]] = {}

    def __call__(self, roots: Roots, page: Page) -> None:
        seconds = page.family("node_cpu_seconds_total", "counter", "Seconds that each CPU has spent in each mode.").samples
        guests = page.family("node_cpu_guest_seconds_total", "counter", "Seconds that each CPU has spent running guests.").samples
        for words in rows(f"{roots.proc}/stat"):
            if not words[0].startswith("cpu") or words[0] == "cpu":
                continue
            cpu = words[0][3:]
            times = self._forward(cpu, [int(w) * _TICK_S for w in words[1:11]])
            for mode, value in zip(MODES, times, strict=False):
                seconds["", (("cpu", cpu), ("mode", mode))] = value
            for mode, value in zip(("user", "nice"), times[8:], strict=False):
                guests["", (("cpu", cpu), ("mode", mode))] = value
        _topology(roots, page)

    def _forward(self, cpu: str, times: list[float]) -> list[float]:
        before = self._shown.get(cpu)
        if before is not None and len(before) == len(times) and times[3] > before[3] - JUMP_BACK_S:
            times = [max(a, b) for a, b in zip(times, before, strict=True)]
        self._shown[cpu] = times
        return times


def _topology(roots: Roots, page: Page) -> None:
    folder = f"{roots.sys}/devices/system/cpu"
    try:
        cpus = [name for name in entries(folder) if name.startswith("cpu") and name[3:].isdigit()]
    except Absent:
        return
    for name in cpus:
        online = integer(f"{folder}/{name}/online")
        if online is not None:
            page.gauge("node_cpu_online", "Whether a CPU that can be unplugged is online.", online, (("cpu", name[3:]),))
        core_throttles = integer(f"{folder}/{name}/thermal_throttle/core_throttle_count")
        if core_throttles is None:
            continue
        core = optional(f"{folder}/{name}/topology/core_id") or ""
        package = optional(f"{folder}/{name}/topology/physical_package_id") or ""
        text = "Times that a core was slowed down because of its temperature."
        page.counter("node_cpu_core_throttles_total", text, core_throttles, (("package", package), ("core", core)))
        package_throttles = integer(f"{folder}/{name}/thermal_throttle/package_throttle_count")
        if package_throttles is not None:
            text = "Times that a package was slowed down because of its temperature."
            page.counter("node_cpu_package_throttles_total", text, package_throttles, (("package", package),))
    isolated = optional(f"{folder}/isolated")
    for cpu in numbers(isolated or ""):
        page.gauge("node_cpu_isolated", "Whether the scheduler leaves a CPU alone.", 1, (("cpu", str(cpu)),))


def numbers(ranges: str) -> list[int]:
    """`0,2-4` as numbers."""
    found: list[int] = []
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            found.extend(range(int(first), int(last or first) + 1))
    return found


_FREQUENCIES = (
    ("cpuinfo_cur_freq", "node_cpu_frequency_hertz", "The frequency of a CPU, as the hardware has it."),
    ("cpuinfo_min_freq", "node_cpu_frequency_min_hertz", "The lowest frequency of a CPU."),
    ("cpuinfo_max_freq", "node_cpu_frequency_max_hertz", "The highest frequency of a CPU."),
    ("scaling_cur_freq", "node_cpu_scaling_frequency_hertz", "The frequency of a CPU, as its governor set it."),
    ("scaling_min_freq", "node_cpu_scaling_frequency_min_hertz", "The lowest frequency that a CPU's governor may set."),
    ("scaling_max_freq", "node_cpu_scaling_frequency_max_hertz", "The highest frequency that a CPU's governor may set."),
)


def cpu_frequencies(roots: Roots, page: Page) -> None:
    folder = f"{roots.sys}/devices/system/cpu"
    found = False
    for name in entries(folder):
        if not (name.startswith("cpu") and name[3:].isdigit()) or not os.path.isdir(f"{folder}/{name}/cpufreq"):
            continue
        found = True
        cpu = (("cpu", name[3:]),)
        for file, metric, text in _FREQUENCIES:
            kilohertz = integer(f"{folder}/{name}/cpufreq/{file}")
            if kilohertz is not None:
                page.gauge(metric, text, kilohertz * 1000.0, cpu)
        governor = optional(f"{folder}/{name}/cpufreq/scaling_governor")
        for other in (optional(f"{folder}/{name}/cpufreq/scaling_available_governors") or "").split():
            text = "Which governor scales the frequency of a CPU."
            page.gauge("node_cpu_scaling_governor", text, other == governor, (*cpu, ("governor", other)))
    if not found:
        raise Absent("cpufreq")


def load(roots: Roots, page: Page) -> None:
    words = required(f"{roots.proc}/loadavg").split()
    for minutes, word in zip((1, 5, 15), words, strict=False):
        page.gauge(f"node_load{minutes}", f"Load average over {minutes} min.", float(word))


_PRESSURES = (
    ("cpu", "some", "node_pressure_cpu_waiting_seconds_total", "Seconds in which some task waited for a CPU."),
    ("io", "some", "node_pressure_io_waiting_seconds_total", "Seconds in which some task waited for input or output."),
    ("io", "full", "node_pressure_io_stalled_seconds_total", "Seconds in which every task waited for input or output."),
    ("memory", "some", "node_pressure_memory_waiting_seconds_total", "Seconds in which some task waited for memory."),
    ("memory", "full", "node_pressure_memory_stalled_seconds_total", "Seconds in which every task waited for memory."),
    ("irq", "full", "node_pressure_irq_stalled_seconds_total", "Seconds in which every task waited for interrupts to be handled."),
)


def pressure(roots: Roots, page: Page) -> None:
    texts: dict[str, dict[str, float]] = {}
    for resource in ("cpu", "io", "memory", "irq"):
        try:
            text = read(f"{roots.proc}/pressure/{resource}")
        except OSError:  # not there, or switched off at boot
            continue
        lines = (line.split() for line in text.splitlines())
        texts[resource] = {words[0]: int(words[-1].removeprefix("total=")) / 1e6 for words in lines}
    if not texts:
        raise Absent("pressure")
    for resource, kind, name, text in _PRESSURES:
        value = texts.get(resource, {}).get(kind)
        if value is not None:
            page.counter(name, text, value)


def schedule(roots: Roots, page: Page) -> None:
    for words in rows(f"{roots.proc}/schedstat"):
        if not words[0].startswith("cpu") or len(words) < 10:
            continue
        cpu = (("cpu", words[0][3:]),)
        running, waiting, slices = (int(w) for w in words[7:10])
        page.counter("node_schedstat_running_seconds_total", "Seconds that a CPU has run tasks.", running / 1e9, cpu)
        page.counter("node_schedstat_waiting_seconds_total", "Seconds that tasks have waited for a CPU.", waiting / 1e9, cpu)
        page.counter("node_schedstat_timeslices_total", "Time slices that a CPU has run.", slices, cpu)


_SOFTNET = (
    (0, "node_softnet_processed_total", "counter", "Packets that a CPU has processed."),
    (1, "node_softnet_dropped_total", "counter", "Packets dropped because a CPU's backlog was full."),
    (2, "node_softnet_times_squeezed_total", "counter", "Times that a CPU ran out of its quota with packets left."),
    (8, "node_softnet_cpu_collision_total", "counter", "Times that a CPU found a device's transmission locked."),
    (9, "node_softnet_received_rps_total", "counter", "Times that a CPU was woken to process packets of another."),
    (10, "node_softnet_flow_limit_count_total", "counter", "Times that the limit of flows was reached."),
    (11, "node_softnet_backlog_len", "gauge", "Packets in a CPU's backlog."),
)


def soft_network(roots: Roots, page: Page) -> None:
    for number, words in enumerate(rows(f"{roots.proc}/net/softnet_stat")):
        values = [int(w, 16) for w in words]
        cpu = (("cpu", str(values[12] if len(values) > 12 else number)),)
        for column, name, kind, text in _SOFTNET:
            if column < len(values):
                page.family(name, kind, text).samples["", cpu] = values[column]


_STAT = {
    "intr": ("node_intr_total", "counter", "Interrupts served."),
    "ctxt": ("node_context_switches_total", "counter", "Context switches."),
    "processes": ("node_forks_total", "counter", "Processes and threads started."),
    "btime": ("node_boot_time_seconds", "gauge", "When the machine was booted, in seconds since the epoch."),
    "procs_running": ("node_procs_running", "gauge", "Tasks that are ready to run."),
    "procs_blocked": ("node_procs_blocked", "gauge", "Tasks that wait for input or output."),
}


def statistics(roots: Roots, page: Page) -> None:
    for line in required(f"{roots.proc}/stat").splitlines():
        word, _, rest = line.partition(" ")
        if word in _STAT:
            name, kind, text = _STAT[word]
            page.family(name, kind, text).samples["", ()] = int(rest.split(" ", 1)[0])
