"""`http_config` and `tls_config`: how to reach a receiver over HTTP. Decoding and checks; http_client.py acts on it.

Refused: proxies and secrets by reference (of a secret manager), with a message; HTTP/2 is never used, so `enable_http2` has no effect beyond
being a permission. Source: common/config's HTTPClientConfig, with its messages.
"""

from typing import Any

from podium.telemetry.metrics.alertmanager.errors import ConfigurationError
from podium.telemetry.metrics.alertmanager.fields import (
    at_most_one,
    boolean,
    list_of,
    map_of,
    parsed,
    refused,
    secret,
    string,
    struct,
    url,
)  # fmt: skip

TLS_VERSIONS = ("TLS10", "TLS11", "TLS12", "TLS13")


def _tls_version(text: str) -> str:
    if text not in TLS_VERSIONS:
        raise ConfigurationError(f"unknown TLS version: {text}")
    return text


def _check_tls(tls: dict[str, Any]) -> None:
    for name in ("ca", "cert", "key"):
        at_most_one(tls, name, f"{name}_file")
    has_cert, has_key = bool(tls.get("cert") or tls.get("cert_file")), bool(tls.get("key") or tls.get("key_file"))
    if has_cert != has_key:
        raise ConfigurationError("exactly one of key or key_file must be configured when a client certificate is configured" if has_cert else
                                 "exactly one of cert or cert_file must be configured when a client key is configured")  # fmt: skip


_NO_REFERENCES = refused("secrets by reference are not supported: use a value or a file")
_NO_PROXY = refused("proxies are not supported: Podium connects to receivers directly")

TLS = struct(
    "config.TLSConfig",
    {
        "ca": string, "cert": string, "key": secret, "ca_file": string, "cert_file": string, "key_file": string,
        "ca_ref": _NO_REFERENCES, "cert_ref": _NO_REFERENCES, "key_ref": _NO_REFERENCES,
        "server_name": string, "insecure_skip_verify": boolean, "min_version": parsed(_tls_version), "max_version": parsed(_tls_version),
    },
    _check_tls,
)  # fmt: skip

_PROXY = {"proxy_url": _NO_PROXY, "no_proxy": _NO_PROXY, "proxy_from_environment": _NO_PROXY, "proxy_connect_header": _NO_PROXY}
_ONLY_CLIENT_CREDENTIALS = refused("only OAuth2's client credentials grant is supported")

_BASIC = struct(
    "config.BasicAuth",
    {
        "username": string, "username_file": string, "username_ref": _NO_REFERENCES,
        "password": secret, "password_file": string, "password_ref": _NO_REFERENCES,
    },
)  # fmt: skip
_AUTHORIZATION = struct(
    "config.Authorization", {"type": string, "credentials": secret, "credentials_file": string, "credentials_ref": _NO_REFERENCES}
)


def _grant(text: str) -> str:
    if text not in ("", "client_credentials"):
        raise ConfigurationError("only OAuth2's client credentials grant is supported")
    return text


_OAUTH2 = struct(
    "config.OAuth2",
    {
        "client_id": string, "client_secret": secret, "client_secret_file": string, "client_secret_ref": _NO_REFERENCES,
        "scopes": list_of(string), "token_url": url, "endpoint_params": map_of(string), "tls_config": TLS, "grant_type": parsed(_grant),
        **dict.fromkeys(
            ("client_certificate_key_id", "client_certificate_key", "client_certificate_key_file", "client_certificate_key_ref",
             "signature_algorithm", "iss", "audience", "claims"),
            _ONLY_CLIENT_CREDENTIALS,
        ),
        **_PROXY,
    },
)  # fmt: skip
_HEADER = struct("config.Header", {"values": list_of(string), "secrets": list_of(secret), "files": list_of(string)})


def _check_http(http: dict[str, Any]) -> None:
    at_most_one(http, "bearer_token", "bearer_token_file")
    bearer = http.pop("bearer_token", ""), http.pop("bearer_token_file", "")
    basic, oauth2, authorization = http.get("basic_auth"), http.get("oauth2"), http.get("authorization")
    if any(bearer):
        if basic is not None or oauth2 is not None:
            raise ConfigurationError("at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured")
        if authorization is not None:
            raise ConfigurationError("authorization is not compatible with bearer_token & bearer_token_file")
        http["authorization"] = {"type": "Bearer", "credentials": bearer[0], "credentials_file": bearer[1]}
    if sum(method is not None for method in (basic, oauth2, authorization)) > 1:
        raise ConfigurationError("at most one of basic_auth, oauth2 & authorization must be configured")
    if basic is not None:
        at_most_one(basic, "username", "username_file")
        at_most_one(basic, "password", "password_file")
    if authorization is not None:
        at_most_one(authorization, "credentials", "credentials_file")
        authorization["type"] = authorization.get("type", "").strip() or "Bearer"
        if authorization["type"].lower() == "basic":
            raise ConfigurationError('authorization type cannot be set to "basic", use "basic_auth" instead')
    if oauth2 is not None:
        at_most_one(oauth2, "client_secret", "client_secret_file")
        for name in ("client_id", "token_url"):
            if not oauth2.get(name):
                raise ConfigurationError(f"oauth2 {name} must be configured")


HTTP = struct(
    "config.HTTPClientConfig",
    {
        "basic_auth": _BASIC, "authorization": _AUTHORIZATION, "oauth2": _OAUTH2, "bearer_token": secret, "bearer_token_file": string,
        "tls_config": TLS, "follow_redirects": boolean, "enable_http2": boolean, "http_headers": map_of(_HEADER), **_PROXY,
    },
    _check_http,
)  # fmt: skip
