"""What of pages gets into the store: a model says, for any sequence of pages."""

import math
import random
from typing import Any

import numpy as np
import pytest

from podium.telemetry.metrics.configuration.configuration import load
from podium.telemetry.metrics.configuration.scraping import ScrapeConfig
from podium.telemetry.metrics.exposition.grammar import TextFormat
from podium.telemetry.metrics.exposition.layout import TextLayout
from podium.telemetry.metrics.exposition.messages import HISTOGRAM
from podium.telemetry.metrics.exposition.protobuf import ProtobufLayout, parse_protobuf
from podium.telemetry.metrics.exposition.text import parse_text
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import Labels, labels_of
from podium.telemetry.metrics.samples import is_stale
from podium.telemetry.metrics.scrape import series
from podium.telemetry.metrics.scrape.errors import LimitMet, ScrapeFailed
from podium.telemetry.metrics.scrape.histograms import schema_for_factor
from podium.telemetry.metrics.scrape.series import SeriesWriter, Written
from tests.fakes.memory_samples import MemorySamples
from tests.telemetry.metrics.exposition.test_protobuf import NATIVE, encoded, family

TARGET: Labels = (("instance", "i"), ("job", "j"))


def config(text: str = "") -> ScrapeConfig:
    (job,) = load("scrape_configs:\n- job_name: j\n" + "".join(f"  {line}\n" for line in text.split("\n"))).jobs
    return job


class Scraped:
    """A target whose pages are written a second after another."""

    def __init__(self, text: str = "", form: TextFormat = TextFormat.PROMETHEUS) -> None:
        self.store = MemorySamples()
        self.writer = SeriesWriter(self.store, config(text), TARGET)
        self.form = form
        self.time_ms = 0

    def page(self, text: str) -> Written:
        self.time_ms += 1000
        layout = self.writer.layout
        return self.writer.write(parse_text(text.encode(), self.form, layout if isinstance(layout, TextLayout) else None), self.time_ms)

    def native(self, *metrics: dict[str, Any]) -> Written:
        self.time_ms += 1000
        layout = self.writer.layout
        body = encoded(family("h", HISTOGRAM, *metrics))
        return self.writer.write(parse_protobuf(body, layout if isinstance(layout, ProtobufLayout) else None), self.time_ms)

    def fail(self) -> None:
        self.time_ms += 1000
        self.writer.end(self.time_ms)

    def shown(self) -> list[str]:
        """`name{labels}: value@time ...`, times in seconds, stale as x."""
        lines = []
        for labels in sorted(self.store.values):
            own = ",".join(f"{n}={v}" for n, v in labels if n not in ("__name__", *dict(TARGET)))
            points = " ".join(f"{point(v)}@{t / 1000:g}" for t, v in sorted(self.store.values[labels].items()))
            lines.append(f"{dict(labels)['__name__']}{{{own}}}: {points}")
        return lines


def point(value: float | Histogram) -> str:
    number = value.sum if isinstance(value, Histogram) else value
    shown = "x" if is_stale(np.array([number])).item() else f"{number:g}"
    return f"h{shown}" if isinstance(value, Histogram) else shown


def test_a_series_that_is_gone_is_stale_once_and_lives_again_when_it_returns() -> None:
    target = Scraped()
    assert target.page("a 1\nb 2\n") == Written(2, 2, 2, target.store.append_samples([]), 0)
    assert target.page("a 2\n").series_added == 0
    target.page("a 3\n")
    target.page("a 4\nb 5\n")
    target.fail()
    target.fail()
    target.page("a 6\nb 7\n")
    assert target.shown() == ["a{}: 1@1 2@2 3@3 4@4 x@5 6@7", "b{}: 2@1 x@2 5@4 x@5 7@7"]


def test_target_labels_are_attached_and_win() -> None:
    target = Scraped()
    target.page('a{job="own",exported_job="x",z="1"} 1\n')
    (labels,) = target.store.values
    assert labels == labels_of(
        {"__name__": "a", "job": "j", "instance": "i", "exported_job": "x", "exported_exported_job": "own", "z": "1"}
    )


def test_honored_labels_win_and_an_empty_one_keeps_the_targets_away() -> None:
    target = Scraped("honor_labels: true")
    target.page('a{job="own"} 1\nb{instance=""} 2\n')
    assert sorted(target.store.values) == [
        (("__name__", "a"), ("instance", "i"), ("job", "own")), (("__name__", "b"), ("job", "j"))
    ]  # fmt: skip


def test_an_empty_label_is_not_honored_otherwise() -> None:
    target = Scraped()
    target.page('b{instance="",x=""} 2\n')
    assert list(target.store.values) == [(("__name__", "b"), *TARGET)]


def test_metric_relabelling_drops_and_rewrites() -> None:
    rules = "metric_relabel_configs:\n- {source_labels: [__name__], regex: 'go_.*', action: drop}\n- {action: labeldrop, regex: pod}"
    target = Scraped(rules)
    written = target.page('go_a 1\na{pod="1"} 2\na{pod="2"} 3\nb 4\n')
    assert (written.total, written.kept, written.series_added, written.duplicates) == (4, 3, 2, 1)
    target.page('go_a 1\na{pod="1"} 5\na{pod="2"} 6\nb 7\n')
    assert target.shown() == ["a{}: 2@1 5@2", "b{}: 4@1 7@2"]


def test_a_series_written_in_another_way_is_the_same_series() -> None:
    target = Scraped()
    target.page('a{x="1",y="2"} 1\n')
    assert target.page('a{y="2",x="1"} 2\n').series_added == 0
    target.page('a{y="2", x="1"} 3\nb 1\n')
    assert target.shown() == ["a{x=1,y=2}: 1@1 2@2 3@3", "b{}: 1@3"]


def test_the_first_of_two_samples_counts() -> None:
    target = Scraped()
    assert target.page("a 1\na 2\nb 1\n").duplicates == 1
    target.page("a 3\na 4\nb 2\n")
    target.page("b 3\na 5\n")
    assert target.shown() == ["a{}: 1@1 3@2 5@3", "b{}: 1@1 2@2 3@3"]


def test_times_on_the_page_count_and_are_not_tracked() -> None:
    target = Scraped()
    target.page("a 1 500\nb 2\na 1 600\n")
    target.page("b 3\n")
    assert target.shown() == ["a{}: 1@0.5 1@0.6", "b{}: 2@1 3@2"]


def test_times_on_the_page_are_tracked_on_demand() -> None:
    target = Scraped("track_timestamps_staleness: true")
    target.page("a 1 500\nb 2\n")
    target.page("b 3\n")
    assert target.shown() == ["a{}: 1@0.5 x@2", "b{}: 2@1 3@2"]


def test_times_on_the_page_are_ignored_on_demand() -> None:
    target = Scraped("honor_timestamps: false")
    target.page("a 1 500\n")
    target.fail()
    assert target.shown() == ["a{}: 1@1 x@2"]


def test_a_sample_from_the_future_is_dropped() -> None:
    target = Scraped()
    written = target.page("a 1 601001\nb 2 600000\n")
    assert written.rejected.too_old == 1
    assert target.shown() == ["b{}: 2@600"]


def test_exemplars_get_the_labels_of_their_series() -> None:
    target = Scraped("", TextFormat.OPENMETRICS)
    target.page('a_total 1 # {id="1"} 1\nb_total{x="y"} 2 # {id="2"} 3 0.25\nc_total 1 # {id="' + "x" * 127 + '"} 1\n# EOF\n')
    found = target.store.exemplars([], 0, 10_000)
    assert [(dict(s)["__name__"], dict(s).get("job"), [(e.labels, e.value, e.time_ms) for e in es]) for s, es in found] == [
        ("a_total", "j", [((("id", "1"),), 1.0, 1000)]), ("b_total", "j", [((("id", "2"),), 3.0, 250)])
    ]  # fmt: skip


def test_metadata_is_that_of_the_last_layout() -> None:
    target = Scraped()
    target.page("# TYPE a counter\n# HELP a text\na 1\n")
    assert {n: (m.type, m.help) for n, m in target.store.metadata()[TARGET].items()} == {"a": ("counter", "text")}
    target.page("# TYPE b gauge\nb 1\n")
    assert list(target.store.metadata()[TARGET]) == ["b"]


def test_native_histograms_are_written_and_end() -> None:
    target = Scraped("scrape_native_histograms: true")
    one, two = ({"label": [{"name": "x", "value": v}], "histogram": NATIVE} for v in "12")
    target.native(one, two)
    target.native(one, two)
    target.native(one)
    target.fail()
    assert target.shown() == ["h{x=1}: h5.5@1 h5.5@2 h5.5@3 hx@4", "h{x=2}: h5.5@1 h5.5@2 hx@3"]


def test_native_histograms_are_made_coarser_to_fit() -> None:
    target = Scraped("native_histogram_bucket_limit: 3")
    target.native({"histogram": NATIVE})
    (points,) = target.store.values.values()
    assert points[1000] == Histogram(1, 11, 5.5, 0.001, 1, {0: 4, 1: 2}, {0: 4})
    with pytest.raises(LimitMet, match="histogram bucket limit exceeded"):
        Scraped("native_histogram_bucket_limit: 2").native({"histogram": NATIVE})


@pytest.mark.parametrize(("factor", "schema"), [(0, 8), (1, 8), (1.0001, 8), (1.1, 2), (2, 0), (3, -1), (65536, -4), (1e9, -4)])
def test_the_factor_between_buckets_says_the_finest_schema(factor: float, schema: int) -> None:
    assert schema_for_factor(factor) == schema
    target = Scraped(f"native_histogram_min_bucket_factor: {factor}")
    target.native({"histogram": NATIVE})
    (points,) = target.store.values.values()
    kept = points[1000]
    assert isinstance(kept, Histogram)
    assert kept.schema == min(schema, 3)
    assert sum(kept.positive.values()) == 6


LIMITS = [
    ("sample_limit: 2", "a 1\nb 2\nc 3\n", "sample limit exceeded"),
    ("label_limit: 3", 'a{x="1"} 1\n', "label_limit exceeded (metric: a, number of labels: 4, limit: 3)"),
    ("label_name_length_limit: 8", 'a{longername="1"} 1\n', "label_name_length_limit exceeded (metric: a, label name: longername, length: 10"),
    ("label_value_length_limit: 3", 'a{x="1234"} 1\n', 'label_value_length_limit exceeded (metric: a, label name: x, value: "1234", length: 4'),
    ("metric_name_validation_scheme: legacy", '{"a.b"} 1\n', "invalid metric name or label names: "),
    ("metric_relabel_configs: [{action: labeldrop, regex: __name__}]", "a 1\n", "missing metric name (__name__ label)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "page", "message"), LIMITS)
def test_limits_fail_the_scrape_and_nothing_is_written(text: str, page: str, message: str) -> None:
    target = Scraped(text)
    with pytest.raises(ScrapeFailed) as failed:
        target.page(page)
    assert str(failed.value).startswith(message)
    assert target.shown() == []
    if "sample_limit" in text:
        assert isinstance(failed.value, LimitMet)
        assert (failed.value.total, failed.value.kept) == (3, 3)
        target.page("a 1\nb 2\n")
        with pytest.raises(LimitMet):
            target.page("a 1\nb 2\nc 3\n")
        target.writer.end(5000)
        assert target.shown() == ["a{}: 1@2 x@5", "b{}: 2@2 x@5"]


@pytest.mark.parametrize("seed", range(30))
def test_any_sequence_of_pages_is_stored_as_the_model_says(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "DEAD_MIN", 2)
    chance = random.Random(seed)
    target = Scraped("metric_relabel_configs: [{source_labels: [__name__], regex: d.*, action: drop}]")
    names = [f"{kind}{n}" for kind in "abd" for n in range(6)]
    expected: dict[str, dict[int, float]] = {}
    before: set[str] = set()
    for step in range(1, 40):
        if chance.random() < 0.1:
            target.fail()
            now: list[str] = []
        else:
            if step == 1 or chance.random() < 0.6:
                page = [name for name in names if chance.random() < 0.7]
                if chance.random() < 0.3:
                    chance.shuffle(page)
            spelled = {name: chance.choice([name, f"{name}{{}}"]) if chance.random() < 0.2 else name for name in page}
            target.page("".join(f"{spelled[name]} {step}\n" for name in page))
            now = [name for name in page if not name.startswith("d")]
        for name in now:
            expected.setdefault(name, {})[step * 1000] = step
        for name in before - set(now):
            expected[name][step * 1000] = math.nan
        before = set(now)
    stored = {dict(labels)["__name__"]: points for labels, points in target.store.values.items()}
    shown = {n: {t: "x" if math.isnan(v) else f"{v:g}" for t, v in sorted(points.items())} for n, points in sorted(expected.items())}
    assert {n: {t: point(v) for t, v in sorted(points.items())} for n, points in sorted(stored.items())} == shown
