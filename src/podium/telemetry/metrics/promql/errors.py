"""Errors of the query language."""

from podium.telemetry.metrics.errors import LimitExceeded, MetricsError


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


class EvaluationError(MetricsError):
    """The query cannot be answered as it stands, on this data: change it. In upstream's words."""


class InvalidDuration(EvaluationError):
    """A computed duration is none, with this query's times: change the query, or them. Upstream says where as `start:end: `, characters from 0."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(f"{start}:{end}: {message}")


class QueryTimeout(MetricsError):
    """The query took too long: ask for less, or later. `where` is what was being done."""

    def __init__(self, where: str) -> None:
        super().__init__(f"query timed out in {where}")
        self.where = where


class QueryCanceled(MetricsError):
    """Whoever asked went away, or the engine is closing."""

    def __init__(self, where: str) -> None:
        super().__init__(f"query was canceled in {where}")
        self.where = where


class TooManySamples(LimitExceeded):
    """The query would hold more samples than a query may: ask for fewer series, a shorter range or larger steps."""

    def __init__(self, where: str = "query execution") -> None:
        super().__init__("samples_max", f"query processing would load too many samples into memory in {where}")


SAME_LABELS = "vector cannot contain metrics with the same labelset"
