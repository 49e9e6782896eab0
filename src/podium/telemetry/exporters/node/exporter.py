"""The node exporter: its collectors, and what one scrape makes of them.

Each collector adds to a page; one that finds nothing of its kind (`Absent`) or fails costs only itself, and node_scrape_collector_success says so.
What a collector added before it failed is kept.

Source: node exporter's default collectors on Linux, but those of systems that Podium's nodes are not (fibrechannel, infiniband, nfsd, tapestats).
"""

from collections.abc import Callable, Sequence

from podium import __version__
from podium.instrument.exposition import Page
from podium.instrument.log import logger
from podium.instrument.metrics import Registry
from podium.instrument.process_metrics import register_process
from podium.telemetry.exporters.node import disks, filesystems, hardware, machine, memory, network, nfs, processors, textfile
from podium.telemetry.exporters.node.sources import Absent, Roots
from podium.world.interface import World

log = logger("exporters.node")

Collector = Callable[[Roots, Page], None]


class NodeExporter:
    """`only` narrows the collectors, as collect[] of a request does."""

    def __init__(self, world: World, roots: Roots | None = None) -> None:
        self._world = world
        self._roots = roots or Roots()
        self._filesystems = filesystems.FilesystemCollector()
        self.collectors = self._table()
        self._registry = Registry()
        register_process(self._registry)
        text = "The version of this exporter; always 1."
        self._registry.constant("node_exporter_build_info", text, {"version": __version__, "branch": "", "revision": "", "goversion": ""})

    async def collect(self, only: Sequence[str] = ()) -> Page:
        """Raises KeyError when a name of `only` is no collector's."""
        chosen = {name: self.collectors[name] for name in only} if only else self.collectors
        if "filesystem" in chosen:
            try:
                await self._filesystems.prepare(self._roots)
            except (Absent, OSError):
                pass  # shown when the collector runs into it as well
        page = Page()
        if not only:
            page.add(self._registry.collected())
        for name, collector in chosen.items():
            self._run(name, collector, page)
        return page

    def _run(self, name: str, collector: Collector, page: Page) -> None:
        clock = self._world.clock
        began_s, succeeded = clock.monotonic(), True
        try:
            collector(self._roots, page)
        except Absent:
            succeeded = False
        except Exception as error:
            succeeded = False
            log.warning("collector failed", collector=name, error=error)
        labels = (("collector", name),)
        page.gauge("node_scrape_collector_duration_seconds", "How long a collector took.", clock.monotonic() - began_s, labels)
        page.gauge("node_scrape_collector_success", "Whether a collector succeeded.", succeeded, labels)

    def _table(self) -> dict[str, Collector]:
        return {
            "arp": network.neighbours,
            "bcache": disks.bcache,
            "bonding": network.bonding,
            "btrfs": filesystems.btrfs,
            "conntrack": network.connections,
            "cpu": processors.CpuCollector(),
            "cpufreq": processors.cpu_frequencies,
            "diskstats": disks.disk_statistics,
            "dmi": machine.firmware,
            "edac": hardware.memory_errors,
            "entropy": machine.entropy,
            "filefd": machine.files,
            "filesystem": self._filesystems,
            "hwmon": hardware.sensors,
            "ipvs": network.virtual_servers,
            "loadavg": processors.load,
            "mdadm": disks.raid,
            "meminfo": memory.memory,
            "netclass": network.interfaces,
            "netdev": network.traffic,
            "netstat": network.protocols,
            "nfs": nfs.nfs_client,
            "nvme": disks.nvme,
            "os": machine.operating_system,
            "powersupplyclass": hardware.power_supplies,
            "pressure": processors.pressure,
            "rapl": hardware.energy,
            "schedstat": processors.schedule,
            "selinux": machine.selinux,
            "sockstat": network.sockets,
            "softnet": processors.soft_network,
            "stat": processors.statistics,
            "textfile": textfile.textfiles,
            "thermal_zone": hardware.temperatures,
            "time": machine.TimeCollector(self._world.clock),
            "timex": machine.clock_discipline,
            "udp_queues": network.udp_queues,
            "uname": machine.kernel,
            "vmstat": memory.virtual_memory,
            "xfs": filesystems.xfs,
            "zfs": filesystems.zfs,
        }
