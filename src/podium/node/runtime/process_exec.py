"""Runs one more command in a process container: the helper that joins, and the session that the agent holds.

The helper is a process of its own: it enters the container's control group and namespaces (through a pidfd, checked against the
start time of the container's process, so a reused pid is never entered), takes the container's environment from /proc, assumes its
identity and execs.
What it starts ends with it: its process group is killed when the command has exited, and the kernel kills the command when the agent dies.

Exit codes of the helper itself are the shell's: 127 not found, 126 not to be executed, 128 the container could not be entered; why
is on stderr.
"""

import asyncio
import marshal
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from podium.node.runtime.interface import RuntimeFailure
from podium.node.runtime.process_shim import process_start, resize
from podium.node.runtime.process_watch import on_exit

CHUNK_BYTES = 32768
PACKAGE_ROOT = str(Path(__file__).resolve().parents[3])


def python_command(module: str, *arguments: str) -> list[str]:
    """A bare interpreter (no site, no environment) that runs `module`.main(*arguments)."""
    code = f"import sys; sys.path.append(sys.argv[1]); import {module} as m; m.main(*sys.argv[2:])"
    return [sys.executable, "-I", "-S", "-E", "-c", code, PACKAGE_ROOT, *arguments]


class ProcessExec:
    """An ExecSession. `record` as `enter` reads it; its "tty" and "stdin" say which streams there are."""

    def __init__(self, record: dict[str, Any]) -> None:
        self._tty = bool(record["tty"])
        self._sources: dict[int, int] = {}
        self._input = -1
        self._exited = asyncio.Event()
        self._readable = asyncio.Event()
        record_read, record_write = os.pipe()
        try:
            self._process = self._spawn(record, record_read)
            os.write(record_write, marshal.dumps(record))
        finally:
            os.close(record_read)
            os.close(record_write)
        self._watch = on_exit(self._process.pid, self._command_exited)
        for descriptor in [*self._sources, *([self._input] if self._input >= 0 else [])]:
            os.set_blocking(descriptor, False)
        for descriptor in self._sources:
            asyncio.get_running_loop().add_reader(descriptor, self._readable.set)

    def _spawn(self, record: dict[str, Any], record_read: int) -> subprocess.Popen[bytes]:
        command = python_command("podium.node.runtime.process_join", str(record_read))
        if self._tty:
            master, slave = os.openpty()
            process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, pass_fds=(record_read,))
            os.close(slave)
            self._sources = {master: 1}
            self._input = os.dup(master)
            return process
        stdin = subprocess.PIPE if record["stdin"] else subprocess.DEVNULL
        process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, pass_fds=(record_read,)
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
        self._kill_group()
        self._process.wait()
        self._exited.set()

    def _kill_group(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
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
            self._kill_group()
            await self._exited.wait()
        for descriptor in list(self._sources):
            self._close_source(descriptor)
        self._readable.set()
        if self._input >= 0:
            os.close(self._input)
            self._input = -1


def join_record(pid: int, start: int, flags: int) -> dict[str, Any]:
    """Raises RuntimeFailure when the process is not there any more."""
    try:
        if process_start(pid) == start:
            return {"pid": pid, "start": start, "flags": flags}
    except (FileNotFoundError, ProcessLookupError):
        pass
    raise RuntimeFailure("the container is not running")
