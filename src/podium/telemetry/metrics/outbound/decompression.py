"""Bodies that come compressed, unpacked as they come and never beyond a limit: what a bomb would unpack to is not made.

Some kilobytes may become hundreds of megabytes: they are unpacked in steps, between which others have their turn.
Snappy's blocks (remote read's answers) are unpacked when they are whole; their first bytes say how large they become.
"""

import zlib
from collections.abc import Iterator

from podium.telemetry.metrics.outbound.interface import OutboundError, ResponseTooLarge

STEP_BYTES = 4 * 1024 * 1024
"""Unpacked at a time: some milliseconds."""
_GZIP_WINDOW = 31


class Body:
    """Collects a body up to `bytes_max` bytes, exclusive; with `cut`, the first so many of a larger one, and it is `full`."""

    def __init__(self, encoding: str, bytes_max: int, cut: bool = False) -> None:
        """Raises OutboundError for an encoding that we do not know."""
        if encoding not in ("", "identity", "gzip", "snappy"):
            raise OutboundError(f"unsupported Content-Encoding {encoding!r}")
        self._snappy = encoding == "snappy"
        self._engine = zlib.decompressobj(_GZIP_WINDOW) if encoding == "gzip" else None
        self._parts: list[bytes] = []
        self._bytes_max = bytes_max
        self._cut = cut
        self.full = False
        self._size = 0
        self._begun = False

    def add(self, data: bytes) -> Iterator[None]:
        """In steps, to be gone through to the end. Raises ResponseTooLarge, or OutboundError for what is no gzip."""
        self._begun = self._begun or bool(data)
        while data and not self.full:
            if self._engine is None:
                self._keep(data)
                return
            try:
                self._keep(self._engine.decompress(data, min(STEP_BYTES, self._bytes_max - self._size)))
            except zlib.error as error:
                raise OutboundError(f"gzip: invalid data: {error}") from error
            data = self._engine.unconsumed_tail
            if self._engine.eof and (data := self._engine.unused_data):  # another member follows
                self._engine = zlib.decompressobj(_GZIP_WINDOW)
            if data:
                yield

    def _keep(self, data: bytes) -> None:
        room = self._bytes_max - self._size
        self._size += len(data)
        if self._size >= self._bytes_max and self._cut:
            data, self.full = data[:room], True
        elif self._size >= self._bytes_max:
            self._parts.clear()
            raise ResponseTooLarge("body size limit exceeded")
        self._parts.append(data)

    def whole(self) -> bytes:
        """Raises OutboundError when a compressed body ends early."""
        if self._engine is not None and not self._engine.eof and not self.full and self._begun:
            raise OutboundError("gzip: unexpected EOF")
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        return unpacked_snappy(body, self._bytes_max) if self._snappy else body


def unpacked_snappy(data: bytes, bytes_max: int) -> bytes:
    """Raises OutboundError, ResponseTooLarge."""
    import cramjam

    size = 0
    for n, byte in enumerate(data[:5]):
        size |= (byte & 0x7F) << (7 * n)
        if byte < 0x80:
            break
    else:
        raise OutboundError("snappy: corrupt input")
    if size >= bytes_max:
        raise ResponseTooLarge("body size limit exceeded")
    try:
        return bytes(cramjam.snappy.decompress_raw(data))
    except cramjam.DecompressionError as error:
        raise OutboundError("snappy: corrupt input") from error
