"""Streamed answers: frames, and chunks that Prometheus 3.5's own code (tsdb/chunkenc) made."""

import math
from base64 import b64decode
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest

from podium.telemetry.metrics.histogram import Histogram, ResetHint
from podium.telemetry.metrics.histogram_arithmetic import equal
from podium.telemetry.metrics.remote import histogram_chunks, histogram_encoder, xor_chunks, xor_encoder
from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.telemetry.metrics.remote.frames import crc32c, frame, frames
from podium.telemetry.metrics.samples import STALE_BITS
from tests.telemetry.metrics.remote.xor_writer import write_chunk

XOR = (
    "AAyAoKv++WIAAAAAAAAAAJh1xFf+QADhN/+3/9gOgA9yVGv/uUoUNmkAAAAAAAA+AAAAAAD8GxFAAAAAAAAf///////GBEBn44/I"
    "eRAA6z/AAAAF0fPDz/D/+N+Q8iAB1nf////6LghroKf3MzMzMzMzfgA/76FlPF//AHAAAAAAAAA="
)
INTEGERS = "AAQA/z9QYk3S8an8lKVY4WMnj6MSAAAAAAAAAACMkXwdXuGjiL//FdPiUYS//g4lGL3/4AAAAAAACA=="
FLOATS = "AAMAAO5copRUtz7IObmsoAAAAAQedoHMmy35b2DCAGAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB/4AAAAAAAAIAAAAAAAAAAf8AAAAAAAAHw6mGsT2In/4S//jCdAEsP0AQAAAAAAAC"
GAUGE = "AAHAdCMY4VACAAAAAAAAD/wAAAAAAAAQAgAAAAAAABAAAAAAAAAAAA=="
TIMES = [
    1700000000000, 1700000015000, 1700000030000, 1700000045001, 1700000060000, 1700000061000, 1700000400000, 1700009000000, 1700010000000,
    1799999999999, 1800000000000, 9000000000000000,
]  # fmt: skip
VALUES = [0, 1, 1, 2.5, -3, math.inf, math.nan, STALE_BITS.view(np.float64).item(), 1e300, 5e-324, 0.1, 0.2]


def bits(values: object) -> list[int]:
    return [b if b != 0x7FF8000000000001 else 0x7FF8000000000000 for b in np.array(values, np.float64).view(np.uint64).tolist()]  # Go's NaN


def test_a_chunk_of_upstreams_is_read_to_the_bit() -> None:
    [(times, values)] = xor_chunks.decode([b64decode(XOR)])
    assert (times.tolist(), bits(values)) == (TIMES, bits(VALUES))


def test_many_chunks_of_any_length_are_read_together() -> None:
    random = Random(4)
    series = [random_samples(random, size) for size in [0, 1, 2, 3, 120, 119, 7, 120, 0, 1]]
    found = xor_chunks.decode([write_chunk(times, values) for times, values in series])
    assert [(t.tolist(), bits(v)) for t, v in found] == [(times, bits(values)) for times, values in series]


def random_samples(random: Random, size: int) -> tuple[list[int], list[float]]:
    steps = [random.choice([15_000, 15_000, 15_000, 14_999, 1, 60_000, 10**7, 10**12]) for _ in range(size)]
    times = np.cumsum([random.choice([-5, 0, 1_700_000_000_000]), *steps])[:size].tolist()
    kinds = [
        lambda: 1.0,
        lambda: float(random.randint(0, 100)),
        random.random,
        lambda: random.choice(VALUES),
        lambda: -random.random() * 1e-300,
    ]
    kind = random.choice(kinds)
    return times, [kind() if random.random() < 0.8 else random.choice(kinds)() for _ in range(size)]


def written(series: Sequence[tuple[list[int], list[float]]]) -> list[bytes]:
    firsts = np.cumsum([0, *(len(times) for times, _ in series)])[:-1]
    times, values = (
        np.array([x for one in part for x in one], kind) for part, kind in zip(zip(*series, strict=True), (np.int64, float), strict=True)
    )
    return xor_encoder.encode(times, values, firsts)


def test_chunks_that_are_written_are_read_as_they_were() -> None:
    random = Random(8)
    for _ in range(40):
        series = [random_samples(random, random.choice([1, 2, 3, 7, 119, 120])) for _ in range(random.randint(1, 12))]
        found = xor_chunks.decode(written(series))
        assert [(t.tolist(), bits(v)) for t, v in found] == [(times, bits(values)) for times, values in series]


def test_chunks_are_the_same_however_many_are_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(9)
    series = [random_samples(random, size) for size in (120, 1, 7, 120, 2, 119)]
    whole = written(series)
    monkeypatch.setattr(xor_encoder, "SAMPLES_AT_ONCE", 100)
    assert written(series) == whole == [chunk for one in series for chunk in written([one])]


def test_what_was_written_takes_about_as_many_bytes_as_upstreams() -> None:
    random = Random(10)
    times = list(range(0, 15_000 * 120, 15_000))
    counter = [float(n * 17 + random.randint(0, 9)) for n in range(120)]
    kinds = [
        (counter, 1.2),
        ([random.random() for _ in times], 1.02),
        ([1.0] * 120, 1.0),
        ([float(random.randint(0, 99)) for _ in times], 1.4),
    ]
    for values, more in kinds:
        assert len(written([(times, values)])[0]) <= more * len(write_chunk(times, values))


@pytest.mark.parametrize("chunk", [FLOATS, GAUGE])
def test_float_histograms_are_written_as_upstream_does_to_the_bit(chunk: str) -> None:
    samples = histogram_chunks.decode(b64decode(chunk), floating=True)
    [(first_ms, last_ms, made)] = histogram_encoder.chunks(samples)
    assert (first_ms, last_ms, made) == (samples[0][0], samples[-1][0], b64decode(chunk))


def counted(count: float, **more: Any) -> Histogram:
    return Histogram(**{"schema": 0, "count": count, "sum": 1.0, "positive": {0: count}, **more})


RUNS: list[tuple[list[Histogram | None], list[int]]] = [
    ([counted(1), counted(2), counted(3)], [3]),
    ([counted(3), counted(2)], [1, 1]),  # started again
    ([counted(3), counted(4, reset_hint=ResetHint.YES)], [1, 1]),
    ([counted(3), counted(4, schema=1)], [1, 1]),
    ([counted(3), counted(4, zero_threshold=0.5)], [1, 1]),
    ([counted(3), counted(4, positive={0: 3.0, 5: 1.0})], [2]),  # one more bucket
    ([counted(3), counted(3, positive={5: 3.0})], [1, 1]),  # one less
    ([counted(3, reset_hint=ResetHint.GAUGE), counted(2, reset_hint=ResetHint.GAUGE)], [2]),
    ([counted(3), counted(3, reset_hint=ResetHint.GAUGE)], [1, 1]),
    ([counted(3), None, None, counted(4)], [3, 1]),
    ([None, counted(4)], [1, 1]),
    ([counted(n) for n in range(250)], [120, 120, 10]),
]


@pytest.mark.parametrize(("histograms", "sizes"), RUNS)
def test_a_chunk_of_histograms_ends_where_its_layout_or_its_counter_does(histograms: list[Histogram | None], sizes: list[int]) -> None:
    samples = [(15_000 * n + n % 3, h) for n, h in enumerate(histograms)]
    found = list(histogram_encoder.chunks(samples))
    assert [int.from_bytes(chunk[:2], "big") for *_, chunk in found] == sizes
    read = [sample for *_, chunk in found for sample in histogram_chunks.decode(chunk, floating=True)]
    for (time_ms, back), (at_ms, given) in zip(read, samples, strict=True):
        assert time_ms == at_ms and ((back is None) is (given is None)) and (given is None or back is None or equal(back, given))


def test_zero_thresholds_and_bounds_of_any_kind_are_kept() -> None:
    for threshold in (0.0, 2.0**-128, 1e-3, 2048.0, 4096.0, 5e-324):
        [(*_, chunk)] = histogram_encoder.chunks([(7, counted(1, zero_threshold=threshold))])
        assert histogram_chunks.decode(chunk, floating=True)[0][1].zero_threshold == threshold  # type: ignore[union-attr]
    bounds = (-1.5, 0.0, 0.005, 1 / 3, 33_554.43, 1e300)
    [(*_, chunk)] = histogram_encoder.chunks([(7, counted(1, schema=-53, custom_bounds=bounds))])
    assert histogram_chunks.decode(chunk, floating=True)[0][1].custom_bounds == bounds  # type: ignore[union-attr]


@pytest.mark.parametrize("cut", [1, 3, 9, 20, 40])
def test_a_chunk_that_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(MessageRefused, match="ends before"):
        xor_chunks.decode([b64decode(XOR)[:-cut]])
    with pytest.raises(MessageRefused, match="ends before"):
        histogram_chunks.decode(b64decode(INTEGERS)[:-cut], floating=False)


def test_garbage_is_refused_or_read_and_never_an_error_of_ours() -> None:
    random = Random(5)
    for _ in range(300):
        chunk = random.randbytes(random.randint(0, 60))
        for read in (
            lambda c: xor_chunks.decode([c]),
            lambda c: histogram_chunks.decode(c, floating=False),
            lambda c: histogram_chunks.decode(c, floating=True),
        ):
            try:
                read(chunk)
            except MessageRefused:
                pass


def test_a_chunk_of_histograms_of_integers_is_read() -> None:
    found = histogram_chunks.decode(b64decode(INTEGERS), floating=False)
    expected: list[tuple[int, Histogram | None]] = [
        (1000 + 15_000 * i + i * i * 37, Histogram(
            2, 9.0 + 6 * i, 1.5 * i, 0.001, float(i), {-3: 1.0 + i, -2: 3.0 + i, 4: 3.0}, {0: 1.0, 1: 1.0 + 3 * i}, (),
            ResetHint.NO if i else ResetHint.UNKNOWN,
        )) for i in range(3)
    ]  # fmt: skip
    assert found == [*expected, (46_333, None)]


def test_a_chunk_of_float_histograms_with_custom_bounds_is_read() -> None:
    found = histogram_chunks.decode(b64decode(FLOATS), floating=True)
    bounds = (0.005, 0.25, 1e9, math.pi * 1e9)
    expected: list[tuple[int, Histogram | None]] = [
        (-1000 + 30_000 * i, Histogram(
            -53, 3.5 + i, 0.5 * i, 0.0, 0.0, {0: 1.0 + i, 2: 2.0, 3: 0.5}, {}, bounds, ResetHint.NO if i else ResetHint.UNKNOWN
        )) for i in range(2)
    ]  # fmt: skip
    assert found == [*expected, (59_000, None)]


def test_a_gauge_histogram_says_so_and_its_threshold_is_a_power_of_two() -> None:
    expected = Histogram(0, 3.0, 3.0, 2.0**-128, 1.0, {}, {1: 2.0}, (), ResetHint.GAUGE)
    assert histogram_chunks.decode(b64decode(GAUGE), floating=True) == [(5, expected)]


def slow_crc32c(data: bytes) -> int:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    total = 0xFFFFFFFF
    for byte in data:
        total = (total >> 8) ^ table[(total ^ byte) & 0xFF]
    return total ^ 0xFFFFFFFF


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    for size in (0, 1, 3, 1000, 65_535, 65_536, 65_537, 3 * 65_536 + 9):
        data = Random(size).randbytes(size)
        assert crc32c(data) == slow_crc32c(data)


def test_frames_are_read_as_they_were_written() -> None:
    messages = [b"", b"abc", bytes(300), Random(1).randbytes(3000)]
    assert list(frames(b"".join(map(frame, messages)), 3000)) == messages


WHOLE = frame(b"abcdef")
DAMAGED = [
    (WHOLE[:-1], "unexpected EOF"),
    (WHOLE[:3], "unexpected EOF"),
    (b"\x80", "unexpected EOF"),
    (b"\xff" * 12, "overflows"),
    (WHOLE[:-1] + b"x", "checksum mismatch"),
    (frame(bytes(101)), "exceeded the limit 100 bytes; got: 101"),
]


@pytest.mark.parametrize(("body", "reason"), DAMAGED)
def test_a_damaged_frame_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(MessageRefused, match=reason):
        list(frames(body, 100))
