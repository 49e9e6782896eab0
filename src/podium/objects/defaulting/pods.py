"""Defaults of pods and of the pod templates in workloads.

Some apply to a Pod only (requests from limits, service links, host ports), so that a template stays as its author wrote it.
An empty string or zero counts as absent where upstream's Go type cannot tell them apart.

Source: pkg/apis/core/v1/defaults.go and zz_generated.defaults.go; the account's two names: pkg/apis/core/v1/conversion.go.
"""

from functools import lru_cache
from typing import Any

from podium.objects.defaulting.storage import default_claim_spec, default_volume_source

Object = dict[str, Any]

MODE = 0o644
TOKEN_EXPIRATION_S = 3600


def default_pod(pod: Object) -> None:
    spec = pod.setdefault("spec", {})
    default_pod_spec(spec)
    if spec["terminationGracePeriodSeconds"] < 0:
        spec["terminationGracePeriodSeconds"] = 1
    spec.setdefault("enableServiceLinks", True)
    host_network = spec.get("hostNetwork")
    for container in (*spec.get("containers", ()), *spec.get("initContainers", ())):
        resources = container["resources"]
        if limits := resources.get("limits"):
            resources["requests"] = {**limits, **resources.get("requests", {})}
        if host_network:
            for port in container.get("ports", ()):
                if not port.get("hostPort") and "containerPort" in port:
                    port["hostPort"] = port["containerPort"]
    if status := pod.get("status"):
        _align_addresses(status)


def _align_addresses(status: Object) -> None:
    """podIP and the first of podIPs are the same; podIP wins."""
    address, addresses = status.get("podIP"), status.get("podIPs")
    if not address and addresses:
        status["podIP"] = addresses[0].get("ip", "")
    elif address and (not addresses or addresses[0].get("ip") != address):
        status["podIPs"] = [{"ip": address}]


def default_template(template: Object) -> None:
    """A PodTemplateSpec. Its metadata is always there, as Go writes it."""
    template.setdefault("metadata", {})
    default_pod_spec(template.setdefault("spec", {}))


def default_pod_spec(spec: Object) -> None:
    if not spec.get("restartPolicy"):
        spec["restartPolicy"] = "Always"
    if "terminationGracePeriodSeconds" not in spec:
        spec["terminationGracePeriodSeconds"] = 30
    if not spec.get("dnsPolicy"):
        spec["dnsPolicy"] = "ClusterFirst"
    if "securityContext" not in spec:
        spec["securityContext"] = {}
    if not spec.get("schedulerName"):
        spec["schedulerName"] = "default-scheduler"
    if account := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(kind, ()):
            _default_container(container)
    for volume in spec.get("volumes", ()):
        _default_volume(volume)


def _default_container(container: Object) -> None:
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = _pull_policy(container.get("image", ""))
    if not container.get("terminationMessagePath"):
        container["terminationMessagePath"] = "/dev/termination-log"
    if not container.get("terminationMessagePolicy"):
        container["terminationMessagePolicy"] = "File"
    if "resources" not in container:
        container["resources"] = {}
    for port in container.get("ports", ()):
        if not port.get("protocol"):
            port["protocol"] = "TCP"
    for variable in container.get("env", ()):
        if source := variable.get("valueFrom"):
            _default_references(source)
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (probe := container.get(name)) is not None:
            _default_probe(probe)
    if lifecycle := container.get("lifecycle"):
        for name in ("postStart", "preStop"):
            if (get := lifecycle.get(name, {}).get("httpGet")) is not None:
                _default_http_get(get)


@lru_cache(maxsize=1024)
def _pull_policy(image: str) -> str:
    """Always for the tag `latest`, given or implied; a digest implies no tag."""
    reference, _, digest = image.partition("@")
    _, colon, tag = reference.rpartition("/")[2].partition(":")
    latest = tag == "latest" if colon else bool(reference) and not digest
    return "Always" if latest else "IfNotPresent"


def _default_probe(probe: Object) -> None:
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        if not probe.get(name):
            probe[name] = value
    if (get := probe.get("httpGet")) is not None:
        _default_http_get(get)
    if (grpc := probe.get("grpc")) is not None:
        grpc.setdefault("service", "")


def _default_http_get(get: Object) -> None:
    if not get.get("path"):
        get["path"] = "/"
    if not get.get("scheme"):
        get["scheme"] = "HTTP"


def _default_references(source: Object) -> None:
    if (reference := source.get("fieldRef")) is not None and not reference.get("apiVersion"):
        reference["apiVersion"] = "v1"
    if (file := source.get("fileKeyRef")) is not None:
        file.setdefault("optional", False)


_MODES = ("configMap", "secret", "downwardAPI", "projected")


def _default_volume(volume: Object) -> None:
    if len(volume) == 1 and "name" in volume:
        volume["emptyDir"] = {}
        return
    for name in _MODES:
        if (source := volume.get(name)) is not None:
            source.setdefault("defaultMode", MODE)
            for item in source.get("items", ()) if name == "downwardAPI" else ():
                _default_references(item)
            for projection in source.get("sources", ()):
                _default_projection(projection)
    default_volume_source(volume)
    if (source := volume.get("image")) is not None and not source.get("pullPolicy"):
        source["pullPolicy"] = _pull_policy(source.get("reference", ""))
    if claim := volume.get("ephemeral", {}).get("volumeClaimTemplate"):
        default_claim_spec(claim.setdefault("spec", {}))


def _default_projection(projection: Object) -> None:
    if (token := projection.get("serviceAccountToken")) is not None:
        token.setdefault("expirationSeconds", TOKEN_EXPIRATION_S)
    for item in projection.get("downwardAPI", {}).get("items", ()):
        _default_references(item)
