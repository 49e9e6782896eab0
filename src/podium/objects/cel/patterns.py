"""Patterns: matches, find, findAll, with RE2: linear in the text, and the syntax upstream has.

Source: https://github.com/google/re2/wiki/Syntax; k8s.io/apiserver pkg/cel/library/regex.go.
"""

from functools import lru_cache
from typing import Any

from podium.objects.cel import costs
from podium.objects.cel.errors import CelRuntimeError
from podium.objects.cel.overloads import Overload, member, plain
from podium.objects.cel.types import BOOL, INT, STRING, list_of

PATTERN_MEMORY_BYTES = 2 * 1024 * 1024


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """Raises CelRuntimeError for what is no pattern."""
    import re2  # some milliseconds: only for those who use patterns

    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_MEMORY_BYTES
    try:
        return re2.compile(pattern.encode(errors="surrogatepass"), options)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        raise CelRuntimeError(f"error parsing regexp: {why}") from None


def _matches(text: str, pattern: str) -> bool:
    return compiled(pattern).search(text.encode(errors="surrogatepass")) is not None


def _find(text: str, pattern: str) -> str:
    found = compiled(pattern).search(text.encode(errors="surrogatepass"))
    return "" if found is None else found.group().decode(errors="replace")


def _find_all(text: str, pattern: str, count: int = -1) -> list[str]:
    found: list[str] = []
    for match in compiled(pattern).finditer(text.encode(errors="surrogatepass")):
        if len(found) == count:
            break
        found.append(match.group().decode(errors="replace"))
    return found


OVERLOADS: list[Overload] = [
    member("matches", (STRING, STRING), BOOL, _matches, costs.PATTERN),
    plain("matches", (STRING, STRING), BOOL, _matches, costs.PATTERN),
    member("find", (STRING, STRING), STRING, _find, costs.PATTERN),
    member("findAll", (STRING, STRING), list_of(STRING), _find_all, costs.PATTERN),
    member("findAll", (STRING, STRING, INT), list_of(STRING), _find_all, costs.PATTERN),
]
