"""Plain values to CRI messages and back. Pure.

Labels are the kubelet's, so that `crictl` and other tools read them; one more names the cluster, so that a runtime shared with
others is left alone: only sandboxes and containers with it are ever listed.
Source: kubelet pkg/kubelet/kuberuntime (labels.go, kuberuntime_sandbox.go, security_context_linux.go).
"""

import os
from typing import Any

from podium.node.runtime.cri_client import message
from podium.node.runtime.interface import (
    ContainerSpec,
    ContainerState,
    ContainerStatus,
    Resources,
    SandboxSpec,
    SandboxStatus,
    SecurityContext,
)

CLUSTER_LABEL = "podium.dev/cluster"
POD_NAME, POD_NAMESPACE, POD_UID = "io.kubernetes.pod.name", "io.kubernetes.pod.namespace", "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"
CPU_PERIOD_US, CPU_QUOTA_US_MIN, CPU_SHARES_MIN = 100_000, 1000, 2
STATES = (ContainerState.CREATED, ContainerState.RUNNING, ContainerState.EXITED, ContainerState.UNKNOWN)
TARGET = 3
"""Of NamespaceMode: the namespace of another container."""
MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
)
READ_ONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def sandbox_config(spec: SandboxSpec, cluster: str) -> Any:
    config = message("PodSandboxConfig")(
        hostname="" if spec.host_network else spec.hostname,
        log_directory=spec.log_directory,
        labels=spec.labels | {POD_NAME: spec.name, POD_NAMESPACE: spec.namespace, POD_UID: spec.uid, CLUSTER_LABEL: cluster},
        annotations=spec.annotations,
    )
    config.metadata.name, config.metadata.namespace = spec.name, spec.namespace
    config.metadata.uid, config.metadata.attempt = spec.uid, spec.attempt
    for field, values in (("servers", spec.dns_servers), ("searches", spec.dns_searches), ("options", spec.dns_options)):
        getattr(config.dns_config, field).extend(values)
    for port in spec.ports:
        if port.host_port:
            protocol = message("PortMapping").DESCRIPTOR.file.enum_types_by_name["Protocol"].values_by_name[port.protocol].number
            config.port_mappings.add(protocol=protocol, container_port=port.container_port, host_port=port.host_port, host_ip=port.host_ip)
    config.linux.cgroup_parent = "/" + cgroup_parent(cluster)
    config.linux.sysctls.update(spec.sysctls)
    if spec.overhead != Resources():
        set_resources(config.linux.overhead, spec.overhead)
    _set_namespaces(config.linux.security_context.namespace_options, spec.host_network)
    return config


def cgroup_parent(cluster: str) -> str:
    """Of the cluster's own, so that its end can take away what is left of it and of nothing else."""
    return f"podium-{cluster}"


def _set_namespaces(options: Any, host_network: bool) -> None:
    """The network and IPC are the pod's, processes the container's own."""
    options.network, options.pid, options.ipc = (2 if host_network else 0), 1, 0


def container_config(spec: ContainerSpec, sandbox: SandboxSpec, cluster: str) -> Any:
    labels = {POD_NAME: sandbox.name, POD_NAMESPACE: sandbox.namespace, POD_UID: sandbox.uid}
    config = message("ContainerConfig")(
        command=spec.command,
        args=spec.args,
        working_dir=spec.working_dir,
        labels=labels | {CONTAINER_NAME: spec.name, CLUSTER_LABEL: cluster},
        annotations=spec.annotations,
        log_path=os.path.relpath(spec.log_path, sandbox.log_directory),
        stdin=spec.stdin,
        stdin_once=spec.stdin_once,
        tty=spec.tty,
    )
    config.metadata.name, config.metadata.attempt = spec.name, spec.attempt
    config.image.image = spec.image
    for name, value in spec.env:
        config.envs.add(key=name, value=value)
    for mount in spec.mounts:
        config.mounts.add(container_path=mount.container_path, host_path=mount.host_path, readonly=mount.read_only)
    set_resources(config.linux.resources, spec.resources)
    _set_security(config.linux.security_context, spec.security)
    _set_namespaces(config.linux.security_context.namespace_options, sandbox.host_network)
    if spec.target_id:
        config.linux.security_context.namespace_options.pid = TARGET
        config.linux.security_context.namespace_options.target_id = spec.target_id
    return config


def set_resources(target: Any, resources: Resources) -> None:
    target.cpu_shares = max(CPU_SHARES_MIN, resources.cpu_request_m * 1024 // 1000)
    if resources.cpu_limit_m:
        target.cpu_period = CPU_PERIOD_US
        target.cpu_quota = max(CPU_QUOTA_US_MIN, resources.cpu_limit_m * CPU_PERIOD_US // 1000)
    target.memory_limit_in_bytes = resources.memory_limit_bytes


def _set_security(target: Any, security: SecurityContext) -> None:
    target.privileged = security.privileged
    target.readonly_rootfs = security.read_only_root
    target.no_new_privs = security.no_new_privileges
    target.supplemental_groups.extend(security.supplemental_groups)
    target.capabilities.add_capabilities.extend(security.add_capabilities)
    target.capabilities.drop_capabilities.extend(security.drop_capabilities)
    target.seccomp.profile_type = 0 if security.seccomp_default else 1  # RuntimeDefault, Unconfined
    if security.run_as_user is not None:
        target.run_as_user.value = security.run_as_user
    if security.run_as_group is not None:
        target.run_as_group.value = security.run_as_group
    if not security.privileged:
        target.masked_paths.extend(MASKED_PATHS)
        target.readonly_paths.extend(READ_ONLY_PATHS)


def sandbox_status(status: Any) -> SandboxStatus:
    meta = status.metadata
    ready = status.state == 0
    return SandboxStatus(status.id, meta.namespace, meta.name, meta.uid, meta.attempt, ready, status.network.ip, status.created_at)


def container_status(status: Any, sandbox_id: str) -> ContainerStatus:
    """An exit code without a reason is one that the runtime could not find out more about."""
    exited = STATES[status.state] == ContainerState.EXITED
    return ContainerStatus(
        id=status.id,
        sandbox_id=sandbox_id,
        pod_uid=status.labels.get(POD_UID, ""),
        name=status.metadata.name,
        attempt=status.metadata.attempt,
        state=STATES[status.state],
        image=status.image.image,
        image_ref=status.image_ref,
        created_ns=status.created_at,
        started_ns=status.started_at,
        finished_ns=status.finished_at if exited else 0,
        exit_code=status.exit_code,
        reason=status.reason or ("" if not exited else "Error" if status.exit_code else "Completed"),
        message=status.message,
        log_path=status.log_path,
    )
