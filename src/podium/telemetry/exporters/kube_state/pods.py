"""kube_pod_*.

Source: kube-state-metrics internal/store/pod.go.
"""

from podium.objects.values import Object, controller_of
from podium.telemetry.exporters.kube_state.rendering import Rendering, quantity, seconds

PHASES = ("Pending", "Succeeded", "Failed", "Unknown", "Running")
QOS_CLASSES = ("BestEffort", "Burstable", "Guaranteed")
REASONS = ("Evicted", "NodeAffinity", "NodeLost", "Shutdown", "UnexpectedAdmissionError")
_CONDITION_TIMES = {
    "Initialized": "kube_pod_status_initialized_time",
    "Ready": "kube_pod_status_ready_time",
    "ContainersReady": "kube_pod_status_container_ready_time",
    "PodScheduled": "kube_pod_status_scheduled_time",
}


def pod(value: Object, out: Rendering) -> None:
    metadata, spec, status = value["metadata"], value["spec"], value.get("status") or {}
    _about(value, metadata, spec, status, out)
    out.owners("kube_pod_owner", metadata)
    _conditions(status, out)
    for prefix, containers, statuses in (
        ("kube_pod_container", "containers", "containerStatuses"),
        ("kube_pod_init_container", "initContainers", "initContainerStatuses"),
    ):
        _containers(prefix, spec, spec.get(containers) or [], status.get(statuses) or [], out)
    _finished(status, out)
    _volumes(spec, out)
    _scheduling(spec, out)


def _about(value: Object, metadata: Object, spec: Object, status: Object, out: Rendering) -> None:
    controller = controller_of(value) or {"kind": "", "name": ""}
    out.add(
        "kube_pod_info", 1, ("host_ip", status.get("hostIP", "")), ("pod_ip", status.get("podIP", "")), ("node", spec.get("nodeName", "")),
        ("created_by_kind", controller["kind"]), ("created_by_name", controller["name"]),
        ("priority_class", spec.get("priorityClassName", "")), ("host_network", str(bool(spec.get("hostNetwork"))).lower()),
    )  # fmt: skip
    for address in status.get("podIPs") or ():
        ip = address.get("ip", "")
        out.add("kube_pod_ips", 1, ("ip", ip), ("ip_family", "6" if ":" in ip else "4"))
    out.time("kube_pod_start_time", status.get("startTime"))
    out.time("kube_pod_created", metadata.get("creationTimestamp"))
    out.time("kube_pod_deletion_timestamp", metadata.get("deletionTimestamp"))
    out.add("kube_pod_restart_policy", 1, ("type", spec.get("restartPolicy", "")))
    out.add("kube_pod_service_account", 1, ("service_account", spec.get("serviceAccountName", "")))
    out.add("kube_pod_scheduler", 1, ("name", spec.get("schedulerName", "")))
    if phase := status.get("phase"):
        out.one_of("kube_pod_status_phase", "phase", PHASES, phase)
    if qos := status.get("qosClass"):
        out.one_of("kube_pod_status_qos_class", "qos_class", QOS_CLASSES, qos)
    if "runtimeClassName" in spec:
        out.add("kube_pod_runtimeclass_name_info", 1, ("runtimeclass_name", spec["runtimeClassName"]))
    overhead = spec.get("overhead") or {}
    if "cpu" in overhead:
        out.add("kube_pod_overhead_cpu_cores", quantity("cpu", str(overhead["cpu"])))
    if "memory" in overhead:
        out.add("kube_pod_overhead_memory_bytes", quantity("memory", str(overhead["memory"])))


def _conditions(status: Object, out: Rendering) -> None:
    reasons = {status.get("reason")}
    for condition in status.get("conditions") or ():
        kind, state = condition["type"], condition["status"]
        reasons.add(condition.get("reason"))
        if kind == "Ready":
            out.statuses("kube_pod_status_ready", state)
        elif kind == "PodScheduled":
            out.statuses("kube_pod_status_scheduled", state)
            if state == "False":
                out.add("kube_pod_status_unschedulable", 1)
        if state == "True" and kind in _CONDITION_TIMES:
            out.time(_CONDITION_TIMES[kind], condition.get("lastTransitionTime"))
    for container in status.get("containerStatuses") or ():
        reasons.add(((container.get("state") or {}).get("terminated") or {}).get("reason"))
    for reason in REASONS:
        out.add("kube_pod_status_reason", reason in reasons, ("reason", reason))


def _containers(prefix: str, spec: Object, containers: list[Object], statuses: list[Object], out: Rendering) -> None:
    node = ("node", spec.get("nodeName", ""))
    specs = {container["name"]: container for container in containers}
    for container in containers:
        resources, name = container.get("resources") or {}, ("container", container["name"])
        if resources:
            out.resources(f"{prefix}_resource_requests", resources.get("requests"), name, node)
            out.resources(f"{prefix}_resource_limits", resources.get("limits"), name, node)
    for status in statuses:
        name = ("container", status["name"])
        of_spec = specs.get(status["name"], {})
        more = (("restart_policy", of_spec.get("restartPolicy", "")),) if prefix.endswith("init_container") else ()
        out.add(
            f"{prefix}_info", 1, name, ("image_spec", of_spec.get("image", "")), ("image", status.get("image", "")),
            ("image_id", status.get("imageID", "")), ("container_id", status.get("containerID", "")), *more,
        )  # fmt: skip
        _container_state(prefix, status, name, out)


def _container_state(prefix: str, status: Object, name: tuple[str, str], out: Rendering) -> None:
    state = status.get("state") or {}
    out.add(f"{prefix}_status_ready", bool(status.get("ready")), name)
    out.add(f"{prefix}_status_restarts_total", status.get("restartCount", 0), name)
    waiting, running, terminated = state.get("waiting"), state.get("running"), state.get("terminated")
    out.add(f"{prefix}_status_waiting", waiting is not None, name)
    out.add(f"{prefix}_status_running", running is not None, name)
    out.add(f"{prefix}_status_terminated", terminated is not None, name)
    if waiting is not None:
        out.add(f"{prefix}_status_waiting_reason", 1, name, ("reason", waiting.get("reason", "")))
    if terminated is not None:
        out.add(f"{prefix}_status_terminated_reason", 1, name, ("reason", terminated.get("reason", "")))
    started = (running or terminated or {}).get("startedAt")
    if prefix == "kube_pod_container":
        out.time("kube_pod_container_state_started", started, name)
    last = (status.get("lastState") or {}).get("terminated")
    if last is not None:
        out.add(f"{prefix}_status_last_terminated_reason", 1, name, ("reason", last.get("reason", "")))
        if prefix == "kube_pod_container":
            out.add("kube_pod_container_status_last_terminated_exitcode", last.get("exitCode", 0), name)
            out.time("kube_pod_container_status_last_terminated_timestamp", last.get("finishedAt"), name)


def _finished(status: Object, out: Rendering) -> None:
    terminated = [(c.get("state") or {}).get("terminated") or {} for c in status.get("containerStatuses") or ()]
    ends = [seconds(state["finishedAt"]) for state in terminated if state.get("finishedAt")]
    if ends:
        out.add("kube_pod_completion_time", max(ends))


def _volumes(spec: Object, out: Rendering) -> None:
    for volume in spec.get("volumes") or ():
        claim = volume.get("persistentVolumeClaim")
        if claim:
            labels = (("volume", volume["name"]), ("persistentvolumeclaim", claim["claimName"]))
            out.add("kube_pod_spec_volumes_persistentvolumeclaims_info", 1, *labels)
            out.add("kube_pod_spec_volumes_persistentvolumeclaims_readonly", bool(claim.get("readOnly")), *labels)


def _scheduling(spec: Object, out: Rendering) -> None:
    for toleration in spec.get("tolerations") or ():
        parts = ("key", "operator", "value", "effect")
        labels = [(name, toleration[name]) for name in parts if toleration.get(name)]
        if toleration.get("tolerationSeconds") is not None:
            labels.append(("toleration_seconds", str(toleration["tolerationSeconds"])))
        out.add("kube_pod_tolerations", 1, *labels)


POD_FAMILIES = """
kube_pod_info: What a pod is and where it runs.
kube_pod_ips: A pod's addresses.
kube_pod_start_time: When a pod was started, in seconds since the epoch.
kube_pod_completion_time: When the last container of a pod ended, in seconds since the epoch.
kube_pod_created: When a pod was created, in seconds since the epoch.
kube_pod_deletion_timestamp: When a pod is to be deleted, in seconds since the epoch.
kube_pod_owner: A pod's owners.
kube_pod_labels: A pod's labels.
kube_pod_annotations: A pod's annotations.
kube_pod_restart_policy: When a pod's containers are started again.
kube_pod_service_account: The account that a pod runs under.
kube_pod_scheduler: The scheduler that a pod asks for.
kube_pod_status_phase: A pod's phase.
kube_pod_status_qos_class: A pod's class of service.
kube_pod_status_ready: Whether a pod is ready to serve.
kube_pod_status_scheduled: Whether a pod has been given a node.
kube_pod_status_unschedulable: Whether no node fits a pod.
kube_pod_status_reason: Why a pod is in its phase.
kube_pod_status_initialized_time: When a pod was initialized, in seconds since the epoch.
kube_pod_status_ready_time: When a pod became ready, in seconds since the epoch.
kube_pod_status_container_ready_time: When a pod's containers became ready, in seconds since the epoch.
kube_pod_status_scheduled_time: When a pod was given a node, in seconds since the epoch.
kube_pod_runtimeclass_name_info: The runtime class of a pod.
kube_pod_overhead_cpu_cores: Cores that running a pod takes besides its containers.
kube_pod_overhead_memory_bytes: Memory that running a pod takes besides its containers.
kube_pod_container_info: What a container is.
kube_pod_container_resource_requests: What a container asks for of a resource.
kube_pod_container_resource_limits: What a container may use of a resource.
kube_pod_container_state_started: When a container was started, in seconds since the epoch.
kube_pod_container_status_ready: Whether a container is ready.
kube_pod_container_status_restarts_total: How often a container was started again.
kube_pod_container_status_running: Whether a container runs.
kube_pod_container_status_terminated: Whether a container has ended.
kube_pod_container_status_terminated_reason: Why a container has ended.
kube_pod_container_status_last_terminated_reason: Why a container ended the last time.
kube_pod_container_status_last_terminated_exitcode: With which code a container ended the last time.
kube_pod_container_status_last_terminated_timestamp: When a container ended the last time, in seconds since the epoch.
kube_pod_container_status_waiting: Whether a container waits to be started.
kube_pod_container_status_waiting_reason: Why a container waits to be started.
kube_pod_init_container_info: What an init container is.
kube_pod_init_container_resource_requests: What an init container asks for of a resource.
kube_pod_init_container_resource_limits: What an init container may use of a resource.
kube_pod_init_container_status_ready: Whether an init container is ready.
kube_pod_init_container_status_restarts_total: How often an init container was started again.
kube_pod_init_container_status_running: Whether an init container runs.
kube_pod_init_container_status_terminated: Whether an init container has ended.
kube_pod_init_container_status_terminated_reason: Why an init container has ended.
kube_pod_init_container_status_last_terminated_reason: Why an init container ended the last time.
kube_pod_init_container_status_waiting: Whether an init container waits to be started.
kube_pod_init_container_status_waiting_reason: Why an init container waits to be started.
kube_pod_spec_volumes_persistentvolumeclaims_info: The claims that a pod uses.
kube_pod_spec_volumes_persistentvolumeclaims_readonly: Whether a pod only reads a claim's volume.
kube_pod_tolerations: A pod's tolerations.
"""
