"""Names are those that Prometheus 3.15's own code (otlptranslator) gives."""

import pytest

from podium.telemetry.metrics.otlp.names import Naming, unit_name
from podium.telemetry.metrics.remote.errors import MessageRefused

BOTH, PLAIN = Naming(), Naming(suffixed=False)
SUFFIXED, AS_IS = Naming(escaped=False), Naming(escaped=False, suffixed=False)

METRICS = [
    (BOTH, "http.server.duration", "ms", "histogram", "http_server_duration_milliseconds"),
    (BOTH, "system.cpu.time_seconds", "s", "counter", "system_cpu_time_seconds_total"),
    (BOTH, "a_total.b", "{request}", "counter", "a_b_total"),
    (BOTH, "usage", "1", "gauge", "usage_ratio"),
    (BOTH, "io", "By/s", "gauge", "io_bytes_per_second"),
    (BOTH, "x", "/s", "gauge", "x_per_second"),
    (BOTH, "1abc", "", "gauge", "_1abc"),
    (BOTH, "x", "a__b", "gauge", "x_a_b"),
    (PLAIN, "_x__y_", "s", "counter", "_x__y_"),
    (PLAIN, "req per sec", "s", "counter", "req_per_sec"),
    (SUFFIXED, "http.server.duration", "ms", "histogram", "http.server.duration_milliseconds"),
    (SUFFIXED, "req_total", "s", "counter", "req_seconds_total"),
    (SUFFIXED, "x_ratio", "1", "gauge", "x_ratio"),
    (AS_IS, "http.server.duration", "ms", "histogram", "http.server.duration"),
]  # fmt: skip


@pytest.mark.parametrize(("naming", "name", "unit", "kind", "made"), METRICS)
def test_a_metric_is_called_as_the_strategy_says(naming: Naming, name: str, unit: str, kind: str, made: str) -> None:
    assert naming.metric(name, unit, kind) == made


LABELS = [
    (Naming(), "b.c", "b_c"),
    (Naming(), "1n", "key_1n"),
    (Naming(), "k..l", "k_l"),
    (Naming(), "__a..b__", "__a_b__"),
    (Naming(every_underscore=True), "k..l", "k__l"),
    (Naming(), "_z", "_z"),
    (Naming(key_before_underscore=True), "_z", "key_z"),
    (Naming(key_before_underscore=True, every_underscore=True), "__x", "__x"),
    (AS_IS, "b.c", "b.c"),
]


@pytest.mark.parametrize(("naming", "name", "made"), LABELS)
def test_a_label_is_called_as_the_configuration_says(naming: Naming, name: str, made: str) -> None:
    assert naming.label(name) == made


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: BOTH.metric("..", "", "gauge"), 'normalization for metric ".." resulted in empty name'),
        (lambda: PLAIN.metric(".._", "", "gauge"), 'normalization for metric ".._" resulted in invalid name "_"'),
        (lambda: BOTH.label(""), "label name is empty"),
        (lambda: BOTH.label("\u00e9"), 'normalization for label name "\u00e9" resulted in invalid name "_"'),
        (lambda: AS_IS.label("__"), 'label name "__" contains only underscores'),
    ],
)
def test_what_leaves_no_name_is_refused(call, reason: str) -> None:
    with pytest.raises(MessageRefused) as refusal:
        call()
    assert str(refusal.value) == reason


def test_units_have_names() -> None:
    found = {unit: unit_name(unit) for unit in ("s", "By/s", "1", "%", "{x}", "m/{y}", "foo bar", "/w")}
    assert found == {
        "s": "seconds", "By/s": "bytes_per_second", "1": "", "%": "percent", "{x}": "", "m/{y}": "meters", "foo bar": "foo_bar", "/w": "per_week",
    }  # fmt: skip
