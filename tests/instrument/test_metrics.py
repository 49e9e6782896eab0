"""Counting, and its text form."""

from podium.instrument.metrics import CHILDREN_MAX, Registry


def test_the_text_form_is_prometheus_own() -> None:
    registry = Registry()
    requests = registry.counter("requests_total", "Requests.", ("code",))
    requests.labels("200").add()
    requests.labels("200").add(2)
    requests.labels('4"\\\n').add(0.5)
    registry.gauge("open", "Open.").labels().set(7)
    durations = registry.histogram("seconds", "Durations.", buckets=(0.1, 1.0)).labels()
    for seconds in (0.1, 0.5, 3):
        durations.observe(seconds)
    assert registry.exposition().decode() == "\n".join([
        "# HELP open Open.",
        "# TYPE open gauge",
        "open 7",
        "# HELP requests_total Requests.",
        "# TYPE requests_total counter",
        'requests_total{code="200"} 3',
        'requests_total{code="4\\"\\\\\\n"} 0.5',
        "# HELP seconds Durations.",
        "# TYPE seconds histogram",
        'seconds_bucket{le="0.1"} 1',
        'seconds_bucket{le="1"} 2',
        'seconds_bucket{le="+Inf"} 3',
        "seconds_sum 3.6",
        "seconds_count 3",
        "",
    ])  # fmt: skip


def test_a_child_is_always_the_same() -> None:
    family = Registry().counter("c", "C.", ("a",))
    assert family.labels("x") is family.labels("x")


def test_label_sets_beyond_the_bound_are_counted_together() -> None:
    family = Registry().counter("c", "C.", ("a",))
    for number in range(CHILDREN_MAX + 5):
        family.labels(str(number)).add()
    assert family.labels("other").value == 5
