"""/api/v1/labels, label/NAME/values, series, metadata: what there is, without samples.

Source: Prometheus' HTTP API, "Querying metadata".
"""

import asyncio
import re
from collections.abc import Sequence

import orjson

from podium.telemetry.metrics.exposition.steps import STEP_ROWS
from podium.telemetry.metrics.labels import Labels, Matcher
from podium.telemetry.metrics.promql.elsewhere import gather
from podium.telemetry.metrics.promql.reads import SELECTOR, Hints, Read
from podium.telemetry.metrics.server.answers import success, success_text
from podium.telemetry.metrics.server.errors import ApiError
from podium.telemetry.metrics.server.parameters import TIME_MS_MAX, TIME_MS_MIN, Parameters
from podium.telemetry.metrics.server.reading import answered, decided
from podium.telemetry.metrics.server.sources import Sources
from podium.world.http_messages import Response

TRUNCATED = "results truncated due to limit"
_ESCAPED_CHARACTER = re.compile(r"_([0-9A-Fa-f]{1,8})_")


def _range(parameters: Parameters) -> tuple[int, int]:
    start_ms, end_ms = parameters.time_ms("start", TIME_MS_MIN), parameters.time_ms("end", TIME_MS_MAX)
    if end_ms < start_ms:
        raise ApiError("bad_data", "end timestamp must not be before start timestamp")
    return start_ms, end_ms


async def labels(sources: Sources, parameters: Parameters) -> Response:
    limit, (start_ms, end_ms), selectors = parameters.limit(), _range(parameters), parameters.selectors()
    await decided(sources, selectors)
    with answered():
        names = sources.storage.label_names(selectors, start_ms, end_ms)
    return _cut(names, limit)


async def label_values(sources: Sources, parameters: Parameters, name: str) -> Response:
    limit, (start_ms, end_ms) = parameters.limit(), _range(parameters)
    if name.startswith("U__"):
        name = unescaped(name)
    if not name:
        raise ApiError("bad_data", 'invalid label name: ""')
    selectors = parameters.selectors()
    await decided(sources, selectors)
    with answered():
        values = sources.storage.label_values(name, selectors, start_ms, end_ms)
    return _cut(values, limit)


def unescaped(name: str) -> str:
    """A UTF-8 name as it is written in a path: `U__` before it, `__` for `_`, `_2e_` for `.`. Source: upstream's values escaping."""
    parts = name.removeprefix("U__").split("__")
    try:
        return "_".join(_ESCAPED_CHARACTER.sub(lambda m: chr(int(m[1], 16)), part) for part in parts)
    except (ValueError, OverflowError):
        return name


def _cut(texts: list[str], limit: int) -> Response:
    if limit and len(texts) > limit:
        return success(texts[:limit], [TRUNCATED])
    return success(texts)


async def series(sources: Sources, parameters: Parameters) -> Response:
    if not parameters.texts("match[]"):
        raise ApiError("bad_data", "no match[] parameter provided")
    limit, (start_ms, end_ms), selectors = parameters.limit(), _range(parameters), parameters.selectors()
    await decided(sources, selectors)
    with answered():
        found = sources.storage.series(selectors, start_ms, end_ms, limit + 1 if limit else 0)
    elsewhere, warnings = await _series_elsewhere(sources, selectors, start_ms, end_ms)
    if elsewhere:
        found = sorted({*found, *elsewhere})
    cut = bool(limit) and len(found) > limit
    shown = found[:limit] if cut else found
    body = bytearray(b"[")
    for start in range(0, len(shown), STEP_ROWS):
        body += b"," if start else b""
        body += orjson.dumps([dict(row) for row in shown[start : start + STEP_ROWS]])[1:-1]
        await asyncio.sleep(0)
    return success_text(body + b"]", [*warnings, TRUNCATED] if cut else warnings)


async def _series_elsewhere(
    sources: Sources, selectors: Sequence[tuple[Matcher, ...]], start_ms: int, end_ms: int
) -> tuple[list[Labels], Sequence[str]]:
    """(series of the servers that are read from, warnings). They are told that nobody looks at samples."""
    wanted = {(i, SELECTOR): Read(matchers, start_ms, end_ms, Hints("series")) for i, matchers in enumerate(selectors)}
    gathered = await gather(sources.engine.remotes, wanted, sources.world.clock)
    return [row for parts in gathered.selections.values() for part in parts for row in part.labels.rows()], gathered.warnings


async def metadata(sources: Sources, parameters: Parameters) -> Response:
    """By family: what its targets say of it, each saying once."""
    limit, limit_per_metric = _number(parameters, "limit"), _number(parameters, "limit_per_metric")
    wanted = parameters.text("metric")
    families: dict[str, dict[tuple[str, str, str], None]] = {}
    for _, said in sorted(sources.storage.metadata().items()):
        for family, about in sorted(said.items()):
            if not wanted or family == wanted:
                known = families.setdefault(family, {})
                if limit_per_metric <= 0 or len(known) < limit_per_metric:
                    known[about.type, about.help, about.unit] = None
    names = sorted(families)[:limit] if limit > 0 else sorted(families)
    return success({n: [{"type": t, "help": h, "unit": u} for t, h, u in families[n]] for n in names} if limit else {})


def _number(parameters: Parameters, name: str) -> int:
    """-1 when it is not given."""
    text = parameters.text(name)
    if not text:
        return -1
    try:
        return int(text)
    except ValueError as error:
        raise ApiError("bad_data", f"{name} must be a number") from error


async def targets_metadata(sources: Sources, parameters: Parameters) -> Response:
    """/api/v1/targets/metadata: target by target."""
    limit = _number(parameters, "limit")
    matchers = parameters.selectors("match_target")
    wanted = parameters.text("metric")
    found: list[dict[str, object]] = []
    for target, families in sources.targets.metadata() if sources.targets else ():
        if 0 <= limit <= len(found):
            break
        values = dict(target)
        if matchers and not all(m.matches(values.get(m.name, "")) for m in matchers[0]):
            continue
        for family, about in sorted(families.items()):
            if wanted and family != wanted:
                continue
            entry: dict[str, object] = {"target": values, "type": about.type, "help": about.help, "unit": about.unit}
            if not wanted:
                entry["metric"] = family
            found.append(entry)
    return success(found)
