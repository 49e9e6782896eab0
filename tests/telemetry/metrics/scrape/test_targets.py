"""From discovered labels to targets."""

import pytest

from podium.telemetry.metrics.configuration.configuration import load
from podium.telemetry.metrics.discovery.groups import TargetGroup
from podium.telemetry.metrics.scrape.errors import BadTarget
from podium.telemetry.metrics.scrape.targets import Dropped, Target, TargetMaker


def maker(text: str = "") -> TargetMaker:
    (job,) = load("scrape_configs:\n- job_name: j\n" + "".join(f"  {line}\n" for line in text.split("\n"))).jobs
    return TargetMaker(job)


CASES: list[tuple[str, dict[str, str], str, dict[str, str]]] = [
    ("", {"__address__": "a:1"}, "http://a:1/metrics", {"job": "j", "instance": "a:1"}),
    ("", {"__address__": "a"}, "http://a/metrics", {"job": "j", "instance": "a"}),
    ("", {"__address__": "a:1", "job": "x", "instance": "y", "__meta_z": "1"}, "http://a:1/metrics", {"job": "x", "instance": "y"}),
    ("scheme: https\nmetrics_path: /m/ü x", {"__address__": "[::1]:9"}, "https://[::1]:9/m/%C3%BC%20x", {"job": "j", "instance": "[::1]:9"}),
    ("params: {m: [m1, m2], x: ['a b']}", {"__address__": "a:1"}, "http://a:1/metrics?m=m1&m=m2&x=a+b", {"job": "j", "instance": "a:1"}),
    (
        "relabel_configs:\n- {source_labels: [__address__], target_label: __param_target}\n"
        "- {source_labels: [__param_target], target_label: instance}\n"
        "- {target_label: __address__, replacement: 'blackbox:9115'}\n- {source_labels: [__meta_pod], target_label: pod}",
        {"__address__": "https://site", "__meta_pod": "p"},
        "http://blackbox:9115/metrics?target=https%3A%2F%2Fsite",
        {"job": "j", "instance": "https://site", "pod": "p"},
    ),
    ("", {"__address__": "a:1", "__metrics_path__": "x", "__scheme__": "https"}, "https://a:1/x", {"job": "j", "instance": "a:1"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "found", "url", "labels"), CASES)
def test_a_target_is_its_url_and_public_labels(text: str, found: dict[str, str], url: str, labels: dict[str, str]) -> None:
    target = maker(text).make(found)
    assert isinstance(target, Target)
    assert (target.url, dict(target.labels)) == (url, labels)
    assert dict(target.discovered).items() >= {"__scrape_interval__": "1m", "__scrape_timeout__": "10s"}.items()


def test_interval_and_timeout_come_from_labels() -> None:
    target = maker().make({"__address__": "a", "__scrape_interval__": "5s", "__scrape_timeout__": "1s500ms"})
    assert isinstance(target, Target)
    assert (target.interval_ms, target.timeout_ms) == (5000, 1500)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({}, "no address"),
        ({"__address__": "http://a/b"}, '"http://a/b" is not a valid hostname'),
        ({"__address__": "a", "__scrape_interval__": "x"}, 'error parsing scrape interval: not a valid duration string: "x"'),
        ({"__address__": "a", "__scrape_interval__": "0s"}, "scrape interval cannot be 0"),
        ({"__address__": "a", "__scrape_timeout__": "0"}, "scrape timeout cannot be 0"),
        ({"__address__": "a", "__scrape_interval__": "1s"}, 'scrape timeout cannot be greater than scrape interval ("10s" > "1s")'),
        ({"__address__": "a", "x": "\ud800"}, 'invalid label value for "x"'),
    ],
)
def test_what_is_no_target_is_said(found: dict[str, str], message: str) -> None:
    with pytest.raises(BadTarget) as wrong:
        maker().make(found)
    assert str(wrong.value).startswith(message)
    (made,) = maker().of(TargetGroup("s", (found,)))
    assert str(made).startswith(f"instance 0 in group s: {message}")


def test_a_dropped_target_keeps_what_was_discovered() -> None:
    dropped = maker("relabel_configs: [{action: drop, source_labels: [x], regex: '1'}]").make(
        {"__address__": "a", "x": "1", "__meta_y": "2"}
    )
    assert isinstance(dropped, Dropped)
    assert dict(dropped.discovered).items() >= {"x": "1", "__meta_y": "2", "job": "j"}.items()


def test_a_targets_own_labels_override_the_groups() -> None:
    (made,) = maker().of(TargetGroup("s", ({"__address__": "a", "x": "own"},), {"x": "group", "y": "group"}))
    assert isinstance(made, Target)
    assert dict(made.labels).items() >= {"x": "own", "y": "group"}.items()


def test_the_offset_is_the_same_instant_of_every_interval() -> None:
    target = maker().make({"__address__": "a"})
    assert isinstance(target, Target)
    instants = {(now + target.offset_ms(now, 7)) % 60_000 for now in range(0, 600_000, 777)}
    assert len(instants) == 1
    assert all(0 <= target.offset_ms(now, 7) <= 60_000 for now in range(0, 120_000, 333))
