"""Streamed answers: frames, and chunks that Prometheus 3.5's own code (tsdb/chunkenc) made."""

import math
from base64 import b64decode
from random import Random

import numpy as np
import pytest

from podium.telemetry.metrics.histogram import Histogram, ResetHint
from podium.telemetry.metrics.remote import histogram_chunks, xor_chunks
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
    total = 0xFFFFFFFF
    for byte in data:
        total ^= byte
        for _ in range(8):
            total = (total >> 1) ^ (0x82F63B78 if total & 1 else 0)
    return total ^ 0xFFFFFFFF


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    for size in (0, 1, 255, 256, 257, 512, 768, 1000, 5 * 256, 7 * 256 + 9):
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
