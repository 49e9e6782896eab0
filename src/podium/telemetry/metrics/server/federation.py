"""/federate: the last sample of each chosen series, as a page to scrape.

Each sample carries its own time; series that are stale are left out. Families come in order of their names, untyped, as upstream's do.

Source: Prometheus' documentation, "Federation".
"""

import numpy as np

from podium.telemetry.metrics.labels import METRIC_NAME, LabelColumns, Labels
from podium.telemetry.metrics.samples import Selection, is_absent, is_stale
from podium.telemetry.metrics.server.errors import ApiError
from podium.telemetry.metrics.server.parameters import Parameters
from podium.telemetry.metrics.server.reading import answered, decided
from podium.telemetry.metrics.server.rendering import number_texts
from podium.telemetry.metrics.server.sources import Sources
from podium.world.http_messages import Response

LOOKBACK_MS = 5 * 60 * 1000
_PLAIN_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:")


async def federate(sources: Sources, parameters: Parameters, headers: dict[str, str]) -> Response:
    now_ms = int(sources.world.clock.now().timestamp() * 1000)
    selectors = parameters.selectors()
    if not selectors:
        raise ApiError("bad_data", "no match[] parameter provided")
    last: dict[Labels, tuple[int, str]] = {}
    for matchers in selectors:
        await decided(sources, [matchers])
        with answered():
            last.update(last_samples(sources.storage.select(matchers, now_ms - LOOKBACK_MS + 1, now_ms)))
    external = dict(sources.external_labels)
    lines: list[str] = []
    family = ""
    for labels in sorted(last, key=lambda row: (dict(row).get(METRIC_NAME, ""), row)):
        values = dict(labels)
        name = values.pop(METRIC_NAME, "")
        if not name:
            continue
        if name != family:
            lines.append(f"# TYPE {_plain_or_quoted(name)} untyped")
            family = name
        time_ms, value = last[labels]
        lines.append(f"{exposed(name, {**external, **values})} {value} {time_ms}")
    body = "\n".join([*lines, ""]).encode()
    return Response(200, body, ((b"content-type", b"text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8"),))


def last_samples(selection: Selection) -> dict[Labels, tuple[int, str]]:
    """(time, value as text) of each series' last sample, without those that ended with it."""
    found: dict[Labels, tuple[int, str]] = {}
    for columns in selection.columns:
        present = ~is_absent(columns.values)
        at = columns.values.shape[1] - 1 - np.argmax(present[:, ::-1], axis=1)
        values = np.ascontiguousarray(columns.values[np.arange(len(at)), at])
        alive = present.any(axis=1) & ~is_stale(values)
        labels = LabelColumns.rows(selection.labels.take(columns.rows[alive]))
        found.update(zip(labels, zip(columns.times[at[alive]].tolist(), number_texts(values[alive]), strict=True), strict=True))
    return found


def _plain_or_quoted(name: str) -> str:
    return name if _PLAIN_NAME.issuperset(name) and not name[0].isdigit() else f'"{_escaped(name)}"'


def exposed(name: str, labels: dict[str, str]) -> str:
    """`name{a="b"}`; a name that is not one of the classic ones goes into the braces, quoted."""
    shown = _plain_or_quoted(name)
    pairs = [f'{_plain_or_quoted(n)}="{_escaped(v)}"' for n, v in sorted(labels.items())]
    if shown is not name:
        return "{" + ",".join([shown, *pairs]) + "}"
    return f"{name}{{{','.join(pairs)}}}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
