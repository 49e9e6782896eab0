"""The shim: one small process per process container, which outlives the agent.

It starts the container's process in a session of its own, writes what that prints to the log in CRI's format, forwards signals, reaps, and
leaves the result in files. It talks to nobody: the agent sends commands through a FIFO that the shim holds open (one per line: `start`,
`term`, `kill`, `resize COLUMNS ROWS`, `attach NAME`, `end-stdin`), and reads the files, so an agent that comes later knows as much as the
one that started it.

Files in the container's directory, each written under another name and renamed:
    shim     "PID START"                      this process; START is its start time in clock ticks since boot, against reused pids
    stdin    a FIFO, when the container has a standard input; clients that attach write to it
    started  "PID START STARTED_NS"           the container's process, once exec succeeded
    exit     {"exit_code", "reason", "message", "finished_ns"}   the last thing the shim does before it ends

Invariants: `exit` exists before the shim is gone, unless the shim itself was killed; then the kernel kills the container's process too
(PR_SET_PDEATHSIG). When `exit` exists nothing of the container runs: what the process left behind is killed (its process group, its
orphans, which come to the shim as their subreaper, its control group).

Imports are as few as possible: this module's start is most of a container's start, and every container pays for its memory.
"""

import fcntl
import marshal
import os
import select
import sys
import termios
import time
from _signal import SIG_DFL, SIGCHLD, SIGKILL, SIGPIPE, SIGTERM, set_wakeup_fd, signal  # `signal` itself would import enum
from typing import Any

from podium.node.runtime import process_cgroup, process_isolation
from podium.node.runtime.process_log import LogWriter

CONTROL, CHUNK_BYTES = 3, 65536
DRAIN_S = 2.0
"""How long output is awaited after the process has ended and all of its kin were killed."""


def write_whole(path: str, text: str) -> None:
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def process_start(pid: int) -> int:
    """Field 22 of /proc/PID/stat; the name in field 2 may hold anything, so count from its closing bracket."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


class Shim:
    def __init__(self, directory: str, record: dict[str, Any]) -> None:
        self._directory = directory
        self._record = record
        self._pid = 0
        self._status: int | None = None
        self._poll = select.poll()
        self._outputs: dict[int, str] = {}
        self._terminal = -1
        self._input, self._input_write = -1, -1
        self._listeners: list[tuple[int, str]] = []
        self._commands = b""
        self._log = LogWriter(record["log"])
        self._wake, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal(SIGCHLD, lambda *_: None)
        for descriptor in (CONTROL, self._wake):
            self._poll.register(descriptor, select.POLLIN)

    def run(self) -> None:
        write_whole(f"{self._directory}/shim", f"{os.getpid()} {process_start(os.getpid())}")
        while self._status is None:
            self._turn(None)
        self._kill_the_rest()
        deadline = time.monotonic() + DRAIN_S
        while self._outputs and (left := deadline - time.monotonic()) > 0:
            self._turn(left)
        self._log.finish()
        self._leave_result(self._status)

    def _turn(self, timeout_s: float | None) -> None:
        for descriptor, _ in self._poll.poll(None if timeout_s is None else timeout_s * 1000):
            if descriptor == CONTROL:
                self._commands += os.read(CONTROL, 4096)
                *lines, self._commands = self._commands.split(b"\n")
                for line in lines:
                    self._obey(line.decode().split())
            elif descriptor == self._wake:
                os.read(self._wake, 512)
                self._reap()
            elif descriptor == self._input:
                self._copy_input()
            else:
                self._copy_output(descriptor)

    def _obey(self, words: list[str]) -> None:
        match words:
            case ["start"] if not self._pid:
                self._start()
            case ["term"] if self._pid and self._status is None:
                os.killpg(self._pid, SIGTERM)
            case ["kill"] if self._pid and self._status is None:
                os.killpg(self._pid, SIGKILL)
            case ["term" | "kill"] if not self._pid:
                self._fail("the container was stopped before it was started", 137, "Error")
            case ["resize", columns, rows] if self._terminal >= 0:
                resize(self._terminal, int(columns), int(rows))
            case ["attach", name] if self._pid and self._status is None:
                self._attach(name)
            case ["end-stdin"] if self._input_write >= 0:
                os.close(self._input_write)
                self._input_write = -1

    def _start(self) -> None:
        inside, outside = self._streams()
        result, result_write = os.pipe2(os.O_CLOEXEC)
        shim = os.getpid()
        pid = os.fork()
        if pid == 0:
            become(self._record, inside, result_write, shim)
        for descriptor in {*inside, result_write}:
            os.close(descriptor)
        failure = b""
        while chunk := os.read(result, 4096):
            failure += chunk
        os.close(result)
        if failure:
            os.waitpid(pid, 0)
            self._fail(failure.decode(errors="replace"), 128, "StartError")
            return
        self._pid = pid
        for descriptor, stream in outside:
            self._outputs[descriptor] = stream
            self._poll.register(descriptor, select.POLLIN)
        write_whole(f"{self._directory}/started", f"{pid} {process_start(pid)} {time.time_ns()}")

    def _streams(self) -> tuple[list[int], list[tuple[int, str]]]:
        """The process's three descriptors, and the ones to read its output from."""
        if self._record["tty"]:
            self._terminal, slave = os.openpty()
            if self._record["stdin"]:
                self._input = os.open(self._make_stdin(), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
                self._poll.register(self._input, select.POLLIN)
            return [slave, slave, slave], [(self._terminal, "stdout")]
        if self._record["stdin"]:
            # The writing end is kept open: a process that reads its input waits while nobody is attached.
            stdin = os.open(self._make_stdin(), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._input_write = os.open(f"{self._directory}/stdin", os.O_WRONLY | os.O_CLOEXEC)
            os.set_blocking(stdin, True)
        else:
            stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        out, out_write = os.pipe2(os.O_CLOEXEC)
        err, err_write = os.pipe2(os.O_CLOEXEC)
        return [stdin, out_write, err_write], [(out, "stdout"), (err, "stderr")]

    def _make_stdin(self) -> str:
        path = f"{self._directory}/stdin"
        os.mkfifo(path, 0o600)
        return path

    def _attach(self, name: str) -> None:
        """A client listens on two FIFOs of that name. Unlinking them tells it that they are open at this end."""
        for number, stream in ((1, "stdout"), (2, "stderr")):
            path = f"{self._directory}/{name}.{number}"
            try:
                self._listeners.append((os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC), stream))
                os.unlink(path)
            except OSError:
                return  # it has gone again

    def _copy_input(self) -> None:
        """To the terminal; what does not fit into its queue is dropped, as on any terminal whose program does not read."""
        data = os.read(self._input, 4096)
        os.set_blocking(self._terminal, False)
        try:
            os.write(self._terminal, data)
        except OSError:
            pass
        finally:
            os.set_blocking(self._terminal, True)

    def _tell_listeners(self, stream: str, data: bytes) -> None:
        """A client that is slow misses what does not fit into its FIFO; the log has it all."""
        for listener in [entry for entry in self._listeners if entry[1] == stream]:
            try:
                os.write(listener[0], data)
            except BlockingIOError:
                continue
            except OSError:
                os.close(listener[0])
                self._listeners.remove(listener)

    def _copy_output(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, CHUNK_BYTES)
        except OSError:  # EIO: the last holder of the terminal is gone
            data = b""
        if data:
            self._log.feed(self._outputs[descriptor], data)
            self._tell_listeners(self._outputs[descriptor], data)
        else:
            self._poll.unregister(descriptor)
            del self._outputs[descriptor]

    def _reap(self) -> None:
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            if ended.si_pid == self._pid:
                # Before it is reaped its number cannot be anybody else's.
                os.killpg(self._pid, SIGKILL)
                self._status = os.waitpid(self._pid, 0)[1]
            else:
                os.waitpid(ended.si_pid, 0)

    def _kill_the_rest(self) -> None:
        deadline = time.monotonic() + DRAIN_S
        while time.monotonic() < deadline:
            none_left = process_cgroup.kill(self._record["cgroups"])
            with open(f"/proc/self/task/{os.getpid()}/children") as file:
                orphans = [int(pid) for pid in file.read().split()]
            for pid in orphans:
                os.kill(pid, SIGKILL)
            self._reap()
            if none_left and not orphans:
                return
            time.sleep(0.001)

    def _leave_result(self, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        code = 128 - code if code < 0 else code
        reason = "Error" if code else "Completed"
        if code and process_cgroup.out_of_memory_kills(self._record["cgroups"]):
            reason = "OOMKilled"
        self._finish(code, reason, "")

    def _fail(self, message: str, code: int, reason: str) -> None:
        self._finish(code, reason, message)
        os._exit(0)

    def _finish(self, code: int, reason: str, message: str) -> None:
        process_cgroup.remove(self._record["cgroups"])
        escaped = "".join(letter if letter.isprintable() and letter not in '"\\' else f"\\u{ord(letter):04x}" for letter in message)
        text = f'{{"exit_code": {code}, "reason": "{reason}", "message": "{escaped}", "finished_ns": {time.time_ns()}}}'
        write_whole(f"{self._directory}/exit", text)


def resize(terminal: int, columns: int, rows: int) -> None:
    size = rows.to_bytes(2, sys.byteorder) + columns.to_bytes(2, sys.byteorder) + bytes(4)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)


def become(record: dict[str, Any], streams: list[int], result_write: int, shim: int) -> None:
    """In the child of `shim`: turns into the container's process, or writes why not to `result_write`. Never returns."""
    what = ""
    try:
        set_wakeup_fd(-1)
        for number in (SIGCHLD, SIGPIPE):
            signal(number, SIG_DFL)
        os.setsid()
        for target, descriptor in enumerate(streams):
            os.dup2(descriptor, target)
        if record["tty"]:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        apply_limits(record)
        process_isolation.isolate(record["isolation"])
        process_isolation.assume_identity(record["identity"])
        process_isolation.die_with(shim)
        what = f"working directory {record['cwd']!r}: "
        if record["isolation"]["stage"]:
            os.makedirs(record["cwd"], exist_ok=True)  # in the private root, as container runtimes do
        os.chdir(record["cwd"])
        what = f"exec {record['argv'][0]!r}: "
        os.execve(process_isolation.find_program(record["argv"][0], record["env"].get("PATH", "")), record["argv"], record["env"])
    except BaseException as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror and what else str(error)
        os.write(result_write, f"{what}{reason}".encode()[:4096])
    finally:
        os._exit(128)


def apply_limits(record: dict[str, Any]) -> None:
    process_cgroup.join(record["cgroups"])
    if record["data_bytes"] or record["cpus"]:
        import resource

        if record["data_bytes"]:
            resource.setrlimit(resource.RLIMIT_DATA, (record["data_bytes"], record["data_bytes"]))
        if record["cpus"]:
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: record["cpus"]])


def main(directory: str, control: str) -> None:
    """Standard input brings the launch record, which holds the environment and so never touches the disk or a command line."""
    raw = bytearray()
    while chunk := os.read(0, CHUNK_BYTES):
        raw += chunk
    if not raw:
        return  # the agent died before it sent the record
    nowhere = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.dup2(int(control), CONTROL, inheritable=False)
    if int(control) != CONTROL:
        os.close(int(control))
    process_isolation.prctl(process_isolation.PR_SET_CHILD_SUBREAPER, 1)
    Shim(directory, marshal.loads(raw)).run()
