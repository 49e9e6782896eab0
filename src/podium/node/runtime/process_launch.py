"""What a process container is started with: the launch record for its shim, or a refusal that says what the machine lacks.

Pure: the runtime finds out its `Rights` once, and passes them in. The rule for what cannot be had as asked: refuse, with the next
step in the message. Two limits have a weaker form without control groups, which is used and documented instead of refusing most
manifests there are:
a memory limit becomes RLIMIT_DATA (per process, not for the container as a whole), a CPU limit becomes an affinity of that many
whole CPUs, rounded up.
"""

import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium.node.runtime.interface import ContainerSpec, RuntimeFailure, SandboxSpec, SecurityContext
from podium.node.runtime.process_isolation import (
    CAPABILITIES,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    DEFAULT_CAPABILITIES,
)
from podium.node.runtime.process_state import SandboxRecord

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Rights:
    """`no_private_root` says why there is none, empty when there is; `cgroup_parents` is empty when there are no control groups to
    be had."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    no_private_root: str
    cgroup_parents: tuple[str, ...]

    @property
    def root(self) -> bool:
        return self.uid == 0


def refuse(spec: ContainerSpec, rights: Rights) -> None:
    """Raises RuntimeFailure for what this machine, or this runtime, cannot do."""
    if not spec.command:
        raise RuntimeFailure(
            f"the process runtime ignores the image {spec.image!r} and runs a program of the host: "
            f"container {spec.name!r} must give `command`"
        )
    security = spec.security
    if rights.no_private_root:
        if spec.mounts:
            raise RuntimeFailure(
                f"container {spec.name!r} mounts volumes, which needs mount namespaces; this machine refuses them: {rights.no_private_root}"
            )
        if security.read_only_root:
            raise RuntimeFailure(f"readOnlyRootFilesystem needs mount namespaces; this machine refuses them: {rights.no_private_root}")
    unknown = [name for name in security.add_capabilities + security.drop_capabilities if _plain(name) not in (*CAPABILITIES, "ALL")]
    if unknown:
        raise RuntimeFailure(f"unknown capabilities: {', '.join(unknown)}")
    if not rights.root:
        _refuse_what_needs_root(security, rights)


def _refuse_what_needs_root(security: SecurityContext, rights: Rights) -> None:
    if security.privileged:
        raise RuntimeFailure("privileged process containers need Podium to run as root")
    if security.add_capabilities:
        raise RuntimeFailure("added capabilities need Podium to run as root")
    extra = sorted(set(security.supplemental_groups) - {rights.gid, *rights.groups})
    if extra:
        raise RuntimeFailure(f"supplemental groups {extra} need Podium to run as root (this user is not in them)")
    other = (security.run_as_user not in (None, rights.uid)) or (security.run_as_group not in (None, rights.gid))
    if other and rights.no_private_root:
        raise RuntimeFailure(f"runAsUser and runAsGroup need root or user namespaces; this machine refuses them: {rights.no_private_root}")


def _plain(capability: str) -> str:
    return capability.upper().removeprefix("CAP_")


def kept_capabilities(security: SecurityContext) -> list[int] | None:
    """Capability numbers to keep; None keeps all."""
    if security.privileged:
        return None
    kept = set(DEFAULT_CAPABILITIES)
    added, dropped = ({_plain(name) for name in names} for names in (security.add_capabilities, security.drop_capabilities))
    if "ALL" in dropped:
        kept.clear()
    if "ALL" in added:
        kept = set(CAPABILITIES)
    kept = (kept | added) - dropped
    return [number for number, name in enumerate(CAPABILITIES) if name in kept]


def identity(security: SecurityContext, rights: Rights) -> dict[str, Any]:
    """Who the process is; without root the user namespace has done it."""
    who: dict[str, Any] = {"keep_capabilities": None, "uid": None, "gid": None, "groups": None}
    who["no_new_privileges"] = security.no_new_privileges
    if rights.root:
        who["keep_capabilities"] = kept_capabilities(security)
        who["uid"] = security.run_as_user
        who["gid"] = security.run_as_group
        if security.run_as_user is not None and security.run_as_group is None:
            who["gid"] = _primary_group(security.run_as_user)
        if security.run_as_user is not None or security.supplemental_groups:
            who["groups"] = list(security.supplemental_groups)
    elif not rights.no_private_root:
        who["keep_capabilities"] = kept_capabilities(security)
    return who


def _primary_group(uid: int) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return 0


def join_flags(netns_path: str, rights: Rights) -> int:
    """The namespaces that an exec enters."""
    flags = CLONE_NEWNET if netns_path else 0
    if not rights.no_private_root:
        flags |= CLONE_NEWNS | CLONE_NEWUTS | (0 if rights.root else CLONE_NEWUSER)
    return flags


def environment(spec: ContainerSpec, sandbox: SandboxRecord) -> dict[str, str]:
    """The host's system directories come first in PATH; the agent's own follow, so that whatever python3 runs Podium is found at last."""
    path = [SYSTEM_PATH, os.environ.get("PATH", ""), str(Path(sys.base_prefix) / "bin")]
    home = "/" if spec.security.run_as_user else os.environ.get("HOME", "/")
    start = {"PATH": ":".join(part for part in path if part), "HOME": home, "HOSTNAME": sandbox.hostname}
    if sandbox.ip:
        start["POD_IP"] = sandbox.ip
    return start | dict(spec.env)


@dataclass(frozen=True, slots=True)
class Places:
    """`stage`: an empty directory for the private root; `sandbox`: the directory of its resolv.conf and hosts."""

    stage: str
    sandbox: str
    cgroups: list[str]


def launch_record(spec: ContainerSpec, sandbox: SandboxRecord, rights: Rights, places: Places, pod: SandboxSpec) -> dict[str, Any]:
    """Keys as process_shim and process_isolation read them."""
    volumes = [(mount.host_path, mount.container_path, mount.read_only) for mount in spec.mounts]
    if not rights.no_private_root:
        taken = {mount.container_path for mount in spec.mounts}
        own = (("resolv.conf", "/etc/resolv.conf", bool(pod.dns_servers)), ("hosts", "/etc/hosts", not pod.host_network))
        volumes += [(f"{places.sandbox}/{name}", path, False) for name, path, wanted in own if wanted and path not in taken]
    security = spec.security
    user = None
    if not rights.root:
        user = (
            rights.uid if security.run_as_user is None else security.run_as_user,
            rights.gid if security.run_as_group is None else security.run_as_group,
        )
    weak = not places.cgroups
    return {
        "argv": [*spec.command, *spec.args],
        "env": environment(spec, sandbox),
        "cwd": spec.working_dir or "/",
        "log": spec.log_path,
        "tty": spec.tty,
        "stdin": spec.stdin,
        "stdin_once": spec.stdin_once,
        "cgroups": places.cgroups,
        "data_bytes": spec.resources.memory_limit_bytes if weak else 0,
        "cpus": -(-spec.resources.cpu_limit_m // 1000) if weak else 0,
        "identity": identity(security, rights),
        "isolation": {
            "netns": sandbox.netns_path,
            "stage": "" if rights.no_private_root else places.stage,
            "user": user,
            "hostname": sandbox.hostname[:64],
            "mounts": volumes,
            "read_only_root": security.read_only_root,
        },
    }


def resolv_conf(spec: SandboxSpec) -> str:
    lines = [f"nameserver {server}" for server in spec.dns_servers]
    if spec.dns_searches:
        lines.append("search " + " ".join(spec.dns_searches))
    if spec.dns_options:
        lines.append("options " + " ".join(spec.dns_options))
    return "".join(line + "\n" for line in lines)


def hosts_file(spec: SandboxSpec, ip: str) -> str:
    own = f"{ip}\t{spec.hostname}\n" if ip else ""
    return f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{own}"
