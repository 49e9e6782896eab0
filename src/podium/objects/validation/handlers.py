"""Handlers: probes and lifecycle hooks of a container.

Source: k8s.io/kubernetes pkg/apis/core/validation (validateProbe, validateHandler, validateLifecycle).
"""

import re

from podium.objects import names
from podium.objects.validation.faults import Faults
from podium.objects.values import Object

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOK_HANDLERS = ("exec", "httpGet", "tcpSocket", "sleep")
_COUNTS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_HEADER = "[-A-Za-z0-9]+"


def check_handlers(faults: Faults, container: Object, path: str, grace_s: int | None) -> None:
    """All probes and hooks; `grace_s` is the pod's termination grace period."""
    for kind in PROBES:
        probe = container.get(kind)
        if probe is not None:
            _check_probe(faults, probe, f"{path}.{kind}", kind)
    for hook in ("postStart", "preStop"):
        handler = (container.get("lifecycle") or {}).get(hook)
        if handler is not None:
            at = f"{path}.lifecycle.{hook}"
            _check_handler(faults, handler, at, _HOOK_HANDLERS)
            if "sleep" in handler:
                _check_sleep(faults, handler["sleep"].get("seconds", 0), f"{at}.sleep", grace_s)


def _check_probe(faults: Faults, probe: Object, path: str, kind: str) -> None:
    _check_handler(faults, probe, path, _PROBE_HANDLERS)
    for field in _COUNTS:
        faults.not_negative(f"{path}.{field}", probe.get(field))
    grace_s = probe.get("terminationGracePeriodSeconds")
    if grace_s is not None and grace_s <= 0:
        faults.invalid(f"{path}.terminationGracePeriodSeconds", grace_s, "must be greater than 0")
    if kind == "readinessProbe":
        if grace_s is not None:
            faults.invalid(f"{path}.terminationGracePeriodSeconds", grace_s, "must not be set for readinessProbes")
    elif probe.get("successThreshold", 1) != 1:
        faults.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")


def _check_handler(faults: Faults, holder: Object, path: str, kinds: tuple[str, ...]) -> None:
    given = [kind for kind in kinds if holder.get(kind) is not None]
    if not given:
        faults.required(path, "must specify a handler type")
        return
    for extra in given[1:]:
        faults.forbidden(f"{path}.{extra}", "may not specify more than 1 handler type")
    kind = given[0]
    action = holder[kind]
    if kind == "exec" and not action.get("command"):
        faults.required(f"{path}.exec.command")
    if kind in ("httpGet", "tcpSocket", "grpc"):
        faults.port(f"{path}.{kind}.port", action.get("port"))
    if kind == "httpGet":
        faults.one_of(f"{path}.httpGet.scheme", action.get("scheme"), ("HTTP", "HTTPS"))
        for header in action.get("httpHeaders") or ():
            if not re.fullmatch(_HEADER, header.get("name", "")):
                rule = "a valid HTTP header must consist of alphanumeric characters or '-'"
                faults.invalid(f"{path}.httpGet.httpHeaders", header.get("name", ""), names.mismatch(rule, _HEADER, "X-Header-Name"))


def _check_sleep(faults: Faults, seconds: int, path: str, grace_s: int | None) -> None:
    if grace_s is not None and not 0 <= seconds <= grace_s:
        faults.invalid(path, seconds, f"must be non-negative and less than terminationGracePeriodSeconds ({grace_s})")
