"""Replacing what an expression matches, for the functions of alerts' and notifications' templates: within bounds, as templates may come from
anyone who may write a rule.

`$1` and `${name}` in a replacement stand for groups. Source: Go's Regexp.ReplaceAllString, but a name is as long as Python's \\w+.
"""

import re
from collections.abc import Callable
from typing import Any

from podium.telemetry.metrics.templates.errors import FunctionError

RESULT_CHARS_MAX = 4 * 1024 * 1024
MATCHES_MAX = 200_000
_NUMBER = re.compile(r"0|[1-9][0-9]{0,7}", re.ASCII)
_REFERENCE = re.compile(r"\$\$|\$\{(\w+)\}|\$(\w+)")


def group_number(name: str) -> int:
    """-1: it is the name of a group, as `01` is."""
    return int(name) if _NUMBER.fullmatch(name) else -1


class Replacement:
    """Of the matches of one call, one after another. Raises FunctionError when they are too many or make too much."""

    def __init__(self, text: str, group: Callable[[Any, str], str]) -> None:
        """`group` gives a match's group by its name or number, '' for one that is none."""
        self._text = text
        self._group = group
        self._chars = 0
        self._matches = 0

    def of(self, match: Any) -> str:
        self._matches += 1
        if self._matches > MATCHES_MAX:
            raise FunctionError(f"more than {MATCHES_MAX} matches")
        if "$" not in self._text:
            return self._made(self._text)
        copied, parts = 0, []
        for reference in _REFERENCE.finditer(self._text):
            name = reference[1] or reference[2]
            parts += [self._text[copied : reference.start()], self._made(self._group(match, name) if name else "$")]
            copied = reference.end()
        parts.append(self._made(self._text[copied:]))
        return "".join(parts)

    def _made(self, text: str) -> str:
        self._chars += len(text)
        if self._chars > RESULT_CHARS_MAX:
            raise FunctionError(f"the result is longer than {RESULT_CHARS_MAX} characters")
        return text
