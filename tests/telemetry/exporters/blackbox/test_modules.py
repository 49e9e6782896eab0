"""blackbox.yml, and what of it is refused."""

import pytest

from podium.telemetry.exporters.blackbox.modules import HttpModule, parse
from podium.telemetry.exporters.errors import BadConfiguration

WHOLE = """
modules:
  web:
    prober: http
    timeout: 5s
    http:
      valid_http_versions: ["HTTP/1.1"]
      valid_status_codes: [200, 204]
      method: GET
      headers: {Host: vhost.example.com, Accept-Language: en-US}
      no_follow_redirects: false
      fail_if_ssl: false
      fail_if_not_ssl: false
      fail_if_body_matches_regexp: ["Could not connect to database"]
      fail_if_body_not_matches_regexp: ["Download the latest version here"]
      fail_if_header_matches: [{header: Set-Cookie, allow_missing: true, regexp: ".*"}]
      tls_config: {insecure_skip_verify: false}
      preferred_ip_protocol: ip4
      ip_protocol_fallback: false
      body_size_limit: 1MB
      enable_http2: true
"""


def test_upstream_s_example_is_read() -> None:
    module = parse(WHOLE)["web"]
    assert module.timeout_s == 5
    assert isinstance(module.probe, HttpModule)
    assert module.probe.reach.family == 4 and not module.probe.reach.fallback
    assert module.probe.body_bytes_max == 1 << 20
    assert module.probe.headers == (("Host", "vhost.example.com"), ("Accept-Language", "en-US"))


def in_module(prober: str, settings: str) -> str:
    return f"modules: {{m: {{prober: {prober}, {prober}: {{{settings}}}}}}}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("modules: [", "not YAML"),
        ("[]", "config: expected a mapping"),
        ("module: {}", "config: unknown field 'module'"),
        ("modules: {m: {}}", "modules.m.prober: expected one of http, tcp"),
        ("modules: {m: {prober: tcp, http: {method: GET}}}", "has no effect with prober tcp"),
        ("modules: {m: {prober: tcp, timeout: soon}}", "timeout: expected a duration"),
        (in_module("http", "methd: GET"), "unknown field 'methd'"),
        (in_module("http", "valid_status_codes: [ok]"), r"valid_status_codes\[0\]: expected a whole number"),
        (in_module("http", "fail_if_body_matches_regexp: ['(']"), "error parsing regexp"),
        (in_module("http", "proxy_url: http://p"), "proxy_url is not supported"),
        (in_module("http", "oauth2: {client_id: x}"), "oauth2 is not supported"),
        (in_module("http", "compression: br"), "compression: expected one of"),
        (in_module("http", "body: a, body_file: b"), "body and body_file"),
        (in_module("http", "body_file: /nowhere"), "/nowhere: No such file"),
        (in_module("http", "bearer_token: a, basic_auth: {username: b}"), "at most one of"),
        (in_module("http", "headers: {a b: c}"), "is no header"),
        (in_module("http", 'headers: {a: "b\\r\\nc"}'), "is no header"),
        (in_module("http", "headers: {Accept-Encoding: br}, compression: gzip"), "invalid configuration"),
        (in_module("http", "fail_if_header_matches: [{header: a}]"), "header and regexp must be set"),
        (in_module("http", "tls_config: {cert_file: a}"), "cert_file and key_file go together"),
        (in_module("http", "tls_config: {ca: PEM}"), "name a file"),
        (in_module("http", "body_size_limit: huge"), "expected a size"),
        (in_module("http", "fail_if_ssl: perhaps"), "expected true or false"),
        (in_module("dns", ""), "query name must be set"),
        (in_module("dns", "query_name: a, query_type: NONSENSE"), "query type or class is not valid"),
        (in_module("dns", "query_name: a, dns_over_tls: true, transport_protocol: udp"), "needs transport_protocol tcp"),
        (in_module("icmp", "ttl: 300"), "ttl must be in the range"),
        (in_module("tcp", "query_response: [{expect_bytes: x}]"), "expect_bytes is not supported"),
        (in_module("grpc", "tls: true, tls_config: {insecure_skip_verify: true}"), "insecure_skip_verify is not supported for gRPC"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(text: str, why: str) -> None:
    with pytest.raises(BadConfiguration, match=why):
        parse(text)


def test_secrets_are_not_shown() -> None:
    module = parse(in_module("http", "basic_auth: {username: u, password: hush}"))["m"]
    assert "hush" not in repr(module)
