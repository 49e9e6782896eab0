"""`podium status`: what runs, what it uses, where it answers."""

import json
import os
import time
from argparse import Namespace
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from podium import __version__
from podium.cli import processes, readiness, supervise
from podium.cli.cluster import Cluster, require, resolve_data_dir
from podium.cli.processes import Process
from podium.cli.refusal import Refusal


@dataclass(frozen=True)
class ProcessUse:
    """`cpu_s` is processor time since its start."""

    name: str
    pid: int
    cpu_s: float
    rss_bytes: int
    uptime_s: float
    restarts: int


def status(arguments: Namespace) -> int:
    cluster = require(resolve_data_dir(arguments.data_dir))
    uses = [use for process in processes.living(cluster) if (use := measure(process)) is not None]
    if not uses:
        raise Refusal(f"the cluster in {cluster.data_dir} is not running: start it with `podium up --data-dir {cluster.data_dir}`")
    report = describe(cluster, uses)
    print(json.dumps(report, indent=2) if arguments.output == "json" else as_text(report))
    return 0 if report["ready"] else 1


def measure(process: Process) -> ProcessUse | None:
    try:
        text = Path(f"/proc/{process.pid}/stat").read_text()
    except OSError:
        return None
    columns = text[text.rindex(")") + 2 :].split()
    cpu_s = (int(columns[11]) + int(columns[12])) / os.sysconf("SC_CLK_TCK")
    rss_bytes = int(columns[21]) * os.sysconf("SC_PAGE_SIZE")
    return ProcessUse(process.name, process.pid, round(cpu_s, 2), rss_bytes, round(time.time() - process.started_at, 1), process.restarts)


def describe(cluster: Cluster, uses: list[ProcessUse]) -> dict[str, Any]:
    """The report as JSON values."""
    report: dict[str, Any] = {
        "dataDir": str(cluster.data_dir),
        "api": cluster.api_url,
        "metrics": cluster.metrics_url if cluster.metrics else "",
        "kubeconfig": str(cluster.kubeconfig_path),
        "runtime": cluster.runtime,
        "network": {"kind": cluster.network, "pods": cluster.pod_cidr, "services": cluster.service_cidr, "dns": cluster.dns_ip},
        "version": {"podium": __version__},
        "ready": False,
        "processes": [asdict(use) for use in uses],
        "missing": _missing(cluster, uses),
        "nodes": [],
    }
    try:
        context = readiness.tls_context(cluster)
        report["ready"] = readiness.is_ready(cluster, context)
        report["version"]["kubernetes"] = readiness.get_json(cluster, "/version", context)["gitVersion"]
        report["nodes"] = [_node(node) for node in readiness.get_json(cluster, "/api/v1/nodes?limit=500", context)["items"]]
    except (OSError, ValueError, KeyError) as error:
        report["problem"] = f"the API server does not answer: {error}"
    return report


def _missing(cluster: Cluster, uses: list[ProcessUse]) -> dict[str, str]:
    """Why processes that should run do not: what they said when they refused to, "" when they said nothing."""
    running = {use.name for use in uses}
    reasons = {}
    for role in (*processes.wanted(cluster), processes.SUPERVISOR):
        if role not in running:
            file = supervise.refusal_file(cluster, role)
            reasons[role] = file.read_text().strip() if file.exists() else ""
    return reasons


def _node(node: dict[str, Any]) -> dict[str, Any]:
    state = node.get("status", {})
    ready = next((c["status"] for c in state.get("conditions", []) if c["type"] == "Ready"), "Unknown")
    info = state.get("nodeInfo", {})
    return {"name": node["metadata"]["name"], "ready": ready == "True", "runtime": info.get("containerRuntimeVersion", "")}


NODES_SHOWN_MAX = 10


def as_text(report: dict[str, Any]) -> str:
    kubernetes = report["version"].get("kubernetes", "unknown")
    network = report["network"]
    lines = [
        f"API        {report['api']} ({'ready' if report['ready'] else 'not ready'})",
        f"metrics    {report['metrics'] or 'none'}",
        f"data       {report['dataDir']}",
        f"versions   podium {report['version']['podium']}, Kubernetes {kubernetes}",
        f"runtime    {report['runtime']}",
        f"network    {network['kind']} (pods {network['pods']}, services {network['services']}, DNS {network['dns']})",
        "",
    ]
    rows: list[tuple[str, ...]] = [("PROCESS", "PID", "CPU", "RSS", "UPTIME", "RESTARTS")]
    rows += [
        (p["name"], str(p["pid"]), f"{p['cpu_s']:.1f}s", f"{p['rss_bytes'] / 2**20:.0f}Mi", _duration(p["uptime_s"]), str(p["restarts"]))
        for p in report["processes"]
    ]
    lines += _table(rows)
    lines += [f"not running: {role}{f' ({reason})' if reason else ''}" for role, reason in report["missing"].items()]
    nodes = report["nodes"]
    if nodes:
        shown = [(n["name"], "Ready" if n["ready"] else "NotReady", n["runtime"]) for n in nodes[:NODES_SHOWN_MAX]]
        lines += ["", *_table([("NODE", "STATUS", "RUNTIME"), *shown])]
    if len(nodes) > NODES_SHOWN_MAX:
        lines.append(f"... {len(nodes)} nodes, {sum(n['ready'] for n in nodes)} ready")
    if "problem" in report:
        lines += ["", report["problem"]]
    return "\n".join(lines)


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f}s"
    minutes = int(seconds // 60)
    return f"{minutes}m" if minutes < 120 else f"{minutes // 60}h{minutes % 60}m"
