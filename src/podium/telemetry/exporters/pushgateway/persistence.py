"""The pushgateway's file: all groups, written whole and replaced by rename.

A file that cannot be read is set aside (`.damaged`) with a message; the pushgateway then begins empty. Numbers that JSON does not know
(NaN, infinities) are texts.
"""

import math
import os
from pathlib import Path
from typing import Any

import orjson

from podium.instrument.exposition import Family, Pairs
from podium.instrument.log import logger
from podium.telemetry.exporters.pushgateway.groups import Group

FORMAT = 1

log = logger("exporters.pushgateway")


def save(path: Path, groups: list[Group]) -> None:
    """Raises OSError; the file is then as it was."""
    data = orjson.dumps({"format": FORMAT, "groups": [_encoded(group) for group in groups]})
    fresh = path.with_name(f".{path.name}.new")
    with open(fresh, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def load(path: Path) -> list[Group]:
    """Empty when there is no file. Raises OSError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    try:
        value = orjson.loads(data)
        if value["format"] != FORMAT:
            raise ValueError(f"format {value['format']!r} is not known")
        return [_decoded(group) for group in value["groups"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        aside = path.with_name(f"{path.name}.damaged")
        path.replace(aside)
        log.error(
            "the file of pushed metrics cannot be read; it is set aside and the pushgateway begins empty", file=str(aside), error=str(error)
        )
        return []


def _encoded(group: Group) -> dict[str, Any]:
    families = [
        {
            "name": f.name, "kind": f.kind, "text": f.text, "changed_s": group.changed_s.get(f.name, group.pushed_s),
            "samples": [[suffix, dict(labels), _number(value)] for (suffix, labels), value in f.samples.items()],
        }
        for f in group.families.values()
    ]  # fmt: skip
    return {"labels": dict(group.labels), "pushed_s": group.pushed_s, "failed_s": group.failed_s, "families": families}


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _decoded(value: dict[str, Any]) -> Group:
    group = Group(tuple(sorted(_texts(value["labels"]))), pushed_s=float(value["pushed_s"]), failed_s=float(value["failed_s"]))
    for item in value["families"]:
        family = Family(item["name"], item["kind"], item["text"])
        for suffix, labels, number in item["samples"]:
            family.samples[suffix, _texts(labels)] = float(number)
        group.families[family.name] = family
        group.changed_s[family.name] = float(item["changed_s"])
    return group


def _texts(labels: dict[str, str]) -> Pairs:
    return tuple((str(name), str(text)) for name, text in labels.items())
