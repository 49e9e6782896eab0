"""A command of this host as an ExecSession: its pipes or terminal read and written from the event loop, its end seen through a pidfd.

Two things run so: the helper that joins a process container (process_join), and containerd's `ctr` where CRI's own exec cannot do it.
A command that starts others ends with them: its process group is killed when it has exited.
"""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from podium.node.runtime.process_shim import resize
from podium.node.runtime.process_watch import on_exit

CHUNK_BYTES = 32768
END_S_MAX = 2.0
"""How long a command may take to end after `end_signal`, before it is killed."""

PACKAGE_ROOT = str(Path(__file__).resolve().parents[3])


def python_command(module: str, *arguments: str) -> list[str]:
    """A bare interpreter (no site, no environment) that runs `module`.main(*arguments)."""
    code = f"import sys; sys.path.append(sys.argv[1]); import {module} as m; m.main(*sys.argv[2:])"
    return [sys.executable, "-I", "-S", "-E", "-c", code, PACKAGE_ROOT, *arguments]


class CommandSession:
    """`record` is handed to the command through a descriptor whose number becomes its last argument. `end_signal` is what `kill` sends first:
    KILL to a command that is the thing itself, TERM to one that passes it on."""

    def __init__(self, command: list[str], *, tty: bool, stdin: bool, record: bytes = b"", end_signal: int = signal.SIGKILL) -> None:
        self._tty = tty
        self._end_signal = end_signal
        self._sources: dict[int, int] = {}
        self._input = -1
        self._exited = asyncio.Event()
        self._readable = asyncio.Event()
        self._process = self._spawn_with_record(command, stdin, record) if record else self._spawn(command, stdin, ())
        self._watch = on_exit(self._process.pid, self._command_exited)
        for descriptor in [*self._sources, *([self._input] if self._input >= 0 else [])]:
            os.set_blocking(descriptor, False)
        for descriptor in self._sources:
            asyncio.get_running_loop().add_reader(descriptor, self._readable.set)

    def _spawn_with_record(self, command: list[str], stdin: bool, record: bytes) -> "subprocess.Popen[bytes]":
        record_read, record_write = os.pipe()
        try:
            process = self._spawn([*command, str(record_read)], stdin, (record_read,))
            os.write(record_write, record)
        finally:
            os.close(record_read)
            os.close(record_write)
        return process

    def _spawn(self, command: list[str], stdin: bool, descriptors: tuple[int, ...]) -> "subprocess.Popen[bytes]":
        if self._tty:
            master, slave = os.openpty()
            process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, pass_fds=descriptors)
            os.close(slave)
            self._sources = {master: 1}
            self._input = os.dup(master)
            return process
        source = subprocess.PIPE if stdin else subprocess.DEVNULL
        process = subprocess.Popen(
            command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, pass_fds=descriptors
        )
        assert process.stdout is not None and process.stderr is not None
        self._sources = {os.dup(process.stdout.fileno()): 1, os.dup(process.stderr.fileno()): 2}
        if process.stdin is not None:
            self._input = os.dup(process.stdin.fileno())
            process.stdin.close()
        process.stdout.close()
        process.stderr.close()
        return process

    def _command_exited(self) -> None:
        self._signal_group(signal.SIGKILL)
        self._process.wait()
        self._exited.set()

    def _signal_group(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    async def read(self) -> tuple[int, bytes]:
        while self._sources:
            self._readable.clear()
            for descriptor, stream in list(self._sources.items()):
                try:
                    data = os.read(descriptor, CHUNK_BYTES)
                except BlockingIOError:
                    continue
                except OSError:  # EIO: the terminal's last holder is gone
                    data = b""
                if data:
                    return stream, data
                self._close_source(descriptor)
            if self._sources:
                await self._readable.wait()
        return 0, b""

    def _close_source(self, descriptor: int) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)
        del self._sources[descriptor]
        os.close(descriptor)

    async def write(self, data: bytes) -> None:
        """Waits until the command has taken all of it; what it no longer reads is dropped."""
        loop = asyncio.get_running_loop()
        while data and self._input >= 0:
            try:
                data = data[os.write(self._input, data) :]
            except BlockingIOError:
                free = asyncio.Event()
                loop.add_writer(self._input, free.set)
                try:
                    await free.wait()
                finally:
                    loop.remove_writer(self._input)
            except OSError:
                return

    async def close_stdin(self) -> None:
        if self._input < 0:
            return
        if self._tty:
            await self.write(b"\x04")
        os.close(self._input)
        self._input = -1

    async def resize(self, columns: int, rows: int) -> None:
        for descriptor in self._sources if self._tty else ():
            resize(descriptor, columns, rows)

    async def wait(self) -> int:
        await self._exited.wait()
        code = self._process.returncode
        return 128 - code if code < 0 else code

    async def kill(self) -> None:
        """Also lets go of the streams; a second call does nothing."""
        if not self._exited.is_set():
            self._signal_group(self._end_signal)
            try:
                async with asyncio.timeout(END_S_MAX):
                    await self._exited.wait()
            except TimeoutError:
                self._signal_group(signal.SIGKILL)
                await self._exited.wait()
        for descriptor in list(self._sources):
            self._close_source(descriptor)
        self._readable.set()
        if self._input >= 0:
            os.close(self._input)
            self._input = -1
