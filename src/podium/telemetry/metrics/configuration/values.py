"""Kinds of values in configuration files: what they are called in a field's type decides how they are read and printed."""

import re
from typing import Annotated

Duration = Annotated[int, "milliseconds, written as 1h30m"]

ByteSize = Annotated[int, "bytes, written as 10MB"]
"""Powers of 1024 always, whatever the unit is called."""

Uint = Annotated[int, "not negative"]

FilePath = Annotated[str, "a path"]
"""Relative to the directory of the file that says it."""

HIDDEN = "<secret>"


class Secret(str):
    """Never shown: printing, logging and `repr` give `<secret>`. `reveal` gives the text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN if self else "''"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def reveal(self) -> str:
        return str.__str__(self)


class Url(str):
    """An address whose password is not shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return self.redacted()

    def redacted(self) -> str:
        return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:xxxxx@", str.__str__(self))


NO_SECRET = Secret("")
NO_URL = Url("")

_SIZE = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]*)")
_UNIT = re.compile(r"[KMGTPE]i?B|B")
_POWERS = {unit: 1024**power for power, unit in enumerate("BKMGTPE")}


def parse_bytes(text: str) -> int:
    """Raises ValueError. `0` needs no unit."""
    if text == "0":
        return 0
    total, position = 0.0, 0
    while position < len(text):
        match = _SIZE.match(text, position)
        if match is None:
            raise ValueError(f"units: invalid {text}")
        if not _UNIT.fullmatch(match[2]):
            raise ValueError(f"units: unknown unit {match[2]} in {text}")
        total += float(match[1]) * _POWERS[match[2][0]]
        position = match.end()
    if not text or total >= 2**63:
        raise ValueError(f"units: invalid {text}")
    return int(total)


def format_bytes(size: int) -> str:
    if size == 0:
        return "0B"
    text = ""
    for unit, scale in reversed(_POWERS.items()):
        if count := size // scale:
            text += f"{count}{unit}{'iB' if unit != 'B' else ''}"
            size -= count * scale
    return text
