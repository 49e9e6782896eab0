"""Which names metrics and labels may have, by validation scheme; and how names are escaped for those who know only the classic alphabet.

Source: Prometheus' data model (legacy and UTF-8 names); the escaping schemes of its content negotiation.
"""

import enum
import re


class NameScheme(enum.Enum):
    """Values are those of `metric_name_validation_scheme`."""

    UTF8 = "utf8"
    LEGACY = "legacy"

    @staticmethod
    def complaint(text: str) -> str:
        return f"unknown scrape config name validation method specified, must be either '', 'legacy' or 'utf8', got {text}"


_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)


def is_metric_name(name: str, scheme: NameScheme = NameScheme.UTF8) -> bool:
    return _METRIC.fullmatch(name) is not None if scheme is NameScheme.LEGACY else _is_text(name)


def is_label_name(name: str, scheme: NameScheme = NameScheme.UTF8) -> bool:
    return _LABEL.fullmatch(name) is not None if scheme is NameScheme.LEGACY else _is_text(name)


def _is_text(name: str) -> bool:
    if not name:
        return False
    return name.isascii() or not any("\ud800" <= c <= "\udfff" for c in name)
