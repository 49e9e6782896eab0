"""A short run of the fuzzer with every test run (make fuzz: a long one), and hypothesis on what an HTTP client can say at all."""

import asyncio
import json
import secrets
from copy import deepcopy
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podium.api.authority import Authority
from podium.api.server import ApiServer
from podium.control_plane import ControlPlane
from podium.objects.resources import resource
from podium.world.http_server import Connection, HttpRequest
from tests.api.fuzzing import ADMIN, DEFINITIONS, FakeConnection, Fuzzer, fuzz


@pytest.mark.slow
async def test_nothing_breaks_on_a_thousand_random_requests(authority: Authority) -> None:
    seed = secrets.token_hex(4)
    try:
        answers = await fuzz(seed, 1_500, Path(authority.directory))
    except AssertionError as error:
        raise AssertionError(f"seed {seed}\n{error}") from error
    assert answers[200] > 100 and answers[201] > 20 and answers[422] > 20


async def test_the_fuzzer_finds_what_breaks(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    fuzzer = Fuzzer("1", plane)
    monkeypatch.setattr(ApiServer, "handle", lambda self, http, connection: 1 / 0)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        await fuzzer.run(3)


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(st.none() | st.booleans() | st.floats() | TEXT, lambda v: st.lists(v) | st.dictionaries(TEXT, v), max_leaves=10)
OPTIONS = ["limit", "continue", "labelSelector", "fieldSelector", "resourceVersion"]
HEADERS = ["accept", "content-type", "authorization", "impersonate-user", "if-none-match"]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    tail=st.lists(st.one_of(TEXT, st.sampled_from(["a", "status", "scale", "namespaces", "pods", "configmaps", "default"])), max_size=4),
    query=st.dictionaries(st.one_of(TEXT, st.sampled_from(OPTIONS)), st.lists(TEXT, min_size=1, max_size=2), max_size=3),
    headers=st.dictionaries(st.sampled_from(HEADERS), TEXT, max_size=3),
    body=st.one_of(st.binary(max_size=50), VALUES.map(lambda v: json.dumps(v).encode())),
)
async def test_nothing_breaks_on_anything_that_can_be_said(
    plane: ControlPlane, method: str, tail: list[str], query: dict[str, list[str]], headers: dict[str, str], body: bytes
) -> None:
    path = "/".join(["/api/v1/namespaces/default/configmaps", *tail])
    http = HttpRequest(method, path, path, query, headers, body, ADMIN)
    response = await plane.server._serve(http, cast(Connection, FakeConnection()))
    assert response is None or response.status < 500, response


STRICT = "/apis/fuzz.io/v2/namespaces/default/strict"
FOUND = [
    ("/api/v1/namespaces/default/pods", b'{"metadata":{"name":"c"}}', 422),
    ("/api/v1/namespaces/default/configmaps", b'{\x00data":{}}', 400),
    (STRICT, b'{"metadata":{"name":"b"},"apiVersion":"fuzz.io/v2","kind":"Strict","spec":{"list":[1.5]}}', 422),
    (STRICT, b'{"metadata":{"name":"b"},"apiVersion":"fuzz.io/v2","kind":"Strict","spec":{"list":[{"name":[{}]},-1,-1]}}', 422),
]


@pytest.mark.parametrize(("path", "body", "status"), FOUND)
async def test_what_the_fuzzer_once_found(plane: ControlPlane, path: str, body: bytes, status: int) -> None:
    await plane.client().create(resource("customresourcedefinitions", "apiextensions.k8s.io"), deepcopy(DEFINITIONS[0]))
    await asyncio.sleep(0.05)
    http = HttpRequest("POST", path, path, {}, {"content-type": "application/json"}, body, ADMIN)
    response = await plane.server._serve(http, cast(Connection, FakeConnection()))
    assert response is not None and response.status == status, response
