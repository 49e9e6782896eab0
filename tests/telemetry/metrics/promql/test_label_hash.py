"""Hashes of labels are those that Prometheus 3.5's own code (model/labels) gives for the same labels."""

from podium.telemetry.metrics.labels import labels_of
from podium.telemetry.metrics.promql import label_hash
from podium.telemetry.metrics.promql.label_hash import label_hashes

UPSTREAM = {
    0: 0xECD75F13400ABDF5, 1: 0x61EE25D1A3FD41F0, 3: 0x5B51878346309DF8, 4: 0x6C3EA17B2D894EA9, 7: 0x8141A66662250385,
    8: 0xE3659C476C7CD716, 20: 0x238AE9D728775D0D, 31: 0x3CA776024C98A2E3, 32: 0x4D18AD332D950261, 33: 0x94E6A4A7AC0EA823,
    63: 0xA7EF339A054FE746, 64: 0x0BE694AFE7DE676F, 100: 0x8E477D263320A1A8, 253: 0x877C87C18A26546D, 254: 0x23AC02F5ADFBF18B,
    255: 0x7EB63C88CCB224DB, 256: 0x3765C05B1C6C8972, 1000: 0xF25FCC40B1DE2551,
}  # fmt: skip
"""up{v=...} with a value of so many characters."""
ROWS = [labels_of({"__name__": "up", "v": ("aB3z/" * size)[:size]}) for size in UPSTREAM]


def test_sets_of_any_size_hash_as_upstreams() -> None:
    assert label_hashes(ROWS).tolist() == list(UPSTREAM.values())


def test_long_sets_hash_as_they_do_among_short_ones(monkeypatch) -> None:
    monkeypatch.setattr(label_hash, "LONG_BYTES", 100)
    monkeypatch.setattr(label_hash, "SETS_AT_ONCE", 5)
    assert label_hashes(ROWS).tolist() == list(UPSTREAM.values())


def test_names_and_values_are_utf_8() -> None:
    assert label_hashes([labels_of({"__name__": "größe", "ключ": "значение", "x": "日本"})]).tolist() == [0x7A3F579A59786CAE]


def test_the_empty_set_has_a_hash_and_no_sets_have_none() -> None:
    assert label_hashes([()]).tolist() == [0xEF46DB3751D8E999]
    assert label_hashes([]).tolist() == []
