"""The HTTP API: shapes, parameters, refusals, as Prometheus' clients expect them."""

from typing import Any

import orjson
import pytest

from podium.telemetry.metrics.promql.token_stream import Features
from podium.telemetry.metrics.server.sources import Switches
from tests.telemetry.metrics.server.conftest import START_S, Ask, data

T = START_S


def test_an_instant_query_gives_a_vector(ask: Ask) -> None:
    assert data(ask("GET", f"/api/v1/query?query=up&time={T}")) == {
        "resultType": "vector",
        "result": [
            {"metric": {"__name__": "up", "job": "api"}, "value": [T, "1"]},
            {"metric": {"__name__": "up", "job": "web"}, "value": [T, "0"]},
        ],
    }


def test_without_a_time_it_is_now(ask: Ask) -> None:
    assert data(ask("POST", "/api/v1/query", {"query": "1+1"})) == {"resultType": "scalar", "result": [T, "2"]}


def test_a_range_query_gives_a_matrix_at_the_steps(ask: Ask) -> None:
    form = {"query": "sum(up)", "start": T - 60, "end": T, "step": "30s"}
    assert data(ask("POST", "/api/v1/query_range", form)) == {
        "resultType": "matrix", "result": [{"metric": {}, "values": [[T - 60, "1"], [T - 30, "1"], [T, "1"]]}],
    }  # fmt: skip


def test_a_string_is_a_string(ask: Ask) -> None:
    assert data(ask("GET", "/api/v1/query?query=%22a%22")) == {"resultType": "string", "result": [T, "a"]}


def test_a_limit_cuts_and_says_so(ask: Ask) -> None:
    response = ask("GET", "/api/v1/query?query=up&limit=1")
    body = orjson.loads(response.body)
    assert (len(body["data"]["result"]), body["warnings"]) == (1, ["results truncated due to limit"])


def test_statistics_come_when_they_are_asked_for(ask: Ask) -> None:
    shown = data(ask("GET", f"/api/v1/query_range?query=up&start={T - 60}&end={T}&step=15&stats=all"))["stats"]
    assert shown["samples"]["totalQueryableSamples"] == 10
    assert len(shown["samples"]["totalQueryableSamplesPerStep"]) == 5
    assert "evalTotalTime" in shown["timings"]
    assert "stats" not in data(ask("GET", "/api/v1/query?query=up"))


REFUSALS = [
    ("/api/v1/query", "bad_data", 400, 'invalid parameter "query": unknown position: parse error: no expression found in input'),
    ("/api/v1/query?query=sum(", "bad_data", 400, 'invalid parameter "query": 1:5: parse error: unclosed left parenthesis'),
    ("/api/v1/query?query=up[1m-1m]", "bad_data", 400, 'invalid parameter "query": 3:8: duration must be greater than 0'),
    ("/api/v1/query?query=1&time=x", "bad_data", 400, 'invalid parameter "time": cannot parse "x" to a valid timestamp'),
    ("/api/v1/query?query=1&timeout=x", "bad_data", 400, 'invalid parameter "timeout": cannot parse "x" to a valid duration'),
    ("/api/v1/query?query=1&limit=-1", "bad_data", 400, 'invalid parameter "limit": limit must be non-negative'),
    ("/api/v1/query?query=up+%2B+on()+up", "execution", 422, "found duplicate series for the match group"),
    ("/api/v1/query_range?query=1&start=2&end=1&step=1", "bad_data", 400, 'invalid parameter "end": end timestamp must not be before start time'),
    ("/api/v1/query_range?query=1&start=1&end=2&step=0", "bad_data", 400, "zero or negative query resolution step widths are not accepted"),
    ("/api/v1/query_range?query=1&start=0&end=99999&step=1", "bad_data", 400, "exceeded maximum resolution of 11,000 points per timeseries"),
    ("/api/v1/query_range?query=up[1m]&start=1&end=2&step=1", "execution", 422, "invalid expression type"),
    ("/api/v1/series", "bad_data", 400, "no match[] parameter provided"),
    ("/api/v1/series?match[]={}", "bad_data", 400, 'invalid parameter "match[]": '),
    ("/api/v1/series?match[]=%7Ba%3D~%22.*%22%7D", "bad_data", 400, "match[] must contain at least one non-empty matcher"),
    ("/api/v1/labels?start=2&end=1", "bad_data", 400, "end timestamp must not be before start timestamp"),
    ("/api/v1/rules?type=odd", "bad_data", 400, 'invalid parameter "type": not supported value "odd"'),
    ("/api/v1/metadata?limit=x", "bad_data", 400, "limit must be a number"),
    ("/api/v1/nope", "not_found", 404, "no such endpoint"),
    ("/api/v1/query?query=1&lookback_delta=x", "bad_data", 400, 'error parsing lookback delta duration: cannot parse "x" to a valid duration'),
    ("/api/v1/rules?exclude_alerts=perhaps", "bad_data", 400, 'invalid parameter "exclude_alerts": error converting exclude_alerts'),
    ("/api/v1/rules?group_next_token=x", "bad_data", 400, "group_limit needs to be present in order to paginate over the groups"),
    ("/api/v1/rules?group_limit=0", "bad_data", 400, "group_limit needs to be greater than 0"),
    ("/api/v1/rules?group_limit=x", "bad_data", 400, "group_limit needs to be a valid number"),
    ("/api/v1/rules?group_limit=1&group_next_token=x", "bad_data", 400, "invalid group_next_token 'x'. were rule groups changed?"),
    ("/api/v1/status/tsdb?limit=0", "bad_data", 400, "limit must be a positive number"),
    ("/api/v1/scrape_pools/config", "bad_data", 400, "no scrapePool parameter provided"),
    ("/api/v1/scrape_pools/config?scrapePool=x", "bad_data", 400, 'error retrieving scrape config: scrape pool not found: "x"'),
    ("/api/v1/targets/relabel_steps?scrapePool=x", "bad_data", 400, "no labels parameter provided"),
    ("/api/v1/targets/relabel_steps?scrapePool=x&labels=[]", "bad_data", 400, "error parsing labels"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "type", "status", "message"), REFUSALS)
def test_a_refusal_is_worded_as_upstreams(ask: Ask, target: str, type: str, status: int, message: str) -> None:
    response = ask("GET", target)
    said = orjson.loads(response.body)
    assert (response.status, said["status"], said["errorType"]) == (status, "error", type)
    assert message in said["error"]


VIEWS: list[tuple[str, Any]] = [
    ("/api/v1/labels", ["__name__", "job"]),
    ("/api/v1/labels?match[]=nope", []),
    ("/api/v1/label/job/values", ["api", "web"]),
    ("/api/v1/label/job/values?match[]=requests_total", ["api"]),
    ("/api/v1/label/__name__/values?limit=1", ["requests_total"]),
    ("/api/v1/label/U__job/values", ["api", "web"]),
    ("/api/v1/series?match[]=up&match[]=requests_total", [
        {"__name__": "requests_total", "job": "api"}, {"__name__": "up", "job": "api"}, {"__name__": "up", "job": "web"},
    ]),
    ("/api/v1/metadata?metric=up", {"up": [{"type": "gauge", "help": "", "unit": ""}, {"type": "gauge", "help": "Up.", "unit": ""}]}),
    ("/api/v1/metadata?limit=1", {"requests_total": [{"type": "counter", "help": "Requests.", "unit": ""}]}),
    ("/api/v1/format_query?query=sum(up)by(job)", "sum by (job) (up)"),
    ("/api/v1/query_exemplars?query=rate(requests_total[1m])", [{
        "seriesLabels": {"__name__": "requests_total", "job": "api"},
        "exemplars": [{"labels": {"trace_id": "abc"}, "value": "0.5", "timestamp": float(T - 10)}],
    }]),
    ("/api/v1/targets", {"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}}),
    ("/api/v1/rules", {"groups": []}),
    ("/api/v1/alerts", {"alerts": []}),
    ("/api/v1/notifications", []),
    ("/api/v1/targets?state=odd", {"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}}),
    ("/api/v1/alertmanagers", {"activeAlertmanagers": [], "droppedAlertmanagers": []}),
]  # fmt: skip


@pytest.mark.parametrize(("target", "shown"), VIEWS)
def test_a_view_has_upstreams_shape(ask: Ask, target: str, shown: Any) -> None:
    assert data(ask("GET", target)) == shown


def test_parse_query_gives_the_tree(ask: Ask) -> None:
    tree = data(ask("GET", "/api/v1/parse_query?query=rate(up[5m])"))
    assert (tree["type"], tree["func"]["name"], tree["args"][0]["range"]) == ("call", "rate", 300000)


def test_federation_gives_the_last_samples_with_external_labels(ask: Ask) -> None:
    response = ask("GET", "/federate?match[]=up", external_labels=(("dc", "x"),))
    assert response.body.decode() == (
        f'# TYPE up untyped\nup{{dc="x",job="api"}} 1 {T}000\nup{{dc="x",job="web"}} 0 {T}000\n'
    )  # fmt: skip


ADMIN = "/api/v1/admin/tsdb/snapshot"


@pytest.mark.parametrize(("method", "status"), [("GET", 405), ("DELETE", 405)])
def test_other_methods_are_refused(ask: Ask, method: str, status: int) -> None:
    assert ask(method, ADMIN).status == status


def test_administration_is_off_unless_asked_for(ask: Ask) -> None:
    assert orjson.loads(ask("POST", ADMIN).body)["error"] == "admin APIs disabled"
    assert orjson.loads(ask("POST", ADMIN, switches=Switches(admin_api=True)).body)["error"] == "this store cannot be administered"


def test_browsers_of_allowed_origins_are_answered(ask: Ask) -> None:
    headers = dict(ask("GET", "/api/v1/labels", headers={"origin": "http://a"}).headers)
    assert headers[b"access-control-allow-origin"] == b"*"
    assert b"access-control-allow-origin" not in dict(
        ask("GET", "/api/v1/labels", headers={"origin": "http://a"}, cors_origin="http://b").headers
    )
    assert ask("OPTIONS", "/api/v1/query").status == 204


def test_nothing_is_there_beside_the_api_without_control(ask: Ask) -> None:
    assert ask("GET", "/metrics").status == 404
    assert ask("GET", "/").status == 404


def test_explain_gives_the_plan_with_what_it_cost(ask: Ask) -> None:
    explained = data(ask("GET", f"/api/v1/podium/explain?query=sum(up)&start={T - 60}&end={T}&step=30"))
    assert (explained["plan"]["text"], explained["plan"]["series"], explained["plan"]["steps"]) == ("sum(up)", 1, 3)
    [selector] = explained["plan"]["children"]
    assert (selector["text"], selector["seriesRead"]) == ("up", 2)
    assert explained["stats"]["samples"]["totalQueryableSamples"] == 6


def test_explain_is_a_tree_of_text_for_people(ask: Ask) -> None:
    response = ask("POST", "/api/v1/podium/explain", {"query": "sum(up)", "format": "text"})
    assert [line.split("  ")[-1].strip() for line in response.body.decode().splitlines()[:2]] == ["expression", "sum(up)"]
    assert "└─ up  (read 2 series, " in response.body.decode()


def test_statistics_are_asked_for_by_true_or_all(ask: Ask) -> None:
    said = orjson.loads(ask("GET", "/api/v1/query?query=1&stats=yes").body)
    assert "stats" in said["data"] and said["warnings"][0].startswith('value "yes" for parameter "stats" is deprecated')
    assert "warnings" not in orjson.loads(ask("GET", "/api/v1/query?query=1&stats=true").body)


def test_features_say_what_is_switched_on(ask: Ask) -> None:
    shown = data(
        ask("GET", "/api/v1/features", switches=Switches(lifecycle=True, features=Features(functions=True)), discovery=("dns", "static"))
    )
    assert (shown["api"]["lifecycle"], shown["api"]["admin"], shown["api"]["search"]) == (True, False, False)
    assert (shown["promql_functions"]["rate"], shown["promql_functions"]["info"], shown["promql"]["anchored"]) == (True, True, False)
    assert (shown["promql_operators"]["limitk"], shown["promql_operators"]["=~"]) == (True, True)
    assert shown["service_discovery_providers"] == {"dns": True, "static": True}
    assert data(ask("GET", "/api/v1/features"))["promql_functions"]["info"] is False


@pytest.mark.parametrize(
    ("path", "said"), [("write", "--web.enable-remote-write-receiver"), ("otlp/v1/metrics", "--web.enable-otlp-receiver")]
)
def test_receivers_that_are_off_say_so(ask: Ask, path: str, said: str) -> None:
    response = ask("POST", f"/api/v1/{path}")
    assert response.status == 404 and said in response.body.decode()


class Groups:
    """Three groups of rules in two files."""

    def groups(self, selectors: Any = ()) -> list[Any]:
        alerting = {"type": "alerting", "name": "A", "alerts": [{"value": "1"}]}
        recording = {"type": "recording", "name": "r"}
        return [
            {"file": "b.yml", "name": "g", "rules": [recording]},
            {"file": "a.yml", "name": "h", "rules": [alerting, recording]},
            {"file": "a.yml", "name": "g", "rules": [alerting]},
        ]

    def alerts(self) -> list[Any]:
        return []


GROUPS = [
    ("", ["a.yml g A", "a.yml h A r", "b.yml g r"]),
    ("?type=record", ["a.yml h r", "b.yml g r"]),
    ("?type=ALERT&file[]=a.yml", ["a.yml g A", "a.yml h A"]),
    ("?rule_name[]=r&rule_group[]=h", ["a.yml h r"]),
    ("?rule_name[]=nope", []),
]


def shown_groups(response: Any) -> list[str]:
    return [" ".join([g["file"], g["name"], *(r["name"] for r in g["rules"])]) for g in data(response)["groups"]]


@pytest.mark.parametrize(("query", "shown"), GROUPS)
def test_rules_are_chosen_and_groups_without_any_left_out(ask: Ask, query: str, shown: list[str]) -> None:
    assert shown_groups(ask("GET", f"/api/v1/rules{query}", rules=Groups())) == shown


def test_groups_of_rules_come_in_pages(ask: Ask) -> None:
    found: list[str] = []
    target = "/api/v1/rules?group_limit=2"
    for _ in range(2):
        response = ask("GET", target, rules=Groups())
        found += shown_groups(response)
        target = f"/api/v1/rules?group_limit=2&group_next_token={data(response).get('groupNextToken', '')}"
    assert found == ["a.yml g A", "a.yml h A r", "b.yml g r"]
    assert "groupNextToken" not in data(response)


def test_alerts_are_left_out_of_rules_on_demand(ask: Ask) -> None:
    [group, *_] = data(ask("GET", "/api/v1/rules?exclude_alerts=true", rules=Groups()))["groups"]
    assert group["rules"][0]["alerts"] is None
