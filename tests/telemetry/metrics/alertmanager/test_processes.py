"""Real processes: stock amtool, Debian's Alertmanager as a model, kill -9, and two replicas of which one dies."""

import contextlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from podium.main import main
from tests.telemetry.metrics.alertmanager.processes import Hook, Process, free_port, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

needs_amtool = pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed")
needs_upstream = pytest.mark.skipif(shutil.which("prometheus-alertmanager") is None, reason="prometheus-alertmanager is not installed")

CONFIG = """
route:
  receiver: hook
  group_by: [alertname]
  group_wait: 1s
  group_interval: 2s
  routes: [{matchers: [severity="critical"], receiver: critical}]
receivers:
- name: hook
  webhook_configs: [{url: 'URL'}]
- name: critical
  webhook_configs: [{url: 'URL'}]
"""


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.close()


@pytest.fixture
def process(tmp_path: Path, hook: Hook) -> Iterator[Process]:
    process = Process(tmp_path / "am", CONFIG.replace("URL", hook.url))
    process.start()
    yield process
    process.stop()


def alert(name: str, **labels: str) -> dict[str, Any]:
    return {"labels": {"alertname": name, **labels}, "annotations": {"summary": "s"}, "startsAt": "2026-01-01T00:00:00.5Z"}


@needs_amtool
def test_stock_amtool_works(process: Process) -> None:
    def amtool(*arguments: str) -> str:
        command = ["amtool", f"--alertmanager.url={process.url}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    amtool("alert", "add", "Foo", "severity=critical", "--annotation=summary=bad")
    amtool("alert", "add", "alertname=Bar", "job=x")
    assert "Foo" in amtool("alert", "query") and "Bar" not in amtool("alert", "query", "severity=critical")
    assert json.loads(amtool("alert", "query", "-o", "json", "alertname=~F.*"))[0]["annotations"] == {"summary": "bad"}
    identity = amtool("silence", "add", "alertname=Foo", "-c", "why", "-a", "me", "-d", "1h").strip()
    assert identity in amtool("silence", "query") and "Foo" not in amtool("alert", "query")
    assert amtool("silence", "update", "-c", "longer", "-d", "2h", identity).count(identity) == 1
    assert "longer" in amtool("silence", "query", "-o", "extended", "alertname=Foo")
    amtool("silence", "expire", identity)
    assert identity not in amtool("silence", "query") and identity in amtool("silence", "query", "--expired")
    assert "Cluster Status:  disabled" in amtool("cluster", "show")
    assert "group_wait: 1s" in amtool("config", "show")
    assert 'severity="critical"' in amtool("config", "routes", "show")
    assert amtool("config", "routes", "test", "severity=critical").strip() == "critical"


@needs_amtool
@pytest.mark.parametrize("text", ["route: {receiver: x}\nreceivers: [{name: x}]\n", "route: {}\n", "route: {receiver: y}\nfoo: 1\n"])
def test_our_check_agrees_with_amtool_s(tmp_path: Path, text: str) -> None:
    path = tmp_path / "am.yml"
    path.write_text(text)
    theirs = subprocess.run(["amtool", "check-config", str(path)], capture_output=True, timeout=30, check=False).returncode
    assert main(["metrics", "check-alertmanager-config", str(path)]) == theirs


@needs_upstream
def test_notifications_and_fingerprints_are_upstream_s(process: Process, hook: Hook, tmp_path: Path) -> None:
    theirs, port = Hook(), free_port()
    (tmp_path / "theirs.yml").write_text(CONFIG.replace("URL", theirs.url))
    command = [
        "prometheus-alertmanager", f"--config.file={tmp_path}/theirs.yml", f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.path={tmp_path}/theirs", "--cluster.listen-address=", f"--web.external-url={process.url}",
    ]  # fmt: skip
    with open(tmp_path / "theirs.log", "wb") as log:
        upstream = subprocess.Popen(command, stdout=log, stderr=log)
    model = Process(tmp_path / "unused", "", port)
    try:
        wait_for(lambda: model.get("/-/ready") is not None, "Debian's Alertmanager does not come up")
        alerts = [alert("A", i="2", severity="critical"), alert("A", i="1", severity="critical", job="x"), alert("B", u='ä\n"')]
        now = datetime.now(UTC).isoformat()
        alerts = [{**one, "startsAt": now} for one in alerts]  # so that each group waits for all of its alerts
        for server in (process, model):
            server.post("/api/v2/alerts", alerts)
        wait_for(lambda: len(hook.bodies) >= 2 and len(theirs.bodies) >= 2, "not all were told")
        for body in hook.bodies:
            assert body.pop("notification_reason") == "first notification" and body.pop("routeLabels") == {}  # newer than Debian's
        assert sorted(hook.bodies, key=str) == sorted(theirs.bodies, key=str)
    finally:
        upstream.terminate()
        upstream.wait(30)
        theirs.close()


def test_silences_and_what_was_told_survive_kill_9(process: Process, hook: Hook) -> None:
    body = {
        "matchers": [{"name": "alertname", "value": "S", "isRegex": False}], "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "me", "comment": "why",
    }  # fmt: skip
    alerts = [alert("A"), alert("S")]
    process.post("/api/v2/alerts", alerts)
    for _ in range(3):
        identity = process.post("/api/v2/silences", body)["silenceID"]  # killed right after it was acknowledged
        wait_for(lambda: "A firing" in hook.groups(), "A was not told")
        time.sleep(0.5)  # that it was told is written down when the receiver's answer has come
        process.kill()
        process.start()
        assert json.loads(process.get(f"/api/v2/silence/{identity}") or b"")["status"]["state"] == "active"
        process.post("/api/v2/alerts", alerts)
    time.sleep(5)
    assert hook.groups().count("A firing") == 1 and hook.groups().count("S firing") <= 1


def test_two_replicas_tell_once_and_survive_one_death(tmp_path: Path, hook: Hook) -> None:
    ports = [free_port(), free_port()]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    arguments = (*(f"--peer={url}" for url in urls), "--peer-timeout=3")
    replicas = [Process(tmp_path / f"r{n}", CONFIG.replace("URL", hook.url), port, arguments) for n, port in enumerate(ports)]
    try:
        for replica in replicas:
            replica.start()

        def status(replica: Process) -> dict[str, Any]:
            return dict(json.loads(replica.get("/api/v2/status") or b"{}").get("cluster", {}))

        wait_for(lambda: all(len(status(r).get("peers", ())) == 2 for r in replicas), "the replicas do not find each other")
        wait_for(lambda: all(status(r)["status"] == "ready" for r in replicas), "the replicas do not settle")
        for number in range(5):
            for replica in replicas:
                replica.post("/api/v2/alerts", [alert(f"A{number}")])
        wait_for(lambda: len(hook.bodies) >= 5, "not all were told")
        time.sleep(5)
        assert sorted(hook.groups()) == [f"A{number} firing" for number in range(5)]
        first = min(replicas, key=lambda r: status(r)["name"])
        other = next(r for r in replicas if r is not first)
        for replica in replicas:
            replica.post("/api/v2/alerts", [alert("B"), *(alert(f"A{number}") for number in range(5))])
        first.kill()  # before its turn: B is not told yet, unless it was quick
        wait_for(lambda: "B firing" in hook.groups(), "the survivor did not tell")
        time.sleep(4)
        assert hook.groups().count("B firing") <= 2 and all(hook.groups().count(f"A{number} firing") == 1 for number in range(5))
        other.post("/api/v2/alerts", [alert("C")])
        wait_for(lambda: "C firing" in hook.groups(), "the survivor does not tell")
        first.start()
        wait_for(lambda: len(status(first).get("peers", ())) == 2, "the replica does not come back")
        first.post("/api/v2/alerts", [alert("C")])
        time.sleep(5)
        assert hook.groups().count("C firing") == 1
    finally:
        for replica in replicas:
            with contextlib.suppress(AssertionError):
                replica.stop()


def test_a_bad_configuration_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "am.yml"
    path.write_text("route: {receiver: x}\n")
    assert main(["metrics", "alertmanager", "--config", str(path), "--data-dir", str(tmp_path / "data")]) == 1
    assert capsys.readouterr().err == f'podium: {path}: undefined receiver "x" used in route\n'


def test_sighup_reads_the_configuration_again(process: Process) -> None:
    assert process.child is not None
    path = process.folder / "am.yml"

    def receivers() -> list[str]:
        return [one["name"] for one in json.loads(process.get("/api/v2/receivers") or b"[]")]

    path.write_text(process.config.replace("receiver: hook", "receiver: other").replace("name: hook", "name: other"))
    process.child.send_signal(signal.SIGHUP)
    wait_for(lambda: receivers() == ["other", "critical"], "the new configuration was not read")
    path.write_text("route: {}")
    process.child.send_signal(signal.SIGHUP)
    wait_for(lambda: b"was not reloaded" in (process.folder / "log").read_bytes(), "nothing was said about the bad one")
    assert receivers() == ["other", "critical"]
    assert b"alertmanager_config_last_reload_successful 0" in (process.get("/metrics") or b"")


PROMETHEUS = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: ['ADDRESS']}]}]}
"""
RULES = """
groups:
- name: g
  rules:
  - {alert: Always, expr: vector(1) > 0, labels: {severity: critical}, annotations: {summary: 'value {{ $value }}'}}
"""


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")
def test_debian_s_prometheus_sends_its_alerts(process: Process, hook: Hook, tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(PROMETHEUS.replace("ADDRESS", process.url.removeprefix("http://")))
    (tmp_path / "rules.yml").write_text(RULES)
    command = [
        "prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb", "--rules.alert.resend-delay=1s",
        f"--web.listen-address=127.0.0.1:{free_port()}",
    ]  # fmt: skip
    with open(tmp_path / "prometheus.log", "wb") as log:
        prometheus = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(lambda: hook.bodies, "nobody was told")
        assert hook.bodies[0]["commonLabels"] == {"alertname": "Always", "severity": "critical"}
        assert (hook.bodies[0]["receiver"], hook.bodies[0]["commonAnnotations"]) == ("critical", {"summary": "value 1"})
    finally:
        prometheus.terminate()
        prometheus.wait(30)
