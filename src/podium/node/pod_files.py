"""Prepares real pods: their directory on the node, volumes, hosts file, environment, and the specs the runtime is given.

    directory/UID/
      volumes/NAME/         see volumes.py
      log/CONTAINER/N.log   N is the attempt; rotated by log_rotation.py
      termination/CONTAINER/N
      etc-hosts

Source: kubelet_pods.go (hosts file, hostnames, DNS), kuberuntime_container.go (specs), network/dns.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from podium.node import volumes as volume_paths
from podium.node.atomic_files import BadPath
from podium.node.environment import CONFIG_ERROR, Surroundings, environment, expand, expanded
from podium.node.pod_spec import all_containers
from podium.node.preparation import PreparationFailure
from podium.node.refusals import container_refusals, pod_refusals
from podium.node.resize import amounts
from podium.node.runtime.interface import ContainerSpec, Mount, PortMapping, SandboxSpec, SecurityContext
from podium.node.sources import Sources
from podium.node.volumes import Volumes
from podium.objects.status import StatusError
from podium.objects.values import Object

TERMINATION_PATH = "/dev/termination-log"
TERMINATION_BYTES_MAX = 4096
FALLBACK_BYTES_MAX = 2048
FALLBACK_LINES_MAX = 80


@dataclass(frozen=True, slots=True)
class NodeSurroundings:
    """`own_hosts`: the agent writes /etc/hosts and termination logs as mounts (container runtimes); process containers have their own."""

    directory: Path
    host_ip: str
    cluster_dns: tuple[str, ...]
    cluster_domain: str
    allocatable: dict[str, str]
    own_hosts: bool


class PodFiles:
    def __init__(self, node: NodeSurroundings, sources: Sources, volumes: Volumes) -> None:
        self._node = node
        self._sources = sources
        self.volumes = volumes

    def pod_directory(self, pod: Object) -> Path:
        return self._node.directory / str(pod["metadata"]["uid"])

    async def prepare(self, pod: Object) -> None:
        refused = pod_refusals(pod)
        if refused:
            raise PreparationFailure("FailedCreatePodSandBox", f"Failed to create pod sandbox: {'; '.join(refused)}")
        directory = self.pod_directory(pod)
        for container in all_containers(pod):
            (directory / "log" / container["name"]).mkdir(parents=True, exist_ok=True)
        directory.chmod(0o750)
        await self.volumes.set_up(pod)

    async def handler(self, pod: Object) -> str:
        name = pod["spec"].get("runtimeClassName")
        if not name:
            return ""
        try:
            found = await self._sources.runtime_class(name)
        except (StatusError, OSError) as error:
            raise PreparationFailure("FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}") from error
        if found is None:
            message = f'Failed to create pod sandbox: runtimeclasses.node.k8s.io "{name}" not found'
            raise PreparationFailure("FailedCreatePodSandBox", message)
        return str(found["handler"])

    async def clean(self, pod: Object) -> None:
        await self.volumes.clean(pod)
        shutil.rmtree(self.pod_directory(pod), ignore_errors=True)

    # Sandbox

    def sandbox_spec(self, pod: Object, attempt: int) -> SandboxSpec:
        metadata, spec = pod["metadata"], pod["spec"]
        servers, searches, options = self._dns(pod)
        security = spec.get("securityContext") or {}
        return SandboxSpec(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            attempt=attempt,
            hostname=hostname(pod),
            log_directory=str(self.pod_directory(pod) / "log"),
            dns_servers=servers,
            dns_searches=searches,
            dns_options=options,
            host_network=bool(spec.get("hostNetwork")),
            ports=tuple(_port(p) for c in spec["containers"] for p in c.get("ports") or () if p.get("hostPort")),
            labels=metadata.get("labels") or {},
            annotations=metadata.get("annotations") or {},
            sysctls={s["name"]: s.get("value", "") for s in security.get("sysctls") or ()},
            overhead=amounts({"resources": {"requests": spec.get("overhead") or {}, "limits": spec.get("overhead") or {}}}),
        )

    def _dns(self, pod: Object) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Servers, searches, options by dnsPolicy, with dnsConfig merged in. Empty servers: the host's resolv.conf."""
        spec, domain = pod["spec"], self._node.cluster_domain
        policy = spec.get("dnsPolicy", "ClusterFirst")
        if policy == "ClusterFirst" and spec.get("hostNetwork"):
            policy = "Default"
        servers: list[str] = []
        searches: list[str] = []
        options: list[str] = []
        if policy.startswith("ClusterFirst"):
            servers = list(self._node.cluster_dns)
            searches = [f"{pod['metadata']['namespace']}.svc.{domain}", f"svc.{domain}", domain]
            options = ["ndots:5"]
        config = spec.get("dnsConfig") or {}
        servers += [s for s in config.get("nameservers") or () if s not in servers]
        searches += [s for s in config.get("searches") or () if s not in searches]
        given = {o["name"]: f"{o['name']}:{o['value']}" if o.get("value") else o["name"] for o in config.get("options") or ()}
        kept = [o for o in options if o.split(":")[0] not in given]
        return tuple(servers), tuple(searches), (*kept, *given.values())

    # Containers

    async def container_spec(self, pod: Object, container: Object, attempt: int, address: str) -> ContainerSpec:
        refused = container_refusals(container)
        if refused:
            raise PreparationFailure(CONFIG_ERROR, "; ".join(refused))
        around = Surroundings(address, self._node.host_ip, self._node.allocatable)
        try:
            variables = await environment(pod, container, self._sources, around)
        except (StatusError, OSError) as error:
            raise PreparationFailure(CONFIG_ERROR, str(error)) from error
        log_path = self.pod_directory(pod) / "log" / container["name"] / f"{attempt}.log"
        log_path.parent.mkdir(parents=True, exist_ok=True)
        return ContainerSpec(
            name=container["name"],
            attempt=attempt,
            image=container.get("image", ""),
            command=expanded(container.get("command"), variables),
            args=expanded(container.get("args"), variables),
            env=tuple(variables.items()),
            working_dir=container.get("workingDir") or "",
            mounts=self._mounts(pod, container, attempt, variables, address),
            log_path=str(log_path),
            resources=amounts(container),
            security=security_context(pod, container),
            tty=bool(container.get("tty")),
            stdin=bool(container.get("stdin")),
            stdin_once=bool(container.get("stdinOnce")),
        )

    def _mounts(self, pod: Object, container: Object, attempt: int, variables: dict[str, str], address: str) -> tuple[Mount, ...]:
        by_name = {v["name"]: v for v in pod["spec"].get("volumes") or ()}
        mounts = [self._mount(pod, by_name, m, variables) for m in container.get("volumeMounts") or ()]
        taken = {m.container_path for m in mounts}
        wants_hosts = self._node.own_hosts or pod["spec"].get("hostAliases")
        if wants_hosts and not pod["spec"].get("hostNetwork") and "/etc/hosts" not in taken:
            path = self.pod_directory(pod) / "etc-hosts"
            path.write_text(hosts_file(pod, address, self._node.cluster_domain))
            mounts.append(Mount(str(path), "/etc/hosts"))
        termination = container.get("terminationMessagePath") or TERMINATION_PATH
        if (self._node.own_hosts or mounts) and termination not in taken:
            path = self._termination_file(pod, container, attempt)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            path.chmod(0o666)
            mounts.append(Mount(str(path), termination))
        return tuple(mounts)

    def _mount(self, pod: Object, by_name: dict[str, Object], mount: Object, variables: dict[str, str]) -> Mount:
        volume = by_name.get(mount["name"])
        if volume is None:
            raise PreparationFailure(CONFIG_ERROR, f'volumeMount "{mount["name"]}" has no volume')
        path = self.volumes.path(pod, volume)
        part = mount.get("subPath") or _sub_path_expr(mount, variables)
        if part:
            try:
                path = volume_paths.sub_path(path, part)
            except (BadPath, OSError) as error:
                message = f'failed to prepare subPath for volumeMount "{mount["name"]}": {error}'
                raise PreparationFailure(CONFIG_ERROR, message) from error
        read_only = bool(mount.get("readOnly")) or any(kind in volume for kind in volume_paths.VALUE_KINDS)
        return Mount(str(path), mount["mountPath"], read_only)

    # After the end

    def termination_message(self, pod: Object, container: Object, attempt: int, log_path: str, failed: bool) -> str:
        try:
            with self._termination_file(pod, container, attempt).open("rb") as opened:
                text = opened.read(TERMINATION_BYTES_MAX).decode(errors="replace")
        except OSError:
            text = ""
        if not text and failed and container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            return _log_end(log_path)
        return text

    def _termination_file(self, pod: Object, container: Object, attempt: int) -> Path:
        return self.pod_directory(pod) / "termination" / container["name"] / str(attempt)


def hostname(pod: Object) -> str:
    name: str = pod["spec"].get("hostname") or pod["metadata"]["name"]
    return name[:63].rstrip("-.")


def hosts_file(pod: Object, address: str, domain: str) -> str:
    """Source: kubelet managedHostsFileContent, hostsEntriesFromHostAliases."""
    name, sub = hostname(pod), pod["spec"].get("subdomain")
    full = f"{name}.{sub}.{pod['metadata']['namespace']}.svc.{domain}\t" if sub else ""
    lines = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
    ]
    if address:
        lines.append(f"{address}\t{full}{name}")
    aliases = pod["spec"].get("hostAliases") or ()
    if aliases:
        lines += ["", "# Entries added by HostAliases."]
        lines += ["\t".join([alias["ip"], *(alias.get("hostnames") or ())]) for alias in aliases]
    return "\n".join(lines) + "\n"


def security_context(pod: Object, container: Object) -> SecurityContext:
    """The container's settings over the pod's. Raises PreparationFailure when runAsNonRoot cannot be kept."""
    whole_pod, own = pod["spec"].get("securityContext") or {}, container.get("securityContext") or {}
    merged = {**whole_pod, **{k: v for k, v in own.items() if v is not None}}
    user = merged.get("runAsUser")
    if merged.get("runAsNonRoot") and user == 0:
        raise PreparationFailure(CONFIG_ERROR, "container's runAsUser breaks non-root policy")
    if merged.get("runAsNonRoot") and user is None:
        raise PreparationFailure(CONFIG_ERROR, "container has runAsNonRoot and Podium cannot tell the image's user: set runAsUser")
    capabilities = own.get("capabilities") or {}
    groups = list(whole_pod.get("supplementalGroups") or ())
    if whole_pod.get("fsGroup") is not None and whole_pod["fsGroup"] not in groups:
        groups.append(whole_pod["fsGroup"])
    return SecurityContext(
        run_as_user=user,
        run_as_group=merged.get("runAsGroup"),
        supplemental_groups=tuple(groups),
        privileged=bool(own.get("privileged")),
        read_only_root=bool(own.get("readOnlyRootFilesystem")),
        add_capabilities=tuple(capabilities.get("add") or ()),
        drop_capabilities=tuple(capabilities.get("drop") or ()),
        no_new_privileges=own.get("allowPrivilegeEscalation") is False,
        seccomp_default=(merged.get("seccompProfile") or {}).get("type") == "RuntimeDefault",
    )


def _port(port: Object) -> PortMapping:
    return PortMapping(port["hostPort"], port["containerPort"], port.get("protocol", "TCP"), port.get("hostIP") or "")


def _sub_path_expr(mount: Object, variables: dict[str, str]) -> str:
    expression = mount.get("subPathExpr") or ""
    missing: list[str] = []

    def lookup(name: str) -> str | None:
        if name not in variables:
            missing.append(name)
        return variables.get(name)

    value = expand(expression, lookup)
    if missing:
        raise PreparationFailure(CONFIG_ERROR, f'missing value for "{missing[0]}" in subPathExpr {expression!r}')
    return value


def _log_end(log_path: str) -> str:
    """The last lines of a log, without their CRI prefixes."""
    try:
        with open(log_path, "rb") as opened:
            opened.seek(0, 2)
            opened.seek(max(0, opened.tell() - 4 * FALLBACK_BYTES_MAX))
            lines = opened.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    texts = [line.split(" ", 3)[3] for line in lines[-FALLBACK_LINES_MAX:] if line.count(" ") >= 3]
    return "\n".join(texts)[-FALLBACK_BYTES_MAX:] + ("\n" if texts else "")
