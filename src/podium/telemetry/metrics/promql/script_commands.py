"""The language of PromQL test scripts: what a file says, as data.

A file is a list of commands. `clear` drops all data; `load 30s` or `load_with_nhcb 30s` is followed by series, one sample per interval from
time 0; `eval instant at 5m QUERY` or `eval range from 0 to 1h step 1m QUERY` is followed by the expected result and expectations. A blank
line, or a comment, ends a command.

    expect fail|warn|info [msg: TEXT | regex: PATTERN]      expect no_warn|no_info|ordered
    expect string "TEXT"                                    expect range vector from A to B step C

Older spellings: eval_fail, eval_warn, eval_info, eval_ordered, expected_fail_message, expected_fail_regexp.

Source: Prometheus' promqltest.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from podium.telemetry.metrics.errors import MetricsError
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.promql.durations import parse_duration
from podium.telemetry.metrics.promql.errors import ParseError
from podium.telemetry.metrics.promql.literals import LexicalError, scan_string
from podium.telemetry.metrics.promql.parser import EVERYTHING, parse
from podium.telemetry.metrics.promql.quoting import quote, unquote
from podium.telemetry.metrics.promql.series_notation import Noted, NotedSeries, is_start_line, parse_series, parse_starts
from podium.telemetry.metrics.promql.token_stream import number_value

_LOAD = re.compile(r"load(?P<nhcb>_with_nhcb)?\s+(?P<step>.+?)$")
_INSTANT = re.compile(r"eval(?:_(?P<mode>fail|warn|ordered|info))?\s+instant\s+(?:at\s+(?P<at>.+?))?\s+(?P<query>.+)$")
_RANGE = re.compile(
    r"eval(?:_(?P<mode>fail|warn|info))?\s+range\s+from\s+(?P<start>.+)\s+to\s+(?P<end>.+)\s+step\s+(?P<step>.+?)\s+(?P<query>.+)$"
)
_EXPECT = re.compile(r"expect\s+(?P<what>ordered|fail|warn|no_warn|info|no_info)(?:\s+(?P<how>regex|msg):(?P<text>.+))?$")
_EXPECT_RANGE = re.compile(r"expect range vector\s+from\s+(?P<start>.+)\s+to\s+(?P<end>.+)\s+step\s+(?P<step>.+)$")
_OLD_FAILURE = re.compile(r"expected_fail_(?P<how>message|regexp)\s+(?P<text>.+)$")


class ScriptError(MetricsError):
    """The script is not one: change it. Its text begins with `file:line`."""

    def __init__(self, file: str, line: int, message: str) -> None:
        super().__init__(f"{file}:{line}: {message}")
        self.line = line


@dataclass(frozen=True, slots=True)
class Expected:
    """An error or an annotation: exactly this text, one that the pattern finds, or any (neither)."""

    text: str | None = None
    pattern: re.Pattern[str] | None = None

    def matches(self, said: str) -> bool:
        if self.text is not None:
            return said == self.text
        return self.pattern is None or self.pattern.search(said) is not None

    def __str__(self) -> str:
        if self.text is not None:
            return quote(self.text)
        return "any" if self.pattern is None else f"/{self.pattern.pattern}/"


@dataclass(frozen=True, slots=True)
class Clear:
    line: int


@dataclass(frozen=True, slots=True)
class Load:
    line: int
    step_ms: int
    series: tuple[NotedSeries, ...]
    custom_buckets: bool = False  # classic histograms are loaded as native ones too


@dataclass(slots=True)
class Evaluation:
    """`end_ms` and `step_ms` say where an instant query's range vector lies, when one is expected."""

    line: int
    query: str
    start_ms: int
    end_ms: int
    step_ms: int = 0
    is_range: bool = False
    fail: list[Expected] = field(default_factory=list)
    warn: list[Expected] = field(default_factory=list)
    info: list[Expected] = field(default_factory=list)
    no_warn: bool = False
    no_info: bool = False
    ordered: bool = False
    range_vector: bool = False
    scalar: float | None = None
    string: str | None = None
    series: dict[Labels, tuple[Noted, ...]] = field(default_factory=dict)  # in order

    @property
    def at_ms(self) -> int:
        return self.end_ms if self.range_vector else self.start_ms


Command = Clear | Load | Evaluation


def parse_script(text: str, file: str) -> list[Command]:
    """All commands of a file; its name is for errors. Raises ScriptError."""
    lines = [line.strip() for line in text.split("\n")]
    return _Script([("" if line.startswith("#") else line) for line in lines], file).parse()


class _Script:
    def __init__(self, lines: Sequence[str], file: str) -> None:
        self.lines = lines
        self.file = file
        self.index = 0

    def parse(self) -> list[Command]:
        found: list[Command] = []
        while self.index < len(self.lines):
            line = self.lines[self.index]
            self.index += 1
            word = line.split(None, 1)[0].lower() if line else ""
            if not word:
                continue
            if word == "clear":
                found.append(Clear(self.index))
            elif word.startswith("load"):
                found.append(self.load(line))
            elif word.startswith("eval"):
                found.append(self.evaluation(line))
            else:
                raise self.error(f"invalid command {quote(line)}")
        return found

    def error(self, message: str) -> ScriptError:
        return ScriptError(self.file, self.index, message)

    def body(self) -> str:
        """The next line of this command; empty after the last."""
        if self.index >= len(self.lines) or not self.lines[self.index]:
            return ""
        self.index += 1
        return self.lines[self.index - 1]

    def duration(self, text: str, what: str) -> int:
        try:
            return parse_duration(text)
        except ValueError as error:
            raise self.error(f"invalid {what} definition {quote(text)}: {error}") from error

    def load(self, line: str) -> Load:
        match = _LOAD.match(line)
        if match is None:
            raise self.error("invalid load command. (load[_with_nhcb] <step:duration>)")
        start, step_ms = self.index, self.duration(match["step"], "step")
        series: list[NotedSeries] = []
        pending: tuple[Labels, tuple[int | None, ...]] | None = None
        while line := self.body():
            if not is_start_line(line):
                series.append(self.started(self.series(line), pending))
                pending = None
            elif pending is not None:
                raise self.error("@st line has no following sample line")
            else:
                pending = self.starts(line)
        if pending is not None:
            raise self.error("@st line has no following sample line")
        return Load(start, step_ms, tuple(series), bool(match["nhcb"]))

    def starts(self, line: str) -> tuple[Labels, tuple[int | None, ...]]:
        try:
            return parse_starts(line)
        except ParseError as error:
            raise self.error(f"column {error.start + 1}: {error.message}") from error

    def started(self, series: NotedSeries, starts: tuple[Labels, tuple[int | None, ...]] | None) -> NotedSeries:
        """The series with the start timestamps of the line before."""
        if starts is None:
            return series
        labels, offsets = starts
        if labels != series.labels:
            raise self.error("@st metric does not match the following sample line metric")
        if len(offsets) != len(series.values):
            raise self.error(f"@st line has {len(offsets)} values but sample line has {len(series.values)}")
        return replace(series, starts=offsets)

    def series(self, line: str) -> NotedSeries:
        try:
            return parse_series(line)
        except ParseError as error:
            raise self.error(f"column {error.start + 1}: {error.message}") from error

    def evaluation(self, line: str) -> Evaluation:
        instant, ranged = _INSTANT.match(line), _RANGE.match(line)
        if instant:
            at = self.duration(instant["at"] or "", "timestamp")
            found = Evaluation(self.index, instant["query"], at, at)
            mode = instant["mode"]
        elif ranged:
            start, end, step = self.range(ranged)
            found = Evaluation(self.index, ranged["query"], start, end, step, is_range=True)
            mode = ranged["mode"]
        else:
            raise self.error(f"invalid evaluation command {quote(line)}")
        try:
            parse(found.query, EVERYTHING)
        except ParseError as error:
            raise self.error(str(error)) from error
        self.old_mode(found, mode)
        while line := self.body():
            if not self.expectation(found, line):
                break
        return found

    def range(self, match: re.Match[str]) -> tuple[int, int, int]:
        start, end = self.duration(match["start"], "start timestamp"), self.duration(match["end"], "end timestamp")
        if end < start:
            raise self.error(f"invalid test definition, end timestamp ({match['end']}) is before start timestamp ({match['start']})")
        return start, end, self.duration(match["step"], "step")

    def old_mode(self, found: Evaluation, mode: str | None) -> None:
        if mode == "ordered":
            found.ordered = True
        elif mode == "fail":
            found.fail.append(Expected())
        elif mode == "warn":
            found.warn.append(Expected())
        elif mode == "info":
            found.info.append(Expected())

    def expectation(self, found: Evaluation, line: str) -> bool:
        """Adds what a line expects; False: it is the last one."""
        if match := _OLD_FAILURE.match(line):
            pattern = self.pattern(match["text"]) if match["how"] == "regexp" else None
            found.fail[:] = [Expected(None if pattern else match["text"], pattern)]
            return False
        if line.startswith("expect range vector"):
            self.range_vector(found, line)
        elif line.startswith("expect string"):
            found.string = self.string(line.removeprefix("expect string").strip())
        elif line.split(" ", 1)[0] == "expect":
            self.expect(found, line)
        elif (number := _number(line)) is not None:
            found.scalar = number
            return False
        else:
            self.expected_series(found, line)
        return True

    def range_vector(self, found: Evaluation, line: str) -> None:
        match = _EXPECT_RANGE.match(line)
        if match is None:
            raise self.error(f"invalid range vector definition {quote(line)}")
        found.start_ms, found.end_ms, found.step_ms = self.range(match)
        found.range_vector = True

    def string(self, literal: str) -> str:
        if not literal:
            raise self.error("expected string literal not valid - a quoted string literal is required")
        try:
            if literal[0] in "\"'`" and scan_string(literal, 0) == len(literal):
                return unquote(literal)
        except LexicalError:
            pass
        raise self.error("expected string literal not valid - check that the string is correctly quoted")

    def pattern(self, text: str) -> re.Pattern[str]:
        try:
            return re.compile(text)
        except re.error as error:
            raise self.error(f"invalid regexp {quote(text)}: {error}") from error

    def expect(self, found: Evaluation, line: str) -> None:
        match = _EXPECT.match(line)
        if match is None:
            raise self.error("invalid expect statement, must match `expect <type> <match_type>: <string>` format")
        what, text = match["what"], (match["text"] or "").strip()
        expected = Expected(pattern=self.pattern(text)) if match["how"] == "regex" else Expected(text if match["how"] else None)
        if what == "ordered":
            found.ordered = True
        elif what == "no_warn":
            found.no_warn = True
        elif what == "no_info":
            found.no_info = True
        else:
            {"fail": found.fail, "warn": found.warn, "info": found.info}[what].append(expected)
        if (found.warn and found.no_warn) or (found.info and found.no_info):
            raise self.error("invalid expect lines, an annotation cannot be expected and not be expected")
        if len(found.fail) > 1:
            raise self.error("invalid expect lines, multiple expect fail lines are not allowed")

    def expected_series(self, found: Evaluation, line: str) -> None:
        noted = self.series(line)
        if not found.is_range and not found.range_vector and len(noted.values) > 1:
            raise self.error("expecting multiple values in instant evaluation not allowed; consider 'expect range vector'")
        if not noted.values:
            raise self.error(f"no value is expected of {quote(line)}")
        found.series[noted.labels] = noted.values


def _number(text: str) -> float | None:
    sign = -1 if text.startswith("-") else 1
    try:
        return sign * number_value(text.lstrip("+-"))
    except ValueError:
        return None
