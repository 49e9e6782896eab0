"""Requests of OpenTelemetry's exporters: what becomes of resources, scopes, metrics and points, and what is answered.

What is expected was compared with Prometheus 3.15's own translation of 1,800 random requests, of which these are the kinds.
"""

import gzip
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import pytest

from podium.telemetry.metrics.configuration.otlp import OtlpConfig
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.exposition.steps import at_once
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import labels_of
from podium.telemetry.metrics.memory_samples import MemorySamples
from podium.telemetry.metrics.otlp import messages, translation
from podium.telemetry.metrics.otlp.messages import JSON, PROTOBUF, request_message
from podium.telemetry.metrics.otlp.receiving import OtlpReceiver
from podium.telemetry.metrics.otlp.translation import IDENTIFYING, Translating, translate
from podium.telemetry.metrics.remote.receiving import WriteReceiver
from podium.telemetry.metrics.remote.write_batch import WriteBatch
from podium.telemetry.metrics.samples import is_stale
from podium.world import virtual
from podium.world.http_messages import HttpRequest, Response
from podium.world.interface import World
from tests.telemetry.metrics.test_selections import content

T_MS = 1_000
NANO = str(T_MS * 1_000_000)
Json = dict[str, Any]


def attributes(**values: Any) -> list[Json]:
    shown = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue", dict: "", list: ""}
    return [
        {"key": name.replace("__", "."), "value": value if isinstance(value, dict) else {shown[type(value)]: value}}
        for name, value in values.items()
    ]


RESOURCE = attributes(service__name="web", service__namespace="shop", service__instance__id="i1", host__name="h", zone="a")


def request(*metrics: Json, resource: list[Json] = RESOURCE, scope: Json | None = None) -> Json:
    return {"resourceMetrics": [{"resource": {"attributes": resource}, "scopeMetrics": [{"scope": scope or {}, "metrics": list(metrics)}]}]}


def gauge(name: str = "g", value: float = 1.5, time: str = NANO, **more: Any) -> Json:
    return {"name": name, "gauge": {"dataPoints": [{"timeUnixNano": time, "asDouble": value, **more}]}}


def counter(temporality: int = 2, **more: Any) -> Json:
    points = [{"timeUnixNano": NANO, "asInt": "7", **more}]
    return {"name": "c", "unit": "By", "sum": {"isMonotonic": True, "aggregationTemporality": temporality, "dataPoints": points}}


def translated(given: Json, typed: bool = False, **config: Any) -> WriteBatch:
    asked = messages.decode(orjson.dumps(given), JSON, "")
    return at_once(translate(asked, Translating(OtlpConfig(**config).checked(), type_and_unit_labels=typed)))


def series(batch: WriteBatch) -> dict[str, Any]:
    """Value by series, without job and instance."""
    shown = {}
    for sample in batch.samples:
        labels = {n: v for n, v in sample.labels if n not in ("__name__", "job", "instance")}
        name = dict(sample.labels)["__name__"]
        shown[name + (str(labels).replace("'", "").replace(" ", "") if labels else "")] = sample.value
    return shown


TARGET = "target_info{host_name:h,zone:a}"


def test_a_resource_is_its_job_and_instance_and_what_else_it_has_is_on_target_info() -> None:
    batch = translated(request(gauge()))
    identity = {"job": "shop/web", "instance": "i1"}
    assert [s.labels for s in batch.samples] == [
        labels_of({"__name__": "g", **identity}), labels_of({"__name__": "target_info", "host_name": "h", "zone": "a", **identity}),
    ]  # fmt: skip
    assert {s.time_ms for s in batch.samples} == {T_MS} and batch.refused == []


RESOURCES: list[tuple[Json, Mapping[str, Any], list[str]]] = [
    ({"promote_resource_attributes": ("host.name",)}, {}, ["g{host_name:h}", TARGET]),
    ({"promote_all_resource_attributes": True, "ignore_resource_attributes": ("zone", *IDENTIFYING)}, {},
     ["g{host_name:h}", TARGET]),
    ({"keep_identifying_resource_attributes": True}, {},
     ["g", "target_info{host_name:h,service_instance_id:i1,service_name:web,service_namespace:shop,zone:a}"]),
    ({}, {"resource": attributes(service__name="web")}, ["g"]),  # it says nothing beyond who it is
    ({}, {"resource": attributes(zone="a")}, ["g"]),  # it does not say who it is
    ({}, {"resource": []}, ["g"]),
    ({"promote_scope_metadata": True}, {"scope": {"name": "s", "version": "1", "attributes": attributes(x__y="z")}},
     ["g{otel_scope_name:s,otel_scope_version:1,otel_scope_x_y:z}", TARGET]),
    ({}, {"scope": {"name": "s"}}, ["g", TARGET]),
    ({"translation_strategy": "NoTranslation"}, {}, ["g", "target_info{host.name:h,zone:a}"]),
]  # fmt: skip


@pytest.mark.parametrize(("config", "given", "names"), RESOURCES)
def test_attributes_of_resources_and_scopes_are_where_the_configuration_puts_them(
    config: Json, given: Mapping[str, Any], names: list[str]
) -> None:
    assert list(series(translated(request(gauge(), **given), **config))) == names


def test_target_info_is_there_for_every_query_between_the_first_and_the_last_point() -> None:
    batch = translated(request(gauge(), gauge("late", time=str((T_MS + 400_000) * 1_000_000))))
    assert [s.time_ms for s in batch.samples if dict(s.labels)["__name__"] == "target_info"] == [1_000, 151_000, 301_000, 401_000]
    far = translated(request(gauge(), gauge("late", time=str(10**18 * 4))))
    assert any("too far for one export" in reason for reason in far.refused) and len(far.samples) == 2


def test_attributes_that_become_one_label_are_joined() -> None:
    point = {
        "attributes": [
            *attributes(b__c="2"),
            {"key": "b_c", "value": {"stringValue": "3"}},
            {"key": "__name__", "value": {"stringValue": "no"}},
        ]
    }
    assert next(iter(series(translated(request(gauge(**point)))))) == "g{b_c:2;3}"


ARRAY = {"arrayValue": {"values": [{"intValue": "1"}, {"doubleValue": 0.0}, {"stringValue": "x"}, {}]}}
MAP = {"kvlistValue": {"values": [{"key": "b", "value": {"boolValue": True}}, {"key": "a", "value": ARRAY}]}}
VALUES = [
    ({"doubleValue": 3.0}, "3"), ({"doubleValue": 1e21}, "1e+21"), ({"doubleValue": 2.5e-9}, "2.5e-9"), ({"doubleValue": "Infinity"}, "Infinity"),
    ({"boolValue": True}, "true"), ({"intValue": "-5"}, "-5"), ({"bytesValue": "YWI="}, "YWI="), (ARRAY, '[1,0,"x",null]'),
    (MAP, '{"a":[1,0,"x",null],"b":true}'),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), VALUES)
def test_values_of_attributes_are_text(value: Json, text: str) -> None:
    batch = translated(request(gauge(attributes=[{"key": "v", "value": value}])))
    assert dict(batch.samples[0].labels)["v"] == text


CLASSIC = {
    "timeUnixNano": NANO, "count": "6", "sum": 3.5, "explicitBounds": [0.5, 10], "bucketCounts": ["1", "2", "3"],
    "exemplars": [{"timeUnixNano": NANO, "asDouble": 0.1, "traceId": "00000000000000000000000000000a0b"}, {"asInt": "99"}],
}  # fmt: skip


def histogram(**point: Any) -> Json:
    return {"name": "h", "unit": "s", "histogram": {"aggregationTemporality": 2, "dataPoints": [{**CLASSIC, **point}]}}


def test_a_histogram_has_its_series_and_an_exemplar_is_in_its_bucket() -> None:
    batch = translated(request(histogram(), resource=[]))
    assert series(batch) == {
        "h_seconds_sum": 3.5, "h_seconds_count": 6.0, "h_seconds_bucket{le:0.5}": 1.0, "h_seconds_bucket{le:10}": 3.0,
        "h_seconds_bucket{le:+Inf}": 6.0,
    }  # fmt: skip
    found = [(dict(labels)["le"], e.value, e.labels, e.time_ms) for labels, e in batch.exemplars]
    assert found == [("0.5", 0.1, (("trace_id", "00000000000000000000000000000a0b"),), T_MS), ("+Inf", 99.0, (), T_MS)]
    about = batch.metadata["h_seconds"]
    assert (about.type, about.unit) == ("histogram", "seconds")


def test_a_histogram_is_native_with_custom_buckets_where_that_is_asked_for() -> None:
    found = series(translated(request(histogram(), resource=[]), convert_histograms_to_nhcb=True))
    assert found == {"h_seconds": Histogram(-53, 6.0, 3.5, positive={0: 1.0, 1: 2.0, 2: 3.0}, custom_bounds=(0.5, 10.0))}


def exponential(**point: Any) -> Json:
    given = {
        "timeUnixNano": NANO,
        "count": "6",
        "sum": 9.0,
        "zeroCount": "1",
        "scale": 3,
        "positive": {"offset": -2, "bucketCounts": ["2", "0", "3"]},
    }
    return {"name": "e", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [{**given, **point}]}}


def test_an_exponential_histogram_is_native_and_one_that_is_too_fine_is_made_coarser() -> None:
    fine = translated(request(exponential(), resource=[]))
    assert series(fine) == {"e": Histogram(3, 6.0, 9.0, 1e-128, 1.0, {-1: 2.0, 1: 3.0})}
    coarse = translated(
        request(exponential(scale=10, positive={"offset": -4, "bucketCounts": ["2", "0", "0", "1", "0", "2"]}), resource=[])
    )
    assert series(coarse) == {"e": Histogram(8, 6.0, 9.0, 1e-128, 1.0, {0: 3.0, 1: 2.0})}


def test_a_summary_has_its_quantiles() -> None:
    point = {
        "timeUnixNano": NANO,
        "count": "4",
        "sum": 2.0,
        "quantileValues": [{"quantile": 0.5, "value": 0.1}, {"quantile": 1, "value": 7}],
    }
    found = series(translated(request({"name": "s", "summary": {"dataPoints": [point]}}, resource=[])))
    assert found == {"s_sum": 2.0, "s_count": 4.0, "s{quantile:0.5}": 0.1, "s{quantile:1}": 7.0}


def test_a_point_without_a_value_ends_its_series() -> None:
    batch = translated(request(gauge(flags=1), counter(flags=1), histogram(flags=1), exponential(flags=1), resource=[]))
    values = [s.value.sum if isinstance(s.value, Histogram) else s.value for s in batch.samples]
    assert len(values) == 8 and bool(is_stale(np.array(values)).all())


def test_types_and_units_are_labels_where_that_is_asked_for() -> None:
    assert list(series(translated(request(counter(), resource=[]), typed=True))) == ["c_bytes_total{__type__:counter,__unit__:bytes}"]


REFUSED = [
    (counter(1), 'invalid temporality and type combination for metric "c"'),
    (counter(0), 'invalid temporality and type combination for metric "c"'),
    (exponential(scale=-5), "cannot convert exponential to native histogram. Scale must be >= -4, was -5"),
    (exponential(count="7"), "6 observations found in buckets, but the Count field is 7"),
    ({"name": "..", "gauge": {"dataPoints": []}}, 'normalization for metric ".." resulted in empty name'),
    ({"name": "x"}, "could not get aggregation temporality for x as it has unsupported metric type Empty"),
    (gauge(attributes=[{"key": "", "value": {"stringValue": "x"}}]), "label name is empty"),
    (counter(exemplars=[{}]), "unsupported exemplar value type: Empty"),
]


@pytest.mark.parametrize(("metric", "reason"), REFUSED)
def test_a_metric_that_cannot_be_translated_is_told_of_and_harms_no_other(metric: Json, reason: str) -> None:
    batch = translated(request(metric, gauge("other"), resource=[]))
    assert batch.refused == [reason] and "other" in series(batch)


def post(body: bytes, storage: MemorySamples | None = None, **headers: str) -> Response:
    async def main(world: World) -> Response:
        receiver = OtlpReceiver(WriteReceiver(storage or MemorySamples(), world), Translating(OtlpConfig()))
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await receiver(HttpRequest("POST", "/", "/", {}, {"content-type": JSON, **given}, body, None))

    return virtual.run(main)


def test_what_is_received_is_in_the_store() -> None:
    text = orjson.dumps(request(gauge(), resource=[]))
    binary = messages.decode(text, JSON, "").SerializeToString()
    for body, headers in ((text, {}), (binary, {"content_type": PROTOBUF}), (gzip.compress(text), {"content_encoding": "gzip"})):
        storage = MemorySamples()
        answer = post(body, storage, **headers)
        assert (answer.status, answer.body) == (200, b"")
        assert content(storage.select([], 0, T_MS)) == {(("__name__", "g"),): {T_MS: 1.5}}


def test_the_rest_of_a_request_with_a_delta_in_it_is_kept() -> None:
    storage = MemorySamples()
    answer = post(orjson.dumps(request(counter(1), gauge(), resource=[])), storage)
    assert (answer.status, answer.body) == (400, b'invalid temporality and type combination for metric "c"\n')
    assert list(content(storage.select([], 0, T_MS))) == [(("__name__", "g"),)]


def test_a_request_whose_labels_multiply_is_refused_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation, "LABELS_MAX", 5000)
    buckets = {"explicitBounds": list(range(99)), "bucketCounts": ["0"] * 100, "attributes": attributes(**{f"a{n}": n for n in range(100)})}
    storage = MemorySamples()
    answer = post(orjson.dumps(request(gauge(), histogram(count="0", exemplars=[], **buckets), resource=[])), storage)
    assert (answer.status, answer.body) == (413, b"the samples of the request have more than 5000 labels together\n")
    assert content(storage.select([], 0, T_MS)) == {}


def test_a_large_request_is_translated_in_steps() -> None:
    points = [{"timeUnixNano": NANO, "asInt": "1", "attributes": attributes(n=n)} for n in range(3000)]
    asked = messages.decode(orjson.dumps(request({"name": "g", "gauge": {"dataPoints": points}}, resource=[])), JSON, "")
    assert sum(1 for _ in translate(asked, Translating(OtlpConfig()))) == 1 + 3000 // translation.STEP_SAMPLES
    wide = histogram(explicitBounds=list(range(2999)), bucketCounts=["0"] * 3000, exemplars=[])
    asked = messages.decode(orjson.dumps(request(wide, resource=[])), JSON, "")
    assert sum(1 for _ in translate(asked, Translating(OtlpConfig()))) > 3000 // translation.STEP_SAMPLES


DEEP: Json = {"stringValue": "x"}
for _ in range(20):
    DEEP = {"arrayValue": {"values": [DEEP]}}
BAD: list[tuple[bytes, Mapping[str, str], str]] = [
    (b"", {"content_type": "text/plain"}, "unsupported content type: text/plain, supported: [application/json, application/x-protobuf]"),
    (b"", {"content_encoding": "br"}, 'unsupported compression: br. Only "gzip" or no compression supported'),
    (b"x", {"content_encoding": "gzip"}, "gzip: "),
    (gzip.compress(b"{}")[:-3], {"content_encoding": "gzip"}, "gzip: unexpected EOF"),
    (gzip.compress(bytes(messages.MESSAGE_BYTES_MAX + 1)), {"content_encoding": "gzip"}, "the message has more than 33554432 bytes"),
    (b"\xff\xff", {"content_type": PROTOBUF}, "proto: "),
    (b"[]", {}, "an object is wanted"),
    (b"{", {}, "json: "),
    (b'{"resourceMetrics": 1}', {}, "json: "),
    (b'{"x":' * 5000, {}, "json: "),
    (orjson.dumps(request(counter(exemplars=[{"traceId": "xyz", "asInt": "1"}]))), {}, "json: "),
    (orjson.dumps(request(gauge(attributes=[{"key": "v", "value": DEEP}]))), {}, "an attribute's value has more than 16 levels"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "headers", "reason"), BAD)
def test_what_is_no_request_is_refused_with_a_reason(body: bytes, headers: Mapping[str, str], reason: str) -> None:
    answer = post(body, **headers)
    assert answer.status == 400 and answer.body.decode().startswith(reason)


CONFIGURATIONS: list[tuple[Json, str]] = [
    ({"translation_strategy": "Morse"}, 'unsupported OTLP translation strategy "Morse"'),
    ({"ignore_resource_attributes": ("a",)}, "cannot be configured unless 'promote_all_resource_attributes' is true"),
    ({"promote_all_resource_attributes": True, "promote_resource_attributes": ("a",)}, "cannot be configured simultaneously"),
    (
        {"promote_resource_attributes": ("a", " a ")},
        "invalid 'promote_resource_attributes': duplicated promoted OTel resource attribute \"a\"",
    ),
    ({"promote_all_resource_attributes": True, "ignore_resource_attributes": (" ",)}, "empty ignored OTel resource attribute"),
]


@pytest.mark.parametrize(("given", "reason"), CONFIGURATIONS)
def test_a_configuration_that_contradicts_itself_is_refused(given: Json, reason: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        OtlpConfig(**given).checked()
    assert reason in str(refusal.value)


def test_an_empty_request_is_taken() -> None:
    assert post(request_message()().SerializeToString(), content_type=PROTOBUF).status == 200
