"""The volumes of a pod: where each lies on the node, made when the pod starts and kept up to date while it runs.

Volumes of values (configMap, secret, downwardAPI, projected) are directories of files replaced atomically (atomic_files). emptyDir is a
directory, or a tmpfs for medium Memory; hostPath is the host's. Everything else is refused by name.

Bounds: the refresh asks for each object a pod names at most once a period; tokens are renewed at four fifths of their life.
Source: kubelet volumemanager and pkg/volume/{configmap,secret,downwardapi,projected,emptydir,hostpath} (wording, modes, checks).
"""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from podium.node import atomic_files, tmpfs
from podium.node.atomic_files import BadPath, File, Payload
from podium.node.environment import decoded
from podium.node.fields import UnknownField, field_value, resource_value
from podium.node.pod_spec import all_containers
from podium.node.preparation import PreparationFailure
from podium.node.sources import Sources, Token
from podium.objects.quantities import whole
from podium.objects.status import StatusError
from podium.objects.values import Object
from podium.world.interface import World

VALUE_KINDS = ("configMap", "secret", "downwardAPI", "projected")
KINDS = (*VALUE_KINDS, "emptyDir", "hostPath")
MODE_DEFAULT = 0o644
TOKEN_MODE = 0o644
TOKEN_S_DEFAULT = 3600


class VolumeProblem(Exception):
    """Why one volume cannot be set up, without its name."""


@dataclass(slots=True)
class PodVolumes:
    """The volumes of one pod that runs: their tokens, by (volume, path)."""

    tokens: dict[tuple[str, str], Token] = field(default_factory=dict)


class Volumes:
    """`root(uid)` of every pod is `directory/UID/volumes`."""

    def __init__(self, directory: Path, sources: Sources, world: World, host_ip: str, allocatable: dict[str, str]) -> None:
        self._directory = directory
        self._sources = sources
        self._clock = world.clock
        self._host_ip = host_ip
        self._allocatable = allocatable
        self._pods: dict[str, PodVolumes] = {}
        self._stamps = 0

    def path(self, pod: Object, volume: Object) -> Path:
        """Where the volume lies on the host."""
        if "hostPath" in volume:
            return Path(volume["hostPath"]["path"])
        return self._directory / pod["metadata"]["uid"] / "volumes" / volume["name"]

    async def set_up(self, pod: Object) -> None:
        """All volumes; safe to repeat. Raises PreparationFailure naming the first that cannot be set up."""
        state = self._pods.setdefault(pod["metadata"]["uid"], PodVolumes())
        for volume in pod["spec"].get("volumes") or ():
            try:
                await self._set_up(pod, volume, state)
            except (VolumeProblem, BadPath, UnknownField, OSError, StatusError) as problem:
                message = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {problem}'
                raise PreparationFailure("FailedMount", message) from problem

    async def refresh(self, pod: Object) -> None:
        """Brings the files of value volumes up to date. Raises PreparationFailure, and leaves what was there."""
        values = [v for v in pod["spec"].get("volumes") or () if any(kind in v for kind in VALUE_KINDS)]
        if values:
            await self.set_up({**pod, "spec": {**pod["spec"], "volumes": values}})

    def over_limit(self, pod: Object) -> str:
        """The name and limit of an emptyDir on disk that holds more than its sizeLimit: `"name" exceeds the limit "1Gi"`; else empty."""
        for volume in pod["spec"].get("volumes") or ():
            limit = (volume.get("emptyDir") or {}).get("sizeLimit")
            if limit and volume["emptyDir"].get("medium", "") == "" and disk_usage(self.path(pod, volume)) > whole(str(limit)):
                return f'"{volume["name"]}" exceeds the limit "{limit}"'
        return ""

    async def clean(self, pod: Object) -> None:
        """Unmounts what is mounted; the files go with the pod's directory."""
        self._pods.pop(pod["metadata"]["uid"], None)
        for volume in pod["spec"].get("volumes") or ():
            path = self.path(pod, volume)
            if "hostPath" not in volume and tmpfs.is_mounted(path):
                tmpfs.unmount(path)

    async def _set_up(self, pod: Object, volume: Object, state: PodVolumes) -> None:
        kind = next((k for k in KINDS if k in volume), None)
        if kind is None:
            other = next((k for k in volume if k != "name"), "unknown")
            raise VolumeProblem(f"Podium does not support volumes of kind {other} yet")
        path = self.path(pod, volume)
        if kind == "emptyDir":
            await self._empty_dir(pod, volume["emptyDir"] or {}, path)
        elif kind == "hostPath":
            check_host_path(Path(volume["hostPath"]["path"]), volume["hostPath"].get("type") or "")
        else:
            payload = await self._payload(pod, kind, volume, state)
            self._stamps += 1
            stamp = f"{self._clock.now():%Y_%m_%d_%H_%M_%S}.{self._stamps:09d}"
            atomic_files.write(path, payload, stamp, _fs_group(pod))

    async def _empty_dir(self, pod: Object, source: Object, path: Path) -> None:
        medium = source.get("medium", "")
        if medium not in ("", "Memory"):
            raise VolumeProblem(f"Podium does not support emptyDir medium {medium} yet")
        if medium == "Memory" and os.geteuid() != 0:
            raise VolumeProblem("emptyDir medium Memory needs Podium to run as root")
        fresh = make_directory(path)
        if medium == "Memory" and not tmpfs.is_mounted(path):
            size = f",size={whole(str(source['sizeLimit']))}" if source.get("sizeLimit") else ""
            tmpfs.mount(path, f"mode=0777{size}")
        if fresh:
            open_to_all(path, _fs_group(pod))

    # Files from values

    async def _payload(self, pod: Object, kind: str, volume: Object, state: PodVolumes) -> Payload:
        source = volume[kind]
        mode = source.get("defaultMode", MODE_DEFAULT)
        if kind == "configMap":
            return await self._config_map(pod, source, mode)
        if kind == "secret":
            return await self._secret(pod, {**source, "name": source.get("secretName", "")}, mode)
        if kind == "downwardAPI":
            return self._downward(pod, source, mode)
        payload: Payload = {}
        for part in source.get("sources") or ():
            payload |= await self._projected(pod, volume["name"], part, mode, state)
        return payload

    async def _projected(self, pod: Object, volume: str, part: Object, mode: int, state: PodVolumes) -> Payload:
        if "configMap" in part:
            return await self._config_map(pod, part["configMap"], mode)
        if "secret" in part:
            return await self._secret(pod, part["secret"], mode)
        if "downwardAPI" in part:
            return self._downward(pod, part["downwardAPI"], mode)
        if "serviceAccountToken" in part:
            return await self._token(pod, volume, part["serviceAccountToken"], mode, state)
        raise VolumeProblem(f"Podium does not support projecting {', '.join(part)} yet")

    async def _config_map(self, pod: Object, source: Object, mode: int) -> Payload:
        found = await self._sources.config_map(pod["metadata"]["namespace"], source.get("name", ""))
        if found is None:
            if source.get("optional"):
                return {}
            raise VolumeProblem(f'configmap "{source.get("name", "")}" not found')
        values = {k: str(v).encode() for k, v in (found.get("data") or {}).items()}
        values |= {k: decoded(v) for k, v in (found.get("binaryData") or {}).items()}
        return _chosen(values, source, mode, "config")

    async def _secret(self, pod: Object, source: Object, mode: int) -> Payload:
        found = await self._sources.secret(pod["metadata"]["namespace"], source.get("name", ""))
        if found is None:
            if source.get("optional"):
                return {}
            raise VolumeProblem(f'secret "{source.get("name", "")}" not found')
        return _chosen({k: decoded(v) for k, v in (found.get("data") or {}).items()}, source, mode, "secret")

    def _downward(self, pod: Object, source: Object, mode: int) -> Payload:
        payload: Payload = {}
        for item in source.get("items") or ():
            if "fieldRef" in item:
                value = field_value(pod, item["fieldRef"]["fieldPath"], (pod.get("status", {}).get("podIP", ""), self._host_ip))
            else:
                reference = item["resourceFieldRef"]
                container = next(c for c in all_containers(pod) if c["name"] == reference.get("containerName"))
                value = resource_value(container, reference, self._allocatable)
            payload[item["path"]] = File(value.encode(), item.get("mode") or mode)
        return payload

    async def _token(self, pod: Object, volume: str, source: Object, mode: int, state: PodVolumes) -> Payload:
        key = (volume, source["path"])
        token = state.tokens.get(key)
        if token is None or self._clock.monotonic() >= token.refresh_at_s:
            expires_s = int(source.get("expirationSeconds") or TOKEN_S_DEFAULT)
            token = state.tokens[key] = await self._sources.token(pod, source.get("audience") or "", expires_s)
        # Private to the one user of the pod where there is just one, as upstream.
        return {source["path"]: File(token.value.encode(), 0o600 if mode == 0o600 else TOKEN_MODE)}


def _chosen(values: dict[str, bytes], source: Object, mode: int, word: str) -> Payload:
    """All values by their keys, or the items asked for by their paths."""
    items: list[Any] = source.get("items") or []
    if not items:
        return {key: File(value, mode) for key, value in values.items()}
    payload: Payload = {}
    for item in items:
        if item["key"] in values:
            payload[item["path"]] = File(values[item["key"]], item["mode"] if item.get("mode") is not None else mode)
        elif not source.get("optional"):
            raise VolumeProblem(f"references non-existent {word} key: {item['key']}")
    return payload


def check_host_path(path: Path, wanted: str) -> None:
    """Checks the type of a hostPath, or makes it. Raises VolumeProblem."""
    if wanted == "DirectoryOrCreate" and not path.exists():
        path.mkdir(mode=0o755, parents=True)
    elif wanted == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    checks = {
        "Directory": (stat.S_ISDIR, "a directory"),
        "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
        "File": (stat.S_ISREG, "a file"),
        "FileOrCreate": (stat.S_ISREG, "a file"),
        "Socket": (stat.S_ISSOCK, "a socket file"),
        "CharDevice": (stat.S_ISCHR, "a character device"),
        "BlockDevice": (stat.S_ISBLK, "a block device"),
    }
    if not wanted:
        return
    if wanted not in checks:
        raise VolumeProblem(f"{wanted} is an invalid volume type")
    is_kind, word = checks[wanted]
    try:
        right = is_kind(path.stat().st_mode)
    except OSError:
        right = False
    if not right:
        raise VolumeProblem(f"hostPath type check failed: {path} is not {word}")


def sub_path(volume: Path, part: str) -> Path:
    """A path inside a volume, made as a directory when nothing is there. Raises BadPath when a link leads out of the volume."""
    atomic_files.check_path(part)
    target = volume / part
    root, resolved = os.path.realpath(volume), os.path.realpath(target)
    if resolved != root and not resolved.startswith(root.rstrip("/") + "/"):
        raise BadPath(f"subPath {part!r} leads out of the volume")
    if not os.path.lexists(target):
        Path(resolved).mkdir(mode=0o750, parents=True)
    return Path(resolved)


def make_directory(path: Path) -> bool:
    """Whether it was not there."""
    fresh = not path.exists()
    path.mkdir(parents=True, exist_ok=True)
    return fresh


def open_to_all(path: Path, group: int | None) -> None:
    """Anybody may write; with a group, files made in it belong to that group."""
    path.chmod(0o777)
    if group is not None:
        os.chown(path, -1, group)
        path.chmod(0o2777)


def disk_usage(directory: Path) -> int:
    """Bytes in regular files, without following links."""
    total = 0
    for root, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except OSError:
                continue
    return total


def _fs_group(pod: Object) -> int | None:
    group = (pod["spec"].get("securityContext") or {}).get("fsGroup")
    return int(group) if group is not None else None
