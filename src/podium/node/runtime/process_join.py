"""Runs one more command in a process container: this helper enters it and becomes the command.

It is a process of its own: it enters the container's control group and namespaces (through a pidfd, checked against the start time of the
container's process, so a reused pid is never entered), takes the container's environment from /proc, assumes its identity and execs.
The kernel kills it when the agent dies.

Exit codes of the helper itself are the shell's: 127 not found, 126 not to be executed, 128 the container could not be entered; why is on stderr.
"""

import fcntl
import marshal
import os
import sys
import termios
from typing import Any

from podium.node.runtime import process_isolation
from podium.node.runtime.process_shim import apply_limits, process_start


def main(record_descriptor: str) -> None:
    descriptor = int(record_descriptor)
    raw = bytearray()
    while chunk := os.read(descriptor, 65536):
        raw += chunk
    os.close(descriptor)
    record = marshal.loads(raw)
    code = 128
    try:
        environment = _join(record)
        process_isolation.die_with(record["parent"])
        code = 127
        program = process_isolation.find_program(record["argv"][0], os.fsdecode(environment.get(b"PATH", b"")))
        os.execve(program, record["argv"], environment)
    except PermissionError as error:
        _end(record, error, 126 if code == 127 else code)
    except Exception as error:
        _end(record, error, code)


def _join(record: dict[str, Any]) -> dict[bytes, bytes]:
    """Returns the environment that the container was started with."""
    pid = record["pid"]
    target = os.pidfd_open(pid)
    if process_start(pid) != record["start"]:
        raise ProcessLookupError("the container is not running")
    with open(f"/proc/{pid}/environ", "rb") as file:
        pairs = [entry.partition(b"=") for entry in file.read().split(b"\0") if entry]
    apply_limits(record)
    if record["flags"]:
        process_isolation.setns(target, record["flags"])
    os.close(target)
    os.chdir(record["cwd"])
    process_isolation.assume_identity(record["identity"])
    environment = {name: value for name, _, value in pairs}
    if record["tty"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        environment.setdefault(b"TERM", b"xterm")
    return environment


def _end(record: dict[str, Any], error: Exception, code: int) -> None:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    sys.stderr.write(f"exec {record['argv'][0]!r}: {text}\n")
    sys.stderr.flush()
    os._exit(code)
