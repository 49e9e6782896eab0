"""Regular expressions of schemas: RE2's, as upstream reads them.

Users write them, so they must run in linear time: Python's own engine backtracks, and one pattern with a nested repetition would hold up the
whole server.

Source: github.com/google/re2 (syntax), Go's regexp.
"""

from collections.abc import Callable
from functools import lru_cache

PATTERNS_MAX = 4096
"""How many compiled ones are kept."""


@lru_cache(maxsize=PATTERNS_MAX)
def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Whether the pattern is found anywhere in a text. Raises ValueError."""
    import re2

    options = re2.Options()
    options.never_capture = True
    options.log_errors = False
    try:
        compiled = re2.compile(pattern.encode(), options)
    except re2.error as error:
        reason = error.args[0]
        raise ValueError(f"error parsing regexp: {reason.decode() if isinstance(reason, bytes) else reason}") from error
    search = compiled.search
    return lambda text: search(text.encode()) is not None
