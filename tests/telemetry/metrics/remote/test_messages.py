"""Remote write messages: what is written is read back, and what is none is refused."""

import math

import pytest

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import labels_of
from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.telemetry.metrics.remote.messages import compress, decompress, encode_version_1, encode_version_2, message
from podium.telemetry.metrics.remote.write_batch import WriteBatch
from podium.telemetry.metrics.samples import Exemplar
from podium.telemetry.metrics.storage import Metadata

UP = labels_of({"__name__": "up", "job": "a"})
NATIVE = Histogram(
    schema=2, count=7.0, sum=3.5, zero_threshold=1e-9, zero_count=1.0, positive={-3: 1.0, -2: 2.0, 5: 3.0}, negative={0: 0.0}
)
SERIES = [(UP, [(1000, 1.0), (2000, 0.5)]), (labels_of({"__name__": "h"}), [(1000, NATIVE)])]


@pytest.mark.parametrize(("encode", "read"), [(encode_version_1, WriteBatch.version_1), (encode_version_2, WriteBatch.version_2)])
def test_samples_and_histograms_are_read_as_they_were_written(encode, read) -> None:
    batch = read(encode(SERIES))
    assert [(s.labels, s.time_ms, s.value) for s in batch.samples] == [(labels, t, v) for labels, points in SERIES for t, v in points]


def test_metadata_travels_in_both_versions() -> None:
    about = Metadata("counter", "Requests.", "bytes")
    assert WriteBatch.version_1(encode_version_1([], [("up", about)])).metadata == {"up": about}
    assert WriteBatch.version_2(encode_version_2(SERIES[:1], {"up": about})).metadata == {"up": about}


def test_delta_encoded_histograms_of_integers_are_read() -> None:
    request = message("WriteRequest")()
    series = request.timeseries.add()
    series.labels.add(name="__name__", value="h")
    native = series.histograms.add(count_int=6, sum=1.5, schema=0, timestamp=5)
    native.positive_spans.add(offset=-1, length=2)
    native.positive_spans.add(offset=2, length=1)
    native.positive_deltas.extend([1, 1, 1])
    [sample] = WriteBatch.version_1(compress(request.SerializeToString())).samples
    assert isinstance(sample.value, Histogram)
    assert (sample.value.positive, sample.value.count) == ({-1: 1.0, 0: 2.0, 3: 3.0}, 6.0)


BAD_LABELS = [
    ([], "a series has no labels"),
    ([("job", "a")], "a series has no metric name"),
    ([("__name__", "a"), ("", "x")], "a label has no name"),
    ([("__name__", "a"), ("x", "1"), ("x", "2")], "duplicate label with name: x"),
]


@pytest.mark.parametrize("encode_and_read", [(encode_version_1, WriteBatch.version_1), (encode_version_2, WriteBatch.version_2)])
@pytest.mark.parametrize(("pairs", "reason"), BAD_LABELS)
def test_labels_that_name_no_series_are_left_out_and_told_of(pairs, reason: str, encode_and_read) -> None:
    encode, read = encode_and_read
    batch = read(encode([(tuple(pairs), [(1, 1.0)]), (UP, [(1, 2.0)])]))
    assert [s.labels for s in batch.samples] == [UP]
    assert len(batch.refused) == 1 and reason in batch.refused[0]


def test_a_symbol_that_is_not_there_is_told_of() -> None:
    request = message("RequestV2")(symbols=["", "__name__", "up"])
    request.timeseries.add(labels_refs=[1, 7])
    request.timeseries.add(labels_refs=[1, 2], metadata={"help_ref": 9}).samples.add(value=1.0, timestamp=1)
    batch = WriteBatch.version_2(compress(request.SerializeToString()))
    assert ["beyond the 3" in reason for reason in batch.refused] == [True, True]
    assert not batch.samples


def test_a_series_of_version_2_without_samples_is_told_of() -> None:
    assert WriteBatch.version_2(encode_version_2([(UP, [])])).refused == [
        'TimeSeries must contain at least one sample or histogram for series {__name__="up", job="a"}'
    ]


@pytest.mark.parametrize(("encode", "read"), [(encode_version_1, WriteBatch.version_1), (encode_version_2, WriteBatch.version_2)])
def test_exemplars_travel_with_the_samples_of_their_series(encode, read) -> None:
    exemplar = Exemplar(labels_of({"trace_id": "x"}), 0.5, 900)
    long = Exemplar(labels_of({"trace_id": "x" * 128}), 0.5, 901)
    batch = read(encode(SERIES, exemplars={UP: [exemplar, long], labels_of({"__name__": "other"}): [exemplar]}))
    assert batch.exemplars == [(UP, exemplar)]


def test_a_series_is_described_by_its_family() -> None:
    series = [(labels_of({"__name__": name}), [(1, 1.0)]) for name in ("h_bucket", "h_sum", "c_total", "other")]
    known = {"h": Metadata("histogram", "H."), "c_total": Metadata("counter", "C.")}
    assert WriteBatch.version_2(encode_version_2(series, known)).metadata == known


BAD_HISTOGRAMS = [
    (Histogram(9, 1.0, 1.0), "an invalid schema"),
    (Histogram(0, 1.0, 1.0, positive={1: -1.0}), "is negative"),
    (Histogram(0, 1.0, 1.0, custom_bounds=(1.0,)), "custom bounds must be empty"),
    (Histogram(-53, 1.0, 1.0, custom_bounds=(2.0, 1.0)), "strictly increasing"),
    (Histogram(-53, 1.0, 1.0, positive={3: 1.0}, custom_bounds=(1.0,)), "only 1 custom bounds"),
]


@pytest.mark.parametrize(("histogram", "reason"), BAD_HISTOGRAMS)
def test_what_is_no_histogram_is_left_out_and_told_of(histogram: Histogram, reason: str) -> None:
    batch = WriteBatch.version_1(encode_version_1([(UP, [(1, histogram), (2, NATIVE)])]))
    assert [s.time_ms for s in batch.samples] == [2]
    assert len(batch.refused) == 1 and reason in batch.refused[0]


@pytest.mark.parametrize("body", [b"", b"garbage", b"\xff" * 40, compress(b"\xff\xff\xff")])
def test_garbage_is_refused(body: bytes) -> None:
    with pytest.raises(MessageRefused):
        WriteBatch.version_1(body)


def test_a_bomb_is_refused_before_it_is_opened() -> None:
    with pytest.raises(MessageRefused, match="at most 33554432"):
        decompress(b"\xff\xff\xff\xff\x0f" + b"x" * 10)


def test_nan_and_infinities_survive() -> None:
    values = [math.inf, -math.inf, 5e-324]
    batch = WriteBatch.version_1(encode_version_1([(UP, [(i, v) for i, v in enumerate(values)])]))
    assert [s.value for s in batch.samples] == values
