"""Hashes of label sets, as upstream's: what limit_ratio decides by, so that the same series are chosen.

xxHash64 (seed 0) over a packed form of the labels: each name and value with its size before it, one byte up to 254, else 255 and three bytes, little
end first. All sets are hashed together: lane arithmetic on arrays, one round for each 32 bytes of the longest.

Source: xxHash's specification (XXH64); upstream's model/labels as it is built by default (labels of one string).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.labels import Labels

Hashes = npt.NDArray[np.uint64]

SETS_AT_ONCE = 8192
LONG_BYTES = 2048
"""Sets from this size on are hashed by themselves: all that are hashed together take as much room as the longest."""
_SHORT_MAX = 254
_P1, _P2, _P3, _P4, _P5 = (
    np.uint64(p) for p in (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
)  # fmt: skip
_SEEDS = np.array([(0x9E3779B185EBCA87 + 0xC2B2AE3D27D4EB4F) % 2**64, 0xC2B2AE3D27D4EB4F, 0, -0x9E3779B185EBCA87 % 2**64], np.uint64)


def label_hashes(rows: Sequence[Labels]) -> Hashes:
    """(N,) one for each set."""
    found = np.empty(len(rows), np.uint64)
    for start in range(0, len(rows), SETS_AT_ONCE):
        texts = [_packed(labels) for labels in rows[start : start + SETS_AT_ONCE]]
        short = [i for i, text in enumerate(texts) if len(text) < LONG_BYTES]
        found[start + np.array(short, np.intp)] = _hashes([texts[i] for i in short])
        for i in set(range(len(texts))).difference(short) if len(short) < len(texts) else ():
            found[start + i] = _hashes([texts[i]])[0]
    return found


def _packed(labels: Labels) -> bytes:
    parts: list[bytes] = []
    for pair in labels:
        for text in pair:
            data = text.encode()
            size = len(data)
            parts += (bytes((size,)) if size <= _SHORT_MAX else b"\xff" + size.to_bytes(3, "little"), data)
    return b"".join(parts)


def _hashes(texts: Sequence[bytes]) -> Hashes:
    sizes = np.array([len(t) for t in texts], np.int64)
    stripes = sizes // 32
    width = (int(sizes.max(initial=0)) // 32 + 1) * 32
    data = np.frombuffer(b"".join(t.ljust(width, b"\0") for t in texts), np.uint8).reshape(len(texts), width)
    words = data.view("<u8").astype(np.uint64, copy=False)
    with np.errstate(over="ignore"):
        total = _beginning(words, stripes) + sizes.astype(np.uint64)
        return _finished(_with_rest(total, data, words, sizes, stripes))


def _rotated(values: Hashes, bits: int) -> Hashes:
    return (values << np.uint64(bits)) | (values >> np.uint64(64 - bits))


def _round(lane: Hashes, word: Hashes) -> Hashes:
    return _rotated(lane + word * _P2, 31) * _P1


def _beginning(words: npt.NDArray[np.uint64], stripes: npt.NDArray[np.int64]) -> Hashes:
    """What the whole stripes of 32 bytes give; for texts without one, the fifth prime."""
    lanes = np.tile(_SEEDS, (len(words), 1))
    for stripe in range(int(stripes.max(initial=0))):
        now = stripes > stripe
        lanes[now] = _round(lanes[now], words[now, stripe * 4 : stripe * 4 + 4])
    total = sum((_rotated(lanes[:, i], bits) for i, bits in enumerate((1, 7, 12, 18))), np.zeros(len(words), np.uint64))
    for i in range(4):
        total = (total ^ _round(np.zeros(len(words), np.uint64), lanes[:, i])) * _P1 + _P4
    return np.where(stripes > 0, total, _P5)


def _with_rest(
    total: Hashes, data: npt.NDArray[np.uint8], words: npt.NDArray[np.uint64], sizes: npt.NDArray[np.int64], stripes: npt.NDArray[np.int64]
) -> Hashes:
    """The last 0 to 31 bytes: by eight, by four, one by one."""
    rows, at, left = np.arange(len(sizes)), stripes * 32, sizes % 32
    for i in range(3):
        now = left // 8 > i
        word = words[rows[now], at[now] // 8 + i]
        total[now] = _rotated(total[now] ^ _round(np.zeros(len(word), np.uint64), word), 27) * _P1 + _P4
    at, left = at + left // 8 * 8, left % 8
    now = left >= 4
    four = data.view("<u4")[rows[now], at[now] // 4].astype(np.uint64)
    total[now] = _rotated(total[now] ^ (four * _P1), 23) * _P2 + _P3
    at, left = at + left // 4 * 4, left % 4
    for i in range(3):
        now = left > i
        byte = data[rows[now], at[now] + i].astype(np.uint64)
        total[now] = _rotated(total[now] ^ (byte * _P5), 11) * _P1
    return total


def _finished(total: Hashes) -> Hashes:
    total = (total ^ (total >> np.uint64(33))) * _P2
    total = (total ^ (total >> np.uint64(29))) * _P3
    return total ^ (total >> np.uint64(32))
