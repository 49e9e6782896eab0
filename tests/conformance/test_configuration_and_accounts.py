"""ConfigMaps, Secrets, ServiceAccounts, storage objects: what clients do with them beyond the verbs that every kind has."""

from typing import Any

import pytest

from tests.conformance.api import STRATEGIC, Api
from tests.conformance.cluster import run
from tests.conformance.objects import OBJECTS, POD_SPEC

shows = pytest.mark.conformance
DEFAULT = "/api/v1/namespaces/default"
CONFIGMAPS, SECRETS, PODS, ACCOUNTS = (f"{DEFAULT}/{plural}" for plural in ("configmaps", "secrets", "pods", "serviceaccounts"))


@shows("[sig-node] ConfigMap should run through a ConfigMap lifecycle")
@shows("[sig-node] ConfigMap should update ConfigMap successfully [NodeConformance]")
async def test_the_life_of_a_config_map(api: Api) -> None:
    async with api.watch("/api/v1/configmaps", labels="static=true") as watch:
        created = await api.post(CONFIGMAPS, {"metadata": {"name": "a", "labels": {"static": "true"}}, "data": {"valueName": "value"}})
        await watch.next("ADDED")
        patched = await api.patch(f"{CONFIGMAPS}/a", {"metadata": {"labels": {"p": "q"}}, "data": {"valueName": "value1"}}, STRATEGIC)
        assert patched["data"]["valueName"] == "value1" and patched["metadata"]["labels"] == {"static": "true", "p": "q"}
        await watch.next("MODIFIED")
        got = await api.get(f"{CONFIGMAPS}/a")
        assert got["data"] == {"valueName": "value1"} and got["metadata"]["uid"] == created["metadata"]["uid"]
        assert "a" in await api.names("/api/v1/configmaps?labelSelector=static%3Dtrue")
        await api.delete(f"{CONFIGMAPS}?labelSelector=static%3Dtrue")
        await watch.next("DELETED")
    await api.post(CONFIGMAPS, {"metadata": {"name": "b"}, "data": {"k": "v"}})
    value = await api.get(f"{CONFIGMAPS}/b")
    value["data"] = {"data": "value"}
    await api.put(f"{CONFIGMAPS}/b", value)
    assert (await api.get(f"{CONFIGMAPS}/b"))["data"] == {"data": "value"}


@pytest.mark.parametrize("path", [
    pytest.param(CONFIGMAPS, id="configmap", marks=shows("[sig-node] ConfigMap should fail to create ConfigMap with empty key")),
    pytest.param(SECRETS, id="secret", marks=shows("[sig-node] Secrets should fail to create secret due to empty secret key")),
])  # fmt: skip
async def test_an_empty_key_is_refused(api: Api, path: str) -> None:
    await api.refused(422, "POST", path, {"metadata": {"name": "a"}, "data": {"": "dmFsdWU="}})


@pytest.mark.parametrize("path", [
    pytest.param(CONFIGMAPS, id="configmap", marks=shows("[sig-storage] ConfigMap should be immutable if `immutable` field is set")),
    pytest.param(SECRETS, id="secret", marks=shows("[sig-storage] Secrets should be immutable if `immutable` field is set")),
])  # fmt: skip
async def test_what_is_immutable_stays_so(api: Api, path: str) -> None:
    await api.post(path, {"metadata": {"name": "a"}, "data": {"k": "dmFsdWU="}})
    value = await api.patch(f"{path}/a", {"data": {"k2": "dmFsdWU="}})
    fixed = await api.put(f"{path}/a", {**value, "immutable": True})
    await api.refused(422, "PUT", f"{path}/a", {**fixed, "data": {"k": "eA=="}})
    await api.refused(422, "PUT", f"{path}/a", {**fixed, "immutable": False})
    await api.put(f"{path}/a", {**fixed, "metadata": {**fixed["metadata"], "labels": {"still": "fine"}}})
    await api.delete(f"{path}/a")


AUTOMOUNT = [(spec, account, mounted) for spec in (None, True, False) for account, mounted in (
    (None, spec is not False), (True, spec is not False), (False, spec is True))]  # fmt: skip


@shows("[sig-auth] ServiceAccounts should allow opting out of API token automount")
async def test_when_a_pod_gets_a_token(api: Api) -> None:
    for number, (spec, account, mounted) in enumerate(AUTOMOUNT):
        name = f"a{number}"
        await api.post(ACCOUNTS, {"metadata": {"name": name}, **_automount(account)})
        pod = await api.post(PODS, {"metadata": {"name": name}, "spec": {**POD_SPEC, "serviceAccountName": name, **_automount(spec)}})
        mounts = [m["mountPath"] for m in pod["spec"]["containers"][0].get("volumeMounts", ())]
        assert ("/var/run/secrets/kubernetes.io/serviceaccount" in mounts) == mounted, (spec, account)


def _automount(wanted: bool | None) -> dict[str, Any]:
    return {} if wanted is None else {"automountServiceAccountToken": wanted}


@shows("[sig-auth] ServiceAccounts should create a serviceAccountToken and ensure a successful TokenReview")
async def test_a_token_of_an_account_is_known(api: Api) -> None:
    await api.post(ACCOUNTS, {"metadata": {"name": "robot"}})
    request = {"spec": {"audiences": [], "expirationSeconds": 600}}
    made = await api.post(f"{ACCOUNTS}/robot/token", request)
    assert made["status"]["token"] and made["status"]["expirationTimestamp"]
    review = await api.post("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": made["status"]["token"]}})
    assert review["status"]["authenticated"] and not review["status"].get("error")
    assert review["status"]["user"]["username"] == "system:serviceaccount:default:robot"


@shows("[sig-auth] ServiceAccounts should update a ServiceAccount")
async def test_an_account_is_updated(api: Api) -> None:
    created = await api.post(ACCOUNTS, {"metadata": {"name": "robot"}})
    updated = await api.put(f"{ACCOUNTS}/robot", {**created, "automountServiceAccountToken": True})
    assert updated["automountServiceAccountToken"] is True


@shows("[sig-auth] ServiceAccounts should guarantee kube-root-ca.crt exist in any namespace")
def test_the_root_certificate_is_in_every_namespace_and_comes_back() -> None:
    async def scenario(api: Api) -> None:
        await api.post("/api/v1/namespaces", {"metadata": {"name": "fresh"}})
        at = "/api/v1/namespaces/fresh/configmaps/kube-root-ca.crt"
        first = await api.settled(at, bool)
        assert first["data"] == {"ca.crt": "PEM"}
        await api.delete(at)
        again = await api.settled(at, lambda c: c and c["metadata"]["uid"] != first["metadata"]["uid"])
        await api.put(at, {**again, "data": {"ca.crt": ""}})
        await api.settled(at, lambda c: c["data"] == {"ca.crt": "PEM"})

    run(scenario)


VOLUMES, CLAIMS = "/api/v1/persistentvolumes", f"{DEFAULT}/persistentvolumeclaims"


@shows("[sig-storage] PersistentVolumes CSI Conformance should run through the lifecycle of a PV and a PVC")
async def test_the_life_of_a_volume_and_its_claim(api: Api) -> None:
    for path, plural, phase in ((VOLUMES, "persistentvolumes", "Pending"), (CLAIMS, "persistentvolumeclaims", "Pending")):
        body = {"metadata": {"name": "a", "labels": {"e2e": "a"}}, **OBJECTS[plural]}
        created = await api.post(path, body)
        assert created["status"]["phase"] == phase and created["spec"]["volumeMode"] == "Filesystem"
        assert (await api.patch(f"{path}/a", {"metadata": {"labels": {"a": "patched"}}}))["metadata"]["labels"]["a"] == "patched"
        assert (await api.get(f"{path}/a"))["metadata"]["uid"] == created["metadata"]["uid"]
        assert await api.names(f"{path}?labelSelector=a%3Dpatched") == ["a"]
        await _remove(api, f"{path}/a")
        again = await api.post(path, body)
        updated = await api.put(f"{path}/a", {**again, "metadata": {**again["metadata"], "labels": {"a": "updated"}}})
        assert updated["metadata"]["labels"] == {"a": "updated"}
        await api.delete(f"{path}?labelSelector=a%3Dupdated")
        await _remove(api, f"{path}/a")
        assert await api.names(path) == []


async def _remove(api: Api, target: str) -> None:
    """Deletes it, protection finalizers or not."""
    await api.call("DELETE", target)
    await api.call("PATCH", target, {"metadata": {"finalizers": None}}, content_type="application/merge-patch+json")
    assert (await api.call("GET", target)).status == 404


@shows("[sig-node] Secrets should patch a secret")
async def test_a_secret_is_patched(api: Api) -> None:
    await api.post(SECRETS, {"metadata": {"name": "a", "labels": {"test": "yes"}}, "data": {"key": "dmFsdWU="}, "type": "Opaque"})
    patch = {"metadata": {"labels": {"patched": "true"}}, "data": {"key": "dmFsdWUx"}}
    await api.patch(f"{SECRETS}/a", patch, STRATEGIC)
    got = await api.get(f"{SECRETS}/a")
    assert got["data"] == {"key": "dmFsdWUx"} and got["metadata"]["labels"]["patched"] == "true"
    await api.delete(f"{SECRETS}?labelSelector=patched%3Dtrue")
    assert await api.names("/api/v1/secrets?labelSelector=test%3Dyes") == []
