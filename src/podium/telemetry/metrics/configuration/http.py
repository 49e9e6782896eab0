"""How to talk to a server over HTTP: who we are, whom to trust, through which proxy. Part of many sections.

Source: Prometheus' <http_config>, <tls_config>, <oauth2>; its checks and words are those of prometheus/common.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from podium.telemetry.metrics.configuration.decoding import inline
from podium.telemetry.metrics.configuration.printing import always
from podium.telemetry.metrics.configuration.values import NO_SECRET, NO_URL, FilePath, Secret, Url
from podium.telemetry.metrics.errors import ConfigurationError

TLS_VERSIONS = ("TLS10", "TLS11", "TLS12", "TLS13")
RESERVED_HEADERS = frozenset(
    {
        "authorization", "host", "content-encoding", "content-length", "content-type", "user-agent", "connection", "keep-alive",
        "proxy-authenticate", "proxy-authorization", "www-authenticate", "accept-encoding", "x-prometheus-remote-write-version",
        "x-prometheus-remote-read-version", "x-prometheus-scrape-timeout-seconds", "x-amz-date", "x-amz-security-token",
        "x-amz-content-sha256",
    }
)  # fmt: skip


def _at_most_one(message: str, *values: str) -> None:
    if sum(1 for value in values if value) > 1:
        raise ConfigurationError(message)


@dataclass(frozen=True, slots=True)
class TlsConfig:
    ca: str = ""
    cert: str = ""
    key: Secret = NO_SECRET
    ca_file: FilePath = ""
    cert_file: FilePath = ""
    key_file: FilePath = ""
    server_name: str = ""
    insecure_skip_verify: bool = field(default=False, metadata=always())
    min_version: str = ""
    max_version: str = ""

    def checked(self) -> "TlsConfig":
        _at_most_one("at most one of ca, ca_file & ca_ref must be configured", self.ca, self.ca_file)
        _at_most_one("at most one of cert, cert_file & cert_ref must be configured", self.cert, self.cert_file)
        _at_most_one("at most one of key and key_file must be configured", self.key, self.key_file)
        has_cert, has_key = bool(self.cert or self.cert_file), bool(self.key or self.key_file)
        if has_cert and not has_key:
            raise ConfigurationError("exactly one of key or key_file must be configured when a client certificate is configured")
        if has_key and not has_cert:
            raise ConfigurationError("exactly one of cert or cert_file must be configured when a client key is configured")
        for version in (self.min_version, self.max_version):
            if version and version not in TLS_VERSIONS:
                raise ConfigurationError(f"unknown TLS version: {version}")
        if self.min_version and self.max_version and self.max_version < self.min_version:
            raise ConfigurationError("tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified")
        return self


@dataclass(frozen=True, slots=True)
class BasicAuth:
    username: str = field(default="", metadata=always())
    username_file: FilePath = ""
    password: Secret = NO_SECRET
    password_file: FilePath = ""


@dataclass(frozen=True, slots=True)
class Authorization:
    type: str = "Bearer"
    credentials: Secret = NO_SECRET
    credentials_file: FilePath = ""


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    proxy_url: Url = NO_URL
    no_proxy: str = ""
    proxy_from_environment: bool = False
    proxy_connect_header: Mapping[str, tuple[Secret, ...]] = field(default_factory=dict)

    def check(self) -> None:
        if self.proxy_connect_header and not (self.proxy_from_environment or self.proxy_url):
            raise ConfigurationError("if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured")
        if self.proxy_from_environment and self.proxy_url:
            raise ConfigurationError("if proxy_from_environment is configured, proxy_url must not be configured")
        if self.proxy_from_environment and self.no_proxy:
            raise ConfigurationError("if proxy_from_environment is configured, no_proxy must not be configured")
        if self.no_proxy and not self.proxy_url:
            raise ConfigurationError("if no_proxy is configured, proxy_url must also be configured")


@dataclass(frozen=True, slots=True)
class OAuth2:
    client_id: str = field(default="", metadata=always())
    client_secret: Secret = field(default=NO_SECRET, metadata=always())
    client_secret_file: FilePath = ""
    scopes: tuple[str, ...] = ()
    token_url: Url = field(default=NO_URL, metadata=always())
    endpoint_params: Mapping[str, str] = field(default_factory=dict)
    tls_config: TlsConfig = field(default=TlsConfig())
    proxy: ProxyConfig = field(default=ProxyConfig(), metadata=inline())

    def checked(self) -> "OAuth2":
        if not self.client_id:
            raise ConfigurationError("oauth2 client_id must be configured")
        if not self.token_url:
            raise ConfigurationError("oauth2 token_url must be configured")
        _at_most_one(
            "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be configured",
            self.client_secret,
            self.client_secret_file,
        )
        self.proxy.check()
        return self


@dataclass(frozen=True, slots=True)
class Header:
    values: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()
    files: tuple[FilePath, ...] = ()


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """bearer_token and bearer_token_file are turned into `authorization`."""

    GO_TYPE: ClassVar[str] = "config.plain"

    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None
    oauth2: OAuth2 | None = None
    bearer_token: Secret = NO_SECRET
    bearer_token_file: FilePath = ""
    tls_config: TlsConfig = field(default=TlsConfig())
    follow_redirects: bool = field(default=True, metadata=always())
    enable_http2: bool = field(default=True, metadata=always())
    proxy: ProxyConfig = field(default=ProxyConfig(), metadata=inline())
    http_headers: Mapping[str, Header] = field(default_factory=dict)

    def checked(self) -> "HttpConfig":
        """Raises ConfigurationError. The section around an inline one calls it."""
        token, token_file = self.bearer_token, self.bearer_token_file
        _at_most_one("at most one of bearer_token & bearer_token_file must be configured", token, token_file)
        if (self.basic_auth or self.oauth2) and (token or token_file):
            raise ConfigurationError("at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured")
        if (basic := self.basic_auth) is not None:
            _at_most_one(
                "at most one of basic_auth username, username_file & username_ref must be configured", basic.username, basic.username_file
            )
            _at_most_one(
                "at most one of basic_auth password, password_file & password_ref must be configured", basic.password, basic.password_file
            )
        if self.oauth2 and self.basic_auth:
            raise ConfigurationError("at most one of basic_auth, oauth2 & authorization must be configured")
        self.proxy.check()
        _check_headers(self.http_headers)
        if self.authorization is not None:
            return replace(self, authorization=self._checked_authorization(self.authorization))
        if token or token_file:
            authorization = Authorization("Bearer", token, token_file)
            return replace(self, authorization=authorization, bearer_token=NO_SECRET, bearer_token_file="")
        return self

    def _checked_authorization(self, given: Authorization) -> Authorization:
        if self.bearer_token or self.bearer_token_file:
            raise ConfigurationError("authorization is not compatible with bearer_token & bearer_token_file")
        _at_most_one(
            "at most one of authorization credentials & credentials_file must be configured", given.credentials, given.credentials_file
        )
        kind = given.type.strip() or "Bearer"
        if kind.lower() == "basic":
            raise ConfigurationError('authorization type cannot be set to "basic", use "basic_auth" instead')
        if self.basic_auth or self.oauth2:
            raise ConfigurationError("at most one of basic_auth, oauth2 & authorization must be configured")
        return replace(given, type=kind)


def _check_headers(headers: Mapping[str, Header]) -> None:
    for name in headers:
        if name.lower() in RESERVED_HEADERS:
            raise ConfigurationError(f'setting header "{name.title()}" is not allowed')
        if not name or not all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in name):
            raise ConfigurationError(f'"{name}" is no name of a header')
