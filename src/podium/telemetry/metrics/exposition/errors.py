"""Errors of the exposition formats, by what the caller should do."""

from podium.telemetry.metrics.errors import MetricsError

TEXT_SHOWN_MAX = 120
"""Characters of a line that an error quotes."""


class PageError(MetricsError):
    """The page is not in its format: nothing of it is to be used; the target has to be corrected. `line` counts from 1; 0: not by line."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line


def quoted(text: bytes) -> str:
    """For a message: as a Go %q shows it, shortened."""
    shown = text[:TEXT_SHOWN_MAX].decode("utf-8", "backslashreplace").replace('"', '\\"')
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
    return f'"{printable}{"..." if len(text) > TEXT_SHOWN_MAX else ""}"'
