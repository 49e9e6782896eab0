"""Errors of the query language."""

from podium.telemetry.metrics.errors import MetricsError


class ParseError(MetricsError):
    """The query is not PromQL: change it. Its text is upstream's, `line:column: parse error: message`; columns count bytes, as upstream's do.

    `start` and `end` are characters of `query`, from 0; `message` is the text without the position.
    """

    def __init__(self, message: str, query: str, start: int = 0, end: int = 0) -> None:
        super().__init__(f"{position(query, start)}: parse error: {message}")
        self.message = message
        self.query = query
        self.start = start
        self.end = max(end, start)


def position(query: str, start: int) -> str:
    """`line:column`, both from 1, of a character."""
    if not query:
        return "unknown position"
    before = query[:start]
    line = before.count("\n") + 1
    column = len(before[before.rfind("\n") + 1 :].encode("utf-8", "surrogatepass")) + 1
    return f"{line}:{column}"
