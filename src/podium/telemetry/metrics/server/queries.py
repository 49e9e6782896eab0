"""/api/v1/query, query_range, query_exemplars, format_query, parse_query.

Source: Prometheus' HTTP API, "Expression queries", "Formatting query expressions", "Parsing a PromQL expressions into a AST".
"""

import asyncio
from dataclasses import replace
from typing import Any

import orjson

from podium.telemetry.metrics.errors import LimitExceeded, StorageFailed
from podium.telemetry.metrics.promql.errors import EvaluationError, InvalidDuration, ParseError, QueryCanceled, QueryTimeout
from podium.telemetry.metrics.promql.explain import render
from podium.telemetry.metrics.promql.parser import parse
from podium.telemetry.metrics.promql.printer import pretty
from podium.telemetry.metrics.promql.results import Matrix, Result, Vector
from podium.telemetry.metrics.promql.statistics import Statistics
from podium.telemetry.metrics.promql.syntax import Expression, VectorSelector, children
from podium.telemetry.metrics.promql.tree_json import tree_json
from podium.telemetry.metrics.server.answers import SUCCESS, ended, success, text
from podium.telemetry.metrics.server.errors import ApiError, bad_parameter
from podium.telemetry.metrics.server.parameters import Parameters
from podium.telemetry.metrics.server.reading import answered, decided
from podium.telemetry.metrics.server.rendering import number_text, result_pieces
from podium.telemetry.metrics.server.sources import Sources
from podium.world.http_messages import Response

LARGE_POINTS = 1_000_000
"""Answers of more points, some 30 MB of JSON, are written LARGE_AT_ONCE (sources) at a time."""
POINTS_MAX = 11_000
"""Of one series in a range query. Source: upstream, web/api/v1."""
TURN_BYTES = 1 << 16
"""Of an answer that are made until others have their turn."""


def _now_ms(sources: Sources) -> int:
    return int(sources.world.clock.now().timestamp() * 1000)


def _parsed(sources: Sources, parameters: Parameters, name: str = "query") -> Expression:
    try:
        return parse(parameters.text(name), sources.switches.features)
    except ParseError as error:
        raise bad_parameter(name, str(error)) from error


async def query(sources: Sources, parameters: Parameters) -> Response:
    limit = parameters.limit()
    time_ms = parameters.time_ms("time", _now_ms(sources))
    options = _options(parameters)
    expression = _parsed(sources, parameters)
    statistics = Statistics()
    try:
        result = await sources.engine.instant(expression, time_ms, statistics=statistics, source=parameters.text("query"), **options)
    except Exception as error:
        raise _refusal(error) from error
    return await _answer(sources, result, limit, parameters, statistics)


async def query_range(sources: Sources, parameters: Parameters) -> Response:
    limit = parameters.limit()
    start_ms, end_ms, step_ms = _range(parameters)
    options = _options(parameters)
    expression = _parsed(sources, parameters)
    statistics = Statistics()
    try:
        result = await sources.engine.range(
            expression, start_ms, end_ms, step_ms, statistics=statistics, source=parameters.text("query"), **options
        )
    except Exception as error:
        raise _refusal(error) from error
    return await _answer(sources, result, limit, parameters, statistics)


def _range(parameters: Parameters) -> tuple[int, int, int]:
    """(start, end, step) of a range query. Raises ApiError."""
    start_ms, end_ms = parameters.time_ms("start"), parameters.time_ms("end")
    if end_ms < start_ms:
        raise bad_parameter("end", "end timestamp must not be before start time")
    step_ms = parameters.duration_ms("step")
    if step_ms <= 0:
        raise bad_parameter("step", "zero or negative query resolution step widths are not accepted. Try a positive integer")
    if (end_ms - start_ms) // step_ms > POINTS_MAX:
        raise ApiError(
            "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        )
    return start_ms, end_ms, step_ms


async def explain(sources: Sources, parameters: Parameters) -> Response:
    """Podium's own: /api/v1/podium/explain takes what query takes, or what query_range takes (with `step`), and says what answering it cost.

    `format=text`: for people.
    """
    ranged = bool(parameters.text("step"))
    start_ms, end_ms, step_ms = _range(parameters) if ranged else (*[parameters.time_ms("time", _now_ms(sources))] * 2, 0)
    expression, statistics = _parsed(sources, parameters), Statistics()
    if parameters.text("format") not in ("", "json", "text"):
        raise bad_parameter("format", "json or text")
    try:
        plan, result = await sources.engine.explain(
            expression, start_ms, end_ms, step_ms, statistics=statistics, source=parameters.text("query"), **_options(parameters)
        )
    except Exception as error:
        raise _refusal(error) from error
    explained = plan.to_json(statistics)
    if parameters.text("format") == "text":
        return text(render(explained) + "\n")
    return success(explained, result.warnings, result.infos)


def _options(parameters: Parameters) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if parameters.text("timeout"):
        options["timeout_s"] = parameters.duration_ms("timeout") / 1000
    if parameters.text("lookback_delta"):
        try:
            lookback_ms = parameters.duration_ms("lookback_delta")
        except ApiError as error:
            reason = str(error).partition(": ")[2]
            raise ApiError("bad_data", f"error parsing lookback delta duration: {reason}") from error
        if lookback_ms > 0:  # otherwise the server's
            options["lookback_ms"] = lookback_ms
    if parameters.text("stats") == "all":
        options["per_step"] = True
    return options


def _refusal(error: Exception) -> ApiError:
    """What a query's failure is for the client; what is none of these is ours, and raised on."""
    match error:
        case ParseError() | InvalidDuration():
            return bad_parameter("query", str(error))
        case QueryTimeout():
            return ApiError("timeout", str(error))
        case QueryCanceled():
            return ApiError("canceled", str(error))
        case EvaluationError() | LimitExceeded():
            return ApiError("execution", str(error))
        case StorageFailed():
            return ApiError("internal", str(error))
        case _:
            raise error


async def _answer(sources: Sources, result: Result, limit: int, parameters: Parameters, statistics: Statistics) -> Response:
    warnings = list(result.warnings)
    if limit:
        result, cut = _limited(result, limit)
        warnings += ["results truncated due to limit"] if cut else []
    if (stats := parameters.text("stats")) not in ("", "true", "all"):
        warnings.append(
            f'value "{stats}" for parameter "stats" is deprecated and will be rejected in the next major release, use "true" or "all"'
        )
    body = bytearray(SUCCESS + b"{")
    if isinstance(result.value, Matrix) and sum(len(s.values) for s in result.value.series) > LARGE_POINTS:
        async with sources.large_answers:
            await _render(result, body)
    else:
        await _render(result, body)
    if parameters.text("stats"):
        body += b',"stats":' + orjson.dumps(statistics.to_json(per_step=parameters.text("stats") == "all"))
    body += b"}"
    return ended(body, warnings, result.infos)


async def _render(result: Result, body: bytearray) -> None:
    turn = TURN_BYTES
    for piece in result_pieces(result):
        body += piece.encode()
        if len(body) > turn:
            await asyncio.sleep(0)
            turn = len(body) + TURN_BYTES


def _limited(result: Result, limit: int) -> tuple[Result, bool]:
    """At most `limit` series; whether some were left out."""
    match result.value:
        case Vector(points) if len(points) > limit:
            return replace(result, value=Vector(points[:limit])), True
        case Matrix(series) if len(series) > limit:
            return replace(result, value=Matrix(series[:limit])), True
        case _:
            return result, False


async def query_exemplars(sources: Sources, parameters: Parameters) -> Response:
    start_ms, end_ms = parameters.time_ms("start", 0), parameters.time_ms("end", _now_ms(sources))
    if end_ms < start_ms:
        raise ApiError("bad_data", "end timestamp must not be before start timestamp")
    selectors = [s.matchers for s in _selectors(_parsed(sources, parameters))]
    if not selectors:
        return success([])
    await decided(sources, selectors)
    with answered():
        found = sources.storage.exemplars(selectors, start_ms, end_ms)
    return success([{
        "seriesLabels": dict(labels),
        "exemplars": [{"labels": dict(e.labels), "value": number_text(e.value), "timestamp": e.time_ms / 1000} for e in exemplars],
    } for labels, exemplars in found])  # fmt: skip


def _selectors(expression: Expression) -> list[VectorSelector]:
    found = [expression] if isinstance(expression, VectorSelector) else []
    return found + [s for child in children(expression) for s in _selectors(child)]


async def format_query(sources: Sources, parameters: Parameters) -> Response:
    return success(pretty(_parsed(sources, parameters)))


async def parse_query(sources: Sources, parameters: Parameters) -> Response:
    return success(tree_json(_parsed(sources, parameters)))
