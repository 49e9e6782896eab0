"""What every built-in kind must do as data: discovery, create, get, list, watch, patch, update, status, delete, deletecollection."""

import base64
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from podium.objects.resources import Resource, builtin, resource
from podium.objects.values import copy
from tests.conformance.api import JSON_PATCH, Api, Wire
from tests.conformance.objects import CHANGES, OBJECTS, Object, contains, served

shows = pytest.mark.conformance
_POLICY = "AdmissionPolicy [Privileged:ClusterAdmin] should support"
_ADMISSION = "admissionregistration.k8s.io"

ROWS = [
    pytest.param("configmaps", id="configmaps"),
    pytest.param("endpoints", id="endpoints", marks=shows("[sig-network] Endpoints should test the lifecycle of an Endpoint")),
    pytest.param(
        "events",
        id="events",
        marks=shows(
            "[sig-instrumentation] Events should delete a collection of events",
            "[sig-instrumentation] Events should manage the lifecycle of an event",
        ),
    ),
    pytest.param(
        "events.events.k8s.io",
        id="events.events.k8s.io",
        marks=shows(
            "[sig-instrumentation] Events API should delete a collection of events",
            "[sig-instrumentation] Events API should ensure that an event can be fetched, patched, deleted, and listed",
        ),
    ),
    pytest.param(
        "limitranges", id="limitranges", marks=shows("[sig-scheduling] LimitRange should list, patch and delete a LimitRange by collection")
    ),
    pytest.param("nodes", id="nodes", marks=shows("[sig-node] Node Lifecycle should run through the lifecycle of a node")),
    pytest.param(
        "persistentvolumes",
        id="persistentvolumes",
        marks=shows("[sig-storage] PersistentVolumes CSI Conformance should apply changes to a pv/pvc status"),
    ),
    pytest.param(
        "persistentvolumeclaims",
        id="persistentvolumeclaims",
        marks=shows("[sig-storage] PersistentVolumes CSI Conformance should apply changes to a pv/pvc status"),
    ),
    pytest.param("pods", id="pods"),
    pytest.param(
        "podtemplates",
        id="podtemplates",
        marks=shows(
            "[sig-node] PodTemplates should delete a collection of pod templates",
            "[sig-node] PodTemplates should replace a pod template",
            "[sig-node] PodTemplates should run the lifecycle of PodTemplates",
        ),
    ),
    pytest.param("replicationcontrollers", id="replicationcontrollers"),
    pytest.param(
        "resourcequotas",
        id="resourcequotas",
        marks=shows("[sig-api-machinery] ResourceQuota should manage the lifecycle of a ResourceQuota"),
    ),
    pytest.param("secrets", id="secrets", marks=shows("[sig-node] Secrets should patch a secret")),
    pytest.param("services", id="services", marks=shows("[sig-network] Services should delete a collection of services")),
    pytest.param(
        "serviceaccounts",
        id="serviceaccounts",
        marks=shows("[sig-auth] ServiceAccounts should run through the lifecycle of a ServiceAccount"),
    ),
    pytest.param(
        "mutatingadmissionpolicies.admissionregistration.k8s.io",
        id="mutatingadmissionpolicies",
        marks=shows(
            "[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should support MutatingAdmissionPolicy API operations"
        ),
    ),
    pytest.param(
        "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
        id="mutatingadmissionpolicybindings",
        marks=shows(
            "[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should support MutatingAdmissionPolicyBinding API operations"
        ),
    ),
    pytest.param("mutatingwebhookconfigurations.admissionregistration.k8s.io", id="mutatingwebhookconfigurations"),
    pytest.param(
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        id="validatingadmissionpolicies",
        marks=shows(
            "[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should support ValidatingAdmissionPolicy API operations"
        ),
    ),
    pytest.param(
        "validatingadmissionpolicybindings.admissionregistration.k8s.io",
        id="validatingadmissionpolicybindings",
        marks=shows(
            "[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should support ValidatingAdmissionPolicyBinding API operations"
        ),
    ),
    pytest.param("validatingwebhookconfigurations.admissionregistration.k8s.io", id="validatingwebhookconfigurations"),
    pytest.param(
        "controllerrevisions.apps",
        id="controllerrevisions",
    ),
    pytest.param("daemonsets.apps", id="daemonsets"),
    pytest.param("deployments.apps", id="deployments"),
    pytest.param("replicasets.apps", id="replicasets"),
    pytest.param("statefulsets.apps", id="statefulsets"),
    pytest.param("horizontalpodautoscalers.autoscaling", id="horizontalpodautoscalers"),
    pytest.param("cronjobs.batch", id="cronjobs", marks=shows("[sig-apps] CronJob should support CronJob API operations")),
    pytest.param("jobs.batch", id="jobs"),
    pytest.param(
        "certificatesigningrequests.certificates.k8s.io",
        id="certificatesigningrequests",
    ),
    pytest.param("leases.coordination.k8s.io", id="leases", marks=shows("[sig-node] Lease lease API should be available")),
    pytest.param(
        "endpointslices.discovery.k8s.io",
        id="endpointslices",
        marks=shows("[sig-network] EndpointSlice should support creating EndpointSlice API operations"),
    ),
    pytest.param(
        "flowschemas.flowcontrol.apiserver.k8s.io",
        id="flowschemas",
        marks=shows("[sig-api-machinery] API priority and fairness should support FlowSchema API operations"),
    ),
    pytest.param(
        "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
        id="prioritylevelconfigurations",
        marks=shows("[sig-api-machinery] API priority and fairness should support PriorityLevelConfiguration API operations"),
    ),
    pytest.param(
        "ipaddresses.networking.k8s.io",
        id="ipaddresses",
        marks=shows("[sig-network] ServiceCIDR and IPAddress API should support IPAddress API operations"),
    ),
    pytest.param(
        "ingresses.networking.k8s.io",
        id="ingresses",
        marks=shows("[sig-network] Ingress API should support creating Ingress API operations"),
    ),
    pytest.param(
        "ingressclasses.networking.k8s.io",
        id="ingressclasses",
        marks=shows("[sig-network] IngressClass API should support creating IngressClass API operations"),
    ),
    pytest.param("networkpolicies.networking.k8s.io", id="networkpolicies"),
    pytest.param(
        "servicecidrs.networking.k8s.io",
        id="servicecidrs",
        marks=shows("[sig-network] ServiceCIDR and IPAddress API should support ServiceCIDR API operations"),
    ),
    pytest.param(
        "runtimeclasses.node.k8s.io",
        id="runtimeclasses",
        marks=shows("[sig-node] RuntimeClass should support RuntimeClasses API operations"),
    ),
    pytest.param(
        "poddisruptionbudgets.policy",
        id="poddisruptionbudgets",
        marks=shows(
            "[sig-apps] DisruptionController should create a PodDisruptionBudget",
            "[sig-apps] DisruptionController Listing PodDisruptionBudgets for all namespaces should list and delete a collection of "
            "PodDisruptionBudgets",
            "[sig-apps] DisruptionController should update/patch PodDisruptionBudget status",
        ),
    ),
    pytest.param("clusterroles.rbac.authorization.k8s.io", id="clusterroles"),
    pytest.param("clusterrolebindings.rbac.authorization.k8s.io", id="clusterrolebindings"),
    pytest.param("roles.rbac.authorization.k8s.io", id="roles"),
    pytest.param("rolebindings.rbac.authorization.k8s.io", id="rolebindings"),
    pytest.param(
        "deviceclasses.resource.k8s.io",
        id="deviceclasses",
        marks=shows("[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 DeviceClass"),
    ),
    pytest.param(
        "resourceclaims.resource.k8s.io",
        id="resourceclaims",
        marks=shows("[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceClaim"),
    ),
    pytest.param(
        "resourceclaimtemplates.resource.k8s.io",
        id="resourceclaimtemplates",
        marks=shows("[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceClaimTemplate"),
    ),
    pytest.param(
        "resourceslices.resource.k8s.io",
        id="resourceslices",
        marks=shows("[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceSlice"),
    ),
    pytest.param(
        "priorityclasses.scheduling.k8s.io",
        id="priorityclasses",
    ),
    pytest.param(
        "csidrivers.storage.k8s.io",
        id="csidrivers",
        marks=shows("[sig-storage] CSIInlineVolumes should run through the lifecycle of a CSIDriver"),
    ),
    pytest.param(
        "csinodes.storage.k8s.io",
        id="csinodes",
        marks=shows("[sig-storage] CSINodes CSI Conformance should run through the lifecycle of a csinode"),
    ),
    pytest.param(
        "csistoragecapacities.storage.k8s.io",
        id="csistoragecapacities",
        marks=shows("[sig-storage] CSIStorageCapacity should support CSIStorageCapacities API operations"),
    ),
    pytest.param(
        "storageclasses.storage.k8s.io",
        id="storageclasses",
        marks=shows("[sig-storage] StorageClasses CSI Conformance should run through the lifecycle of a StorageClass"),
    ),
    pytest.param(
        "volumeattachments.storage.k8s.io",
        id="volumeattachments",
        marks=shows(
            "[sig-storage] VolumeAttachment Conformance should apply changes to a volumeattachment status",
            "[sig-storage] VolumeAttachment Conformance should run through the lifecycle of a VolumeAttachment",
        ),
    ),
    pytest.param(
        "volumeattributesclasses.storage.k8s.io",
        id="volumeattributesclasses",
        marks=shows(
            "[sig-storage] VolumeAttributesClass [FeatureGate:VolumeAttributesClass] should run through the lifecycle of a VolumeAttributesClass"
        ),
    ),
]


@cache
def signing_request() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jane")]))
    return base64.b64encode(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)).decode()


def instance(kind: Resource, name: str, labels: dict[str, str]) -> Object:
    key = kind.plural + (f".{kind.group}" if kind.group else "")
    value = served(kind.api_version, kind.kind, copy(OBJECTS[key]), name, labels)
    if kind.plural == "certificatesigningrequests":
        value["spec"]["request"] = signing_request()
    if kind.plural == "servicecidrs":
        value["spec"]["cidrs"] = [f"10.{200 + int(name[-1])}.0.0/24"]
    return value


def names(kind: Resource) -> list[str]:
    if kind.plural == "ipaddresses":
        return [f"192.168.77.{n}" for n in range(3)]
    return [f"thing-{n}" for n in range(3)]


@pytest.mark.parametrize("key", ROWS)
async def test_a_kind_is_served_with_all_its_verbs(api: Api, key: str) -> None:
    plural, _, group = key.partition(".")
    kind = resource(plural, group)
    await api.plane.client().create(resource("serviceaccounts"), {"metadata": {"name": "default", "namespace": "default"}})
    await discovered(api, kind)
    await lives(api, kind)
    if kind.subresource("status"):
        await has_a_status(api, kind)
    await goes_as_a_collection(api, kind)


async def discovered(api: Api, kind: Resource) -> None:
    if kind.group:
        group = next(g for g in (await api.get("/apis"))["groups"] if g["name"] == kind.group)
        assert kind.version in [v["version"] for v in group["versions"]]
        alone = await api.get(f"/apis/{kind.group}")
        assert alone["preferredVersion"] == group["preferredVersion"] and alone["versions"] == group["versions"]
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    found = {r["name"]: r for r in (await api.get(root))["resources"]}
    assert set(found[kind.plural]["verbs"]) >= {"create", "delete", "get", "list", "patch", "update", "watch"}
    for sub in kind.subresources:
        assert set(found[f"{kind.plural}/{sub.name}"]["verbs"]) == set(sub.verbs)
    if kind.subresource("status"):
        assert {"get", "patch", "update"} <= set(found[f"{kind.plural}/status"]["verbs"])


async def lives(api: Api, kind: Resource) -> None:
    path, first = kind.path("default"), names(kind)[0]
    async with api.watch(path, labels="lot=one") as watch:
        created = await api.post(path, instance(kind, first, {"lot": "one"}))
        assert created["metadata"]["uid"] and created["metadata"]["creationTimestamp"] and created["kind"] == kind.kind
        await api.refused(409, "POST", path, instance(kind, first, {}))
        assert (await watch.next("ADDED"))["metadata"]["uid"] == created["metadata"]["uid"]
        await is_found(api, kind, created)
        await changes(api, kind, created, watch)
        await api.refused(409, "DELETE", f"{path}/{first}", {"preconditions": {"uid": "another"}})
        await api.delete(f"{path}/{first}", {"gracePeriodSeconds": 0, "preconditions": {"uid": created["metadata"]["uid"]}})
        await unprotect(api, kind)
        assert (await watch.until(lambda event, _: event == "DELETED"))["metadata"]["name"] == first
    await api.refused(404, "GET", f"{path}/{first}")
    await api.refused(404, "DELETE", f"{path}/{first}")
    assert first not in await api.names(path)
    again = await api.post(path, instance(kind, first, {"lot": "again"}))
    assert again["metadata"]["uid"] != created["metadata"]["uid"]
    await api.delete(f"{path}/{first}", {"gracePeriodSeconds": 0})
    await unprotect(api, kind)


async def is_found(api: Api, kind: Resource, created: Object) -> None:
    """By itself, in its namespace and in all, by label and by field."""
    path, name = kind.path("default"), created["metadata"]["name"]
    assert (await api.get(f"{path}/{name}")) == created
    assert name in await api.names(path) and name in await api.names(kind.path())
    for selector in ("labelSelector=lot%3Done", f"fieldSelector=metadata.name%3D{name}"):
        assert await api.names(f"{path}?{selector}") == [name] == await api.names(f"{kind.path()}?{selector}")


async def changes(api: Api, kind: Resource, created: Object, watch: Wire) -> None:
    """Labels and what may be changed of the rest, by patches and by an update: each answer, each event and what is read afterwards agree."""
    at = f"{kind.path('default')}/{created['metadata']['name']}"
    key = kind.plural + (f".{kind.group}" if kind.group else "")

    async def reached(answer: Object, expected: Object) -> None:
        assert contains(answer, expected), answer
        assert contains(await watch.next("MODIFIED"), expected)
        assert contains(await api.get(at), expected)

    labels = {"metadata": {"labels": {"lot": "one", "patched": "true"}, "annotations": {"patched": "true"}}}
    await reached(await api.patch(at, labels), labels)
    await api.refused(409, "PUT", at, created)
    if key in CHANGES:
        await reached(await api.patch(at, CHANGES[key]), CHANGES[key])
    value = await api.get(at)
    value["metadata"]["labels"] |= {"updated": "true"}
    value["metadata"]["annotations"] = {"updated": "true"}
    await reached(await api.put(at, value), {"metadata": {"labels": value["metadata"]["labels"], "annotations": {"updated": "true"}}})
    operation = [{"op": "add", "path": "/metadata/labels/more", "value": "x"}]
    await reached(await api.patch(at, operation, JSON_PATCH), {"metadata": {"labels": {"more": "x", "updated": "true"}}})
    before = await api.get(at)
    tried = await api.patch(f"{at}?dryRun=All", {"metadata": {"labels": {"tried": "x"}}})
    assert tried["metadata"]["labels"]["tried"] == "x" and await api.get(at) == before
    await api.refused(404, "PATCH", f"{kind.path('default')}/absent", {}, content_type="application/merge-patch+json")


async def unprotect(api: Api, kind: Resource) -> None:
    """Takes the finalizers off what is being deleted, in place of the controllers that do so when it is not in use."""
    path = kind.path("default")
    for item in (await api.get(path))["items"]:
        if "deletionTimestamp" in item["metadata"]:
            await api.patch(f"{path}/{item['metadata']['name']}", {"metadata": {"finalizers": None}})


CONDITION = {"type": "Tested", "status": "True", "reason": "Test", "message": "Set by a test", "lastTransitionTime": "2026-01-01T00:00:00Z"}
STATUS: dict[str, Object] = {
    "persistentvolumes": {"message": "a test", "reason": "Test"},
    "ingresses": {"loadBalancer": {"ingress": [{"ip": "169.1.1.1"}]}},
    "cronjobs": {"lastScheduleTime": "2026-01-01T00:00:00Z"},
    "resourcequotas": {"hard": {"configmaps": "5"}},
    "horizontalpodautoscalers": {"currentReplicas": 1, "desiredReplicas": 2},
    "volumeattachments": {"attached": True},
    "poddisruptionbudgets": {
        "conditions": [CONDITION], "currentHealthy": 1, "desiredHealthy": 1, "disruptionsAllowed": 0, "expectedPods": 1,
    },
    "validatingadmissionpolicies": {"observedGeneration": 1},
    "resourceclaims": {"reservedFor": [{"resource": "pods", "name": "p", "uid": "1"}], "allocation": {}},
    "pods": {"message": "a test"},
    "certificatesigningrequests": {"conditions": [{**CONDITION, "lastUpdateTime": "2026-01-01T00:00:00Z"}]},
    "csinodes": {},
}  # fmt: skip


def updated_status(kind: Resource, status: Object) -> Object:
    """Another one, for the update after the patch."""
    others: dict[str, Object] = {
        "persistentvolumes": {"message": "another", "reason": "Other"}, "volumeattachments": {"attached": False},
        "ingresses": {"loadBalancer": {"ingress": [{"ip": "169.1.1.2"}]}}, "cronjobs": {"lastScheduleTime": "2026-01-02T00:00:00Z"},
        "resourcequotas": {"hard": {"configmaps": "7"}}, "horizontalpodautoscalers": {"currentReplicas": 2, "desiredReplicas": 3},
        "validatingadmissionpolicies": {"observedGeneration": 2}, "pods": {"message": "another"},
    }  # fmt: skip
    if kind.plural in others:
        return {**status, **others[kind.plural]}
    if "conditions" not in status or kind.plural == "certificatesigningrequests":
        return status
    return {**status, "conditions": [*status["conditions"][:-1], {**status["conditions"][-1], "message": "Updated by a test"}]}


async def has_a_status(api: Api, kind: Resource) -> None:
    """Only status and annotations are changed through it, and it not at all through the object."""
    path, name = kind.path("default"), names(kind)[1]
    await api.post(path, instance(kind, name, {"lot": "two"}))
    status = STATUS.get(kind.plural, {"conditions": [CONDITION]})
    at = f"{path}/{name}/status"
    async with api.watch(path, fields=f"metadata.name={name}") as watch:
        patched = await api.patch(at, {"metadata": {"annotations": {"by": "patch"}}, "status": status})
        assert patched["metadata"]["annotations"]["by"] == "patch"
        assert all(patched["status"][field] == value for field, value in status.items()), patched["status"]
        seen = await watch.next("MODIFIED")
        assert seen["metadata"]["annotations"]["by"] == "patch"
        assert (await api.get(at))["status"] == patched["status"]
        second = updated_status(kind, patched["status"])
        value = {**patched, "metadata": {**patched["metadata"], "annotations": {"by": "update"}}, "status": second}
        updated = await api.put(at, value)
        assert updated["metadata"]["annotations"]["by"] == "update" and updated["status"] == second
        assert (await watch.next("MODIFIED"))["status"] == second == (await api.get(f"{path}/{name}"))["status"]
    left = await api.patch(f"{path}/{name}", {"status": None, "metadata": {"annotations": {"by": "object"}}})
    assert left["status"] == updated["status"] and left["metadata"]["annotations"]["by"] == "object"
    await api.delete(f"{path}/{name}", {"gracePeriodSeconds": 0})
    await unprotect(api, kind)


async def goes_as_a_collection(api: Api, kind: Resource) -> None:
    """Those that the selector means, and no other."""
    path, (first, second, other) = kind.path("default"), names(kind)
    for name, lot in ((first, "three"), (second, "three"), (other, "four")):
        await api.post(path, instance(kind, name, {"lot": lot}))
    assert sorted(await api.names(f"{kind.path()}?labelSelector=lot%3Dthree")) == [first, second]
    if "deletecollection" not in kind.verbs:
        return
    tried = await api.call("DELETE", f"{path}?labelSelector=lot%3Dthree&dryRun=All")
    assert tried.status == 200 and len(await api.names(f"{path}?labelSelector=lot%3Dthree")) == 2
    async with api.watch(path, labels="lot=three") as watch:
        answer: Any = await api.delete(f"{path}?labelSelector=lot%3Dthree", {"gracePeriodSeconds": 0})
        assert answer["kind"] == kind.list_kind or answer["status"] == "Success"
        await unprotect(api, kind)
        gone = [(await watch.until(lambda event, _: event == "DELETED"))["metadata"]["name"] for _ in range(2)]
    assert sorted(gone) == [first, second]
    assert await api.names(f"{path}?labelSelector=lot%3Dthree") == []
    assert other in await api.names(path)


def test_no_kind_is_forgotten() -> None:
    """The table above has every stored kind, but for those that have tests of their own."""
    rows = {row.values[0] for row in ROWS}
    stored = {r.plural + (f".{r.group}" if r.group else "") for r in builtin() if {"list", "create"} <= set(r.verbs)}
    elsewhere = {
        "namespaces", "customresourcedefinitions.apiextensions.k8s.io", "apiservices.apiregistration.k8s.io",
        "clustertrustbundles.certificates.k8s.io", "podcertificaterequests.certificates.k8s.io", "devicetaintrules.resource.k8s.io",
        "storageversionmigrations.storagemigration.k8s.io",
    }  # fmt: skip
    assert stored - rows == elsewhere
