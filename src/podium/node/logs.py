"""Reads container logs: files in CRI's format, from an offset or from the end, once or as they grow.

    2026-01-02T03:04:05.000000006Z stdout F a whole line
    2026-01-02T03:04:05.000000007Z stdout P the beginning of a long one, ended by the next F

Parts are passed on as they come, so a line of any length needs CHUNK_BYTES of memory and no more. Rotation renames the file away
(`0.log` to `0.log.20260102-030405`); a follower reads the old one to its end and goes on with the new.

Source: kubelet/kuberuntime/logs/logs.go; core/v1 PodLogOptions.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

CHUNK_BYTES = 64 * 1024
POLL_S = 0.1
PREFIX_BYTES_MAX = 64
"""A timestamp, a stream name and a tag."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """`tail_lines` None: all. `since` (epoch seconds): only later lines. `stream`: stdout, stderr, or both when empty."""

    follow: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    since: float | None = None
    limit_bytes: int | None = None
    stream: str = ""


class Formatter:
    """Takes raw bytes of a log in any pieces, gives what the client sees. Keeps at most one prefix between pieces."""

    def __init__(self, options: LogOptions) -> None:
        self._options = options
        self._left = options.limit_bytes
        self._rest = b""
        self._in_body = False
        self._wanted = False
        self._continues = False
        self._tag_partial = False
        self.seen_since = options.since is None

    @property
    def full(self) -> bool:
        """The byte limit is reached: nothing more will come."""
        return self._left is not None and self._left <= 0

    def feed(self, data: bytes) -> bytes:
        data = self._rest + data
        self._rest = b""
        out: list[bytes] = []
        position = 0
        while position < len(data):
            if not self._in_body:
                position = self._prefix(data, position, out)
                if position < 0:
                    break
            end = data.find(b"\n", position)
            piece = data[position:] if end < 0 else data[position:end]
            if self._wanted and piece:
                out.append(piece)
            if end < 0:
                break
            if self._wanted and not self._tag_partial:
                out.append(b"\n")
            self._continues = self._tag_partial
            self._in_body = False
            position = end + 1
        return self._limited(b"".join(out))

    def _prefix(self, data: bytes, position: int, out: list[bytes]) -> int:
        """Reads `TIME STREAM TAG `; the position after it, or -1 when it is not whole yet."""
        head = data[position : position + PREFIX_BYTES_MAX]
        line, newline, _ = head.partition(b"\n")
        parts = line.split(b" ", 3)
        if len(parts) < 4:
            if len(head) < PREFIX_BYTES_MAX and not newline:
                self._rest = data[position:]
                return -1
            parts = [b"", b"", b"F", b""]  # not CRI's format: show the line as it is
            length = 0
        else:
            length = sum(len(p) for p in parts[:3]) + 3
        time, stream, tag = parts[:3]
        self._in_body, self._tag_partial = True, tag.startswith(b"P")
        if not self._continues:
            self._wanted = self._wants(time, stream)
            if self._wanted and self._options.timestamps and time:
                out.append(time + b" ")
        return position + length

    def _wants(self, time: bytes, stream: bytes) -> bool:
        if self._options.stream and stream.decode() != self._options.stream:
            return False
        if not self.seen_since:
            assert self._options.since is not None
            self.seen_since = moment(time) >= self._options.since
        return self.seen_since

    def _limited(self, data: bytes) -> bytes:
        if self._left is None:
            return data
        data = data[: max(0, self._left)]
        self._left -= len(data)
        return data


def moment(time: bytes) -> float:
    """Epoch seconds of an RFC 3339 time with nanoseconds; infinity for what is none, so that odd lines are shown."""
    try:
        return datetime.fromisoformat(time.decode(errors="replace")).timestamp()
    except ValueError:
        return float("inf")


def tail_offset(opened: BinaryIO, lines: int) -> int:
    """Where the last `lines` lines of a log begin; continued parts count as one line. Reads backwards, CHUNK_BYTES at a time."""
    size = position = opened.seek(0, os.SEEK_END)
    if lines <= 0:
        return size
    ends = 0
    while position > 0:
        step = min(CHUNK_BYTES, position)
        position -= step
        opened.seek(position)
        chunk = opened.read(step)
        at = len(chunk)
        while (at := chunk.rfind(b"\n", 0, at)) >= 0:
            start = position + at + 1
            if start == size:
                continue
            if not _is_partial_before(opened, position + at):
                ends += 1
                if ends == lines:
                    return start
    return 0


def _is_partial_before(opened: BinaryIO, newline: int) -> bool:
    """Whether the line that ends at `newline` is a part (tag P), so that the next one continues it."""
    back = newline
    while back > 0:
        start = max(0, back - CHUNK_BYTES)
        opened.seek(start)
        chunk = opened.read(back - start)
        found = chunk.rfind(b"\n")
        if found >= 0 or start == 0:
            line_start = start + found + 1
            opened.seek(line_start)
            parts = opened.read(PREFIX_BYTES_MAX).split(b" ", 3)
            return len(parts) == 4 and parts[2].startswith(b"P")
        back = start
    return False


async def read_log(path: Path, options: LogOptions, is_over: Callable[[], bool]) -> AsyncIterator[bytes]:
    """What the client sees, in pieces. With follow it goes on until `is_over()` (the container has ended) and the file is read to its end.
    A file that is not there yet is waited for when following, and empty otherwise."""
    formatter = Formatter(options)
    # What comes into a file that was not there yet is new, however many lines of the old were asked for.
    tail_lines = options.tail_lines if path.exists() else None
    opened = await _open(path, options.follow, is_over)
    if opened is None:
        return
    try:
        opened.seek(tail_offset(opened, tail_lines) if tail_lines is not None else 0)
        while not formatter.full:
            ended = is_over()  # asked before reading: what was written before the end is then read
            for piece in _pieces(opened, formatter):
                yield piece
                await asyncio.sleep(0)
            if formatter.full or not options.follow:
                return
            newer = _reopened(path, opened)
            if newer is not None:
                for piece in _pieces(opened, formatter):
                    yield piece
                opened.close()
                opened = newer
                continue
            if ended:
                return
            await asyncio.sleep(POLL_S)
    finally:
        opened.close()


def _pieces(opened: BinaryIO, formatter: Formatter) -> Iterator[bytes]:
    while not formatter.full and (data := opened.read(CHUNK_BYTES)):
        piece = formatter.feed(data)
        if piece:
            yield piece


async def _open(path: Path, wait: bool, is_over: Callable[[], bool]) -> BinaryIO | None:
    while True:
        try:
            return open(path, "rb", buffering=0)  # noqa: ASYNC230  # a local file of ours; reads are small
        except FileNotFoundError:
            if not wait or is_over():
                return None
            await asyncio.sleep(POLL_S)


def _reopened(path: Path, opened: BinaryIO) -> BinaryIO | None:
    """The file now at `path`, when it is another than the one that is open."""
    try:
        now = os.stat(path)
    except OSError:
        return None
    then = os.fstat(opened.fileno())
    if (now.st_ino, now.st_dev) == (then.st_ino, then.st_dev):
        return None
    return open(path, "rb", buffering=0)
