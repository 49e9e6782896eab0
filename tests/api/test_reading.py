"""Get and list: snapshots, pages, selectors, revisions."""

import pytest

from podium.client.in_process import InProcessClient
from podium.control_plane import ControlPlane
from podium.objects.resources import resource
from podium.objects.status import BadRequest, Expired, Timeout
from tests.api.objects import configmap, pod

CONFIGMAPS, PODS = resource("configmaps"), resource("pods")


async def _ten(client: InProcessClient) -> None:
    for i in range(10):
        value = configmap(f"c{i}")
        value["metadata"]["labels"] = {"parity": "odd" if i % 2 else "even"}
        await client.create(CONFIGMAPS, value)


async def test_pages_are_one_snapshot(client: InProcessClient) -> None:
    await _ten(client)
    names, token, revisions = [], "", set()
    while True:
        page = await client.list(CONFIGMAPS, "default", limit=4, continue_token=token)
        names += [i["metadata"]["name"] for i in page.items]
        revisions.add(page.revision)
        await client.delete(CONFIGMAPS, "c9", "default") if not token else None
        token = page.continue_token
        if not token:
            break
        assert page.remaining == 10 - len(names)
    assert names == [f"c{i}" for i in range(10)] and len(revisions) == 1


@pytest.mark.parametrize(
    ("labels", "fields", "expect"),
    [
        ("parity=odd", "", "c1 c3 c5 c7 c9"),
        ("parity!=odd,parity", "metadata.name!=c0", "c2 c4 c6 c8"),
        ("", "metadata.name=c3", "c3"),
        ("x", "", ""),
    ],
)
async def test_selectors_filter(client: InProcessClient, labels: str, fields: str, expect: str) -> None:
    await _ten(client)
    page = await client.list(CONFIGMAPS, "default", labels=labels, fields=fields)
    assert " ".join(i["metadata"]["name"] for i in page.items) == expect


async def test_a_filtered_list_has_pages_too(client: InProcessClient) -> None:
    await _ten(client)
    first = await client.list(CONFIGMAPS, "default", labels="parity=odd", limit=3)
    rest = await client.list(CONFIGMAPS, "default", labels="parity=odd", limit=3, continue_token=first.continue_token)
    assert [i["metadata"]["name"] for i in (*first.items, *rest.items)] == ["c1", "c3", "c5", "c7", "c9"]
    assert rest.continue_token == ""


async def test_pods_are_found_by_node(client: InProcessClient) -> None:
    await client.create(PODS, pod("a", nodeName="n1"))
    await client.create(PODS, pod("b"))
    assert [i["metadata"]["name"] for i in (await client.list(PODS, fields="spec.nodeName=n1")).items] == ["a"]


async def test_an_unsupported_field_is_refused(client: InProcessClient) -> None:
    with pytest.raises(BadRequest, match="field label not supported"):
        await client.list(PODS, fields="spec.color=red")


async def test_a_revision_that_has_not_happened_is_a_timeout(client: InProcessClient) -> None:
    with pytest.raises(Timeout, match="Too large resource version"):
        await client.list(CONFIGMAPS, revision="100000")


async def test_a_compacted_page_is_expired(client: InProcessClient, plane: ControlPlane) -> None:
    await _ten(client)
    page = await client.list(CONFIGMAPS, "default", limit=2)
    await client.create(CONFIGMAPS, configmap("later"))
    await plane.server.core.store.compact(plane.server.core.store.revision)
    with pytest.raises(Expired):
        await client.list(CONFIGMAPS, "default", limit=2, continue_token=page.continue_token)


@pytest.mark.parametrize("token", ["nonsense", "e30", "bnVsbA"])
async def test_a_forged_token_is_refused(client: InProcessClient, token: str) -> None:
    with pytest.raises(BadRequest, match="continue key is not valid"):
        await client.list(CONFIGMAPS, "default", limit=2, continue_token=token)
