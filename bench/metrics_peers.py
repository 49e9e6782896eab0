"""Side by side with Debian's Prometheus, in one run: what ingest, memory, queries and disk cost. Prints a table and the ratios.

    python bench/metrics_peers.py [--shared ../shared/bench/metrics] [--seconds 50] [--warm 15] [--series 10000] [--hours 6]

The scripts of `--shared` are the load: 20 targets of 5,000 series, scraped every second (100,000 samples/s) or, with --interval 5, every five;
then a history of counters, imported by both, asked at step 60 s. Each server runs alone, on a port of its own, in a folder that goes
afterwards. About six minutes.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metrics_panels import Panel, cpu_s
from metrics_panels import measured as panels_of

OURS, THEIRS = "podium", "prometheus"
SCRAPE_PORT, HISTORY_PORT, EXPORTER_PORT = 19_090, 19_092, 19_100
WAIT_S = 60.0
SCRAPE_QUERY, HISTORY_QUERY = "sum(rate(http_requests_total[1m])) by (handler)", "sum by (l) (rate(m[5m]))"
COMPACTION_S, BLOCKS_SETTLED_S = 20.0, 4.0


@dataclass
class Measured:
    cpu_s_per_million: float = 0.0
    samples_per_s: float = 0.0
    resident_mb: float = 0.0
    resident_after_queries_mb: float = 0.0
    import_s: float = 0.0
    bytes_per_sample: float = 0.0
    history_resident_mb: float = 0.0
    scrape_queries: list[Any] = field(default_factory=list)
    history_queries: list[Any] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)


def command(server: str, config: Path, data: Path, port: int) -> list[str]:
    program = [str(Path(sys.executable).with_name("podium")), "metrics", "serve"] if server == OURS else ["prometheus", "--log.level=error"]
    flags = [f"--config.file={config}", f"--storage.tsdb.path={data}", f"--web.listen-address=127.0.0.1:{port}"]
    return [*program, *flags, "--storage.tsdb.retention.time=3650d"]


@contextmanager
def running(arguments: list[str], folder: Path, ready: str) -> Iterator[int]:
    """The process' id, once `ready` answers."""
    with open(folder / "log", "ab") as log:
        child = subprocess.Popen(arguments, stdout=log, stderr=log, cwd=folder)
    try:
        deadline = time.monotonic() + WAIT_S
        while get(ready) is None:
            if child.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{arguments[0]} is not ready: {(folder / 'log').read_text()[-1000:]}")
            time.sleep(0.2)
        yield child.pid
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def get(url: str) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bytes(answer.read())
    except OSError:
        return None


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def served() -> int:
    return int(json.loads(get(f"http://127.0.0.1:{EXPORTER_PORT}/stats") or b"{}")["samples"])


def ask(shared: Path, folder: Path, port: int, pid: int, kind: str, start: int, end: int, step: int) -> list[Any]:
    found = folder / f"{kind}.json"
    arguments = [
        sys.executable, str(shared / "query_bench.py"), "--url", f"http://127.0.0.1:{port}", "--start", str(start), "--end", str(end),
        "--step", str(step), "--set", kind, "--pid", str(pid), "-n", "3", "--json", str(found),
    ]  # fmt: skip
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, timeout=180)
    rows: list[Any] = json.loads(found.read_text())
    return rows


def scrape(server: str, options: argparse.Namespace, folder: Path, found: Measured) -> None:
    shared: Path = options.shared
    config = shared / ("prom_1s.yml" if options.interval == 1 else "prom.yml")
    exporter = [sys.executable, str(shared / "exporter.py"), "--port", str(EXPORTER_PORT)]
    with (
        running(exporter, folder, f"http://127.0.0.1:{EXPORTER_PORT}/stats"),
        running(command(server, config, folder / "data", SCRAPE_PORT), folder, f"http://127.0.0.1:{SCRAPE_PORT}/-/ready") as pid,
    ):
        time.sleep(options.warm)
        cpu, samples, began, start = cpu_s(pid), served(), time.monotonic(), int(time.time())
        time.sleep(options.seconds)
        taken = served() - samples
        found.cpu_s_per_million = (cpu_s(pid) - cpu) / taken * 1e6
        found.samples_per_s = taken / (time.monotonic() - began)
        found.resident_mb = resident_mb(pid)
        found.scrape_queries = ask(shared, folder, SCRAPE_PORT, pid, "scrape", start, int(time.time()), 5)
        found.panels = panels_of(f"http://127.0.0.1:{SCRAPE_PORT}", pid, int(time.time()) - 1)
        found.resident_after_queries_mb = resident_mb(pid)


def history(server: str, options: argparse.Namespace, folder: Path, text: Path, end: int, found: Measured) -> None:
    data = folder / "history"
    make = [str(Path(sys.executable).with_name("podium")), "metrics", "import-openmetrics", str(text), "--data-dir", str(data)]
    if server == THEIRS:
        make = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "-q", str(text), str(data)]
    before = os.times()
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL, timeout=240)
    after = os.times()
    found.import_s = after.children_user + after.children_system - before.children_user - before.children_system
    url = f"http://127.0.0.1:{HISTORY_PORT}"
    with running(command(server, options.shared / "empty.yml", data, HISTORY_PORT), folder, f"{url}/-/ready") as pid:
        settled(data)
        found.bytes_per_sample = block_bytes(data) / (options.series * options.hours * 3600 // 15)
        found.history_queries = ask(options.shared, folder, HISTORY_PORT, pid, "backfill", end - options.hours * 3600, end, 60)
        found.history_resident_mb = resident_mb(pid)


def blocks(data: Path) -> list[Path]:
    """Without write-ahead logs and what is only being made."""
    return sorted(d for d in data.iterdir() if d.is_dir() and d.name.startswith(("01", "b-")) and "tmp" not in d.name)


def block_bytes(data: Path) -> int:
    return sum(f.stat().st_size for d in blocks(data) for f in d.rglob("*") if f.is_file())


def settled(data: Path) -> None:
    """Until compaction has joined what overlaps: a round of maintenance is over, and nothing has changed for a while."""
    began = unchanged = time.monotonic()
    seen: list[Path] = []
    while (now := time.monotonic()) - began < WAIT_S and (now - began < COMPACTION_S or now - unchanged < BLOCKS_SETTLED_S):
        if (there := blocks(data)) != seen:
            seen, unchanged = there, now
        time.sleep(0.2)


def table(found: dict[str, Measured], interval: int) -> None:
    ours, theirs = found[OURS], found[THEIRS]
    lines: list[tuple[str, float, float, str]] = [
        (f"ingest, CPU-s per million (every {interval} s)", ours.cpu_s_per_million, theirs.cpu_s_per_million, "<= 0.7"),
        ("samples/s", ours.samples_per_s, theirs.samples_per_s, ""),
        ("resident at 100k series, MB", ours.resident_mb, theirs.resident_mb, "< 200"),
        ("resident after the queries, MB", ours.resident_after_queries_mb, theirs.resident_after_queries_mb, ""),
        ("history: import, CPU-s", ours.import_s, theirs.import_s, ""),
        ("history: bytes a sample on disk", ours.bytes_per_sample, theirs.bytes_per_sample, "<= 1.5"),
        ("history: resident after the queries, MB", ours.history_resident_mb, theirs.history_resident_mb, ""),
    ]
    print(f"{'':58}{OURS:>12}{THEIRS:>12}{'x':>8}  goal")
    for name, one, other, goal in lines:
        print(f"{name:58}{one:12.2f}{other:12.2f}{other / one:8.2f}  {goal}")
    for mine, yours in zip(
        [*ours.scrape_queries, *ours.history_queries], [*theirs.scrape_queries, *theirs.history_queries], strict=True
    ):  # fmt: skip
        goal = {SCRAPE_QUERY: ">= 5 x", HISTORY_QUERY: "< 153 ms, >= 5 x"}.get(mine["q"], "")
        alike = mine["q"].startswith("topk") or mine["series"] == yours["series"]  # which series are the largest changes with the seconds
        same = "" if alike and mine["status"] == "success" else "  DIFFERENT NUMBER OF SERIES"
        ratio = yours["median_ms"] / mine["median_ms"]
        print(f"{'ms: ' + mine['q'][:52]:58}{mine['median_ms']:12.1f}{yours['median_ms']:12.1f}{ratio:8.2f}  {goal}{same}")
    print(f"\n{'panels: fastest ms (ms of CPU), scrapes go on':86}{OURS:>18}{THEIRS:>18}{'x':>8}")
    for one, other in zip(ours.panels, theirs.panels, strict=True):
        name = f"{'' if one.kind == 'query_range' else 'now: '}{one.query}"
        name = f"{name[:76]} ({one.series})" + ("" if one.series == other.series else " DIFFERENT NUMBER OF SERIES")
        print(f"{name:86}{one.ms:9.1f} ({one.cpu_ms:6.1f}){other.ms:9.1f} ({other.cpu_ms:6.1f}){other.ms / one.ms:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared" / "bench" / "metrics")
    parser.add_argument("--seconds", type=int, default=50)
    parser.add_argument("--warm", type=int, default=15)
    parser.add_argument("--interval", type=int, choices=(1, 5), default=1)
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--hours", type=int, default=6)
    options = parser.parse_args()
    options.shared = options.shared.absolute()
    missing = [p for p in ("prometheus", "promtool") if shutil.which(p) is None]
    if missing or not (options.shared / "exporter.py").exists():
        print(f"bench/metrics_peers.py: skipped: no {' and no '.join(missing) if missing else options.shared}")
        return
    found = {OURS: Measured(), THEIRS: Measured()}
    folder = Path(tempfile.mkdtemp(prefix="metrics-peers-"))
    try:
        for server, measured in found.items():
            (folder / server).mkdir()
            scrape(server, options, folder / server, measured)
        end = int(time.time()) // 7200 * 7200
        text = folder / "history.txt"
        numbers = [options.series, options.hours, 15, 100, end]
        subprocess.run([sys.executable, str(options.shared / "gen_om.py"), str(text), *map(str, numbers)], check=True, timeout=240)
        for server, measured in found.items():
            history(server, options, folder / server, text, end, measured)
        table(found, options.interval)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
