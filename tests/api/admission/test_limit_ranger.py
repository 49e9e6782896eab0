"""LimitRange: defaults that are filled in, bounds that refuse, in upstream's words."""

from typing import Any

import pytest

from podium.client.in_process import InProcessClient
from podium.objects.resources import resource
from podium.objects.status import Forbidden, Invalid
from tests.api.objects import pod

PODS, RANGES, CLAIMS = resource("pods"), resource("limitranges"), resource("persistentvolumeclaims")


def limit_range(**item: Any) -> dict[str, Any]:
    limits = [{"type": "Container", **item}]
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l", "namespace": "default"}, "spec": {"limits": limits}}


def sized(**resources: Any) -> dict[str, Any]:
    value = pod("p")
    value["spec"]["containers"][0]["resources"] = resources
    return value


@pytest.mark.conformance("[sig-scheduling] LimitRange should create a LimitRange with defaults and ensure pod has those defaults applied.")
async def test_a_container_gets_the_defaults_it_lacks(client: InProcessClient) -> None:
    await client.create(RANGES, limit_range(default={"cpu": "500m", "memory": "500Mi"}, defaultRequest={"cpu": "100m", "memory": "200Mi"}))
    made = await client.create(PODS, pod("plain"))
    assert made["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "100m", "memory": "200Mi"}, "limits": {"cpu": "500m", "memory": "500Mi"},
    }  # fmt: skip
    note = "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c"
    assert made["metadata"]["annotations"] == {"kubernetes.io/limit-ranger": note}
    assert made["status"]["qosClass"] == "Burstable"
    partial = await client.create(PODS, {**sized(requests={"cpu": "300m"}), "metadata": {"name": "partial", "namespace": "default"}})
    assert partial["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "300m", "memory": "200Mi"}


@pytest.mark.parametrize(
    ("item", "resources", "why"),
    [
        ({"min": {"cpu": "100m"}}, {"requests": {"cpu": "50m"}}, "minimum cpu usage per Container is 100m, but request is 50m"),
        ({"type": "Pod", "min": {"cpu": "100m"}}, {}, "minimum cpu usage per Pod is 100m.  No request is specified"),
        ({"max": {"memory": "1Gi"}}, {"limits": {"memory": "2Gi"}}, "maximum memory usage per Container is 1Gi, but limit is 2Gi"),
        ({"type": "Pod", "max": {"cpu": "1"}}, {}, "maximum cpu usage per Pod is 1.  No limit is specified"),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}}, {"requests": {"cpu": "1"}, "limits": {"cpu": "3"}},
            "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
        ),
        (
            {"type": "Pod", "min": {"cpu": "1"}, "max": {"memory": "1Gi"}}, {"requests": {"cpu": "500m"}},
            "[minimum cpu usage per Pod is 1, but request is 500m, maximum memory usage per Pod is 1Gi.  No limit is specified]",
        ),
    ],
)  # fmt: skip
async def test_what_is_out_of_bounds_is_refused(client: InProcessClient, item: Any, resources: Any, why: str) -> None:
    await client.create(RANGES, limit_range(**item))
    with pytest.raises(Forbidden) as refusal:
        await client.create(PODS, sized(**resources))
    assert refusal.value.message == f'pods "p" is forbidden: {why}'


async def test_a_claim_is_bounded_on_growth_too(client: InProcessClient) -> None:
    await client.create(RANGES, limit_range(type="PersistentVolumeClaim", max={"storage": "2Gi"}))
    claim = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "3Gi"}}},
    }  # fmt: skip
    with pytest.raises(Forbidden, match="maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"):
        await client.create(CLAIMS, claim)


async def test_a_range_that_contradicts_itself_is_refused(client: InProcessClient) -> None:
    with pytest.raises(Invalid, match=r"spec.limits\[0\].min\[cpu\]: Invalid value: \"2\": min value 2 is greater than max value 1"):
        await client.create(RANGES, limit_range(min={"cpu": "2"}, max={"cpu": "1"}))


@pytest.mark.conformance("[sig-scheduling] LimitRange should list, patch and delete a LimitRange by collection")
async def test_a_deleted_range_is_forgotten(client: InProcessClient) -> None:
    await client.create(RANGES, limit_range(defaultRequest={"cpu": "1"}))
    await client.patch(RANGES, "l", {"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}}, "default")
    assert [v["metadata"]["name"] for v in (await client.list(RANGES, "default")).items] == ["l"]
    await client.delete(RANGES, "l", "default")
    assert not (await client.create(PODS, pod("free")))["spec"]["containers"][0].get("resources")
