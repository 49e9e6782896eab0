"""Which format: what a scrape asks for (Accept) and what it was given (Content-Type).

Source: Prometheus' content negotiation page; scrape protocols and their order as in its configuration; escaping of names in Accept as in 3.x.
"""

import enum

from podium.telemetry.metrics.errors import MetricsError
from podium.telemetry.metrics.exposition.grammar import TextFormat
from podium.telemetry.metrics.exposition.layout import TextLayout
from podium.telemetry.metrics.exposition.page import Page, PageLayout
from podium.telemetry.metrics.exposition.protobuf import CONTENT_TYPE as PROTOBUF
from podium.telemetry.metrics.exposition.protobuf import ProtobufLayout, read_protobuf
from podium.telemetry.metrics.exposition.steps import Steps, at_once
from podium.telemetry.metrics.exposition.text import read_text


class Protocol(enum.Enum):
    """Values are names in the configuration."""

    PROTOBUF = "PrometheusProto"
    TEXT_0_0_4 = "PrometheusText0.0.4"
    TEXT_1_0_0 = "PrometheusText1.0.0"
    OPENMETRICS_0_0_1 = "OpenMetricsText0.0.1"
    OPENMETRICS_1_0_0 = "OpenMetricsText1.0.0"

    @staticmethod
    def complaint(text: str) -> str:
        return f"unknown scrape protocol {text}, supported: [{' '.join(sorted(protocol.value for protocol in Protocol))}]"


MEDIA_TYPES = {
    Protocol.PROTOBUF: f"{PROTOBUF};proto=io.prometheus.client.MetricFamily;encoding=delimited",
    Protocol.TEXT_0_0_4: "text/plain;version=0.0.4",
    Protocol.TEXT_1_0_0: "text/plain;version=1.0.0",
    Protocol.OPENMETRICS_0_0_1: "application/openmetrics-text;version=0.0.1",
    Protocol.OPENMETRICS_1_0_0: "application/openmetrics-text;version=1.0.0",
}
_ESCAPES = (Protocol.TEXT_1_0_0, Protocol.OPENMETRICS_1_0_0)
"""Formats whose version 1 knows names in quotes, and so takes an escaping scheme."""


class UnknownContentType(MetricsError):
    """The target does not say a format that we know, and no fallback is configured."""


def accept_header(protocols: tuple[Protocol, ...], escaping: str) -> str:
    """`protocols` in order of preference; `escaping` is allow-utf-8, underscores, dots or values."""
    weight = len(Protocol) + 1
    values = []
    for protocol in protocols:
        scheme = f";escaping={escaping}" if protocol in _ESCAPES else ""
        values.append(f"{MEDIA_TYPES[protocol]}{scheme};q=0.{weight}")
        weight -= 1
    values.append(f"*/*;q=0.{weight}")
    return ",".join(values)


def protocol_of(content_type: str, fallback: Protocol | None) -> Protocol:
    """The format of a response. Raises UnknownContentType, in upstream's words."""
    media, *parameters = (part.strip() for part in content_type.split(";"))
    given = dict(part.partition("=")[::2] for part in parameters)
    match media.lower():
        case "application/openmetrics-text":
            return Protocol.OPENMETRICS_1_0_0
        case "text/plain":
            return Protocol.TEXT_0_0_4
        case media_type if media_type == PROTOBUF:
            message, encoding = given.get("proto", "").strip('"'), given.get("encoding", "").strip('"')
            if message == "io.prometheus.client.MetricFamily" and encoding == "delimited":
                return Protocol.PROTOBUF
    if fallback is not None:
        return fallback
    if not content_type:
        raise UnknownContentType(
            "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target"
        )
    raise UnknownContentType(
        f'received unsupported Content-Type "{content_type}" and no fallback_scrape_protocol specified for target'
    )  # fmt: skip


def parse_page(body: bytes, protocol: Protocol, previous: PageLayout | None = None, *, native: bool = True, classic: bool = False) -> Page:
    """A page in any format; `native` and `classic` as in `protobuf.parse_protobuf`. Raises PageError."""
    return at_once(read_page(body, protocol, previous, native=native, classic=classic))


def read_page(
    body: bytes, protocol: Protocol, previous: PageLayout | None = None, *, native: bool = True, classic: bool = False
) -> Steps[Page]:
    """`parse_page` in steps."""
    if protocol is Protocol.PROTOBUF:
        known = previous if isinstance(previous, ProtobufLayout) else None
        return (yield from read_protobuf(body, known, native=native, classic=classic))
    openmetrics = protocol in (Protocol.OPENMETRICS_1_0_0, Protocol.OPENMETRICS_0_0_1)
    form = TextFormat.OPENMETRICS if openmetrics else TextFormat.PROMETHEUS
    return (yield from read_text(body, form, previous if isinstance(previous, TextLayout) else None))
