"""All that reads what others wrote, each with good texts to begin from and the only errors that it may raise."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from podium.telemetry.discovery.kinds import ALL_KINDS
from podium.telemetry.metrics.alertmanager.configuration import load as load_alertmanager
from podium.telemetry.metrics.alertmanager.errors import AlertmanagerError
from podium.telemetry.metrics.alertmanager.matchers import parse_matcher, parse_matchers
from podium.telemetry.metrics.alertmanager.notification_templates import NotificationTemplates
from podium.telemetry.metrics.configuration.configuration import load
from podium.telemetry.metrics.errors import MetricsError
from podium.telemetry.metrics.exposition.custom_buckets import with_custom_buckets
from podium.telemetry.metrics.exposition.errors import PageError
from podium.telemetry.metrics.exposition.grammar import TextFormat
from podium.telemetry.metrics.exposition.page import Page, series_of
from podium.telemetry.metrics.exposition.protobuf import parse_protobuf
from podium.telemetry.metrics.exposition.text import parse_text
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import labels_of
from podium.telemetry.metrics.promql.errors import ParseError
from podium.telemetry.metrics.promql.parser import EVERYTHING, parse, parse_metric
from podium.telemetry.metrics.promql.series_notation import parse_series
from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.telemetry.metrics.remote.messages import compress, decompress, encode_version_1, encode_version_2
from podium.telemetry.metrics.remote.write_batch import WriteBatch
from podium.telemetry.metrics.rules.alert_templates import check_template
from podium.telemetry.metrics.rules.documents import read
from podium.telemetry.metrics.samples import Exemplar
from podium.telemetry.metrics.storage import Metadata
from podium.telemetry.metrics.templates.errors import TemplateError
from podium.telemetry.metrics.templates.template import Template
from podium.world.virtual import VirtualWorld
from tests.telemetry.metrics.alertmanager.test_configuration import FULL
from tests.telemetry.metrics.alertmanager.test_notification_templates import sample
from tests.telemetry.metrics.configuration.test_configuration import GOOD
from tests.telemetry.metrics.exposition.test_protobuf import CLASSIC, LABEL, NATIVE, encoded, family
from tests.telemetry.metrics.promql.oracle.queries import generate
from tests.telemetry.metrics.templates.sample import DATA

TEXT = """# HELP http_requests_total The \\"total\\" number.\\nSecond line
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400",} 3
# TYPE rpc summary
rpc{quantile="0.01"} 3102
rpc_sum 1.7560473e+07
rpc_count 2693
# TYPE h histogram
h_bucket{le="0.1"} 5
h_bucket{le="+Inf"} 9
h_sum 2.5
h_count 9
{"a.b","c d"="e"} -Inf
msdos_file_access_time_seconds{path="C:\\\\DIR\\\\FILE.TXT",error="Cannot find file:\\n\\"FILE.TXT\\""} 1.458255915e9
"""
OPENMETRICS = """# TYPE a counter
# UNIT a_seconds seconds
# HELP a help
a_total{x="y"} 17.0 1520879607.789 # {trace_id="KOO5S4vxi0o"} 0.67 1520879607.789
a_created{x="y"} 1520430000.123
# TYPE g gauge
g{a="é"} NaN
# TYPE hh histogram
hh_bucket{le="1.0"} 4 # {id="a"} 0.5
hh_bucket{le="+Inf"} 7
hh_sum 4.5
hh_count 7
# EOF
"""
PROTOBUF = [
    encoded(family("c", 0, {**LABEL, "counter": {"value": 3.5}, "timestamp_ms": 5}), family("g", 1, {"gauge": {"value": -1}})),
    encoded(family("h", 4, {**LABEL, "histogram": NATIVE}), family("k", 4, {"histogram": CLASSIC})),
    encoded(family("s", 2, {"summary": {"sample_count": 2, "quantile": [{"quantile": 0.5, "value": 1}]}}, help="x", unit="s")),
]
_H = Histogram(schema=2, count=7.0, sum=3.5, zero_threshold=1e-9, zero_count=1.0, positive={-3: 1.0, -2: 2.0, 5: 3.0})
_UP = labels_of({"__name__": "up", "job": "a"})
_SERIES = [(_UP, [(1000, 1.0), (2000, 0.5)]), (labels_of({"__name__": "h"}), [(1000, _H)])]
_HELD = {_UP: [Exemplar(labels_of({"id": "x"}), 1.0, 1000)]}
RULES = """groups:
- name: shop
  interval: 30s
  query_offset: 5s
  limit: 9
  labels: {team: shop}
  rules:
  - {record: 'shop:requests:rate5m', expr: 'sum by (job) (rate(http_requests_total[5m]))', labels: {a: b}}
  - alert: Down
    expr: up{job="shop"} == 0
    for: 5m
    keep_firing_for: 1m
    labels: {severity: page}
    annotations: {summary: '{{ $labels.instance }} of {{ $value | humanize }} {{ range query "up" }}{{ .Value }}{{ end }}'}
"""
MATCHERS = [
    "foo=bar",
    '{foo = "bar", dings != "bums", }',
    'a=~"x|y.*",b!~"[a-z]{2,5}"',
    '"über"=`x`',
    'quote="She said: \\"Hi\\""',
    "{}",
    "foo=",
]
TEMPLATES = [
    '{{ define "x" }}{{ .n }}{{ end }}{{ template "x" . }}{{ with $a := .s }}{{ $a.Name | printf "%q %v" }}{{ else }}no{{ end }}',
    "{{ range $i, $e := .list }}{{ if eq $i 1 }}{{ continue }}{{ end }}{{ $e }}{{ else }}none{{ end }}{{- /* c */ -}} {{ len .kv }}",
    '{{ printf "%5.2f|%-8s|%x|%t|%e" .f .name 255 .yes 1e300 }}{{ index .map "c" "d" }}{{ slice .name 1 2 }}{{ html .q }}{{ and .n (or .no 1) }}',
    "{{ .s.Greet .name }}{{ .s.M.k }}{{ block \"b\" .n }}{{ . }}{{ end }}{{ 'a' }}{{ 0x1p-2 }}{{ `raw` }}{{ not (lt 1 2 3) }}",
]
NOTIFICATIONS = [
    '{{ template "slack.default.title" . }}{{ .CommonLabels.SortedPairs.Values | join " " }}',
    '{{ range .Alerts.Firing }}{{ .StartsAt.Format "15:04" }}{{ end }}',
    '{{ reReplaceAll "(a+)b?" "$1-" .Receiver }}{{ match "^[a-z]*$" .Receiver }}{{ .GroupLabels.alertname | toUpper | title | safeHtml }}',
    '{{ (index .Alerts 0).Labels.i }}{{ toJson .CommonAnnotations }}{{ stringSlice "a" "b" }}',
    '{{ range .Alerts }}{{ date "2006" .StartsAt }}{{ end }}{{ humanizeDuration 3.5 }}',
]


@dataclass(frozen=True, slots=True)
class Reader:
    """`read` may raise `errors` and nothing else; `seeds` are all bytes or all texts."""

    read: Callable[[Any], object]
    errors: tuple[type[Exception], ...]
    seeds: tuple[Any, ...]


def _page(page: Page) -> None:
    series_of(page.layout)
    with_custom_buckets(page, None, classic=False)


def _text(form: TextFormat, body: bytes) -> None:
    page = parse_text(body, form)
    _page(page)
    again = parse_text(body, form, page.layout)  # type: ignore[arg-type]
    assert series_of(again.layout) == series_of(page.layout) and again.values.tobytes() == page.values.tobytes()


def _raw(read: Callable[[bytes], object], data: bytes) -> object:
    """As if the message were compressed: changes of compressed bytes seldom come through."""
    return read(compress(data))


def _template(html: bool, text: str) -> None:
    Template.parse("t", text).execute(DATA, html=html)


_CLOCK = VirtualWorld(0).clock
_NOTIFICATION_TEMPLATES = NotificationTemplates.load((), _CLOCK)


def _notification(text: str) -> None:
    _NOTIFICATION_TEMPLATES.text(text, sample())


_V1, _V2 = encode_version_1(_SERIES, [("up", Metadata("gauge", "h", "u"))], _HELD), encode_version_2(_SERIES, None, _HELD)
READERS: dict[str, Reader] = {
    "text": Reader(partial(_text, TextFormat.PROMETHEUS), (PageError,), (TEXT.encode(), OPENMETRICS.encode())),
    "openmetrics": Reader(partial(_text, TextFormat.OPENMETRICS), (PageError,), (OPENMETRICS.encode(), TEXT.encode())),
    "protobuf": Reader(lambda body: _page(parse_protobuf(body)), (PageError,), tuple(PROTOBUF)),
    "write-1": Reader(partial(_raw, WriteBatch.version_1), (MessageRefused,), (decompress(_V1), decompress(_V2))),
    "write-2": Reader(partial(_raw, WriteBatch.version_2), (MessageRefused,), (decompress(_V2), decompress(_V1))),
    "snappy": Reader(WriteBatch.version_1, (MessageRefused,), (_V1, _V2)),
    "promql": Reader(lambda t: parse(t, EVERYTHING), (ParseError,), tuple(q.query for q in generate(1, 60))),
    "series": Reader(
        parse_series, (ParseError,), ('up{a="b"} 1 _x3 stale 2+3x4 -1-1x2', "h {{schema:1 sum:2 buckets:[1 2]}}+{{schema:1 sum:1}}x3")
    ),
    "metric": Reader(parse_metric, (ParseError,), ("up{a=\"b\",c='d'}", '{"a.b","c d"="e"}')),
    "configuration": Reader(lambda t: load(t, ALL_KINDS), (MetricsError,), (GOOD,)),
    "rules": Reader(lambda t: read(t, "f.yml"), (MetricsError,), (RULES,)),
    "alert-template": Reader(
        check_template, (), ("{{ $labels.a }} {{ $value | humanize }}", '{{ with query "up" }}{{ . | first | value }}{{ end }}')
    ),
    "alertmanager": Reader(lambda t: load_alertmanager(t, Path("/nowhere")), (AlertmanagerError,), (FULL,)),
    "matchers": Reader(parse_matchers, (AlertmanagerError,), tuple(MATCHERS)),
    "matcher": Reader(
        parse_matcher, (AlertmanagerError,), ("foo=bar", 'a!~"[a-z]{2,5}"', 'quote="She said: \\"Hi\\""', "foo=", MATCHERS[1])
    ),
    "template": Reader(partial(_template, False), (TemplateError,), tuple(TEMPLATES)),
    "html-template": Reader(partial(_template, True), (TemplateError,), tuple(f'<p title="{t}">{t}</p>' for t in TEMPLATES)),
    "notification": Reader(_notification, (TemplateError, AlertmanagerError), tuple(NOTIFICATIONS)),
}
