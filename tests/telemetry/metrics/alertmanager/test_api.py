"""API v2 and the other paths, request by request, under a virtual clock."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, quote

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.telemetry.metrics.alertmanager import alertmanager as manager_module
from podium.telemetry.metrics.alertmanager.api import AlertmanagerApi
from podium.telemetry.metrics.alertmanager.configuration import load
from podium.world.http_messages import HttpRequest, Response
from tests.telemetry.metrics.alertmanager.scene import CONFIG, Scene
from tests.telemetry.metrics.alertmanager.scene import play as play_scene

NOW = "2026-01-01T00:00:00.000Z"


class Api:
    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.reloads: list[str] = []
        self.config = CONFIG

        async def reload() -> None:
            await scene.manager.reload(load(self.config))

        self._api = AlertmanagerApi(scene.manager, reload)

    async def raw(self, method: str, target: str, body: bytes = b"") -> Response:
        path, _, query = target.partition("?")
        answer = self._api.handle(HttpRequest(method, path, target, parse_qs(query, keep_blank_values=True), {}, body, None))
        return answer if isinstance(answer, Response) else await answer

    async def call(self, method: str, target: str, value: Any = None) -> tuple[int, Any]:
        """Below /api/v2."""
        body = value if isinstance(value, bytes) else b"" if value is None else orjson.dumps(value)
        answer = await self.raw(method, f"/api/v2{target}", body)
        return answer.status, orjson.loads(answer.body) if answer.body else None

    async def get(self, target: str) -> Any:
        status, value = await self.call("GET", target)
        assert status == 200, value
        return value


def play(story: Callable[[Api], Awaitable[None]], config: str = CONFIG) -> None:
    async def inner(scene: Scene) -> None:
        await story(Api(scene))

    play_scene(config, inner)


def silence(**changes: Any) -> dict[str, Any]:
    matcher = {"name": "alertname", "value": "A", "isRegex": False, "isEqual": True}
    return {
        "matchers": [matcher], "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2026-01-01T02:00:00+01:00", "createdBy": "me", "comment": "why",
        **changes,
    }  # fmt: skip


def test_an_alert_is_shown_as_upstream_shows_it() -> None:
    async def story(api: Api) -> None:
        posted = {
            "labels": {"alertname": "A", "empty": ""}, "annotations": {"summary": "s"}, "startsAt": "2025-12-31T23:00:00.123456789+00:00",
            "generatorURL": "http://p/",
        }  # fmt: skip
        assert await api.call("POST", "/alerts", [posted]) == (200, None)
        [shown] = await api.get("/alerts")
        assert shown == {
            "annotations": {"summary": "s"}, "endsAt": "2026-01-01T00:05:00.000Z", "fingerprint": shown["fingerprint"],
            "receivers": [{"name": "hook"}], "startsAt": "2025-12-31T23:00:00.123Z",
            "status": {"inhibitedBy": [], "mutedBy": [], "silencedBy": [], "state": "active"}, "updatedAt": NOW,
            "generatorURL": "http://p/", "labels": {"alertname": "A"},
        }  # fmt: skip
        assert await api.get("/alerts/groups") == [
            {"alerts": [shown], "labels": {"alertname": "A"}, "receiver": {"name": "hook"}, "routeLabels": {}}
        ]

    play(story)


FILTERS = [
    ("", ["A1", "A2", "B"]),
    ("?filter=alertname%3DB", ["B"]),
    ("?filter=i%3D1", ["A1"]),
    ("?filter=i!%3D", ["A1", "A2"]),
    ("?filter=i%3D", ["B"]),
    ("?filter=alertname%3DA&filter=i%3D~%221|3%22", ["A1"]),
    ("?receiver=ho.*", ["A1", "A2", "B"]),
    ("?receiver=ho", []),
    ("?silenced=false", ["A2", "B"]),
    ("?active=false", ["A1"]),
    ("?receiver_matchers=name%3Dhook", ["A1", "A2", "B"]),
    ("?receiver_matchers=name%3Dx", []),
    ("?inhibited=false&unprocessed=false", ["A1", "A2", "B"]),
]


@pytest.mark.parametrize(("query", "expected"), FILTERS)
def test_alerts_and_groups_are_filtered(query: str, expected: list[str]) -> None:
    async def story(api: Api) -> None:
        for labels in ({"alertname": "A", "i": "1"}, {"alertname": "A", "i": "2"}, {"alertname": "B"}):
            await api.scene.fire(**labels)
        api.scene.silence("i=1")

        def names(alerts: list[dict[str, Any]]) -> list[str]:
            return sorted(a["labels"]["alertname"] + a["labels"].get("i", "") for a in alerts)

        assert names(await api.get(f"/alerts{query}")) == expected
        assert names([a for group in await api.get(f"/alerts/groups{query}") for a in group["alerts"]]) == expected

    play(story)


BAD_ALERTS: list[tuple[Any, int, Any]] = [
    (b"{", 400, "parsing alerts body"),
    (b"{}", 400, "it is not a list"),
    ([7], 400, "it is not an object"),
    ([{}], 422, "0.labels in body is required"),
    ([{"labels": {}}], 400, "at least one label pair required"),
    ([{"labels": {"a": 1}}], 400, "labels is not a map of strings"),
    ([{"labels": {"a": "b"}, "startsAt": "soon"}], 400, "startsAt is no RFC 3339 time"),
    ([{"labels": {"a": "b"}, "startsAt": "2026-13-01T00:00:00Z"}], 400, "startsAt"),
    ([{"labels": {"a": "b"}, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2025-01-01T00:00:00Z"}], 400, "start time must be before end time"),
    ([{"labels": {"a": "b"}, "generatorURL": 7}], 400, "generatorURL is not a string"),
    ([{"labels": {"a": "b"}, "annotations": {"": "x"}}], 400, 'invalid annotations: invalid name ""'),
    ([{"labels": {"a": "x" * 70_000}}], 400, "longer than 65536 characters"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "message"), BAD_ALERTS, ids=range(len(BAD_ALERTS)))
def test_bad_alerts_are_refused(body: Any, status: int, message: str) -> None:
    async def story(api: Api) -> None:
        got, value = await api.call("POST", "/alerts", body)
        assert got == status and message in (value["message"] if isinstance(value, dict) else value)
        assert await api.get("/alerts") == []

    play(story)


def test_alerts_beyond_the_limit_are_refused_and_known_ones_still_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager_module, "ALERTS_MAX", 2)

    async def story(api: Api) -> None:
        alerts = [{"labels": {"i": str(i)}} for i in range(3)]
        assert await api.call("POST", "/alerts", alerts) == (400, "there are 2 alerts already")
        assert await api.call("POST", "/alerts", alerts[:2]) == (200, None)

    play(story)


def test_the_life_of_a_silence() -> None:
    async def story(api: Api) -> None:
        await api.scene.fire(alertname="A")
        status, answer = await api.call("POST", "/silences", silence())
        identity = answer["silenceID"]
        assert status == 200
        shown = await api.get(f"/silence/{identity}")
        assert shown == {
            "id": identity, "status": {"state": "active"}, "updatedAt": NOW, "annotations": {}, "comment": "why", "createdBy": "me",
            "endsAt": "2026-01-01T01:00:00.000Z", "startsAt": NOW,
            "matchers": [{"isEqual": True, "isRegex": False, "name": "alertname", "value": "A"}],
        }  # fmt: skip
        [alert] = await api.get("/alerts")
        assert alert["status"] == {"inhibitedBy": [], "mutedBy": [], "silencedBy": [identity], "state": "suppressed"}
        changed = silence(id=identity, comment="longer", endsAt="2026-01-01T05:00:00Z")
        assert await api.call("POST", "/silences", changed) == (200, {"silenceID": identity})
        await asyncio.sleep(1)
        assert await api.call("DELETE", f"/silence/{identity}") == (200, None)
        await asyncio.sleep(1)
        assert (await api.get(f"/silence/{identity}"))["status"]["state"] == "expired"
        assert await api.get("/silences?expired=false") == []

    play(story)


def test_silences_are_ordered_and_filtered() -> None:
    async def story(api: Api) -> None:
        scene = api.scene
        ended = [scene.silence("a=1", for_s=10), scene.silence("a=2", for_s=20)]
        active = [scene.silence("a=3", for_s=5_000), scene.silence('a=~"4"', for_s=4_000)]
        pending = [scene.silence("a=5", start_s=900), scene.silence("a=6", start_s=800)]
        await asyncio.sleep(100)
        listed = [s["id"] for s in await api.get("/silences")]
        assert listed == [*reversed(active), *reversed(pending), *reversed(ended)]
        assert [s["id"] for s in await api.get("/silences?filter=a%3D~4")] == [active[1]]
        assert [s["id"] for s in await api.get("/silences?active=false&expired=false")] == list(reversed(pending))

    play(story)


MATCHER = {"name": "a", "value": "b", "isRegex": False}
BAD_SILENCES: list[tuple[Any, int, str]] = [
    (b"[]", 400, "it is not an object"),
    ({}, 422, "comment in body is required"),
    (silence(matchers=[]), 422, "matchers in body should have at least 1 items"),
    (silence(matchers=[{}]), 422, "matchers.0.isRegex in body is required"),
    (silence(matchers=[{**MATCHER, "value": 7}]), 400, "value is of another type"),
    (silence(matchers=[{**MATCHER, "value": "(", "isRegex": True}]), 400, 'invalid regular expression "("'),
    (silence(matchers=[{**MATCHER, "value": ""}]), 400, "at least one matcher must not match the empty string"),
    (silence(matchers=[{**MATCHER, "name": ""}]), 400, 'invalid label name ""'),
    (silence(endsAt="2025-01-01T00:00:00Z"), 400, "Failed to create silence: start time must be before end time"),
    (silence(startsAt="2024-01-01T00:00:00Z", endsAt="2025-01-01T00:00:00Z"), 400, "Failed to create silence: end time can't be in the past"),
    (silence(id="7f4b3e43-0000-4000-8000-000000000000"), 404, "silence not found"),
    (silence(comment=7), 400, "comment is not a string"),
    (silence(startsAt="0001-01-01T00:00:00Z"), 400, "invalid zero start timestamp"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "message"), BAD_SILENCES, ids=range(len(BAD_SILENCES)))
def test_bad_silences_are_refused(body: Any, status: int, message: str) -> None:
    async def story(api: Api) -> None:
        got, value = await api.call("POST", "/silences", body)
        assert got == status and message in (value["message"] if isinstance(value, dict) else value)

    play(story)


REFUSED = [
    ("GET", "/api/v2/nope", 404, "path /api/v2/nope was not found"),
    ("PUT", "/api/v2/alerts", 405, "method PUT is not allowed"),
    ("GET", "/api/v2/silence/abc", 422, 'silenceID in path must be of type uuid: \\"abc\\"'),
    ("GET", "/api/v2/silence/7f4b3e43-0000-4000-8000-000000000000", 404, ""),
    ("DELETE", "/api/v2/silence/7f4b3e43-0000-4000-8000-000000000000", 404, ""),
    ("GET", "/api/v2/alerts?filter=x", 400, "bad matcher format: x"),
    ("GET", "/api/v2/alerts?receiver=(", 400, "failed to parse receiver param"),
    ("GET", "/api/v2/receivers?receiver_matchers=x", 400, "failed to parse receiver_matchers param"),
    ("POST", "/-/cluster", 400, ""),
]


@pytest.mark.parametrize(("method", "target", "status", "message"), REFUSED)
def test_what_is_not_there_is_said(method: str, target: str, status: int, message: str) -> None:
    async def story(api: Api) -> None:
        answer = await api.raw(method, target)
        assert answer.status == status and message in answer.body.decode()

    play(story)


def test_status_receivers_health_and_metrics() -> None:
    async def story(api: Api) -> None:
        status = await api.get("/status")
        assert status["cluster"] == {"status": "disabled", "peers": []} and status["uptime"] == NOW
        assert "hook.test/<secret>" in status["config"]["original"]
        assert set(status["versionInfo"]) == {"branch", "buildDate", "buildUser", "goVersion", "revision", "version"}
        assert await api.get("/receivers") == [{"name": "hook", "labels": {"name": "hook"}}]
        for path in ("/-/healthy", "/-/ready"):
            assert (await api.raw("GET", path)).body == b"OK"
        text = (await api.raw("GET", "/metrics")).body.decode()
        assert 'alertmanager_notifications_total{integration="webhook"} 0' in text
        assert 'alertmanager_silences{state="active"} 0' in text

    play(story)


def test_a_reload_takes_the_new_file_or_says_why_not() -> None:
    async def story(api: Api) -> None:
        api.config = CONFIG.replace("receiver: hook", "receiver: other").replace("name: hook", "name: other")
        assert (await api.raw("POST", "/-/reload")).status == 200
        assert [r["name"] for r in await api.get("/receivers")] == ["other"]
        api.config = "route: {}"
        answer = await api.raw("POST", "/-/reload")
        assert (answer.status, answer.body) == (500, b"failed to reload config: root route must specify a default receiver\n")
        assert [r["name"] for r in await api.get("/receivers")] == ["other"]

    play(story)


def test_the_page_shows_alerts_and_silences_and_nothing_of_theirs_as_html() -> None:
    async def story(api: Api) -> None:
        await api.call("POST", "/alerts", [
            {"labels": {"alertname": "A", "severity": "critical\"><script>"}, "annotations": {"summary": "<script>alert(1)</script>"},
             "generatorURL": "javascript:alert(1)"},
        ])  # fmt: skip
        api.scene.silence('b="<i>"')
        html = (await api.raw("GET", "/")).body.decode()
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html and "b=&#34;&lt;i&gt;&#34;" in html
        assert "<script" not in html and "javascript:" not in html and 'href="#ZgotmplZ"' in html
        filtered = (await api.raw("GET", "/?filter=alertname%3DB")).body.decode()
        assert "Nothing fires" in filtered
        assert "The filter cannot be read: bad matcher format: &lt;b&gt;" in (await api.raw("GET", "/?filter=<b>")).body.decode()

    play(story)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(["2026-01-01T00:00:00Z", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["labels", "annotations", "startsAt", "matchers", "id"]), inner)
    ),
    max_leaves=10,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ["labels", "annotations", "startsAt", "endsAt", "generatorURL", "matchers", "createdBy", "comment", "id", "name", "kind", "states"],
        JSON,
    ),
)
MATCHERS = st.lists(
    st.fixed_dictionaries({"name": st.text(max_size=3), "value": st.text(max_size=4), "isRegex": st.booleans()}), max_size=2
)
LIKELY = st.fixed_dictionaries(
    {"labels": st.dictionaries(st.text(max_size=3), st.text(max_size=3))}, optional={"startsAt": JSON, "endsAt": JSON}
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["/api/v2/alerts", "/api/v2/silences", "/-/cluster"]),
    JSON | FIELDS | st.lists(FIELDS | LIKELY, max_size=3) | MATCHERS.map(lambda found: silence(matchers=found)) | st.binary(max_size=20),
    st.text(max_size=10),
)
def test_no_request_makes_it_crash(path: str, value: Any, text: str) -> None:
    async def story(api: Api) -> None:
        answer = await api.raw("POST", path, value if isinstance(value, bytes) else orjson.dumps(value, default=str))
        assert answer.status in (200, 400, 404, 422), answer
        for target in (
            "/api/v2/alerts?filter=",
            "/api/v2/silences?filter=",
            "/api/v2/alerts/groups?receiver=",
            "/?filter=",
            "/api/v2/silence/",
        ):
            assert (await api.raw("GET", target + quote(text, safe=""))).status in (200, 400, 404, 422)

    play(story)
