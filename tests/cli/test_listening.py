"""Addresses to listen on."""

import pytest

from podium.cli.listening import listen_address
from podium.cli.refusal import Refusal


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:9090", ("127.0.0.1", 9090)), (":0", ("127.0.0.1", 0)), ("[::1]:65535", ("::1", 65535)), ("host:80", ("host", 80))],
)
def test_an_address_is_a_host_and_a_port(text: str, address: tuple[str, int]) -> None:
    assert listen_address(text, "x") == address


@pytest.mark.parametrize("text", ["", "9090", "127.0.0.1", "h:", "h:-1", "h:65536", "127.0.0.1:99999", "h:²", "h:http"])
def test_what_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Refusal, match=r"is not HOST:PORT: use for example 127\.0\.0\.1:9090"):
        listen_address(text, "127.0.0.1:9090")
