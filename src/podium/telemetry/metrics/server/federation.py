"""/federate: the last sample of each chosen series, as a page to scrape.

Each sample carries its own time; series that are stale are left out. Families come in order of their names, untyped, as upstream's do.

Source: Prometheus' documentation, "Federation".
"""

import numpy as np

from podium.telemetry.metrics.exposition.writing import write_name, write_series
from podium.telemetry.metrics.labels import METRIC_NAME, LabelColumns, Labels, labels_of
from podium.telemetry.metrics.samples import Selection, is_absent, is_stale
from podium.telemetry.metrics.server.errors import ApiError
from podium.telemetry.metrics.server.parameters import Parameters
from podium.telemetry.metrics.server.reading import answered, decided
from podium.telemetry.metrics.server.rendering import number_texts
from podium.telemetry.metrics.server.sources import Sources
from podium.world.http_messages import Response

LOOKBACK_MS = 5 * 60 * 1000


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
        name = dict(labels).get(METRIC_NAME, "")
        if not name:
            continue
        if name != family:
            lines.append(f"# TYPE {write_name(name)} untyped")
            family = name
        time_ms, value = last[labels]
        lines.append(f"{write_series(labels_of({**external, **dict(labels)}))} {value} {time_ms}")
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
