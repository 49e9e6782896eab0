"""Writes upstream's chunks of floats, a bit at a time: what xor_chunks.py must read. Source: Prometheus, tsdb/docs/format/chunks.md."""

import struct
from collections.abc import Sequence

from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.remote.frames import frame
from podium.telemetry.metrics.remote.messages import message


class Bits:
    def __init__(self) -> None:
        self.text: list[str] = []

    def add(self, value: int, width: int) -> None:
        self.text.append(format(value & ((1 << width) - 1), f"0{width}b") if width else "")

    def whole(self) -> bytes:
        text = "".join(self.text)
        text += "0" * (-len(text) % 8)
        return bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))


def varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def float_bits(value: float) -> int:
    return int.from_bytes(struct.pack(">d", value), "big")


def write_chunk(times: Sequence[int], values: Sequence[float]) -> bytes:
    head = len(times).to_bytes(2, "big")
    if not times:
        return head
    head += varint(times[0] << 1 ^ times[0] >> 63) + struct.pack(">d", values[0])
    bits, leading, trailing, distance = Bits(), -1, 0, 0
    for n in range(1, len(times)):
        change, distance = times[n] - times[n - 1] - distance, times[n] - times[n - 1]
        if n == 1:
            head += varint(distance)
        else:
            _write_change(bits, change)
        leading, trailing = _write_value(bits, float_bits(values[n]) ^ float_bits(values[n - 1]), leading, trailing)
    return head + bits.whole()


def _write_change(bits: Bits, change: int) -> None:
    if not change:
        bits.add(0, 1)
        return
    for prefix, size, width in ((0b10, 2, 14), (0b110, 3, 17), (0b1110, 4, 20)):
        if -(1 << (width - 1)) + 1 <= change <= 1 << (width - 1):
            bits.add(prefix, size)
            bits.add(change, width)
            return
    bits.add(0b1111, 4)
    bits.add(change, 64)


def _write_value(bits: Bits, changed: int, leading: int, trailing: int) -> tuple[int, int]:
    if not changed:
        bits.add(0, 1)
        return leading, trailing
    own_leading = min(31, 64 - changed.bit_length())
    own_trailing = (changed & -changed).bit_length() - 1
    if leading >= 0 and own_leading >= leading and own_trailing >= trailing:
        bits.add(0b10, 2)
    else:
        leading, trailing = own_leading, own_trailing
        bits.add(0b11, 2)
        bits.add(leading, 5)
        bits.add((64 - leading - trailing) % 64, 6)
    bits.add(changed >> trailing, 64 - leading - trailing)
    return leading, trailing


def stream(*parts: Sequence[tuple[Labels, Sequence[tuple[int, bytes]]]]) -> bytes:
    """An answer of one frame for each part: series with their chunks, (encoding, data)."""
    body = b""
    for part in parts:
        answer = message("ChunkedReadResponse")()
        for labels, chunks in part:
            series = answer.chunked_series.add()
            for name, value in labels:
                series.labels.add(name=name, value=value)
            for encoding, data in chunks:
                series.chunks.add(type=encoding, data=data)
        body += frame(answer.SerializeToString())
    return body
