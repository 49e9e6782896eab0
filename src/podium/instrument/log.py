"""Structured log records: a sentence and fields, one line of JSON each.

    log = logger("node.pods")
    log.info("pod started", pod="default/web", attempt=0)
    {"time":"2026-01-01T00:00:00.000000Z","level":"info","logger":"node.pods","message":"pod started","pod":"default/web","attempt":0}

The standard library's logging underneath, so libraries' own records come out the same way. Quiet by default: warnings and errors.
PODIUM_LOG sets the level, and may set others by name: `PODIUM_LOG=info` or `PODIUM_LOG=warning,store=debug`.

Bounded: a field at FIELD_CHARS_MAX, a file at FILE_BYTES_MAX (then it becomes NAME.1, replacing the one before), a process at
RECORDS_PER_SECOND_MAX (the rest are counted, and the count is logged).

Never a secret: only plain values are written (an object shows as its type), fields named like a credential are masked, and what looks
like a bearer token, a JWT or a private key is masked in any text.
"""

import logging
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from podium.world.interface import Clock

FIELD_CHARS_MAX = 2_000
FIELD_ITEMS_MAX = 50
TRACE_CHARS_MAX = 16_000
FILE_BYTES_MAX = 16 * 1024 * 1024
RECORDS_PER_SECOND_MAX = 500
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
MASK = "(masked)"

_ROOT = "podium"
_SECRET_FIELDS = frozenset({"authorization", "bearer", "client_key", "cookie", "password", "private_key", "secret_value", "token"})
_SECRET_TEXT = re.compile(
    r"(?i:bearer)\s+[\w.~+/=-]{8,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)",
    re.DOTALL,
)


class Logger:
    """`message` is a fixed sentence; what varies goes into fields. `error=exception` adds its traceback, `error=text` the text."""

    __slots__ = ("_logger",)

    def __init__(self, stdlib: logging.Logger) -> None:
        self._logger = stdlib

    def debug(self, message: str, /, **fields: Any) -> None:
        self._emit(logging.DEBUG, message, fields)

    def info(self, message: str, /, **fields: Any) -> None:
        self._emit(logging.INFO, message, fields)

    def warning(self, message: str, /, *, error: BaseException | str | None = None, **fields: Any) -> None:
        self._emit(logging.WARNING, message, fields, error)

    def error(self, message: str, /, *, error: BaseException | str | None = None, **fields: Any) -> None:
        self._emit(logging.ERROR, message, fields, error)

    def _emit(self, level: int, message: str, fields: dict[str, Any], error: BaseException | str | None = None) -> None:
        if self._logger.isEnabledFor(level):
            if isinstance(error, str):
                fields["error"], error = error, None
            self._logger.log(level, "%s", message, exc_info=error, extra={"fields": fields}, stacklevel=3)


def logger(name: str) -> Logger:
    """By area, dotted: `api.watch`, `scheduler`. Cheap; keep it in a module variable."""
    return Logger(logging.getLogger(f"{_ROOT}.{name}"))


def configure(path: Path | None = None, *, levels: str | None = None, clock: Clock | None = None) -> None:
    """Where this process logs: a file (its directory must exist), or standard error. `levels` as in PODIUM_LOG, which is the
    default; `clock` stamps the records (a rehearsal's, say). Raises ValueError for an unknown level and OSError for a file that
    cannot be written. Calling it again replaces the first call's choice."""
    chosen = parse_levels(levels if levels is not None else os.environ.get("PODIUM_LOG", ""))
    handler = LineHandler(path)
    handler.setFormatter(LineFormatter(clock))
    for name in (_ROOT, "asyncio"):
        stdlib = logging.getLogger(name)
        for old in [h for h in stdlib.handlers if isinstance(h, LineHandler)]:
            stdlib.removeHandler(old)
            old.close()
        stdlib.addHandler(handler)
        stdlib.propagate = False
    logging.getLogger(_ROOT).setLevel(chosen.pop("", logging.WARNING))
    for name, level in chosen.items():
        logging.getLogger(f"{_ROOT}.{name}").setLevel(level)


def parse_levels(text: str) -> dict[str, int]:
    """`warning,store=debug` as {"": WARNING, "store": DEBUG}. Raises ValueError."""
    levels = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, word = part.rpartition("=")
        if word.lower() not in LEVELS:
            raise ValueError(f"PODIUM_LOG: {word!r} is not a level; use one of {', '.join(LEVELS)}")
        levels[name] = LEVELS[word.lower()]
    return levels


class LineFormatter(logging.Formatter):
    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__()
        self._clock = clock

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self._clock.micro_timestamp() if self._clock else _micro_timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name.removeprefix(_ROOT + "."),
            "message": plain(record.getMessage()),
        }
        for name, value in getattr(record, "fields", {}).items():
            line.setdefault(name, MASK if name.lower() in _SECRET_FIELDS else plain(value))
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = plain(record.exc_info[1])
            line["trace"] = _text(self.formatException(record.exc_info))[-TRACE_CHARS_MAX:]
        return orjson.dumps(line).decode()


class LineHandler(logging.Handler):
    """Appends lines to one file, unbuffered, or to standard error."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._path = path
        self._file = None if path is None else open(path, "ab", buffering=0)  # noqa: SIM115  # kept open until close()
        self._second, self._in_second, self._dropped = 0, 0, 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if not self._admit(record):
                return
            line = self.format(record).encode() + b"\n"
            if self._file is None:
                sys.stderr.buffer.write(line)
                sys.stderr.flush()
                return
            self._file.write(line)
            if self._file.tell() > FILE_BYTES_MAX:
                self._rotate()
        except Exception:  # the log must never take the product down: logging's own way to say so
            self.handleError(record)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()

    def _admit(self, record: logging.LogRecord) -> bool:
        second = int(record.created)
        if second != self._second:
            dropped, self._second, self._in_second, self._dropped = self._dropped, second, 0, 0
            if dropped:
                self.emit(_dropped_record(dropped, record.created))
        self._in_second += 1
        if self._in_second > RECORDS_PER_SECOND_MAX:
            self._dropped += 1
            return False
        return True

    def _rotate(self) -> None:
        assert self._path is not None and self._file is not None
        self._file.close()
        self._path.replace(self._path.with_name(self._path.name + ".1"))
        self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115  # kept open until close()


def _dropped_record(dropped: int, created: float) -> logging.LogRecord:
    fields = {"dropped": dropped, "per_second_max": RECORDS_PER_SECOND_MAX}
    values = {"name": "podium.log", "levelname": "WARNING", "created": created, "msg": "log records were dropped", "fields": fields}
    return logging.makeLogRecord(values)


def plain(value: Any) -> Any:
    """What of a field's value is written: numbers and texts as they are (bounded), lists of them, errors as `Type: text`."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, str):
        return _text(value)[:FIELD_CHARS_MAX]
    if isinstance(value, BaseException):
        return _text(f"{type(value).__name__}: {value}")[:FIELD_CHARS_MAX]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value[:FIELD_ITEMS_MAX]]
    return f"<{type(value).__name__}>"


def _text(text: str) -> str:
    """Without secrets, and without what JSON cannot carry (lone surrogates)."""
    if not text.isascii():
        text = text.encode(errors="replace").decode()
    return _SECRET_TEXT.sub(MASK, text) if "eyJ" in text or "-----BEGIN" in text or "earer" in text or "EARER" in text else text


def _micro_timestamp(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
