"""blackbox.yml: what each module probes, and when that counts as success.

Fields and defaults are upstream's. What Podium does not do (proxies, OAuth 2, CEL, Brotli, HTTP/2) is refused by name when it is asked for.

Source: blackbox_exporter config/config.go, CONFIGURATION.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from podium.telemetry.exporters.blackbox.settings import Settings
from podium.telemetry.exporters.errors import BadConfiguration

PROBERS = ("http", "tcp", "dns", "icmp", "grpc")
MODULES_MAX = 1000
BODY_BYTES_MAX = 10 * 1024 * 1024
"""Of an answer, where the module sets no limit of its own; more than that fails the probe."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths are of PEM files."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""
    insecure_skip_verify: bool = False
    min_version: str = ""
    max_version: str = ""


@dataclass(frozen=True, slots=True)
class Reach:
    """How a target's name becomes an address: the preferred family (4 or 6), and whether the other will do."""

    family: int = 6
    fallback: bool = True
    source: str = ""


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    header: str
    pattern: Any
    allow_missing: bool


@dataclass(frozen=True, slots=True)
class HttpModule:
    reach: Reach = Reach()
    tls: Tls = Tls()
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    body_bytes_max: int = BODY_BYTES_MAX
    compression: str = ""
    follow_redirects: bool = True
    valid_status_codes: tuple[int, ...] = ()
    valid_versions: tuple[str, ...] = ()
    fail_if_ssl: bool = False
    fail_if_not_ssl: bool = False
    body_forbidden: tuple[Any, ...] = ()
    body_required: tuple[Any, ...] = ()
    headers_forbidden: tuple[HeaderMatch, ...] = ()
    headers_required: tuple[HeaderMatch, ...] = ()
    username: str = ""
    password: str = field(default="", repr=False)
    authorization: str = field(default="", repr=False)
    authorization_file: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One step: wait for a line that matches `expect`, then send `send` (with its groups), then start TLS."""

    expect: Any = None
    send: str = ""
    starttls: bool = False
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TcpModule:
    reach: Reach = Reach()
    tls: Tls = Tls()
    use_tls: bool = False
    exchanges: tuple[Exchange, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordChecks:
    forbidden: tuple[Any, ...] = ()
    not_all: tuple[Any, ...] = ()
    required: tuple[Any, ...] = ()
    some: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class DnsModule:
    name: str
    reach: Reach = Reach()
    tls: Tls = Tls()
    use_tls: bool = False
    transport: str = "udp"
    type: str = "ANY"
    record_class: str = "IN"
    recursion_desired: bool = True
    valid_codes: tuple[str, ...] = ("NOERROR",)
    answers: RecordChecks = RecordChecks()
    authority: RecordChecks = RecordChecks()
    additional: RecordChecks = RecordChecks()


@dataclass(frozen=True, slots=True)
class IcmpModule:
    reach: Reach = Reach()
    payload_bytes: int = 56
    dont_fragment: bool = False
    ttl: int = 0


@dataclass(frozen=True, slots=True)
class GrpcModule:
    reach: Reach = Reach()
    tls: Tls = Tls()
    use_tls: bool = False
    service: str = ""


Probe = HttpModule | TcpModule | DnsModule | IcmpModule | GrpcModule


@dataclass(frozen=True, slots=True)
class Module:
    """`timeout_s` 0: as long as the scrape may take."""

    name: str
    probe: Probe
    timeout_s: float = 0.0


def parse(text: str) -> dict[str, Module]:
    """The modules by name. Raises BadConfiguration."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadConfiguration(f"not YAML: {error}") from error
    top = Settings(value, "config")
    modules = top.part("modules")
    top.end()
    names = list(modules._left)
    if len(names) > MODULES_MAX:
        raise BadConfiguration(f"config.modules: more than {MODULES_MAX} modules")
    return {name: _module(name, modules.part(name)) for name in names}


def _module(name: str, settings: Settings) -> Module:
    prober = settings.choice("prober", PROBERS, "")
    timeout_s = settings.duration_s("timeout")
    read: dict[str, Callable[[Settings], Probe]] = {"http": _http, "tcp": _tcp, "dns": _dns, "icmp": _icmp, "grpc": _grpc}
    probe = read[prober](settings.part(prober))
    for other in PROBERS:
        if other != prober:
            settings.refuse(other, why=f"has no effect with prober {prober}")
    settings.end()
    return Module(name, probe, timeout_s)


def _reach(settings: Settings) -> Reach:
    family = settings.choice("preferred_ip_protocol", ("", "ip4", "ip6"), "ip6")
    return Reach(4 if family == "ip4" else 6, settings.flag("ip_protocol_fallback", True), settings.text("source_ip_address"))


def _tls(settings: Settings) -> Tls:
    found = Tls(
        settings.text("ca_file"), settings.text("cert_file"), settings.text("key_file"), settings.text("server_name"),
        settings.flag("insecure_skip_verify"), settings.choice("min_version", ("", "TLS10", "TLS11", "TLS12", "TLS13"), ""),
        settings.choice("max_version", ("", "TLS10", "TLS11", "TLS12", "TLS13"), ""),
    )  # fmt: skip
    settings.refuse("ca", "cert", "key", "ca_ref", "cert_ref", "key_ref", why="is not supported: name a file")
    settings.end()
    if bool(found.cert_file) != bool(found.key_file):
        raise BadConfiguration(f"{settings.where}: cert_file and key_file go together")
    return found


def _http(settings: Settings) -> HttpModule:
    settings.refuse("proxy_url", "no_proxy", "proxy_from_environment", "proxy_connect_header", "skip_resolve_phase_with_proxy", "oauth2")
    settings.refuse("fail_if_body_json_matches_cel", "fail_if_body_json_not_matches_cel", "http_headers", "enable_http3")
    settings.flag("enable_http2", True)  # a preference upstream, too: this prober speaks HTTP/1.1, which every server does
    body, body_file = settings.text("body"), settings.text("body_file")
    if body and body_file:
        raise BadConfiguration(f"{settings.where}: setting body and body_file both are not allowed")
    username, password, authorization, authorization_file = _credentials(settings)
    no_follow = settings.flag("no_follow_redirects")
    found = HttpModule(
        _reach(settings), _tls(settings.part("tls_config")), settings.text("method") or "GET", settings.pairs("headers"),
        _file(body_file, settings) if body_file else body.encode(),
        settings.size_bytes("body_size_limit", 0) or BODY_BYTES_MAX,
        settings.choice("compression", ("", "gzip", "deflate", "identity"), ""), settings.flag("follow_redirects", not no_follow),
        settings.integers("valid_status_codes"), settings.texts("valid_http_versions"), settings.flag("fail_if_ssl"),
        settings.flag("fail_if_not_ssl"), settings.patterns("fail_if_body_matches_regexp"),
        settings.patterns("fail_if_body_not_matches_regexp"), settings.list("fail_if_header_matches", _header_match),
        settings.list("fail_if_header_not_matches", _header_match), username, password, authorization, authorization_file,
    )  # fmt: skip
    settings.end()
    _check_headers(found, settings.where)
    return found


def _check_headers(module: HttpModule, where: str) -> None:
    for name, value in (*module.headers, ("method", module.method)):
        if not name or any(c in "\r\n:\0 " for c in name) or any(c in "\r\n\0" for c in value):
            raise BadConfiguration(f"{where}.headers: {name!r} is no header")
    if module.compression:
        for name, value in module.headers:
            if name.lower() == "accept-encoding" and module.compression not in value and "*" not in value:
                raise BadConfiguration(f'{where}: invalid configuration "Accept-Encoding: {value}", "compression: {module.compression}"')


def _credentials(settings: Settings) -> tuple[str, str, str, str]:
    """Username and password, or a whole authorization header, or a file with its credentials."""
    basic, bearer = settings.part("basic_auth"), settings.part("authorization")
    username, password, password_file = basic.text("username"), basic.text("password"), basic.text("password_file")
    basic.end()
    if password_file:
        password = _file(password_file, settings).decode().strip()
    kind, credentials, file = bearer.text("type", "Bearer"), bearer.text("credentials"), bearer.text("credentials_file")
    bearer.end()
    token, token_file = settings.text("bearer_token"), settings.text("bearer_token_file")
    given = [word for word in (username, credentials or file, token or token_file) if word]
    if len(given) > 1:
        raise BadConfiguration(f"{settings.where}: at most one of basic_auth, authorization, bearer_token and bearer_token_file")
    if token or credentials:
        return username, password, f"{'Bearer' if token else kind} {token or credentials}", ""
    return username, password, kind if file else "Bearer" if token_file else "", file or token_file


def _file(path: str, settings: Settings) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(BODY_BYTES_MAX)
    except OSError as error:
        raise BadConfiguration(f"{settings.where}: {path}: {error.strerror}") from error


def _header_match(value: Any, where: str) -> HeaderMatch:
    settings = Settings(value, where)
    found = HeaderMatch(settings.text("header"), settings.pattern("regexp"), settings.flag("allow_missing"))
    settings.end()
    if not found.header or found.pattern is None:
        raise BadConfiguration(f"{where}: header and regexp must be set for HTTP header matchers")
    return found


def _tcp(settings: Settings) -> TcpModule:
    found = TcpModule(_reach(settings), _tls(settings.part("tls_config")), settings.flag("tls"), settings.list("query_response", _exchange))
    settings.end()
    return found


def _exchange(value: Any, where: str) -> Exchange:
    settings = Settings(value, where)
    settings.refuse("expect_bytes")
    labels = settings.list("labels", _label)
    found = Exchange(settings.pattern("expect"), settings.text("send"), settings.flag("starttls"), labels)
    settings.end()
    return found


def _label(value: Any, where: str) -> tuple[str, str]:
    settings = Settings(value, where)
    found = settings.text("name"), settings.text("value")
    settings.end()
    return found


def _dns(settings: Settings) -> DnsModule:
    import dns.exception
    import dns.rdataclass
    import dns.rdatatype

    name = settings.text("query_name")
    if not name:
        raise BadConfiguration(f"{settings.where}: query name must be set for DNS module")
    use_tls = settings.flag("dns_over_tls")
    transport = settings.choice("transport_protocol", ("", "udp", "tcp"), "tcp" if use_tls else "udp") or "udp"
    if use_tls and transport != "tcp":
        raise BadConfiguration(f"{settings.where}: dns_over_tls needs transport_protocol tcp")
    found = DnsModule(
        name, _reach(settings), _tls(settings.part("tls_config")), use_tls, transport,
        settings.text("query_type") or "ANY", settings.text("query_class") or "IN", settings.flag("recursion_desired", True),
        settings.texts("valid_rcodes") or ("NOERROR",), _record_checks(settings.part("validate_answer_rrs")),
        _record_checks(settings.part("validate_authority_rrs")), _record_checks(settings.part("validate_additional_rrs")),
    )  # fmt: skip
    settings.end()
    try:
        dns.rdatatype.from_text(found.type)
        dns.rdataclass.from_text(found.record_class)
    except dns.exception.DNSException as error:
        raise BadConfiguration(f"{settings.where}: query type or class is not valid: {error}") from error
    return found


def _record_checks(settings: Settings) -> RecordChecks:
    found = RecordChecks(
        settings.patterns("fail_if_matches_regexp"), settings.patterns("fail_if_all_match_regexp"),
        settings.patterns("fail_if_not_matches_regexp"), settings.patterns("fail_if_none_matches_regexp"),
    )  # fmt: skip
    settings.end()
    return found


def _icmp(settings: Settings) -> IcmpModule:
    found = IcmpModule(
        _reach(settings), settings.integer("payload_size", 56) or 56, settings.flag("dont_fragment"), settings.integer("ttl")
    )
    settings.end()
    if not 0 <= found.ttl <= 255 or not 0 < found.payload_bytes <= 65_000:
        raise BadConfiguration(f"{settings.where}: ttl must be in the range [0, 255] and payload_size in [1, 65000]")
    return found


def _grpc(settings: Settings) -> GrpcModule:
    settings.refuse("metadata")
    found = GrpcModule(_reach(settings), _tls(settings.part("tls_config")), settings.flag("tls"), settings.text("service"))
    settings.end()
    if found.use_tls and found.tls.insecure_skip_verify:
        raise BadConfiguration(f"{settings.where}: insecure_skip_verify is not supported for gRPC; use ca_file")
    return found
