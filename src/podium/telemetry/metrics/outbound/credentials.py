"""Secrets for requests: inline, or in files that are read again for each request, so that a rotated one counts at once.

Bound: FILE_BYTES_MAX a file. Source: prometheus/common's http_config (white space around a file's content is not part of it).
"""

import base64
from collections.abc import Mapping
from pathlib import Path

from podium.telemetry.metrics.configuration.http import Authorization, BasicAuth, Header
from podium.telemetry.metrics.configuration.values import Secret
from podium.telemetry.metrics.outbound.interface import OutboundError

FILE_BYTES_MAX = 1024 * 1024


def read_secret(inline: str, path: str, what: str) -> str:
    """Raises OutboundError that names the file, never its content."""
    if not path:
        return inline.reveal() if isinstance(inline, Secret) else inline
    try:
        with Path(path).open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise OutboundError(f"unable to read {what}: unable to read file {path}: {(error.strerror or str(error)).lower()}") from error
    if len(data) > FILE_BYTES_MAX:
        raise OutboundError(f"unable to read {what}: file {path} is larger than {FILE_BYTES_MAX} bytes")
    return data.decode("utf-8", "surrogateescape").strip()


def basic(given: BasicAuth) -> str:
    """The value of the Authorization header."""
    user = read_secret(given.username, given.username_file, "basic auth username")
    password = read_secret(given.password, given.password_file, "basic auth password")
    return "Basic " + base64.b64encode(f"{user}:{password}".encode("utf-8", "surrogateescape")).decode()


def bearer(given: Authorization) -> str:
    return f"{given.type} {read_secret(given.credentials, given.credentials_file, 'authorization credentials')}"


def extra_headers(given: Mapping[str, Header]) -> dict[str, str]:
    """Several values of a name are joined by a comma."""
    headers: dict[str, str] = {}
    for name, header in given.items():
        values = [*header.values, *(secret.reveal() for secret in header.secrets)]
        values += [read_secret("", path, f"headers file of {name}") for path in header.files]
        if values:
            headers[name.lower()] = ", ".join(values)
    return headers
