"""Which addresses are taken, and Go's words for the others."""

import pytest

from podium.telemetry.metrics.configuration.urls import check_url

TAKEN = [
    "", "http://x", "http://x:80/a b?c=%zz", "https://u:p@[::1]:9/", "//h/x", "/x?a=b", "?", "#", "abc", "mailto:a b", "http://h:/", "http://é/",
    "http://%41@x/", "HTTP://X", "a+b.c-1://x", "http://[fe80::1%25en0]/",
]  # fmt: skip
REFUSED = [
    (":", 'parse ":": missing protocol scheme'),
    ("http://[::1", "parse \"http://[::1\": missing ']' in host"),
    ("http://a b/", 'parse "http://a b/": invalid character " " in host name'),
    ("http://a:b:c/", 'parse "http://a:b:c/": invalid port ":c" after host'),
    ("http://a:x/", 'parse "http://a:x/": invalid port ":x" after host'),
    ("%zz", 'parse "%zz": invalid URL escape "%zz"'),
    ("a/%z", 'parse "a/%z": invalid URL escape "%z"'),
    ("http://%zz/", 'parse "http://%zz/": invalid URL escape "%zz"'),
    ("http://%41/", 'parse "http://%41/": invalid URL escape "%41"'),
    ("http://x/#%zz", 'parse "http://x/#%zz": invalid URL escape "%zz"'),
    ("ht tp://x", 'parse "ht tp://x": first path segment in URL cannot contain colon'),
    ("1http://x", 'parse "1http://x": first path segment in URL cannot contain colon'),
    ("http://h/\x01", 'parse "http://h/\\x01": net/url: invalid control character in URL'),
    ("http://u s@x/", 'parse "http://u s@x/": net/url: invalid userinfo'),
]


@pytest.mark.parametrize("text", TAKEN)
def test_what_can_be_an_address_is_taken(text: str) -> None:
    check_url(text)


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_cannot_be_one_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="parse ") as refused:
        check_url(text)
    assert str(refused.value) == message
