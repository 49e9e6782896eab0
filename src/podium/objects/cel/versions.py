"""Versions: semver('1.2.3-alpha.1').

Source: k8s.io/apiserver pkg/cel/library/semverlib.go; https://semver.org.
"""

import re

from podium.objects.cel import costs
from podium.objects.cel.errors import CelRuntimeError
from podium.objects.cel.overloads import Overload, member, plain
from podium.objects.cel.types import BOOL, INT, STRING, opaque
from podium.objects.cel.values import in_int

SEMVER = opaque("kubernetes.Semver")
_NUMBER = r"0|[1-9][0-9]{0,19}"
_PART = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_PART}(?:\.{_PART})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?", re.ASCII
)
VERSION_CHARS_MAX = 256


class Version:
    """`key` orders as semver does: a release after its pre-releases, numbers before words; build metadata does not count."""

    __slots__ = ("key", "numbers")
    cel_type = SEMVER.name

    def __init__(self, text: str) -> None:
        match = _VERSION.fullmatch(text) if len(text) <= VERSION_CHARS_MAX else None
        if match is None:
            raise CelRuntimeError(_why(text))
        self.numbers = tuple(int(n) for n in match.group(1, 2, 3))
        parts = [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in match[4].split(".")] if match[4] else []
        self.key = (self.numbers, not parts, parts)

    def __eq__(self, other: object) -> bool:
        return type(other) is Version and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.numbers)


def _why(text: str) -> str:
    if not text:
        return "Version string empty"
    if len(text.split(".")) < 3:
        return "No Major.Minor.Patch elements found"
    return f"Invalid character(s) found in version {text[:VERSION_CHARS_MAX]!r}"


def _normalized(text: str) -> str:
    """Without a leading v and leading zeros, and with all three numbers."""
    parts = text.removeprefix("v").split(".", 2)
    for place, part in enumerate(parts):
        if len(part) > 1:
            stripped = part.lstrip("0")
            parts[place] = stripped if stripped[:1].isdecimal() else "0" + stripped
    if len(parts) < 3 and re.search(r"[+-]", parts[-1]):
        raise CelRuntimeError("short version cannot contain PreRelease/Build meta data")
    return ".".join([*parts, "0", "0"][: max(3, len(parts))])


def _parse(text: str, normalize: bool = False) -> Version:
    return Version(_normalized(text) if normalize else text)


def _is(text: str, normalize: bool = False) -> bool:
    try:
        _parse(text, normalize)
    except CelRuntimeError:
        return False
    return True


def _compare(one: Version, other: Version) -> int:
    return (one.key > other.key) - (one.key < other.key)


OVERLOADS: list[Overload] = [
    plain("semver", (STRING,), SEMVER, _parse, costs.TRAVERSAL),
    plain("semver", (STRING, BOOL), SEMVER, _parse, costs.traversal(2)),
    plain("isSemver", (STRING,), BOOL, _is, costs.TRAVERSAL),
    plain("isSemver", (STRING, BOOL), BOOL, _is, costs.traversal(2)),
    member("isGreaterThan", (SEMVER, SEMVER), BOOL, lambda a, b: a.key > b.key),
    member("isLessThan", (SEMVER, SEMVER), BOOL, lambda a, b: a.key < b.key),
    member("compareTo", (SEMVER, SEMVER), INT, _compare),
    member("major", (SEMVER,), INT, lambda v: in_int(v.numbers[0])),
    member("minor", (SEMVER,), INT, lambda v: in_int(v.numbers[1])),
    member("patch", (SEMVER,), INT, lambda v: in_int(v.numbers[2])),
]
TYPES = (SEMVER,)
