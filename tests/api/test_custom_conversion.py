"""Versions that a webhook converts: what it is asked, what it may answer, and what becomes of wrong answers."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from podium.api.authority import Authority
from podium.client.in_process import InProcessClient
from podium.control_plane import ControlPlane
from podium.objects.resources import Resource
from podium.objects.status import BadRequest, ServerError
from podium.objects.values import copy
from podium.world.http_server import Connection, HttpRequest, HttpServer, Response
from tests.api.test_custom_resources import DEFINITIONS, crontab, definition, served, version

SUITE = "[sig-api-machinery] CustomResourceConversionWebhook [Privileged:ClusterAdmin] "
V1, V2 = "example.com/v1", "example.com/v2"

Object = dict[str, Any]


class Converter:
    """v1 has spec.cron, v2 spec.schedule. `spoil` changes the answer before it goes out."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self.reviews: list[Object] = []
        self.spoil: Callable[[Object], object] = lambda response: None

    async def start(self) -> None:
        certificate, key = self._authority.issue_files("converter", "converter", hosts=["127.0.0.1"])
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        self._server = HttpServer(self._handle, tls)
        port = await self._server.listen("127.0.0.1", 0)
        self.config = {"url": f"https://127.0.0.1:{port}/convert", "caBundle": base64.b64encode(self._authority.ca_pem).decode()}

    async def stop(self) -> None:
        await self._server.close()

    async def _handle(self, http: HttpRequest, connection: Connection) -> Response | None:
        review = orjson.loads(http.body)
        request = review.pop("request")
        self.reviews.append(request)
        converted = [_converted(o, request["desiredAPIVersion"]) for o in request["objects"]]
        response: Object = {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": converted}
        self.spoil(response)
        return Response(200, orjson.dumps({**review, "response": response}))


def _converted(value: Object, wanted: str) -> Object:
    new = copy(value)
    before, after = ("cron", "schedule") if wanted == V2 else ("schedule", "cron")
    new["apiVersion"] = wanted
    if before in new["spec"]:
        new["spec"][after] = new["spec"].pop(before)
    return new


@pytest.fixture(scope="module")
def converter_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.load_or_create(Path(tmp_path_factory.mktemp("converter-pki")))


@pytest.fixture
async def converter(converter_authority: Authority) -> AsyncIterator[Converter]:
    server = Converter(converter_authority)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def both(plane: ControlPlane, converter: Converter) -> tuple[Resource, Resource]:
    schema = copy(version()["schema"]["openAPIV3Schema"])
    fields = schema["properties"]["spec"]["properties"]
    fields["schedule"] = fields.pop("cron")
    schema["properties"]["spec"]["required"] = ["schedule"]
    webhook = {"conversionReviewVersions": ["v1"], "clientConfig": converter.config}
    second = version("v2", schema, selectableFields=[{"jsonPath": ".spec.replicas"}])
    value = definition(version(), second, conversion={"strategy": "Webhook", "webhook": webhook})
    await plane.client().create(DEFINITIONS, value)
    return served(plane), served(plane, "v2")


@pytest.mark.conformance(SUITE + "should be able to convert from CR v1 to CR v2")
async def test_an_object_is_shown_in_each_version(
    plane: ControlPlane, client: InProcessClient, converter: Converter, both: tuple[Resource, Resource]
) -> None:
    v1, v2 = both
    await client.create(v1, crontab())
    assert converter.reviews == []  # stored as it came
    found = await client.get(v2, "a", "default")
    assert (found["apiVersion"], found["spec"]) == (V2, {"schedule": "* *", "replicas": 1})
    patched = await client.patch(v2, "a", {"spec": {"schedule": "1 1"}}, "default")
    assert (patched["apiVersion"], patched["spec"]["schedule"]) == (V2, "1 1")
    stored = (await plane.server.core.store.range(v1.prefix)).records[0].value
    assert (stored["apiVersion"], stored["spec"]["cron"]) == (V1, "1 1")
    assert patched["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]


@pytest.mark.conformance(SUITE + "should be able to convert a non homogeneous list of CRs")
async def test_a_list_of_both_versions_is_converted_at_once(
    client: InProcessClient, converter: Converter, both: tuple[Resource, Resource]
) -> None:
    v1, v2 = both
    await client.create(v1, crontab("a"))
    changed = copy(await client.get(DEFINITIONS, "crontabs.example.com"))
    for row in changed["spec"]["versions"]:
        row["storage"] = row["name"] == "v2"
    await client.update(DEFINITIONS, changed)
    value = crontab("b", V2)
    value["spec"] = {"schedule": "2 2"}
    await client.create(v2, value)
    await client.create(v1, crontab("c"))
    converter.reviews.clear()
    for resource, name in ((v1, "cron"), (v2, "schedule")):
        items = (await client.list(resource, "default")).items
        assert [(i["apiVersion"], i["spec"][name]) for i in items] == [(resource.api_version, t) for t in ("* *", "2 2", "* *")]
    assert [len(r["objects"]) for r in converter.reviews] == [2, 1]


async def test_watches_are_converted(client: InProcessClient, both: tuple[Resource, Resource]) -> None:
    v1, v2 = both
    seen: list[tuple[str, str]] = []

    async def follow() -> None:
        async for event in client.watch(v2, "default", revision="0"):
            seen.append((event.type, event.object["spec"]["schedule"]))
            if event.type == "DELETED":
                return

    task = asyncio.ensure_future(follow())
    await asyncio.sleep(0.01)
    await client.create(v1, crontab())
    await client.patch(v1, "a", {"spec": {"cron": "3 3"}}, "default")
    await client.delete(v1, "a", "default")
    await asyncio.wait_for(task, 5)
    assert seen == [("ADDED", "* *"), ("MODIFIED", "3 3"), ("DELETED", "3 3")]
    with pytest.raises(BadRequest, match="Podium does not watch by fields of the object where a webhook converts it"):
        async for _ in client.watch(v2, "default", revision="0", fields="spec.replicas=1"):
            pass


def first(**metadata: Any) -> Callable[[Object], object]:
    return lambda response: response["convertedObjects"][0]["metadata"].update(metadata)


WRONG: list[tuple[str, Callable[[Object], object], str]] = [
    ("another name", first(name="b"), "returned invalid object: must have the same name: a != b"),
    ("another uid", first(uid="b"), "returned invalid object: must have the same UID: "),
    ("another namespace", first(namespace="b"), "returned invalid object: must have the same namespace: default != b"),
    ("too few", lambda r: r["convertedObjects"].clear(), "returned 0 objects, expected 1"),
    ("another kind", lambda r: r["convertedObjects"][0].update(kind="X"),
     "returned invalid object at index 0: invalid kind (expected CronTab, received X)"),
    ("another version", lambda r: r["convertedObjects"][0].update(apiVersion=V1),
     f"returned invalid object at index 0: invalid groupVersion (expected {V2}, received {V1})"),
    ("no metadata", lambda r: r["convertedObjects"][0].pop("metadata"), "returned invalid object: must have the same name: a != "),
    ("labels that are none", first(labels={"a": 1}), "returned invalid metadata: metadata.labels is no map of texts"),
    ("another review", lambda r: r.update(uid="x"), 'failed: expected response.uid="'),
    ("a failure", lambda r: r.update(result={"status": "Failure", "message": "no way"}), "failed: no way"),
    ("no status", lambda r: r.update(result={}), "failed: response.result.status was '', not 'Success'"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "told"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
async def test_a_wrong_answer_is_refused(
    plane: ControlPlane, client: InProcessClient, converter: Converter, both: tuple[Resource, Resource],
    spoil: Callable[[Object], object], told: str,
) -> None:  # fmt: skip
    v1, v2 = both
    await client.create(v1, crontab())
    revision = plane.server.core.store.revision
    converter.spoil = spoil
    for attempt in (client.get(v2, "a", "default"), client.patch(v2, "a", {"spec": {"replicas": 2}}, "default")):
        with pytest.raises(ServerError) as refused:
            await attempt
        assert f"conversion webhook for {V1}, Kind=CronTab" in refused.value.message
        assert told in refused.value.message
    assert plane.server.core.store.revision == revision


async def test_labels_and_annotations_are_the_webhooks_to_change(
    client: InProcessClient, converter: Converter, both: tuple[Resource, Resource]
) -> None:
    v1, v2 = both
    await client.create(v1, crontab())
    converter.spoil = first(labels={"a": "b"}, finalizers=["example.com/x"], generation=99)
    metadata = (await client.get(v2, "a", "default"))["metadata"]
    assert (metadata["labels"], metadata["generation"], "finalizers" in metadata) == ({"a": "b"}, 1, False)
