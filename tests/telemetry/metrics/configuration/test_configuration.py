"""prometheus.yml: what is read, what is refused and in which words, what is printed."""

from pathlib import Path

import pytest

from podium.telemetry.metrics.configuration import decoding
from podium.telemetry.metrics.configuration.configuration import Configuration, load, load_file
from podium.telemetry.metrics.configuration.discovery import StaticGroup
from podium.telemetry.metrics.configuration.http import Authorization
from podium.telemetry.metrics.configuration.scraping import PROTOBUF_FIRST, TEXT_PROTOCOLS, Escaping
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.exposition.negotiation import Protocol
from podium.telemetry.metrics.names import NameScheme
from podium.telemetry.metrics.relabel import Action, RelabelRule

GOOD = """
global:
  scrape_interval: 15s
  evaluation_interval: 30s
  sample_limit: 1500
  body_size_limit: 15MB
  external_labels: {monitor: codelab, foo: bar}
rule_files: [first.rules, /absolute/second.rules, "my/*.rules"]
scrape_configs:
- job_name: prometheus
  honor_labels: true
  bearer_token_file: valid_token_file
  static_configs:
  - targets: ['localhost:9090', 'localhost:9191']
    labels: {my: label}
  file_sd_configs:
  - files: [foo/*.slow.json, single/file.yml]
    refresh_interval: 10m
  relabel_configs:
  - source_labels: [job, __meta_dns_name]
    regex: (.*)some-[regex]
    target_label: job
    replacement: foo-${1}
- job_name: service-x
  basic_auth: {username: admin_name, password: "multiline\\nmysecret"}
  scrape_interval: 50s
  scrape_timeout: 5s
  sample_limit: 1000
  metrics_path: /my_path
  scheme: https
  params: {module: [a, b]}
  proxy_url: http://user:hunter2@proxy.example:3128
  dns_sd_configs:
  - names: [first.dns.address.domain.com]
  metric_relabel_configs:
  - {source_labels: [__name__], regex: expensive_metric.*, action: Drop}
alerting:
  alertmanagers:
  - scheme: https
    static_configs:
    - targets: ["1.2.3.4:9093"]
remote_write:
- url: http://remote1/push
  name: drop_expensive
  oauth2: {client_id: "123", client_secret: "456", token_url: "http://remote1/auth"}
  write_relabel_configs:
  - {source_labels: [__name__], regex: expensive.*, action: drop}
storage:
  tsdb:
    out_of_order_time_window: 30m
    retention: {time: 1d, size: 1GB}
"""


def test_a_whole_configuration_is_read() -> None:
    read = load(GOOD, directory=Path("/etc/prometheus"))
    first, second = read.jobs
    assert read.rule_files == ("/etc/prometheus/first.rules", "/absolute/second.rules", "/etc/prometheus/my/*.rules")
    assert (first.scrape_interval, first.scrape_timeout) == (15_000, 10_000)
    assert (first.limits.sample_limit, first.limits.body_size_limit) == (1500, 15 * 2**20)
    assert first.http.authorization == Authorization("Bearer", credentials_file="/etc/prometheus/valid_token_file")
    assert first.discovery["static_configs"] == (StaticGroup(("localhost:9090", "localhost:9191"), {"my": "label"}),)
    assert first.discovery["file_sd_configs"][0].files == ("/etc/prometheus/foo/*.slow.json", "/etc/prometheus/single/file.yml")
    assert first.discovery["file_sd_configs"][0].refresh_interval == 600_000
    assert first.scrape_protocols == TEXT_PROTOCOLS
    assert (second.scrape_interval, second.scrape_timeout, second.limits.sample_limit) == (50_000, 5_000, 1000)
    assert second.metric_relabel_configs == (RelabelRule(Action.DROP, ("__name__",), regex="expensive_metric.*"),)
    assert second.params == {"module": ("a", "b")}
    assert read.storage is not None
    assert read.storage.tsdb is not None
    assert read.storage.tsdb.out_of_order_time_window == 1_800_000


def test_what_is_printed_is_read_back_but_for_secrets() -> None:
    printed = load(GOOD).printed()
    for secret in ("mysecret", "hunter2", "456"):
        assert secret not in printed
        assert secret not in repr(load(GOOD))
    assert "password: <secret>" in printed
    assert "proxy_url: http://user:xxxxx@proxy.example:3128" in printed
    again = load(printed)
    assert again.printed() == printed
    assert [job.job_name for job in again.jobs] == ["prometheus", "service-x"]
    assert again.jobs[0] == load(GOOD).jobs[0]


@pytest.mark.parametrize("text", ["", "global:\n", "{}", "# nothing\n"])
def test_nothing_is_a_configuration_with_defaults(text: str) -> None:
    assert load(text) == Configuration()
    assert load(text).printed() == (
        "global:\n  scrape_interval: 1m\n  scrape_timeout: 10s\n  evaluation_interval: 1m\n  metric_name_validation_scheme: utf8\n"
        "otlp:\n  translation_strategy: UnderscoreEscapingWithSuffixes\n  label_name_underscore_sanitization: true\n"
        "  label_name_preserve_multiple_underscores: true\n"
    )


def job(text: str) -> str:
    return "scrape_configs:\n- job_name: j\n" + "".join(f"  {line}\n" for line in text.split("\n"))


def test_configurations_compare_by_value() -> None:
    assert load(GOOD) == load(GOOD)
    assert load(GOOD) != load(GOOD.replace("50s", "51s"))
    assert load(GOOD).jobs[0] == load(GOOD.replace("50s", "51s")).jobs[0]
    assert load(GOOD) != load(GOOD.replace("mysecret", "other"))


REFUSED = [
    ("global:\n  nonexistent_field: 1\n", "yaml: unmarshal errors:\n  line 2: field nonexistent_field not found in type config.plain"),
    (job("consult_sd_configs: []"), "line 3: consult_sd_configs: this kind of discovery is not supported, only dns_sd_configs, file_sd_configs"),
    (job("foo: 1\nbar: 2"), "yaml: unmarshal errors:\n  line 3: field foo not found in type config.ScrapeConfig\n  line 4: field bar not found"),
    ("global: {scrape_interval: 1s}\nglobal: {}", "yaml: unmarshal errors:\n  line 2: field global already set in type config.plain"),
    ("global:\n  external_labels: {a: x, a: y}", 'yaml: unmarshal errors:\n  line 2: key "a" already set in map'),
    ("scrape_configs: 5", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!int `5` into []*config.ScrapeConfig"),
    ("global: [a]", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into config.plain"),
    (job("honor_labels: maybe not this"), "yaml: unmarshal errors:\n  line 3: cannot unmarshal !!str `maybe n...` into bool"),
    (job("sample_limit: -1"), "yaml: unmarshal errors:\n  line 3: cannot unmarshal !!int `-1` into uint"),
    (job("scrape_interval: 1x"), 'line 3: not a valid duration string: "1x"'),
    (job("body_size_limit: 100"), "line 3: units: unknown unit  in 100"),
    ("a: [", "yaml: line "),
    ("a:\n\tb: 1", "yaml: line 2: found character that cannot start any token"),
    ("scrape_configs:\n- scheme: https", "line 2: job_name is empty"),
    ("scrape_configs:\n-", "line 1: empty or null scrape config section"),
    ("scrape_configs:\n- job_name: a\n- job_name: a", 'line 1: found multiple scrape configs with job name "a"'),
    ("global: {scrape_interval: 5s, scrape_timeout: 6s}", "line 1: global scrape timeout greater than scrape interval"),
    (job("scrape_interval: 5s\nscrape_timeout: 6s"), 'line 1: scrape timeout greater than scrape interval for scrape config with job name "j"'),
    (job("static_configs: [{targets: ['http://x/y']}]"), 'line 2: "http://x/y" is not a valid hostname'),
    (job("static_configs: [{targets: [a], labls: {}}]"), "yaml: unmarshal errors:\n  line 3: field labls not found in type struct { Targ"),
    (job("static_configs: [null]"), "line 3: empty or null section in static_configs"),
    (job("file_sd_configs: [{files: [x.txt]}]"), 'line 3: path name "x.txt" is not valid for file discovery'),
    (job("file_sd_configs: [{}]"), "line 3: file service discovery config must contain at least one path name"),
    (job("dns_sd_configs: [{names: [x], type: A}]"), "line 3: a port is required in DNS-SD configs for all record types except SRV"),
    (job("dns_sd_configs: [{names: [x], type: TXT}]"), "line 3: invalid DNS-SD records type TXT"),
    (job("http_sd_configs: [{url: 'ftp://x'}]"), "line 3: URL scheme must be 'http' or 'https'"),
    (job("http_sd_configs: [{url: 'http://'}]"), "line 3: host is missing in URL"),
    (job("basic_auth: {username: a}\nbearer_token: b"), "line 2: at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be"),
    (job("basic_auth: {password: a, password_file: b}"), "line 2: at most one of basic_auth password, password_file & password_ref"),
    (job("authorization: {type: Basic}"), 'line 2: authorization type cannot be set to "basic", use "basic_auth" instead'),
    (job("authorization: {credentials: x, credentials_file: y}"), "line 2: at most one of authorization credentials & credentials_file"),
    (job("oauth2: {client_id: a}"), "line 3: oauth2 token_url must be configured"),
    (job("tls_config: {cert_file: a}"), "line 3: exactly one of key or key_file must be configured when a client certificate is configured"),
    (job("tls_config: {min_version: TLS9}"), "line 3: unknown TLS version: TLS9"),
    (job("proxy_from_environment: true\nproxy_url: http://x"), "line 2: if proxy_from_environment is configured, proxy_url must not be"),
    (job("http_headers: {Authorization: {values: [x]}}"), 'line 2: setting header "Authorization" is not allowed'),
    (job("relabel_configs: [null]"), "line 2: empty or null target relabeling rule in scrape config"),
    (job("relabel_configs: [{action: nonsense}]"), 'line 3: unknown relabel action "nonsense"'),
    (job("relabel_configs: [{action: hashmod}]"), "line 3: relabel configuration for hashmod requires non-zero modulus"),
    (job("relabel_configs: [{regx: x}]"), "yaml: unmarshal errors:\n  line 3: field regx not found in type relabel.plain"),
    (job("scrape_protocols: [PrometheusText0.0.4, PrometheusText0.0.4]"), "line 1: duplicated protocol in scrape_protocols, got [Prom"),
    (job("scrape_protocols: [HTML]"), "line 3: unknown scrape protocol HTML, supported: [OpenMetricsText0.0.1"),
    (job("metric_name_validation_scheme: legacy\nmetric_name_escaping_scheme: allow-utf-8"), "line 1: utf8 metric names requested but validation"),
    ("remote_write: [{name: x}]", "line 1: url for remote_write is empty"),
    ("remote_write: [{url: http://x, headers: {Authorization: x}}]", "line 1: authorization header must be changed via"),
    ("remote_write: [{url: http://x, sigv4: {}}]", "line 1: sigv4 is not supported: "),
    ("remote_write: [{url: http://x, protobuf_message: x}]", "line 1: invalid protobuf_message value: "),
    ("remote_read: [{url: http://x, name: a}, {url: http://y, name: a}]", 'line 1: found multiple remote read configs with job name "a"'),
    ("tracing: {endpoint: x}", "line 1: tracing is not supported: traces of the server itself are not sent anywhere"),
    ("rule_files: ['a/*/b*.rules']", 'line 1: invalid rule file path "a/*/b*.rules"'),
    ("alerting: {alertmanagers: [{api_version: v1}]}", "line 1: expected Alertmanager api version to be one of [v2] but got v1"),
    ("alerting: {alert_relabel_configs: [null]}", "line 1: empty or null alert relabeling rule"),
    ("global: {external_labels: {'': x}}", 'line 1: "" is not a valid label name'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_cannot_be_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(text)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("beside", ["", "foo: 1\n", "eraluation_interval: 1\n"])
def test_an_empty_static_group_is_refused_whatever_else_is_wrong(beside: str) -> None:
    with pytest.raises(ConfigurationError, match="empty or null section in static_configs" if not beside else "not found in type"):
        load(beside + job("static_configs: [~]"))


def test_aliases_and_nesting_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "NODES_MAX", 50_000)
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    for text in (bomb + "rule_files: *a9\n", "[" * 10_000, "a: " + "{a: " * 5000):
        with pytest.raises(ConfigurationError):
            load(text)
    labels = "global:\n  external_labels: {a: x}\nscrape_configs:\n" + "".join(f"- &j{n} {{job_name: j{n}}}\n" for n in range(50))
    assert len(load(labels).jobs) == 50


def test_merge_keys_give_what_is_not_given() -> None:
    text = (
        "scrape_configs:\n- &base {job_name: a, scrape_interval: 5s, scrape_timeout: 1s}\n- {<<: *base, job_name: b, scrape_timeout: 2s}\n"
    )
    assert [(j.job_name, j.scrape_interval, j.scrape_timeout) for j in load(text).jobs] == [("a", 5000, 1000), ("b", 5000, 2000)]


def test_environment_variables_stand_in_external_labels_only() -> None:
    read = load("global: {external_labels: {a: '$A-${B}$$', b: $NONE}}", environment={"A": "1", "B": "2"})
    assert read.global_config.external_labels == {"a": "1-2$", "b": ""}
    assert read.warnings == ("external_labels: the environment has no NONE",)


@pytest.mark.parametrize(
    ("above", "own", "protocols", "escaping"),
    [
        ("", "", TEXT_PROTOCOLS, Escaping.UTF8),
        ("scrape_native_histograms: true", "", PROTOBUF_FIRST, Escaping.UTF8),
        ("scrape_native_histograms: true", "scrape_native_histograms: false", TEXT_PROTOCOLS, Escaping.UTF8),
        ("scrape_protocols: [PrometheusProto]", "scrape_native_histograms: true", (Protocol.PROTOBUF,), Escaping.UTF8),
        ("metric_name_validation_scheme: legacy", "", TEXT_PROTOCOLS, Escaping.UNDERSCORES),
        ("metric_name_escaping_scheme: dots", "", TEXT_PROTOCOLS, Escaping.DOTS),
        ("metric_name_escaping_scheme: allow-utf-8", "metric_name_validation_scheme: legacy", TEXT_PROTOCOLS, Escaping.UNDERSCORES),
    ],
)
def test_a_job_inherits_protocols_and_schemes(above: str, own: str, protocols: tuple[Protocol, ...], escaping: Escaping) -> None:
    (read,) = load(f"global:\n  {above}\n{job(own)}").jobs
    assert (read.scrape_protocols, read.metric_name_escaping_scheme) == (protocols, escaping)
    assert read.metric_name_validation_scheme is (NameScheme.LEGACY if "legacy" in above + own else NameScheme.UTF8)


def test_included_files_give_more_jobs(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    main = tmp_path / "prometheus.yml"
    main.write_text("global: {scrape_interval: 7s}\nscrape_config_files: [more/*.yml]\n" + job("scheme: http"))
    extra = tmp_path / "more" / "a.yml"
    extra.write_text("scrape_configs:\n- job_name: extra\n  file_sd_configs: [{files: [t.json]}]\n")
    read = load_file(main)
    assert [(j.job_name, j.scrape_interval) for j in read.jobs] == [("j", 7000), ("extra", 7000)]
    assert read.jobs[1].discovery["file_sd_configs"][0].files == (str(tmp_path / "more" / "t.json"),)
    assert "extra" not in read.printed()
    for text, message in [
        (
            "scrape_configs:\n- job_name: j\n",
            f'"{extra}": found multiple scrape configs with job name "j", first found in main config file',
        ),
        ("scrape_configs:\n- job: j\n", f'"{extra}": yaml: unmarshal errors:\n  line 2: field job not found in type config.ScrapeConfig'),
        ("global: {}", f'"{extra}": yaml: unmarshal errors:\n  line 1: field global not found in type config.ScrapeConfigs'),
    ]:
        extra.write_text(text)
        with pytest.raises(ConfigurationError) as refused:
            load_file(main)
        assert str(refused.value) == message
    with pytest.raises(ConfigurationError, match="no such file"):
        load_file(tmp_path / "none.yml")
