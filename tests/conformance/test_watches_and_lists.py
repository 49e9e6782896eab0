"""Watches and lists: what is seen, from when, in which order and in which form."""

from typing import Any

import pytest

from tests.conformance.api import Api

shows = pytest.mark.conformance
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
TEMPLATES = "/api/v1/namespaces/default/podtemplates"


def configmap(name: str, watched: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"watched": watched}}, "data": data}


def version(value: Any) -> str:
    return str(value["metadata"]["resourceVersion"])


@shows("[sig-api-machinery] Watchers should observe add, update, and delete watch notifications on configmaps")
async def test_watches_see_what_their_selector_matches_and_no_more(api: Api) -> None:
    async with (
        api.watch(CONFIGMAPS, labels="watched=a") as only_a,
        api.watch(CONFIGMAPS, labels="watched=b") as only_b,
        api.watch(CONFIGMAPS, labels="watched in (a,b)") as both,
    ):
        for name, mine in (("a", only_a), ("b", only_b)):
            await api.post(CONFIGMAPS, configmap(name, name))
            for number in "12":
                await api.patch(f"{CONFIGMAPS}/{name}", {"data": {"n": number}})
            await api.delete(f"{CONFIGMAPS}/{name}")
            for watch in (mine, both):
                assert (await watch.next("ADDED"))["metadata"]["name"] == name
                for number in "12":
                    assert (await watch.next("MODIFIED"))["data"] == {"n": number}
                assert (await watch.next("DELETED"))["data"] == {"n": "2"}
        assert only_a.quiet and only_b.quiet and both.quiet


@shows("[sig-api-machinery] Watchers should be able to start watching from a specific resource version")
async def test_a_watch_from_the_past_sees_only_what_came_after(api: Api) -> None:
    created = await api.post(CONFIGMAPS, configmap("a", "x"))
    first = await api.patch(f"{CONFIGMAPS}/a", {"data": {"n": "1"}})
    await api.patch(f"{CONFIGMAPS}/a", {"data": {"n": "2"}})
    await api.delete(f"{CONFIGMAPS}/a")
    async with api.watch(CONFIGMAPS, labels="watched=x", revision=version(first)) as watch:
        assert (await watch.next("MODIFIED"))["data"] == {"n": "2"}
        gone = await watch.next("DELETED")
        assert gone["data"] == {"n": "2"} and int(version(gone)) > int(version(created))


@shows("[sig-api-machinery] Watchers should be able to restart watching from the last resource version observed by the previous watch")
async def test_a_watch_goes_on_where_another_ended(api: Api) -> None:
    async with api.watch(CONFIGMAPS, labels="watched=x") as watch:
        await api.post(CONFIGMAPS, configmap("a", "x"))
        await api.patch(f"{CONFIGMAPS}/a", {"data": {"n": "1"}})
        await watch.next("ADDED")
        last = version(await watch.next("MODIFIED"))
    await api.patch(f"{CONFIGMAPS}/a", {"data": {"n": "2"}})
    await api.delete(f"{CONFIGMAPS}/a")
    async with api.watch(CONFIGMAPS, labels="watched=x", revision=last) as watch:
        assert (await watch.next("MODIFIED"))["data"] == {"n": "2"}
        await watch.next("DELETED")


@shows("[sig-api-machinery] Watchers should observe an object deletion if it stops meeting the requirements of the selector")
async def test_an_object_that_stops_matching_is_deleted_for_the_watch(api: Api) -> None:
    async with api.watch(CONFIGMAPS, labels="watched=x") as watch:
        await api.post(CONFIGMAPS, configmap("a", "x"))
        await api.patch(f"{CONFIGMAPS}/a", {"data": {"n": "1"}})
        await watch.next("ADDED")
        await watch.next("MODIFIED")
        await api.patch(f"{CONFIGMAPS}/a", {"metadata": {"labels": {"watched": "other"}}})
        await watch.next("DELETED")
        await api.patch(f"{CONFIGMAPS}/a", {"data": {"n": "2"}})
        await api.patch(f"{CONFIGMAPS}/a", {"metadata": {"labels": {"watched": "x"}}})
        assert (await watch.next("ADDED"))["data"] == {"n": "2"}
        await api.patch(f"{CONFIGMAPS}/a", {"data": {"n": "3"}})
        await watch.next("MODIFIED")
        await api.delete(f"{CONFIGMAPS}/a")
        assert (await watch.next("DELETED"))["data"] == {"n": "3"}


@shows("[sig-api-machinery] Watchers should receive events on concurrent watches in same order")
async def test_watches_from_any_event_see_the_same_order(api: Api) -> None:
    async with api.watch(CONFIGMAPS) as watch:
        for number in range(20):
            await api.post(CONFIGMAPS, configmap(f"c{number % 3}-{number}", "x"))
            if number % 3 == 2:
                await api.patch(f"{CONFIGMAPS}/c2-{number}", {"data": {"n": str(number)}})
            if number % 4 == 3:
                await api.delete(f"{CONFIGMAPS}/c{number % 3}-{number}")
        seen = [version((await watch.next())["object"]) for _ in range(31)]
        assert watch.quiet
    assert seen == sorted(seen, key=int)
    for start in range(0, 31, 5):
        async with api.watch(CONFIGMAPS, revision=seen[start]) as later:
            assert [version((await later.next())["object"]) for _ in seen[start + 1 :]] == seen[start + 1 :]


async def _templates(api: Api, count: int) -> None:
    for number in range(count):
        template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "m", "image": "i"}]}}
        await api.post(TEMPLATES, {"metadata": {"name": f"template-{number:03}"}, "template": template})


@shows("[sig-api-machinery] Servers with support for API chunking should return chunks of results for list calls")
async def test_a_list_in_chunks_is_one_snapshot(api: Api) -> None:
    await _templates(api, 40)
    token, got, versions = "", 0, set()
    while True:
        page = await api.get(f"{TEMPLATES}?limit=9&continue={token}")
        got += len(page["items"])
        versions.add(version(page))
        token = page["metadata"].get("continue", "")
        assert page["metadata"].get("remainingItemCount", 0) == 40 - got and bool(token) == (got < 40)
        if not token:
            break
        await api.delete(f"{TEMPLATES}/template-039") if got == 9 else None
    assert got == 40 and len(versions) == 1
    assert len(await api.names(TEMPLATES)) == 39


@shows(
    "[sig-api-machinery] Servers with support for API chunking should support continue listing from the last key if the original version has "
    "been compacted away, though the list is inconsistent [Slow]"
)
async def test_a_list_goes_on_when_its_revision_is_gone(api: Api) -> None:
    await _templates(api, 40)
    first = await api.get(f"{TEMPLATES}?limit=10")
    await api.post(CONFIGMAPS, configmap("later", "x"))
    store = api.plane.server.core.store
    await store.compact(store.revision)
    refusal = await api.refused(410, "GET", f"{TEMPLATES}?limit=10&continue={first['metadata']['continue']}")
    assert refusal["reason"] == "Expired"
    second = await api.get(f"{TEMPLATES}?limit=10&continue={refusal['metadata']['continue']}")
    assert version(second) != version(first) and len(second["items"]) == 10 and second["metadata"]["remainingItemCount"] == 20
    assert second["items"][0]["metadata"]["name"] == "template-010"
    third = await api.get(f"{TEMPLATES}?limit=20&continue={second['metadata']['continue']}")
    assert version(third) == version(second) and len(third["items"]) == 20 and "continue" not in third["metadata"]


TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@shows(
    "[sig-api-machinery] Servers with support for Table transformation should return a 406 for a backend which does not implement metadata"
)
async def test_a_review_is_no_table(api: Api) -> None:
    review = {"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}
    refusal = await api.refused(406, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review, accept=TABLE)
    assert refusal["reason"] == "NotAcceptable"


@pytest.mark.parametrize(("query", "status", "count"), [
    ("", 200, 3), ("?resourceVersion=0", 200, 3), ("?resourceVersion=1", 200, 3),
    ("?resourceVersion={old}&resourceVersionMatch=Exact", 200, 1), ("?resourceVersion={old}&resourceVersionMatch=NotOlderThan", 200, 3),
    ("?resourceVersion=0&resourceVersionMatch=Exact", 422, 0), ("?resourceVersionMatch=Exact", 422, 0), ("?resourceVersion=9999999", 504, 0),
    ("?resourceVersion=a", 400, 0), ("?limit=1&resourceVersion={old}&resourceVersionMatch=Exact", 200, 1), ("?limit=-1", 400, 0),
    ("?resourceVersion={old}&resourceVersionMatch=Near", 422, 0), ("?sendInitialEvents=true", 422, 0),
])  # fmt: skip
async def test_the_revision_of_a_list(api: Api, query: str, status: int, count: int) -> None:
    old = version(await api.post(CONFIGMAPS, configmap("a", "x")))
    for name in ("b", "c"):
        await api.post(CONFIGMAPS, configmap(name, "x"))
    answer = await api.call("GET", CONFIGMAPS + query.format(old=old))
    assert answer.status == status, answer.body
    assert status != 200 or len(answer.value["items"]) == count


async def test_a_watch_begins_with_the_state_and_says_when_that_is_complete(api: Api) -> None:
    for name in ("a", "b"):
        await api.post(CONFIGMAPS, configmap(name, "x"))
    query = "?sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1"
    async with api.watch(CONFIGMAPS + query) as watch:
        assert [(await watch.next("ADDED"))["metadata"]["name"] for _ in "ab"] == ["a", "b"]
        end = await watch.next("BOOKMARK")
        assert end["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"} and end["kind"] == "ConfigMap"
        await api.post(CONFIGMAPS, configmap("c", "x"))
        assert (await watch.next("ADDED"))["metadata"]["name"] == "c"
        assert await watch.next() is None, "timeoutSeconds ends the watch"
    refusal = await api.refused(422, "GET", f"{CONFIGMAPS}?watch=true&sendInitialEvents=true")
    assert "resourceVersionMatch" in refusal["message"]


@pytest.mark.parametrize(("kind", "accept"), [
    ("Table", TABLE), ("PartialObjectMetadata", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"),
])  # fmt: skip
async def test_the_forms_of_objects_lists_and_watches(api: Api, kind: str, accept: str) -> None:
    await api.post(CONFIGMAPS, configmap("a", "x", k="v"))
    one = await api.get(f"{CONFIGMAPS}/a", accept=accept)
    many = await api.get(CONFIGMAPS, accept=accept.replace("PartialObjectMetadata", "PartialObjectMetadataList"))
    assert one["kind"] == kind and many["kind"] == (kind if kind == "Table" else f"{kind}List") and "data" not in one
    assert version(many)
    async with api.watch(CONFIGMAPS + "?allowWatchBookmarks=true&timeoutSeconds=1", accept=accept, revision="0") as watch:
        first = await watch.next("ADDED")
        await api.patch(f"{CONFIGMAPS}/a", {"data": {"k": "w"}})
        second = await watch.next("MODIFIED")
        assert first["kind"] == second["kind"] == kind
        if kind == "Table":
            assert first["columnDefinitions"] and first["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
            assert not second.get("columnDefinitions"), "the columns are told once"
        last = await watch.next("BOOKMARK") if kind != "Table" else await watch.next()
        assert last is None if kind == "Table" else last["kind"] == kind


async def test_a_watch_too_old_says_so_in_the_stream(api: Api) -> None:
    first = await api.post(CONFIGMAPS, configmap("a", "x"))
    await api.patch(f"{CONFIGMAPS}/a", {"data": {"n": "1"}})
    store = api.plane.server.core.store
    await store.compact(store.revision)
    async with api.watch(CONFIGMAPS, revision=version(first)) as watch:
        status = await watch.next("ERROR")
        assert status["code"] == 410 and status["reason"] == "Expired"
