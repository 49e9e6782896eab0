"""A series as it stands in a page of text, whatever its name: names that the classic alphabet does not have go into the braces, in quotes.

Pages of families are written by instrument/exposition.py, whose names are all classic ones; what other servers' series are called is not ours to
say.

Source: Prometheus' exposition formats, UTF-8 names.
"""

from podium.instrument.exposition import escaped
from podium.telemetry.metrics.labels import METRIC_NAME, Labels

_CLASSIC = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:")
_CLASSIC_LABEL = _CLASSIC - {":"}


def write_series(labels: Labels) -> str:
    """`name{a="b"}`, or `{"a name",a="b"}` where the name needs quotes."""
    name = ""
    pairs = []
    for label, value in labels:
        if label == METRIC_NAME:
            name = value
        else:
            shown = label if _CLASSIC_LABEL.issuperset(label) and not label[:1].isdigit() else f'"{escaped(label)}"'
            pairs.append(f'{shown}="{escaped(value)}"')
    shown_name = write_name(name)
    if shown_name != name:
        return "{" + ",".join([shown_name, *pairs]) + "}"
    return f"{name}{{{','.join(pairs)}}}" if pairs else name


def write_name(name: str) -> str:
    """Of a metric, as in its TYPE line."""
    return name if name and _CLASSIC.issuperset(name) and not name[0].isdigit() else f'"{escaped(name)}"'
