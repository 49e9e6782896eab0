"""`podium metrics explain` as a user sees it."""

import json
from pathlib import Path

import pytest

from podium.cli.arguments import run
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world.real import RealWorld

HISTORY = "# TYPE http_requests counter\n" + "".join(
    f'http_requests_total{{job="{job}",i="{i}"}} {t * i} {1_700_000_000 + t * 15}\n' for job in "ab" for i in range(3) for t in range(40)
)
QUERY = "sum by (job) (rate(http_requests_total[1m]))"
AT = ("--start", "1700000200", "--end", "1700000260", "--step", "30s")


@pytest.fixture
def store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    (tmp_path / "history").write_text(HISTORY + "# EOF\n")
    (tmp_path / "prometheus.yml").write_text("{}")
    assert run(["metrics", "import-openmetrics", str(tmp_path / "history"), "--data-dir", str(tmp_path / "data")], {}) == 0
    capsys.readouterr()
    return tmp_path


def explain(store: Path, *arguments: str) -> int:
    return run(["metrics", "explain", "--config", str(store / "prometheus.yml"), "--data-dir", str(store / "data"), *arguments], {})


def test_a_query_is_explained_over_a_store(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(store, QUERY, *AT) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[22:] for line in lines[1:3]] == [
        "       2      3          72  sum by (job) (rate(http_requests_total[1m]))",
        "       6      3          72  └─ rate(http_requests_total[1m])  (read 6 series, 48 samples)",
    ]
    assert "72 samples looked at" in lines[-1]


def test_a_plan_is_json_too_and_an_instant_query_has_one_step(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(store, QUERY, "--time", "1700000200", "-o", "json") == 0
    explained = json.loads(capsys.readouterr().out)
    plan = explained["plan"]
    assert (plan["node"], plan["series"], plan["steps"], plan["text"]) == ("Aggregation", 2, 1, QUERY)
    assert explained["remoteReads"] == [] and explained["stats"]["samples"]["totalQueryableSamples"] == 24


def test_warnings_are_told(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store / "prometheus.yml").write_text("remote_read: [{url: 'http://127.0.0.1:9/api/v1/read', read_recent: true}]")
    assert explain(store, "http_requests_total", "--time", "1700000200") == 0
    assert "warning: remote_read: " in capsys.readouterr().out


REFUSED = [
    (("sum(", "--time", "1"), 'invalid parameter "query": 1:5: parse error'),
    (("up", "--start", "1"), "both --start and --step"),
    (("up", "--time", "soon"), 'cannot parse "soon" to a valid timestamp'),
]


@pytest.mark.parametrize(("arguments", "reason"), REFUSED)
def test_what_cannot_be_explained_is_refused(
    store: Path, arguments: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(store, *arguments) == 1
    assert reason in capsys.readouterr().err


def test_a_store_that_a_server_has_open_is_asked_through_it(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = Tsdb.open(store / "data", RealWorld(), threads=False)
    try:
        assert explain(store, "up") == 1
    finally:
        held.lock.release()  # type: ignore[union-attr]
    assert "ask it, with --url" in capsys.readouterr().err


def test_a_server_that_does_not_answer_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["metrics", "explain", "up", "--url", "http://127.0.0.1:9"], {}) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err
