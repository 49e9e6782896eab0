"""Container images from files at hand, without a registry and without a builder.

Two are needed: the pause image, which holds a pod sandbox's namespaces open, and one with the host's Python for the example
services. An image here is a docker archive (`docker save`'s format) of one layer: host files with the shared libraries that they
load, at the host's paths. The same files give the same bytes: entries are sorted and owned by root, and only the standard library
keeps its times (its compiled files are checked against them: without those a service starts half a second later).

    python -m podium.node.images pause FILE
    python -m podium.node.images python FILE NAME DIRECTORY=PATH...      as podium.local/shop:1 examples/shop=/shop

Source: docker image specification v1.2 (manifest.json, config, layer.tar), which containerd's and podman's import read.
"""

import hashlib
import io
import json
import os
import platform
import shutil
import struct
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from podium.node.runtime.interface import RuntimeFailure

PAUSE_IMAGE = "podium.dev/pause:1"
CRI_NAMESPACE = "k8s.io"
TOOLS = tuple(
    "sh cat cp date echo env false grep head hostname id kill ls mkdir mv rm sleep stty tail tar touch true tty uname wc".split()  # noqa: SIM905  a list of words
)
"""Programs put beside Python, for `kubectl exec` and `kubectl cp`."""

STDLIB_LEFT_OUT = frozenset(
    (
        "config",
        "dist-packages",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "pydoc_data",
        "site-packages",
        "test",
        "tests",
        "tkinter",
        "turtledemo",
    )
)
EXTENSIONS_LEFT_OUT = ("_dbm.", "_tkinter.", "nis.")
"""Modules that bring large libraries with them."""

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(slots=True)
class Layer:
    """Files by absolute path: where each comes from (a host path, or bytes), and its mode; symbolic links by path.
    `times` has those files whose modification time is kept."""

    files: dict[str, tuple[str | bytes, int]] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def add_program(self, path: str) -> None:
        """With what its dynamic linker loads. A chain of symbolic links is kept."""
        while os.path.islink(path):
            target = os.path.join(os.path.dirname(path), os.readlink(path))
            self.links[path] = os.readlink(path)
            path = os.path.normpath(target)
        self.files[path] = (path, 0o755)
        self.add_libraries([path])

    def add_libraries(self, programs: Iterable[str]) -> None:
        for library in libraries(programs):
            self.files[library] = (os.path.realpath(library), 0o755)

    def add_tree(self, source: Path, target: str, left_out: frozenset[str], keep_times: bool = False) -> None:
        for directory, names, files in os.walk(source):
            names[:] = sorted(name for name in names if name not in left_out and not name.startswith("config-"))
            for name in files:
                if not name.startswith(EXTENSIONS_LEFT_OUT) and ".opt-" not in name:
                    path, place = os.path.join(directory, name), f"{target}/{os.path.relpath(os.path.join(directory, name), source)}"
                    self.files[place] = (os.path.realpath(path), 0o755 if os.access(path, os.X_OK) else 0o644)
                    if keep_times:
                        self.times[place] = int(os.stat(path).st_mtime)

    def write(self) -> bytes:
        """An uncompressed tar archive."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
            places = sorted({*self.files, *self.links})
            for directory in sorted({str(parent) for place in places for parent in Path(place).parents if str(parent) != "/"} | {"/tmp"}):
                entry = tarfile.TarInfo(directory.lstrip("/"))
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if directory == "/tmp" else 0o755
                tar.addfile(entry)
            for place in places:
                entry = tarfile.TarInfo(place.lstrip("/"))
                if place in self.links:
                    entry.type, entry.linkname = tarfile.SYMTYPE, self.links[place]
                    tar.addfile(entry)
                    continue
                source, entry.mode = self.files[place]
                data = source if isinstance(source, bytes) else Path(source).read_bytes()
                entry.size, entry.mtime = len(data), self.times.get(place, 0)
                tar.addfile(entry, io.BytesIO(data))
        return out.getvalue()


def libraries(programs: Iterable[str]) -> list[str]:
    """Paths as the dynamic linker looks for them, the linker itself included. Raises RuntimeFailure when ldd is missing."""
    ldd = shutil.which("ldd")
    if ldd is None:
        raise RuntimeFailure("ldd is not installed: an image cannot be built from this machine's files")
    found = set()
    for program in programs:
        listed = subprocess.run([ldd, program], capture_output=True, text=True, check=False).stdout
        for line in listed.splitlines():
            words = line.split()
            path = words[2] if len(words) > 2 and words[1] == "=>" else words[0] if words else ""
            if path.startswith("/") and path.rstrip(":") != program:
                found.add(path)
    return sorted(found)


def archive(name: str, layer: Layer, command: list[str]) -> bytes:
    """A docker archive of one image called `name`, which runs `command`."""
    body = layer.write()
    machine = platform.machine()
    config = {
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {"Cmd": command, "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(body).hexdigest()}"]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "podium"}],
    }
    encoded = json.dumps(config, sort_keys=True).encode()
    config_name = f"{hashlib.sha256(encoded).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    outer = io.BytesIO()
    with tarfile.open(fileobj=outer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, data in ((config_name, encoded), ("layer.tar", body), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return outer.getvalue()


def pause_image(name: str = PAUSE_IMAGE) -> bytes:
    layer = Layer()
    if platform.machine() == "x86_64":
        layer.files["/pause"] = (pause_program(), 0o755)
        return archive(name, layer, ["/pause"])
    sleep = shutil.which("sleep")
    if sleep is None:
        raise RuntimeFailure("no `sleep` on PATH to build the pause image from")
    layer.add_program(sleep)
    return archive(name, layer, [sleep, "infinity"])


def pause_program() -> bytes:
    """A Linux program for x86-64 that only waits, 129 bytes: an ELF header, one program header, `again: mov eax, 34 (pause);
    syscall; jmp again`.
    It has no libraries to load, and takes a page of memory in each pod."""
    code = bytes.fromhex("b822000000 0f05 ebf7")
    base, headers = 0x400000, 64 + 56
    size = headers + len(code)
    identity = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = identity + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + headers, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)
    return header + segment + code


def python_image(name: str, directories: Mapping[str, Path]) -> bytes:
    """The host's python3 with its standard library, a shell and a few tools, and `directories` (path in the image -> on the host)."""
    layer = Layer()
    python = _host_python()
    asked = (
        "import sys, sysconfig; print(sys.base_prefix, sysconfig.get_path('stdlib'), sys.version_info[0], sys.version_info[1], sep='\\n')"
    )
    ran = subprocess.run([python, "-I", "-c", asked], capture_output=True, text=True, check=True)
    _, stdlib, *_ = ran.stdout.split()
    layer.add_program(python)
    layer.add_tree(Path(stdlib), stdlib, STDLIB_LEFT_OUT, keep_times=True)
    layer.add_libraries([path for path in sorted(layer.files) if path.endswith(".so")])
    if python != "/usr/bin/python3":
        layer.links["/usr/bin/python3"] = python
    for tool in TOOLS:
        found = shutil.which(tool, path="/bin:/usr/bin")
        if found:
            layer.add_program(found)
    if os.path.exists(CA_BUNDLE):
        layer.files[CA_BUNDLE] = (os.path.realpath(CA_BUNDLE), 0o644)
    layer.files["/etc/passwd"] = (b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n", 0o644)
    layer.files["/etc/group"] = (b"root:x:0:\nnogroup:x:65534:\n", 0o644)
    layer.files["/etc/nsswitch.conf"] = (b"hosts: files dns\n", 0o644)
    for target, source in directories.items():
        layer.add_tree(source, target, frozenset(("__pycache__",)))
    return archive(name, layer, ["python3"])


def _host_python() -> str:
    """The distribution's, whose libraries lie in standard places; else the one that runs this."""
    return "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else os.path.realpath(sys.executable)


def load(file: Path, socket: str) -> str:
    """Imports an image archive into containerd; returns what was loaded. Raises RuntimeFailure."""
    ctr = shutil.which("ctr")
    if ctr is None:
        raise RuntimeFailure("ctr is not installed: install containerd")
    command = [ctr, "--address", socket.removeprefix("unix://"), "--namespace", CRI_NAMESPACE, "images", "import", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise RuntimeFailure(f"{file} could not be loaded ({last}): give an archive written by `docker save` or an OCI archive")
    return done.stdout.strip()


def main(arguments: list[str]) -> int:
    match arguments:
        case ["pause", file]:
            Path(file).write_bytes(pause_image())
        case ["python", file, name, *places]:
            Path(file).write_bytes(python_image(name, {target: Path(source) for source, _, target in (p.partition("=") for p in places)}))
        case _:
            sys.stderr.write("usage: python -m podium.node.images pause FILE | python FILE NAME DIRECTORY=PATH...\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
