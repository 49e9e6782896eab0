"""PodSecurity: a namespace's labels say which Pod Security Standard its pods must keep, and of which they are warned.

Labels pod-security.kubernetes.io/{enforce,audit,warn} name a level, the same with -version a version; without them the configured defaults
hold, which allow everything unless said otherwise. Users, runtime classes and namespaces may be exempt (admission_config.py).
Policies are compiled when a namespace changes. Templates of workloads are never refused, only warned of.

Source: k8s.io/pod-security-admission admission/admission.go, api/helpers.go (messages).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from podium.api.admission.plugin import forbidden
from podium.api.admission.pod_security_checks import faults
from podium.api.core import Core, Object
from podium.api.pod_security_config import LEVELS, MODES, NO_SETTINGS, VERSION, PodSecurity, Standard
from podium.api.request import Request
from podium.objects.cause import Cause, invalid, invalid_error
from podium.objects.resources import resource

PODS_CHECKED_MAX = 3000
_PREFIX = "pod-security.kubernetes.io/"

TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "podtemplates": ("template",),
    "replicationcontrollers": ("spec", "template"),
    "replicasets.apps": ("spec", "template"),
    "deployments.apps": ("spec", "template"),
    "statefulsets.apps": ("spec", "template"),
    "daemonsets.apps": ("spec", "template"),
    "jobs.batch": ("spec", "template"),
    "cronjobs.batch": ("spec", "jobTemplate", "spec", "template"),
}
"""Where a workload has the template of its pods."""


@dataclass(frozen=True, slots=True)
class Policy:
    enforce: Standard
    audit: Standard
    warn: Standard
    causes: tuple[Cause, ...] = ()

    @property
    def permissive(self) -> bool:
        return self.enforce.level == self.audit.level == self.warn.level == "privileged"


def policy_of(labels: Mapping[str, str] | None, settings: PodSecurity = NO_SETTINGS) -> Policy:
    """What cannot be read counts as restricted (and is refused when it is written)."""
    labels = labels or {}
    causes: list[Cause] = []
    enforce, audit, warn = (_standard(labels, mode, settings.standard(mode), causes) for mode in MODES)
    return Policy(enforce, audit, warn, tuple(causes))


def _standard(labels: Mapping[str, str], mode: str, default: Standard, causes: list[Cause]) -> Standard:
    level, version = labels.get(_PREFIX + mode, default.level), labels.get(f"{_PREFIX}{mode}-version", default.version)
    if level not in LEVELS:
        causes.append(invalid(f"metadata.labels[{_PREFIX}{mode}]", level, "must be one of " + ", ".join(LEVELS)))
        level = "restricted" if mode == "enforce" else "privileged"
    if version != "latest" and not VERSION.fullmatch(version):
        causes.append(invalid(f"metadata.labels[{_PREFIX}{mode}-version]", version, 'must be "latest" or "v1.x"'))
        version = "latest"
    return Standard(level, version)


async def check(core: Core, request: Request, new: Object | None, old: Object | None) -> None:
    assert new is not None
    if request.resource.plural == "namespaces":
        await _check_namespace(core, request, new, old)
        return
    facts = core.admission.namespaces.get(request.namespace or "")
    if facts is None or facts.policy.permissive:
        return
    settings = core.pod_security
    if request.namespace in settings.namespaces or request.user.name in settings.users:
        request.annotate(_PREFIX + "exempt", "namespace" if request.namespace in settings.namespaces else "user")
        return
    if request.resource.plural == "pods":
        if old is None or _differs(new, old):
            _judge(request, facts.policy, new, settings, enforce=True)
        return
    template = new
    for field in TEMPLATES[f"{request.resource.plural}.{request.resource.group}".rstrip(".")]:
        template = template.get(field) or {}
    if template:
        _judge(request, facts.policy, template, settings, enforce=False)


def _judge(request: Request, policy: Policy, template: Object, settings: PodSecurity, *, enforce: bool) -> None:
    if (template.get("spec") or {}).get("runtimeClassName") in settings.runtime_classes:
        request.annotate(_PREFIX + "exempt", "runtimeClass")
        return
    if enforce:
        request.annotate(_PREFIX + "enforce-policy", str(policy.enforce))
        if violations := _violations(policy.enforce, template):
            raise forbidden(request, f'violates PodSecurity "{policy.enforce}": {violations}')
    if violations := _violations(policy.audit, template):
        request.annotate(_PREFIX + "audit-violations", f'would violate PodSecurity "{policy.audit}": {violations}')
    if violations := _violations(policy.warn, template):
        request.warn(f'would violate PodSecurity "{policy.warn}": {violations}')


def _violations(standard: Standard, template: Object) -> str:
    """What of it a pod, or the template of one, breaks; empty: nothing."""
    if standard.level == "privileged":
        return ""
    found = faults(standard.level, standard.minor, template.get("spec") or {}, (template.get("metadata") or {}).get("annotations"))
    return ", ".join(map(str, found))


def _differs(new: Object, old: Object) -> bool:
    """Of what an update may change, only the containers' images and new ephemeral containers matter."""
    return any(
        [(c.get("name"), c.get("image")) for c in new["spec"].get(field) or ()]
        != [(c.get("name"), c.get("image")) for c in old["spec"].get(field) or ()]
        for field in ("containers", "initContainers", "ephemeralContainers")
    )


async def _check_namespace(core: Core, request: Request, new: Object, old: Object | None) -> None:
    settings = core.pod_security
    policy = policy_of(new["metadata"].get("labels"), settings)
    before = policy_of(old["metadata"].get("labels"), settings) if old is not None else None
    if policy.causes and (before is None or policy.causes != before.causes):
        raise invalid_error("", "Namespace", request.name, policy.causes)
    if before is not None and policy.enforce == before.enforce:
        return
    if request.name in settings.namespaces:
        if policy.enforce.level != "privileged":
            request.warn(f'namespace "{request.name}" is exempt from Pod Security, and the policy ({_shown(policy)}) will be ignored')
        return
    if before is None or policy.enforce.level == "privileged":
        return
    if policy.enforce.version == before.enforce.version and LEVELS.index(policy.enforce.level) < LEVELS.index(before.enforce.level):
        return
    await _warn_of_pods(core, request, policy.enforce)


def _shown(policy: Policy) -> str:
    """The level when it is one for all, as upstream shortens it."""
    standards = {mode: getattr(policy, mode) for mode in MODES}
    shown = {mode: standard for mode, standard in standards.items() if standard.level != "privileged"}
    if len(set(standards.values())) == 1:
        return str(policy.enforce)
    return ", ".join(f"{mode}={standard}" for mode, standard in shown.items())


async def _warn_of_pods(core: Core, request: Request, standard: Standard) -> None:
    """Pods that are there stay; who raises the level is told of them, grouped by what they break."""
    page = await core.store.range(f"{resource('pods').prefix}{request.name}/", limit=PODS_CHECKED_MAX)
    groups: dict[str, list[str]] = {}
    for record in page.records:
        pod = record.value
        found = faults(standard.level, standard.minor, pod["spec"], pod["metadata"].get("annotations"))
        if found:
            groups.setdefault(", ".join(fault.reason for fault in found), []).append(pod["metadata"]["name"])
    if not groups:
        return
    request.warn(f'existing pods in namespace "{request.name}" violate the new PodSecurity enforce level "{standard}"')
    lines = []
    for reason, names in groups.items():
        others = len(names) - 1
        more = f" (and {others} other pod{'s' if others > 1 else ''})" if others else ""
        lines.append(f"{min(names)}{more}: {reason}")
    for line in sorted(lines):
        request.warn(line)
