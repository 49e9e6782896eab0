"""The page of a real program: what is read from the text is what is read from the messages."""

import http.client
from pathlib import Path

import pytest

from podium.telemetry.metrics.exposition.negotiation import MEDIA_TYPES, Protocol, parse_page, protocol_of
from podium.telemetry.metrics.exposition.page import Page, series_of
from podium.telemetry.metrics.labels import METRIC_NAME, Labels
from tests.telemetry.metrics.scrape.test_against_prometheus import MISSING, prometheus

MOVES = ("go_", "process_", "promhttp_", "prometheus_http_", "net_conntrack_", "prometheus_engine_", "prometheus_tsdb_", "scrape_")
"""Metrics that change from one request to the next."""


def fetch(port: int, protocol: Protocol) -> Page:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics", headers={"accept": MEDIA_TYPES[protocol]})
    response = connection.getresponse()
    assert protocol_of(response.getheader("content-type") or "", None) is protocol
    return parse_page(response.read(), protocol)


def values(page: Page) -> dict[Labels, float]:
    return dict(zip(series_of(page.layout), page.values.tolist(), strict=True))


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_prometheus_own_page_is_the_same_in_both_formats(tmp_path: Path) -> None:
    with prometheus("global: {}", tmp_path) as port:
        fetch(port, Protocol.TEXT_0_0_4)  # makes the children that count requests
        pages = [fetch(port, protocol) for protocol in (Protocol.TEXT_0_0_4, Protocol.PROTOBUF)]
    text, protobuf = (values(page) for page in pages)
    assert len(text) > 250
    assert text.keys() == protobuf.keys()
    still = [labels for labels in text if not dict(labels)[METRIC_NAME].startswith(MOVES)]
    assert len(still) > 40
    assert [repr(text[labels]) for labels in still] == [repr(protobuf[labels]) for labels in still]
    about = [{name: (m.type, m.help) for name, m in page.layout.metadata.items()} for page in pages]
    assert about[0] == about[1]
