"""html/template's contextual escaping: what an action gives is escaped for the place in the HTML where it stands.

The template's own text is trusted and followed by a small state machine (text, tag, attribute, comment, ...); values are not. Go works the
contexts out before execution, branch by branch; here they are known because the output is followed as it is written, with the same result
for every template that Go accepts.

    text, <title>, <textarea>     & < > " ' + become entities
    quoted attribute              the same; unquoted ones also spaces, =, `
    href, src, ... attribute      other schemes than http, https and mailto give #ZgotmplZ; percent-encoded, wholly after ? or #
    style attribute               values with quotes, brackets or braces give ZgotmplZ
    attribute name                letters and digits of harmless names, otherwise ZgotmplZ
    HTML comment                  left out, as the comment itself

Refused (ValueError): values inside <script>, <style> and on... attributes. `Safe` values stand as they are in their own place.

Source: Go's html/template (its documentation, tables of attributes and escapes).
"""

import re
from typing import Any

from podium.telemetry.metrics.templates.errors import TemplateError
from podium.telemetry.metrics.templates.printf import show, sprint
from podium.telemetry.metrics.templates.quoting import quote
from podium.telemetry.metrics.templates.values import Safe

REFUSED = "ZgotmplZ"
_ENTITIES = {0: "\ufffd", 34: "&#34;", 38: "&amp;", 39: "&#39;", 43: "&#43;", 60: "&lt;", 62: "&gt;"}
_ENTITIES_KEPT = {key: value for key, value in _ENTITIES.items() if key != 38}
_UNQUOTED = {
    **_ENTITIES, 0: "&#xfffd;", 9: "&#9;", 10: "&#10;", 11: "&#11;", 12: "&#12;", 13: "&#13;", 32: "&#32;", 61: "&#61;", 96: "&#96;",
}  # fmt: skip
_URL_NAMES = frozenset({
    "action", "archive", "background", "cite", "classid", "codebase", "data", "formaction", "href", "icon", "longdesc", "manifest",
    "poster", "profile", "src", "srcset", "usemap", "xmlns",
})  # fmt: skip
_DYNAMIC_NAMES_REFUSED = _URL_NAMES | frozenset({
    "accept-charset", "async", "challenge", "charset", "content", "crossorigin", "defer", "enctype", "form", "formenctype", "formmethod",
    "formnovalidate", "http-equiv", "keytype", "language", "method", "novalidate", "pattern", "rel", "sandbox", "srcdoc", "style", "type",
    "value",
})  # fmt: skip
_TAG = re.compile(r"</?[a-zA-Z][^\s/>]*")
_NAME_END = re.compile(r"[\s=>]|/>")
_VALUE_END = re.compile(r"[\s>]")
_BLANK = re.compile(r"\s*")
_CSS_BAD = re.compile(r"[\0\"'()/;@\[\\\]`{}<>]|--")
_TAGS = re.compile(r"<[^>]*>")
_URL_KEPT = frozenset(b"-._~abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_URL_RESERVED = frozenset(b"!#$&*+,/:;=?@[]")
_HEX = frozenset(b"0123456789abcdefABCDEF")


class HtmlSink:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self._state = "text"
        self._element = ""
        self._name = ""
        self._delimiter = ""
        self._url_part = ""

    def finish(self, name: str) -> None:
        """Raises TemplateError when the HTML ends within a tag or comment."""
        if self._state != "text":
            raise TemplateError(f"html/template:{name}: ends in a non-text context: {self._state}")

    # -- the template's own text

    def text(self, text: str) -> None:
        at = 0
        while at < len(text):
            at = getattr(self, f"_read_{self._state}")(text, at)

    def _keep(self, text: str, start: int, end: int) -> int:
        self.parts.append(text[start:end])
        return end

    def _read_text(self, text: str, at: int) -> int:
        found = text.find("<", at)
        if found < 0:
            return self._keep(text, at, len(text))
        if text.startswith("<!--", found):
            self._keep(text, at, found)
            self._state = "comment"
            return found + 4
        tag = _TAG.match(text, found)
        if tag is None:
            self._keep(text, at, found)
            self.parts.append("<" if text.startswith("<!", found) else "&lt;")
            return found + 1
        self._element = "" if tag[0][1] == "/" else tag[0][1:].lower()
        self._state = "tag"
        return self._keep(text, at, tag.end())

    def _read_tag(self, text: str, at: int) -> int:
        start = at
        at = _BLANK.match(text, at).end()  # type: ignore[union-attr]  # it always matches
        if at >= len(text):
            return self._keep(text, start, at)
        if text[at] == ">":
            self._state = "enclosed" if self._element in ("title", "textarea", "script", "style") else "text"
            return self._keep(text, start, at + 1)
        if text[at] == "/":
            return self._keep(text, start, at + 1)
        self._name, self._state = "", "name"
        return self._keep(text, start, at)

    def _read_name(self, text: str, at: int) -> int:
        end = _NAME_END.search(text, at + (text[at] == "=" and not self._name))
        stop = end.start() if end else len(text)
        self._name += text[at:stop].lower()
        if end is not None:
            self._state = "after_name"
        return self._keep(text, at, stop)

    def _read_after_name(self, text: str, at: int) -> int:
        start, at = at, _BLANK.match(text, at).end()  # type: ignore[union-attr]  # it always matches
        if at < len(text):
            self._state = "before_value" if text[at] == "=" else "tag"
            at += text[at] == "="
        return self._keep(text, start, at)

    def _read_before_value(self, text: str, at: int) -> int:
        start, at = at, _BLANK.match(text, at).end()  # type: ignore[union-attr]  # it always matches
        if at < len(text):
            if text[at] == ">":
                self._state = "tag"
            else:
                self._state, self._url_part = "value", "start"
                self._delimiter = text[at] if text[at] in "\"'" else " "
                at += self._delimiter != " "
        return self._keep(text, start, at)

    def _read_value(self, text: str, at: int) -> int:
        if self._delimiter == " ":
            match = _VALUE_END.search(text, at)
            end = match.start() if match else -1
        else:
            end = text.find(self._delimiter, at)
        value = text[at : end if end >= 0 else len(text)]
        if "?" in value or "#" in value:
            self._url_part = "query"
        elif value.strip() and self._url_part == "start":
            self._url_part = "path"
        if end < 0:
            return self._keep(text, at, len(text))
        self._state = "tag"
        return self._keep(text, at, end + (self._delimiter != " "))

    def _read_comment(self, text: str, at: int) -> int:
        end = text.find("-->", at)
        if end < 0:
            return len(text)
        self._state = "text"
        return end + 3

    def _read_enclosed(self, text: str, at: int) -> int:
        """Within an element that has no elements in it."""
        end = text.lower().find(f"</{self._element}", at)
        if end < 0:
            return self._keep(text, at, len(text))
        self._state = "text"
        return self._keep(text, at, end)

    # -- values

    def value(self, value: Any) -> None:
        """Raises ValueError where values are refused."""
        text = "" if value is None else str(value) if isinstance(value, str) else show(value)
        safe = value.kind if isinstance(value, Safe) else ""
        match self._state:
            case "text":
                self.parts.append(text if safe == "html" else text.translate(_ENTITIES))
            case "enclosed":
                if self._element in ("script", "style"):
                    raise ValueError(f"an action inside <{self._element}> is not supported")
                self.parts.append(text.translate(_ENTITIES_KEPT if safe == "html" else _ENTITIES))
            case "comment":
                pass
            case "value":
                self.parts.append(self._attribute(text, safe))
            case "before_value":
                self._state, self._url_part, self._delimiter = "value", "start", " "
                self.parts.append(self._attribute(text, safe))
            case _:
                self._attribute_name(text, safe)

    def _attribute_name(self, text: str, safe: str) -> None:
        if safe != "attribute":
            name = text.lower()
            is_plain = name.isascii() and name.isalnum() and not name.startswith("on") and name not in _DYNAMIC_NAMES_REFUSED
            text = name if is_plain and not _is_url(name) else REFUSED
        self._name += text
        self._state = "name"
        self.parts.append(text)

    def _attribute(self, text: str, safe: str) -> str:
        name = self._name.removeprefix("data-")
        name = name.rpartition(":")[2] if not name.startswith("xmlns:") else "xmlns"
        if name.startswith("on"):
            raise ValueError(f"an action in the attribute {quote(self._name)} is not supported")
        if name == "style":
            text = text if safe == "css" or not _is_bad_css(text) else REFUSED
        elif _is_url(name):
            text = self._url(text, is_safe=safe == "url")
        elif safe == "html":
            text = _TAGS.sub("", text)
            return text.translate({**_UNQUOTED, 38: "&"} if self._delimiter == " " else _ENTITIES_KEPT)
        if self._delimiter == " ":
            return text.translate(_UNQUOTED) or REFUSED
        return text.translate(_ENTITIES)

    def _url(self, text: str, *, is_safe: bool) -> str:
        if self._url_part == "query":
            return _percent_encoded(text, keep_reserved=is_safe)
        if self._url_part == "start" and not is_safe and not _is_safe_url(text):
            text = "#" + REFUSED
        return _percent_encoded(text, keep_reserved=True)


def _is_url(name: str) -> bool:
    return name in _URL_NAMES or (name not in ("srcdoc", "srclang") and any(part in name for part in ("src", "uri", "url")))


def _is_bad_css(text: str) -> bool:
    letters = "".join(c for c in text.lower() if c.isalnum() or c in "-_")
    return _CSS_BAD.search(text) is not None or "expression" in letters or "mozbinding" in letters


def _is_safe_url(text: str) -> bool:
    scheme, colon, _ = text.partition(":")
    return not colon or "/" in scheme or scheme.lower() in ("http", "https", "mailto")


def _percent_encoded(text: str, *, keep_reserved: bool) -> str:
    data = text.encode(errors="surrogateescape")
    kept = _URL_KEPT | _URL_RESERVED if keep_reserved else _URL_KEPT
    parts: list[str] = []
    for i, byte in enumerate(data):
        is_escape = keep_reserved and byte == 37 and len(data) > i + 2 and data[i + 1] in _HEX and data[i + 2] in _HEX
        parts.append(chr(byte) if byte in kept or is_escape else f"%{byte:02x}")
    return "".join(parts)


def _printed(*values: Any) -> Any:
    return values[0] if len(values) == 1 and isinstance(values[0], str) else sprint(["" if v is None else v for v in values])


HTML_FUNCTIONS = {
    "html": _printed,  # the place where it ends up escapes it
    "urlquery": lambda *values: Safe(_percent_encoded(_printed(*values), keep_reserved=False), "url"),
}
"""Those of the builtins that would escape twice."""
