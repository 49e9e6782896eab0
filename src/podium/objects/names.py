"""Names: what may be called how, and why not, in upstream's words.

Every check takes the text and returns the list of its faults, empty when it is fine; callers put each into a cause. Lengths count
bytes, as upstream's do.

Source: k8s.io/apimachinery pkg/api/validate/content, pkg/util/validation, pkg/api/validation/generic.go; RFC 1035, RFC 1123.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import orjson

Check = Callable[[str], list[str]]

LABEL_LENGTH_MAX = 63
SUBDOMAIN_LENGTH_MAX = 253
ANNOTATIONS_BYTES_MAX = 256 * 1024
GENERATED_SUFFIX_LENGTH = 5
GENERATED_BASE_LENGTH_MAX = LABEL_LENGTH_MAX - GENERATED_SUFFIX_LENGTH
SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels and no 0, 1, 3: no words by accident

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = _LABEL + r"(\." + _LABEL + ")*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_KEY})?"
_DATA_KEY = "[-._a-zA-Z0-9]+"
_PERCENT = "[0-9]+%"

_WILDCARD = r"\*\." + _SUBDOMAIN
_URL_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"

_label = re.compile(_LABEL)
_wildcard = re.compile(_WILDCARD)
_url_path = re.compile(_URL_PATH)
_identifier = re.compile(_IDENTIFIER)
_subdomain = re.compile(_SUBDOMAIN)
_label_1035 = re.compile(_LABEL_1035)
_key = re.compile(_KEY)
_value = re.compile(_VALUE)
_data_key = re.compile(_DATA_KEY)
_percent = re.compile(_PERCENT)

_ENDS = "must start and end with an alphanumeric character"
_LABEL_TEXT = f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and {_ENDS}"
_SUBDOMAIN_TEXT = f"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and {_ENDS}"
_LABEL_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
    "start with an alphabetic character, and end with an alphanumeric character"
)
_WILDCARD_TEXT = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case "
    "alphanumeric characters, '-' or '.' and end with an alphanumeric character"
)
_IDENTIFIER_TEXT = (
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'"
)
_KEY_TEXT = f"must consist of alphanumeric characters, '-', '_' or '.', and {_ENDS}"
_VALUE_TEXT = f"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and {_ENDS}"
_KEY_EXAMPLES = ("MyName", "my.name", "123-abc")
EMPTY = "must be non-empty"


def too_long(length_max: int) -> str:
    return f"must be no more than {length_max} bytes"


def out_of_range(low: int, high: int) -> str:
    """Both bounds inclusive."""
    return f"must be between {low} and {high}, inclusive"


def mismatch(text: str, expression: str, *examples: str) -> str:
    """A fault that shows the expression, with examples."""
    shown = " or ".join(f"'{e}', " for e in examples)
    return (
        f"{text} (e.g. {shown}regex used for validation is '{expression}')"
        if examples
        else f"{text} (regex used for validation is '{expression}')"
    )


@lru_cache(maxsize=4096)
def _dns_label(text: str) -> tuple[str, ...]:
    faults = [too_long(LABEL_LENGTH_MAX)] if _bytes(text) > LABEL_LENGTH_MAX else []
    if not _label.fullmatch(text):
        if _subdomain.fullmatch(text):
            faults.append("must not contain dots")
        else:
            faults.append(mismatch(_LABEL_TEXT, _LABEL, "my-name", "123-abc"))
    return tuple(faults)


def dns_label(text: str) -> list[str]:
    """An RFC 1123 label: namespaces, containers, volumes."""
    return list(_dns_label(text))


def dns_subdomain(text: str) -> list[str]:
    """RFC 1123 labels joined by dots: most objects' names."""
    faults = [too_long(SUBDOMAIN_LENGTH_MAX)] if _bytes(text) > SUBDOMAIN_LENGTH_MAX else []
    if not _subdomain.fullmatch(text):
        faults.append(mismatch(_SUBDOMAIN_TEXT, _SUBDOMAIN, "example.com"))
    return faults


def wildcard_subdomain(text: str) -> list[str]:
    """`*.` and a subdomain: hosts of Ingresses (RFC 1034 section 4.3.3)."""
    faults = [too_long(SUBDOMAIN_LENGTH_MAX)] if _bytes(text) > SUBDOMAIN_LENGTH_MAX else []
    if not _wildcard.fullmatch(text):
        faults.append(mismatch(_WILDCARD_TEXT, _WILDCARD, "*.example.com"))
    return faults


def url_path(text: str) -> list[str]:
    """What may stand in the path of a URL (RFC 3986)."""
    return [] if _url_path.fullmatch(text) else [mismatch("Invalid path", _URL_PATH)]


def identifier(text: str) -> list[str]:
    """As in C."""
    return [] if _identifier.fullmatch(text) else [mismatch(_IDENTIFIER_TEXT, _IDENTIFIER, "my_name", "MY_NAME", "MyName")]


def dns_1035_label(text: str) -> list[str]:
    """An RFC 1035 label, which starts with a letter: services."""
    faults = [too_long(LABEL_LENGTH_MAX)] if _bytes(text) > LABEL_LENGTH_MAX else []
    if not _label_1035.fullmatch(text):
        faults.append(mismatch(_LABEL_1035_TEXT, _LABEL_1035, "my-name", "abc-123"))
    return faults


@lru_cache(maxsize=8192)
def _label_key(text: str) -> tuple[str, ...]:
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        rule = "a valid label key " + mismatch(_KEY_TEXT, _KEY, *_KEY_EXAMPLES)
        return (rule + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",)
    faults = []
    if slash:
        faults += ["prefix part " + f for f in (dns_subdomain(prefix) if prefix else [EMPTY])]
    if not name:
        faults.append("name part " + EMPTY)
    elif _bytes(name) > LABEL_LENGTH_MAX:
        faults.append("name part " + too_long(LABEL_LENGTH_MAX))
    if not _key.fullmatch(name):
        faults.append("name part " + mismatch(_KEY_TEXT, _KEY, *_KEY_EXAMPLES))
    return tuple(faults)


def label_key(text: str) -> list[str]:
    """A name with an optional DNS prefix: labels, annotations, finalizers, resources, taints. Upstream's "qualified name"."""
    return list(_label_key(text))


@lru_cache(maxsize=8192)
def _label_value(text: str) -> tuple[str, ...]:
    faults = [too_long(LABEL_LENGTH_MAX)] if _bytes(text) > LABEL_LENGTH_MAX else []
    if not _value.fullmatch(text):
        faults.append(mismatch(_VALUE_TEXT, _VALUE, "MyValue", "my_value", "12345"))
    return tuple(faults)


def label_value(text: str) -> list[str]:
    return list(_label_value(text))


def path_segment(text: str) -> list[str]:
    """Anything that can stand between two slashes of a URL: names of RBAC objects."""
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{c}'" for c in "/%" if c in text]


def path_segment_prefix(text: str) -> list[str]:
    """The same for a generateName, which may be "." or ".."."""
    return [f"may not contain '{c}'" for c in "/%" if c in text]


def data_key(text: str) -> list[str]:
    """A key of a ConfigMap or Secret, which may become a file's name."""
    faults = [too_long(SUBDOMAIN_LENGTH_MAX)] if _bytes(text) > SUBDOMAIN_LENGTH_MAX else []
    if not _data_key.fullmatch(text):
        rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        faults.append(mismatch(rule, _DATA_KEY, "key.name", "KEY_NAME", "key-name"))
    if text in (".", ".."):
        faults.append(f"must not be '{text}'")
    elif text.startswith(".."):
        faults.append("must not start with '..'")
    return faults


def environment_name(text: str) -> list[str]:
    if not text:
        return ["environment variable name " + EMPTY]
    if all(" " <= c <= "~" and c != "=" for c in text):
        return []
    return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]


def port_name(text: str) -> list[str]:
    """An IANA service name: how container ports are called."""
    faults = [too_long(15)] if _bytes(text) > 15 else []
    if not re.fullmatch("[-a-z0-9]+", text):
        faults.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        faults.append("must contain at least one letter (a-z)")
    if "--" in text:
        faults.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        faults.append("must not begin or end with a hyphen")
    return faults


def port_number(port: int) -> list[str]:
    return [] if 1 <= port <= 65535 else [out_of_range(1, 65535)]


def percent(text: str) -> list[str]:
    if _percent.fullmatch(text):
        return []
    return [mismatch("a valid percent string must be a numeric string followed by an ending '%'", _PERCENT, "1%", "93%")]


def generate_name_base(text: str) -> str:
    """A generateName as the checks want it: with a harmless end in place of a trailing dash, since a suffix will follow."""
    return text[:-2] + "a" if len(text) > 1 and text.endswith("-") else text


def generated(base: str, token: str) -> str:
    """The name for a generateName; `token` comes from `world.token(GENERATED_SUFFIX_LENGTH)`. A long base is cut."""
    return base[:GENERATED_BASE_LENGTH_MAX] + token


def pod_template_hash(template: Any) -> str:
    """A short name for a pod template: equal templates have equal hashes, whatever the order of their fields.

    32 bits in decimal, each digit as a character of the safe alphabet: upstream's form, though not its number, which hashes Go structs.
    """
    digest = blake2b(orjson.dumps(template, option=orjson.OPT_SORT_KEYS), digest_size=4).digest()
    return "".join(SAFE_ALPHABET[ord(digit) % len(SAFE_ALPHABET)] for digit in str(int.from_bytes(digest, "big")))


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
