"""Writes a container's output in CRI's log format: `RFC3339Nano stream tag line`, tag F for a full line and P for a part of one.

A line longer than LINE_BYTES_MAX is written in parts, so the buffer is bounded. The file is opened anew when it was renamed or
removed, which is how a log is rotated. A line that cannot be written (disk full) is dropped: the process must not stall for its log.

Source: kubernetes/design-proposals-archive node/kubelet-cri-logging.md.
"""

import os
import time

LINE_BYTES_MAX = 16384


class LogWriter:
    def __init__(self, path: str) -> None:
        self._path = path
        self._file = -1
        self._inode = 0
        self._rest: dict[str, bytes] = {}
        self._second = -1
        self._second_text = ""

    def feed(self, stream: str, data: bytes) -> None:
        data = self._rest.get(stream, b"") + data
        *lines, rest = data.split(b"\n")
        stamp = self._stamp()
        full, part = f"{stamp} {stream} F ".encode(), f"{stamp} {stream} P ".encode()
        out: list[bytes] = []
        for line in lines:
            while len(line) > LINE_BYTES_MAX:
                out += (part, line[:LINE_BYTES_MAX], b"\n")
                line = line[LINE_BYTES_MAX:]
            out += (full, line, b"\n")
        while len(rest) > LINE_BYTES_MAX:
            out += (part, rest[:LINE_BYTES_MAX], b"\n")
            rest = rest[LINE_BYTES_MAX:]
        self._rest[stream] = rest
        if out:
            self._write(b"".join(out))

    def finish(self) -> None:
        for stream, rest in self._rest.items():
            if rest:
                self._write(f"{self._stamp()} {stream} F ".encode() + rest + b"\n")
        self._rest.clear()

    def _stamp(self) -> str:
        second, nanosecond = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second, self._second_text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{nanosecond:09d}Z"

    def _write(self, data: bytes) -> None:
        try:
            self._reopen_when_renamed()
            while data:
                data = data[os.write(self._file, data) :]
        except OSError:
            return

    def _reopen_when_renamed(self) -> None:
        try:
            renamed = os.stat(self._path).st_ino != self._inode
        except FileNotFoundError:
            renamed = True
        if self._file < 0 or renamed:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            self._inode = os.fstat(self._file).st_ino
