"""The Pod Security Standards: each control in upstream's words, and what the labels of a namespace do."""

from pathlib import Path
from typing import Any

import pytest

from podium.api.admission.pod_security import check, policy_of
from podium.api.admission.pod_security_checks import faults
from podium.api.admission_config import read
from podium.api.pod_security_config import LATEST, PodSecurity, Standard
from podium.api.request import Request, User
from podium.client.in_process import InProcessClient
from podium.control_plane import ControlPlane
from podium.objects.resources import resource
from podium.objects.status import Forbidden, Invalid
from tests.api.objects import deployment, pod

PODS, NAMESPACES, ACCOUNTS = resource("pods"), resource("namespaces"), resource("serviceaccounts")

SAFE: dict[str, Any] = {
    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip


def told(level: str, spec: dict[str, Any], minor: int = LATEST) -> str:
    return ", ".join(map(str, faults(level, minor, spec)))


def one(**container: Any) -> dict[str, Any]:
    return {"containers": [{"name": "c", **container}]}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (one(), ""),
        ({**one(), "hostNetwork": True, "hostPID": True}, "host namespaces (hostNetwork=true, hostPID=true)"),
        (one(securityContext={"privileged": True}), 'privileged (container "c" must not set securityContext.privileged=true)'),
        (
            one(securityContext={"capabilities": {"add": ["NET_ADMIN", "CHOWN", "SYS_TIME"]}}),
            'non-default capabilities (container "c" must not include "NET_ADMIN", "SYS_TIME" in securityContext.capabilities.add)',
        ),
        ({**one(), "volumes": [{"name": "h", "hostPath": {}}, {"name": "k", "hostPath": {}}]}, 'hostPath volumes (volumes "h", "k")'),
        (one(ports=[{"hostPort": 80}, {"hostPort": 443}]), 'hostPort (container "c" uses hostPorts 443, 80)'),
        (
            one(livenessProbe={"httpGet": {"host": "1.2.3.4"}}),
            'probe or lifecycle host (container "c" uses probe or lifecycle host "1.2.3.4")',
        ),
        (one(securityContext={"procMount": "Unmasked"}), 'procMount (container "c" must not set securityContext.procMount to "Unmasked")'),
        (
            {**one(), "securityContext": {"seLinuxOptions": {"type": "spc_t", "user": "u"}}},
            'seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set)',
        ),
        (
            {**one(), "securityContext": {"seccompProfile": {"type": "Unconfined"}}},
            'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
        ({**one(), "securityContext": {"sysctls": [{"name": "kernel.msgmax"}]}}, "forbidden sysctls (kernel.msgmax)"),
        (
            one(securityContext={"windowsOptions": {"hostProcess": True}}),
            'hostProcess (container "c" must not set securityContext.windowsOptions.hostProcess=true)',
        ),
        (
            one(securityContext={"appArmorProfile": {"type": "Unconfined"}}),
            'forbidden AppArmor profile (container "c" must not set AppArmor profile type to "Unconfined")',
        ),
    ],
)
def test_baseline(spec: dict[str, Any], why: str) -> None:
    assert told("baseline", spec) == why
    assert told("privileged", spec) == ""


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (one(securityContext=SAFE), ""),
        (
            one(),
            'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), '
            'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), '
            'runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), '
            'seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
        ),
        (one(securityContext={**SAFE, "runAsUser": 0}), 'runAsUser=0 (container "c" must not set runAsUser=0)'),
        (
            {**one(securityContext={**SAFE, "runAsNonRoot": False}), "securityContext": {"runAsNonRoot": True}},
            'runAsNonRoot != true (container "c" must not set securityContext.runAsNonRoot=false)',
        ),
        (
            {**one(securityContext=SAFE), "volumes": [{"name": "h", "hostPath": {}}, {"name": "n", "nfs": {}}]},
            'restricted volume types (volumes "h", "n" use restricted volume types "hostPath", "nfs")',
        ),
        (
            one(securityContext={**SAFE, "capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}),
            'unrestricted capabilities (container "c" must not include "CHOWN" in securityContext.capabilities.add)',
        ),
    ],
)
def test_restricted(spec: dict[str, Any], why: str) -> None:
    assert told("restricted", spec) == why


def test_older_versions_of_the_standards_ask_less() -> None:
    assert told("restricted", one(securityContext={**SAFE, "runAsUser": 0}), 22) == ""
    assert told("baseline", one(livenessProbe={"httpGet": {"host": "1.2.3.4"}}), 33) == ""


def test_labels_that_cannot_be_read() -> None:
    policy = policy_of({"pod-security.kubernetes.io/enforce": "strict", "pod-security.kubernetes.io/warn-version": "1.2"})
    assert policy.enforce.level == "restricted"
    assert [c.message for c in policy.causes] == [
        'Invalid value: "strict": must be one of privileged, baseline, restricted', 'Invalid value: "1.2": must be "latest" or "v1.x"',
    ]  # fmt: skip


async def _namespace(client: InProcessClient, **labels: str) -> None:
    labelled = {f"pod-security.kubernetes.io/{k}": v for k, v in labels.items()}
    await client.create(NAMESPACES, {"metadata": {"name": "n", "labels": labelled}})
    await client.create(ACCOUNTS, {"metadata": {"name": "default", "namespace": "n"}})


def within(value: dict[str, Any]) -> dict[str, Any]:
    value["metadata"]["namespace"] = "n"
    return value


async def test_a_namespace_that_enforces_refuses_pods_but_not_templates(plane: ControlPlane, client: InProcessClient) -> None:
    await _namespace(client, enforce="restricted", warn="restricted")
    with pytest.raises(Forbidden) as refusal:
        await client.create(PODS, within(pod("p")))
    start = 'pods "p" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "c" must set'
    assert refusal.value.message.startswith(start)
    value = within(pod("q"))
    value["spec"]["containers"][0]["securityContext"] = SAFE
    await client.create(PODS, value)
    admin = User("admin", ("system:masters",))
    request = Request("create", resource("deployments", "apps"), admin, "n", value=within(deployment("d")))
    await plane.server.execute(request)
    assert [w[:75] for w in request.warnings] == ['would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != ']


async def test_who_raises_the_level_is_told_of_the_pods_there_are(plane: ControlPlane, client: InProcessClient) -> None:
    await _namespace(client)
    for name in ("b", "a"):
        await client.create(PODS, within(pod(name)))
    patch = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    request = Request("patch", NAMESPACES, User("admin", ("system:masters",)), name="n", value=patch, patch_type="merge")
    await plane.server.execute(request)
    assert request.warnings == [
        'existing pods in namespace "n" violate the new PodSecurity enforce level "restricted:latest"',
        "a (and 1 other pod): allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile",
    ]
    with pytest.raises(Invalid, match=r'metadata.labels\[pod-security.kubernetes.io/enforce\]: Invalid value: "x": must be one of'):
        await client.patch(NAMESPACES, "n", {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "x"}}})


SETTINGS = """
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: baseline, enforce-version: v1.30, warn: restricted}
    exemptions: {usernames: [ann], runtimeClasses: [sandboxed], namespaces: [kube-system]}
"""
EXPECTED = PodSecurity(
    Standard("baseline", "v1.30"), Standard(), Standard("restricted"), frozenset({"ann"}), frozenset({"sandboxed"}), frozenset({"kube-system"}),
)  # fmt: skip


def test_settings_are_read_from_one_file_or_two(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(SETTINGS)
    assert read(tmp_path / "one.yaml") == EXPECTED
    head, _, body = SETTINGS.partition("  configuration:\n")
    (tmp_path / "two.yaml").write_text(head + "  path: part.yaml\n")
    (tmp_path / "part.yaml").write_text(body)
    assert read(tmp_path / "two.yaml") == EXPECTED


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("AdmissionConfiguration", "Other", "must be a AdmissionConfiguration of apiserver.config.k8s.io/v1"),
        ("name: PodSecurity", "name: EventRateLimit", "no settings for the plugin 'EventRateLimit'"),
        ("enforce: baseline", "enforce: strict", "defaults.enforce: must be one of privileged, baseline, restricted"),
        ("v1.30", "1.30", 'defaults.enforce-version: must be "latest" or "v1.x"'),
        ("warn: restricted", "shout: restricted", 'unknown field "shout"'),
        ("[ann]", "[ann, ann]", "exemptions.usernames: a name is there twice"),
        ("[ann]", "ann", "exemptions.usernames: must be a list of names"),
        ("[kube-system]", "[Kube]", "exemptions.namespaces: 'Kube': a lowercase RFC 1123 label"),
        ("defaults: {", "defaults: {{", "while parsing"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, old: str, new: str, why: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(SETTINGS.replace(old, new))
    with pytest.raises(ValueError) as refused:
        read(path)
    assert why in str(refused.value)


async def _asked(plane: ControlPlane, user: str, value: dict[str, Any], kind: str = "pods", group: str = "") -> Request:
    request = Request("create", resource(kind, group), User(user, ("system:masters",)), value["metadata"].get("namespace"), value=value)
    await plane.server.execute(request)
    return request


async def test_defaults_hold_where_a_namespace_says_nothing(plane: ControlPlane, client: InProcessClient) -> None:
    plane.server.core.pod_security = PodSecurity(enforce=Standard("baseline"), warn=Standard("restricted"))
    await _namespace(client)
    bad = within(pod("p", hostNetwork=True))
    with pytest.raises(Forbidden, match='violates PodSecurity "baseline:latest": host namespaces'):
        await client.create(PODS, bad)
    assert [w[:50] for w in (await _asked(plane, "bob", within(pod("q")))).warnings] == [
        'would violate PodSecurity "restricted:latest": all'
    ]
    await client.patch(NAMESPACES, "n", {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}})
    await client.create(PODS, within(pod("r", hostNetwork=True)))


async def test_who_is_exempt_is_not_asked(plane: ControlPlane, client: InProcessClient) -> None:
    plane.server.core.pod_security = PodSecurity(
        users=frozenset({"ann"}), runtime_classes=frozenset({"sandboxed"}), namespaces=frozenset({"free"})
    )
    await _namespace(client, enforce="restricted")
    request = await _asked(plane, "ann", within(pod("p")))
    assert request.annotations["pod-security.kubernetes.io/exempt"] == "user"
    with pytest.raises(Forbidden):
        await _asked(plane, "bob", within(pod("q")))
    value = within(pod("q", runtimeClassName="sandboxed"))
    request = Request("create", PODS, User("bob"), "n", value=value)
    await check(plane.server.core, request, value, None)  # alone: pods with a runtime class are refused for another reason
    assert request.annotations["pod-security.kubernetes.io/exempt"] == "runtimeClass"
    labelled = {"metadata": {"name": "free", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    made = await _asked(plane, "bob", labelled, "namespaces")
    assert made.warnings == ['namespace "free" is exempt from Pod Security, and the policy (enforce=restricted:latest) will be ignored']
    await client.create(ACCOUNTS, {"metadata": {"name": "default", "namespace": "free"}})
    value = pod("p")
    value["metadata"]["namespace"] = "free"
    assert (await _asked(plane, "bob", value)).annotations["pod-security.kubernetes.io/exempt"] == "namespace"
