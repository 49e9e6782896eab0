"""A streamed answer's frames: size, checksum, message.

    ┌──────────────┬───────────────────────────┬─────────┐
    │ size uvarint │ CRC-32C, 4 bytes, big end │ message │
    └──────────────┴───────────────────────────┴─────────┘

The checksum is computed in lanes: the message is cut into rows of equal length, all rows take one byte a step, and the rows' checksums are
joined pair by pair (a checksum moved past n zero bytes is a linear function of its 32 bits).

Source: Prometheus' remote read documentation; the Castagnoli polynomial of RFC 3720.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.remote.errors import MessageRefused

Words = npt.NDArray[np.uint32]

_POLYNOMIAL = 0x82F63B78  # bits reversed
_LANE_BYTES = 256


def frames(body: bytes, frame_bytes_max: int) -> Iterator[bytes]:
    """The messages. Raises MessageRefused for a frame that is too large, cut off or damaged."""
    at = 0
    while at < len(body):
        size, at = _size(body, at)
        if size > frame_bytes_max:
            raise MessageRefused(f"chunkedReader: message size exceeded the limit {frame_bytes_max} bytes; got: {size} bytes")
        if at + 4 + size > len(body):
            raise MessageRefused("chunkedReader: unexpected EOF")
        message = body[at + 4 : at + 4 + size]
        if crc32c(message) != int.from_bytes(body[at : at + 4], "big"):
            raise MessageRefused("chunkedReader: corrupted frame; checksum mismatch")
        yield message
        at += 4 + size


def frame(message: bytes) -> bytes:
    head = bytearray()
    size = len(message)
    while size >= 0x80:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + crc32c(message).to_bytes(4, "big") + message


def _size(body: bytes, at: int) -> tuple[int, int]:
    size = 0
    for shift in range(0, 63, 7):
        if at >= len(body):
            raise MessageRefused("chunkedReader: unexpected EOF")
        size |= (body[at] & 0x7F) << shift
        at += 1
        if body[at - 1] < 0x80:
            return size, at
    raise MessageRefused("chunkedReader: the size of a frame overflows")


def crc32c(data: bytes) -> int:
    lanes = len(data) // _LANE_BYTES
    total = 0xFFFFFFFF
    if lanes:
        rows = np.frombuffer(data, np.uint8, lanes * _LANE_BYTES).reshape(lanes, _LANE_BYTES)
        total = _joined(_of_rows(rows), total)
    table = _table()
    for byte in data[lanes * _LANE_BYTES :]:
        total = (total >> 8) ^ int(table[(total ^ byte) & 0xFF])
    return total ^ 0xFFFFFFFF


@cache
def _table() -> Words:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


def _of_rows(rows: npt.NDArray[np.uint8]) -> Words:
    """(lanes,) the remainder of each row, from 0."""
    table, total = _table(), np.zeros(len(rows), np.uint32)
    for column in np.ascontiguousarray(rows.T):
        total = (total >> np.uint32(8)) ^ table[(total & np.uint32(0xFF)) ^ column]
    return total


def _joined(remainders: Words, start: int) -> int:
    """Of all rows one after another, beginning with `start`: halves are joined until one is left."""
    remainders = remainders.copy()
    remainders[0] ^= np.uint32(_moved(np.array([start], np.uint32), _LANE_BYTES)[0])
    length = _LANE_BYTES
    while len(remainders) > 1:
        odd = len(remainders) % 2
        if odd:  # an empty row before the first changes nothing
            remainders = np.concatenate([np.zeros(1, np.uint32), remainders])
        remainders = _moved(remainders[::2], length) ^ remainders[1::2]
        length *= 2
    return int(remainders[0])


def _moved(remainders: Words, zeros: int) -> Words:
    """Remainders after so many zero bytes."""
    return _through(_tables_past(zeros), remainders)


@cache
def _tables_past(zeros: int) -> Words:
    """(4, 256): what each byte of a remainder becomes past so many zero bytes, a power of two."""
    if zeros == 1:
        values = (np.arange(256, dtype=np.uint32)[None, :] << (np.arange(4, dtype=np.uint32) * 8)[:, None]).astype(np.uint32)
        return ((values >> np.uint32(8)) ^ _table()[values & np.uint32(0xFF)]).astype(np.uint32)
    half = _tables_past(zeros // 2)
    return np.stack([_through(half, half[i]) for i in range(4)])


def _through(tables: Words, remainders: Words) -> Words:
    parts = [tables[i][(remainders >> np.uint32(8 * i)) & np.uint32(0xFF)] for i in range(4)]
    moved: Words = np.bitwise_xor.reduce(np.stack(parts), axis=0)
    return moved
