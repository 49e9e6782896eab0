"""A streamed answer's frames: size, checksum, message.

    ┌──────────────┬───────────────────────────┬─────────┐
    │ size uvarint │ CRC-32C, 4 bytes, big end │ message │
    └──────────────┴───────────────────────────┴─────────┘

Nothing that Python has computes this checksum, but snappy's framing format has the same one (masked) before each block of at most 64 KiB: so a
message is compressed block by block for the sake of the checksums, which costs microseconds where a loop over bytes would cost milliseconds.
Blocks' checksums are joined: one that is moved past n zero bytes is a linear function of its 32 bits. The first block is the short one, so that
n is the same each time.

Source: Prometheus' remote read documentation; snappy's framing format, section 3; the Castagnoli polynomial of RFC 3720.
"""

from collections.abc import Iterator, Sequence
from functools import cache

from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.telemetry.metrics.remote.xor_encoder import uvarint

_POLYNOMIAL = 0x82F63B78  # bits reversed
_BLOCK_BYTES = 1 << 16
_CHECKSUM = slice(14, 18)  # of what the framing format makes of one block: after its own name and the block's head
_MASK_DELTA = 0xA282EAD8
_WORD = 0xFFFFFFFF


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
    return uvarint(len(message)) + crc32c(message).to_bytes(4, "big") + message


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
    first = len(data) % _BLOCK_BYTES
    total = _of_block(data[:first]) if first else 0
    for start in range(first, len(data), _BLOCK_BYTES):
        total = _past_a_block(total) ^ _of_block(data[start : start + _BLOCK_BYTES])
    return total


def _of_block(data: bytes) -> int:
    import cramjam

    masked = int.from_bytes(memoryview(cramjam.snappy.compress(data))[_CHECKSUM], "little")
    turned = (masked - _MASK_DELTA) & _WORD
    return (turned >> 17) | ((turned << 15) & _WORD)


def _past_a_block(checksum: int) -> int:
    """What it becomes past a block of zeros."""
    return _image(_images(), checksum)


@cache
def _images() -> tuple[int, ...]:
    """Of each of the 32 bits, past a block."""
    images = [_past_a_bit(1 << bit) for bit in range(32)]
    for _ in range((8 * _BLOCK_BYTES).bit_length() - 1):  # twice as far each time
        images = [_image(images, image) for image in images]
    return tuple(images)


def _past_a_bit(checksum: int) -> int:
    return (checksum >> 1) ^ (_POLYNOMIAL if checksum & 1 else 0)


def _image(images: Sequence[int], checksum: int) -> int:
    moved = 0
    for bit, image in enumerate(images):
        if checksum >> bit & 1:
            moved ^= image
    return moved
