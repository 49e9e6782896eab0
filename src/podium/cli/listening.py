"""Where a server is told to listen."""

from podium.cli.refusal import Refusal


def listen_address(text: str, example: str) -> tuple[str, int]:
    """(host, port) of HOST:PORT; loopback without a host. Raises Refusal."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise Refusal(f"--listen {text} is not HOST:PORT: use for example {example}", 2)
    return host.strip("[]") or "127.0.0.1", int(port)
