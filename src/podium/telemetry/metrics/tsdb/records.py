"""Records: how anything is framed on disk, in the write-ahead log, the head's chunk files and blocks.

A file is MAGIC, then records: length of the body (u32), CRC-32 of kind and body (u32), kind (u8), body; little endian. A file that was
being written when the process died ends in a torn record; `scan` says where the whole ones end, and whether what follows is a torn tail
(the file ends before the record does) or damage (it does not add up).

Bounds: a body is at most BODY_BYTES_MAX; a longer length is damage.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"PODTSDB1"
FRAME = struct.Struct("<IIB")
BODY_BYTES_MAX = 1 << 30


@dataclass(frozen=True, slots=True)
class Record:
    kind: int
    body: memoryview
    offset: int  # of the body in the file


@dataclass(slots=True)
class ScanResult:
    """Where the whole records end, and what is wrong with what follows ('' when nothing follows)."""

    end: int = 0
    torn: bool = False
    damage: str = ""


def frame(kind: int, body: bytes) -> bytes:
    assert len(body) <= BODY_BYTES_MAX
    return FRAME.pack(len(body), checksum(kind, body), kind) + body


def checksum(kind: int, body: bytes | memoryview) -> int:
    return zlib.crc32(body, kind)


def scan(data: memoryview, result: ScanResult) -> Iterator[Record]:
    """The whole records, in order; `result` is complete when it ends."""
    if data[: len(MAGIC)] != MAGIC:
        result.torn = len(data) < len(MAGIC)
        result.damage = "" if result.torn else "not a file of this store"
        return
    at = result.end = len(MAGIC)
    while at < len(data):
        if len(data) - at < FRAME.size:
            result.torn = True
            return
        length, crc, kind = FRAME.unpack_from(data, at)
        body = data[at + FRAME.size : at + FRAME.size + length]
        if length > BODY_BYTES_MAX:
            result.damage = f"a record of {length} bytes at {at}"
            return
        if len(body) < length:
            result.torn = True
            return
        if checksum(kind, body) != crc:
            result.torn = at + FRAME.size + length == len(data) or not any(data[at + FRAME.size + length :])
            result.damage = "" if result.torn else f"checksum of the record at {at} is wrong"
            return
        yield Record(kind, body, at + FRAME.size)
        at += FRAME.size + length
        result.end = at
