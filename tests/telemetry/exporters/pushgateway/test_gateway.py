"""The pushgateway: what is pushed, what is refused, what is kept. Expectations are those of Debian's prometheus-pushgateway 1.5.1."""

import asyncio
import gzip
import json
import struct
from pathlib import Path

import pytest

from podium.telemetry.exporters.pushgateway import gateway as module
from podium.telemetry.exporters.pushgateway.gateway import BadPush, Pushgateway, grouping_key
from podium.world import virtual
from podium.world.http_messages import HttpRequest, Response
from podium.world.interface import World
from podium.world.virtual import VirtualWorld
from tests.telemetry.exporters.linting import lint

PROTOBUF = {"content-type": "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"}


def ask(gateway: Pushgateway, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Response:
    return gateway.handle(HttpRequest(method, path, path, {}, headers or {}, body, None))


def pushed(gateway: Pushgateway, *, times: bool = False) -> list[str]:
    """The sample lines of what was pushed."""
    lines = ask(gateway, "GET", "/metrics").body.decode().splitlines()
    own = ("#", "process_", "pushgateway_") if times else ("#", "process_", "pushgateway_", "push_")
    return [line for line in lines if not line.startswith(own)]


@pytest.fixture
def gateway() -> Pushgateway:
    return Pushgateway(VirtualWorld(1), admin=True)


def test_put_replaces_a_group_and_post_only_names(gateway: Pushgateway) -> None:
    assert ask(gateway, "PUT", "/metrics/job/a", b"m 1\nn 2\n").status == 200
    assert ask(gateway, "POST", "/metrics/job/a", b'n 3\no{x="y"} 4\n').status == 200
    assert pushed(gateway) == ['m{instance="",job="a"} 1', 'n{instance="",job="a"} 3', 'o{instance="",job="a",x="y"} 4']
    assert ask(gateway, "PUT", "/metrics/job/a/instance/i", b"m 5\n").status == 200
    assert ask(gateway, "PUT", "/metrics/job/a", b"m 6\n").status == 200
    assert sorted(pushed(gateway)) == ['m{instance="",job="a"} 6', 'm{instance="i",job="a"} 5']
    assert ask(gateway, "DELETE", "/metrics/job/a").status == 202
    assert pushed(gateway) == ['m{instance="i",job="a"} 5']
    assert ask(gateway, "DELETE", "/metrics/job/none").status == 202
    assert ask(gateway, "PUT", "/metrics/job/a/instance/i", b"").status == 200
    assert pushed(gateway) == []


def test_the_grouping_key_wins_over_pushed_labels(gateway: Pushgateway) -> None:
    ask(gateway, "PUT", "/metrics/job/a/zone/b", b'm{job="other",zone="c",instance="own",le="1"} 1\n')
    assert pushed(gateway) == ['m{instance="own",job="a",le="1",zone="b"} 1']


KEYS = [
    ("/metrics/job/a", {"job": "a"}),
    ("/metrics/job/a/b/c/d/e", {"job": "a", "b": "c", "d": "e"}),
    ("/metrics/job@base64/YS9i", {"job": "a/b"}),
    ("/metrics/job/z/path@base64/L3Zhci90bXA", {"job": "z", "path": "/var/tmp"}),
    ("/metrics/job/z/path@base64/L3Zhci90bXA=", {"job": "z", "path": "/var/tmp"}),
    ("/metrics/job/z/e@base64/=", {"job": "z", "e": ""}),
    ("/metrics/job/z/e/", {"job": "z", "e": ""}),
    ("/metrics/job/z/name@base64/zqDPgc6_zrzOt864zrXPjc-C", {"job": "z", "name": "Προμηθεύς"}),
]


@pytest.mark.parametrize(("path", "labels"), KEYS)
def test_a_path_is_a_grouping_key(path: str, labels: dict[str, str]) -> None:
    assert dict(grouping_key(path)) == labels


BAD_KEYS = [
    ("/metrics/job/", "job name is required"),
    ("/metrics/job@base64/=", "job name is required"),
    ("/metrics/job/a/b", "odd number of components"),
    ("/metrics/job/a/__x/c", "improper label name"),
    ("/metrics/job/a/1x/c", "improper label name"),
    ("/metrics/job/a/job/b", "there twice"),
    ("/metrics/job/a/b@base64/!!", "invalid base64 encoding"),
    ("/metrics/job/a/b@base64/_w", "invalid base64 encoding"),
    ("/metrics/job/a" + "/x/y" * 40, "more than"),
    ("/metrics/job/" + "x" * 5000, "longer than"),
]


@pytest.mark.parametrize(("path", "why"), BAD_KEYS)
def test_a_path_that_is_none_is_refused(path: str, why: str, gateway: Pushgateway) -> None:
    with pytest.raises(BadPush, match=why):
        grouping_key(path)
    assert ask(gateway, "POST", path, b"m 1\n").status == 400


REFUSED = [
    (b"m 1", "unexpected end of input"),
    (b"bad line here x\n", "line 1"),
    (b"m 5 1500\n", "must not have timestamps"),
    (b"# TYPE m counter\nm 5\n", "m is a counter, and a untyped in another group"),
    (b"h_count 2\n", "h_count is part of h"),
    (b"# TYPE h gauge\nh 1\n", "h is a gauge, and a histogram"),
    (b"process_cpu_seconds_total 2\n", "the pushgateway's own"),
    (b"\xff\xfe\n", "not UTF-8"),
    (b'm{x="1"} 1\nm{x="1"} 2\n', "a second sample"),
    (b'm{job="1"} 1\nm{job="2"} 2\n', "is there twice"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "why"), REFUSED)
def test_what_contradicts_is_refused_and_harms_nothing(body: bytes, why: str, gateway: Pushgateway) -> None:
    histogram = b'# TYPE h histogram\nh_bucket{le="1"} 1\nh_sum 3\nh_count 2\n'
    ask(gateway, "PUT", "/metrics/job/a", b"m 1\n" + histogram)
    before = pushed(gateway)
    answer = ask(gateway, "PUT", "/metrics/job/b", body)
    assert (answer.status, why in answer.body.decode()) == (400, True), answer.body
    assert pushed(gateway) == before
    assert 'h_bucket{instance="",job="a",le="+Inf"} 2' in before


def test_two_groups_cannot_make_the_same_series(gateway: Pushgateway) -> None:
    assert ask(gateway, "POST", "/metrics/job/d", b'q{instance="i"} 1\n').status == 200
    answer = ask(gateway, "POST", "/metrics/job/d/instance/i", b"q 1\n")
    assert answer.status == 400 and b"is there already" in answer.body
    assert ask(gateway, "POST", "/metrics/job/d", b'q{instance="i"} 2\n').status == 200


def test_times_of_pushes_and_of_failures_are_shown() -> None:
    async def main(world: World) -> tuple[list[str], list[str]]:
        gateway = Pushgateway(world)
        ask(gateway, "PUT", "/metrics/job/a", b"m 1\n")
        first = pushed(gateway, times=True)
        await asyncio.sleep(60)
        ask(gateway, "PUT", "/metrics/job/a", b"push_time_seconds 5\nm 2 7\n")
        return first, pushed(gateway, times=True)

    first, second = virtual.run(main)
    labels = 'instance="",job="a"'
    assert first == [f"m{{{labels}}} 1", f"push_failure_time_seconds{{{labels}}} 0", f"push_time_seconds{{{labels}}} 1767225600"]
    assert second == [f"m{{{labels}}} 1", f"push_failure_time_seconds{{{labels}}} 1767225660", f"push_time_seconds{{{labels}}} 1767225600"]


def test_gzip_is_taken_and_bombs_are_not(gateway: Pushgateway) -> None:
    packed = {"content-encoding": "gzip"}
    assert ask(gateway, "POST", "/metrics/job/a", gzip.compress(b"g 1\n"), packed).status == 200
    assert ask(gateway, "POST", "/metrics/job/a", b"not gzip", packed).status == 400
    assert ask(gateway, "POST", "/metrics/job/a", gzip.compress(b"g 1\n")[:-4], packed).status == 400
    bomb = gzip.compress(b"# " + b"x" * (module.UNPACKED_BYTES_MAX + 10) + b"\n")
    assert b"larger than" in ask(gateway, "POST", "/metrics/job/a", bomb, packed).body
    assert ask(gateway, "POST", "/metrics/job/a", b"x", {"content-encoding": "br"}).status == 415


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def message(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data


def double(field: int, value: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", value)


def whole(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def family(name: str, kind: int, *metrics: bytes) -> bytes:
    data = message(1, name.encode()) + message(2, b"Help") + whole(3, kind) + b"".join(message(4, metric) for metric in metrics)
    return varint(len(data)) + data


LABEL = message(1, message(1, b"a") + message(2, b"b"))


def test_go_programs_push_protobuf(gateway: Pushgateway) -> None:
    body = b"".join([
        family("c_total", 0, LABEL + message(3, double(1, 4.5))),
        family("g", 1, message(2, double(1, -1))),
        family("u", 3, message(5, double(1, 7))),
        family("s", 2, message(4, whole(1, 3) + double(2, 1.5) + message(3, double(1, 0.5) + double(2, 7)))),
        family("h", 4, message(7, whole(1, 3) + double(2, 1.5) + message(3, whole(1, 2) + double(2, 0.5)))),
        family("empty", 1),
    ])  # fmt: skip
    assert ask(gateway, "POST", "/metrics/job/p", body, PROTOBUF).status == 200
    labels = 'instance="",job="p"'
    assert pushed(gateway) == [
        'c_total{a="b",instance="",job="p"} 4.5', f"g{{{labels}}} -1", f'h_bucket{{{labels},le="0.5"}} 2', f'h_bucket{{{labels},le="+Inf"}} 3',
        f"h_sum{{{labels}}} 1.5", f"h_count{{{labels}}} 3", f's{{{labels},quantile="0.5"}} 7', f"s_sum{{{labels}}} 1.5",
        f"s_count{{{labels}}} 3", f"u{{{labels}}} 7",
    ]  # fmt: skip


BAD_PROTOBUF = [
    (family("g", 1, message(2, double(1, 1)))[:-3], "cut off"),
    (b"\xff" * 20, "too long"),
    (b"\x05hello", "wire type|cut off|invalid"),
    (family("1g", 1, message(2, double(1, 1))), "invalid metric name"),
    (family("g", 9, message(2, double(1, 1))), "not supported"),
    (family("g", 1, message(3, double(1, 1))), "is no gauge"),
    (family("g", 1, LABEL + LABEL + message(2, double(1, 1))), "there twice"),
    (family("g", 1, message(2, double(1, 1))) * 2, "there twice"),
    (family("g", 1, message(2, double(1, 1)), message(2, double(1, 2))), "a second sample"),
    (family("h", 4, message(7, whole(1, 3) + whole(5, 2))), "native histogram"),
    (family("g", 1, message(2, double(1, 1)) + whole(6, 1500)), "timestamps"),
]


@pytest.mark.parametrize(("body", "why"), BAD_PROTOBUF)
def test_broken_protobuf_is_refused(body: bytes, why: str, gateway: Pushgateway) -> None:
    import re

    answer = ask(gateway, "POST", "/metrics/job/p", body, PROTOBUF)
    assert answer.status == 400 and re.search(why, answer.body.decode()), answer.body
    assert ask(gateway, "POST", "/metrics/job/p", b"", {"content-type": "application/vnd.google.protobuf"}).status == 415


def test_the_api_tells_of_groups(gateway: Pushgateway) -> None:
    ask(
        gateway,
        "PUT",
        "/metrics/job/a",
        b'# HELP c Count.\n# TYPE c counter\nc{x="y"} 3\n# TYPE s summary\ns{quantile="0.5"} 1\ns_sum 2\ns_count 3\n',
    )
    told = json.loads(ask(gateway, "GET", "/api/v1/metrics").body)
    assert told["status"] == "success"
    (group,) = told["data"]
    assert group["labels"] == {"job": "a"} and group["last_push_successful"] is True
    assert group["c"]["type"] == "COUNTER" and group["c"]["help"] == "Count."
    assert group["c"]["metrics"] == [{"labels": {"instance": "", "job": "a", "x": "y"}, "value": "3"}]
    assert group["s"]["metrics"] == [{"labels": {"instance": "", "job": "a"}, "quantiles": {"0.5": "1"}, "sum": "2", "count": "3"}]
    assert "help" not in group["s"] and group["push_time_seconds"]["type"] == "GAUGE"
    status = json.loads(ask(gateway, "GET", "/api/v1/status").body)["data"]
    assert status["flags"]["web.enable-admin-api"] == "true" and "start_time" in status


def test_the_page_shows_groups_without_letting_them_in(gateway: Pushgateway) -> None:
    ask(gateway, "PUT", "/metrics/job/<script>", b"# HELP m <b>\nm 1\n")
    page = ask(gateway, "GET", "/").body.decode()
    assert 'job="&lt;script&gt;"' in page and "<script>" not in page and "<b>" not in page


ROUTES = [
    ("GET", "/-/ready", 200), ("GET", "/-/healthy", 200), ("GET", "/none", 404), ("POST", "/metrics", 405), ("GET", "/metrics/job/a", 405),
    ("POST", "/metrics/job", 404), ("PUT", "/metrics/instance/x/job/y", 404), ("POST", "/api/v1/admin/wipe", 405),
    ("PUT", "/api/v1/admin/wipe", 202),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "status"), ROUTES)
def test_requests_are_answered_and_counted(method: str, path: str, status: int, gateway: Pushgateway) -> None:
    assert ask(gateway, method, path).status == status
    assert f'code="{status}"' in ask(gateway, "GET", "/metrics").body.decode()


def test_only_who_enabled_it_can_wipe() -> None:
    gateway = Pushgateway(VirtualWorld(1))
    ask(gateway, "PUT", "/metrics/job/a", b"m 1\n")
    assert ask(gateway, "PUT", "/api/v1/admin/wipe").status == 404
    assert pushed(gateway)


def test_bounds_hold(gateway: Pushgateway, monkeypatch: pytest.MonkeyPatch) -> None:
    from podium.telemetry.exporters.pushgateway import groups

    monkeypatch.setattr(groups, "GROUPS_MAX", 2)
    monkeypatch.setattr(groups, "SERIES_MAX", 3)
    assert [ask(gateway, "PUT", f"/metrics/job/{n}", f"m{n} 1\n".encode()).status for n in range(3)] == [200, 200, 400]
    assert len(gateway._groups) == 2
    assert ask(gateway, "PUT", "/metrics/job/0", b"a 1\nb 1\nc 1\n").status == 400
    assert ask(gateway, "PUT", "/metrics/job/0", b"a 1\nb 1\n").status == 200


def test_what_was_pushed_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "pushed.json"

    async def main(world: World) -> list[str]:
        gateway = Pushgateway(world, path)
        task = asyncio.ensure_future(gateway.run())
        ask(gateway, "PUT", "/metrics/job/a", b'# TYPE h histogram\nh_bucket{le="1"} 1\nh_sum NaN\nh_count 2\nm +Inf\n')
        await asyncio.sleep(module.PERSIST_INTERVAL_S + 1)
        assert path.exists()
        ask(gateway, "PUT", "/metrics/job/b", b"late 1\n")
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return pushed(gateway, times=True)

    before = virtual.run(main)
    again = Pushgateway(VirtualWorld(1), path)
    assert pushed(again, times=True) == before
    assert any(line.startswith("late{") for line in before)


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "pushed.json"
    for damage in (b"{", b"{}", b'{"format": 9, "groups": []}', b'{"format": 1, "groups": [{"labels": 3}]}'):
        path.write_bytes(damage)
        assert pushed(Pushgateway(VirtualWorld(1), path)) == []
        assert not path.exists() and (tmp_path / "pushed.json.damaged").read_bytes() == damage


def test_promtool_takes_the_answer(gateway: Pushgateway) -> None:
    ask(gateway, "PUT", "/metrics/job/a", b"# HELP done_total Done.\n# TYPE done_total counter\ndone_total 1\n")
    assert lint(ask(gateway, "GET", "/metrics").body) == []
