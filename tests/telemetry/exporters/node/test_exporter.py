"""The node exporter on a made-up machine (machine.txt), on this one, and beside Debian's."""

import asyncio
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from podium.instrument.exposition import Page, render
from podium.telemetry.exporters.node import filesystems
from podium.telemetry.exporters.node.exporter import NodeExporter
from podium.telemetry.exporters.node.filesystems import FilesystemCollector, mounts
from podium.telemetry.exporters.node.machine import Timex, show_timex
from podium.telemetry.exporters.node.processors import CpuCollector
from podium.telemetry.exporters.node.sources import Roots
from podium.world.real import RealWorld
from podium.world.virtual import VirtualWorld, run
from tests.telemetry.exporters.linting import lint

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Roots:
    top = tmp_path_factory.mktemp("machine")
    for part in (HERE / "machine.txt").read_text().split("=== ")[1:]:
        name, _, text = part.partition("\n")
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text.replace("ROOT", f"{top}/root"))
    return Roots(f"{top}/proc", f"{top}/sys", f"{top}/root", f"{top}/udev", f"{top}/textfiles")


def collected(roots: Roots, *only: str) -> Page:
    async def main(world: VirtualWorld) -> Page:
        return await NodeExporter(world, roots).collect(only)

    return run(main, 1)


def _text(roots: Roots) -> str:
    page = collected(roots)
    return render(page.families.values()).decode().replace(roots.sys, "SYS")


def test_every_collector_reads_what_the_kernel_writes(roots: Roots) -> None:
    lines = set((_text(roots)).splitlines())
    missing = [line for line in (HERE / "expected.txt").read_text().splitlines() if line not in lines]
    assert not missing, "\n".join(missing)


def test_only_the_machine_s_own_absences_are_failures(roots: Roots) -> None:
    failed = re.findall(r'node_scrape_collector_success\{collector="(\w+)"\} 0', _text(roots))
    assert failed == []


def test_an_empty_machine_is_no_error() -> None:
    page = collected(Roots("/nowhere", "/nowhere", "/nowhere", "/nowhere", "/nowhere"))
    success = {labels[0][1]: value for (_, labels), value in page.families["node_scrape_collector_success"].samples.items()}
    assert {name for name, value in success.items() if value} == {"selinux", "textfile", "time", "timex", "uname"}
    assert ("", ()) in page.families["node_textfile_scrape_error"].samples


def test_collectors_can_be_chosen(roots: Roots) -> None:
    page = collected(roots, "loadavg")
    assert sorted(page.families) == [
        "node_load1", "node_load15", "node_load5", "node_scrape_collector_duration_seconds", "node_scrape_collector_success",
    ]  # fmt: skip
    with pytest.raises(KeyError):
        collected(roots, "nonsense")


def test_cpu_counters_never_step_back_but_after_unplugging(tmp_path: Path) -> None:
    collect, roots = CpuCollector(), Roots(proc=str(tmp_path), sys="/nowhere")

    def user(line: str) -> float:
        (tmp_path / "stat").write_text(line)
        page = Page()
        collect(roots, page)
        return page.families["node_cpu_seconds_total"].samples["", (("cpu", "0"), ("mode", "user"))]

    assert user("cpu0 200 0 0 5000 0 0 0 0 0 0") == 2
    assert user("cpu0 190 0 0 4990 0 0 0 0 0 0") == 2
    assert user("cpu0 10 0 0 100 0 0 0 0 0 0") == 0.1


def test_the_clock_s_discipline_has_units() -> None:
    values, page = Timex(), Page()
    values.status, values.offset, values.freq, values.tick, values.tai = 0x2001, 3000, 65536 * 10, 10000, 37
    show_timex(values, 5, page)
    shown = {name: family.samples["", ()] for name, family in page.families.items()}
    assert shown["node_timex_sync_status"] == 0
    assert shown["node_timex_offset_seconds"] == pytest.approx(3e-6)
    assert shown["node_timex_frequency_adjustment_ratio"] == pytest.approx(1.00001)
    assert shown["node_timex_tick_seconds"] == pytest.approx(0.01)
    assert shown["node_timex_tai_offset_seconds"] == 37


async def test_a_remote_mount_is_asked_beside_the_loop(tmp_path: Path) -> None:
    (tmp_path / "mounts").write_text(f"server:/x {tmp_path} nfs4 rw 0 0\nserver:/y {tmp_path}/none nfs4 ro 0 0\n")
    roots, collector, page = Roots(proc=str(tmp_path)), FilesystemCollector(), Page()
    collector(roots, page)
    assert not page.families
    await collector.prepare(roots)
    collector(roots, page)
    errors = [int(value) for value in page.families["node_filesystem_device_error"].samples.values()]
    assert errors == [0, 1]
    assert len(page.families["node_filesystem_size_bytes"].samples) == 1


async def test_a_mount_that_hangs_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mounts").write_text(f"server:/x {tmp_path} nfs4 rw 0 0\n")
    roots, collector, answering, asked = Roots(proc=str(tmp_path)), FilesystemCollector(stuck_s=0.3), threading.Event(), []

    def hangs(roots: Roots, mount: filesystems.Mount) -> None:
        asked.append(mount.path)
        answering.wait(30)

    monkeypatch.setattr(filesystems, "_ask", hangs)

    async def error() -> float:
        page = Page()
        await collector.prepare(roots)
        collector(roots, page)
        (value,) = page.families["node_filesystem_device_error"].samples.values()
        return value

    assert await error() == 1
    began = time.monotonic()
    assert await error() == 1
    assert time.monotonic() - began < 0.25 and len(asked) == 1
    answering.set()
    monkeypatch.undo()
    while await error():
        await asyncio.sleep(0.01)


def test_this_machine_has_mounts() -> None:
    assert all(mount.path.startswith("/") for mount in mounts(Roots()))


async def test_a_scrape_costs_less_than_20_ms_of_cpu() -> None:
    exporter = NodeExporter(RealWorld())
    costs = []
    for _ in range(3):
        began = time.process_time()
        render((await exporter.collect()).families.values())
        costs.append(time.process_time() - began)
    assert min(costs) < 0.020


async def test_promtool_finds_nothing_but_upstream_s_own_names() -> None:
    page = await NodeExporter(RealWorld()).collect()
    complaints = lint(render(page.families.values()))
    allowed = re.compile(
        r"node_(memory|netstat|sockstat|vmstat|entropy)_.* (metric names should be written in 'snake_case'|use base unit).*"
    )
    assert [line for line in complaints if not allowed.fullmatch(line)] == []


NEWER = re.compile(
    r"node_(cpu_online|softnet_(backlog_len|cpu_collision_total|flow_limit_count_total|received_rps_total)"
    r"|netstat_TcpExt_TCP(OFOQueue|RcvQDrop)|pressure_irq_.*|disk_(filesystem|device_mapper)_info|os_support_end_.*|cpu_isolated)"
)
"""What upstream has had only since the release that Debian has."""
NEWER_LABELS = {"node_disk_info": {"rotational"}, "node_network_info": {"adminstate"}, "node_exporter_build_info": {"goarch", "goos"}}
OTHER_SYSTEMS = re.compile(r"node_(fibrechannel|infiniband|nfsd|tape|systemd)_.*")


@pytest.fixture
def debian() -> Iterator[str]:
    """What Debian's node exporter says of this machine."""
    program = shutil.which("prometheus-node-exporter")
    if program is None:
        pytest.skip("needs Debian's prometheus-node-exporter")
    arguments = ["--web.listen-address=127.0.0.1:19174", "--collector.netdev.device-exclude="]
    process = subprocess.Popen([program, *arguments], stderr=subprocess.DEVNULL)
    try:
        yield _fetched("http://127.0.0.1:19174/metrics")
    finally:
        process.terminate()
        process.wait()


def _fetched(url: str) -> str:
    for _ in range(100):
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return str(answer.read().decode())
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


@pytest.mark.slow
async def test_names_and_labels_are_those_of_debian_s_node_exporter(debian: str) -> None:
    theirs = _shapes(debian)
    page = await NodeExporter(RealWorld()).collect()
    ours = _shapes(render(page.families.values()).decode())
    missing = {name for name in theirs.keys() - ours.keys() if not OTHER_SYSTEMS.fullmatch(name)}
    assert not missing
    assert {name for name in ours.keys() - theirs.keys() if not NEWER.fullmatch(name)} == set()
    different = {name: theirs[name][1] ^ ours[name][1] for name in theirs.keys() & ours.keys() if theirs[name][1] != ours[name][1]}
    assert different.items() <= NEWER_LABELS.items()
    assert {name: (theirs[name][0], ours[name][0]) for name in theirs.keys() & ours.keys() if theirs[name][0] != ours[name][0]} == {}


def _shapes(text: str) -> dict[str, tuple[str, set[str]]]:
    """Kind and label names of each metric."""
    kinds = dict(re.findall(r"# TYPE (node_\S+) (\w+)", text))
    shapes: dict[str, tuple[str, set[str]]] = {}
    for name, labels in re.findall(r"^(node_\w+)(?:\{(.*)\})? ", text, re.MULTILINE):
        shapes.setdefault(name, (kinds[name], set()))[1].update(re.findall(r'(\w+)="', labels))
    return shapes
