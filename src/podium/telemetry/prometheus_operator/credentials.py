"""What monitors refer to in Secrets and ConfigMaps, put in place: user names, tokens, certificates.

Values go into the configuration as text (it is kept in memory and shown with secrets hidden), so that no file with a secret is written.

Source: the Prometheus operator's API reference: BasicAuth, SafeAuthorization, SafeTLSConfig, OAuth2, SecretOrConfigMap.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from podium.telemetry.prometheus_operator.errors import ResourceRefused, SecretMissing

Config = dict[str, Any]
Object = dict[str, Any]
Lookup = Callable[[str, str, str], Object | None]
"""(`secrets` or `configmaps`, namespace, name) -> the object."""
_REFUSED = ("caFile", "certFile", "keyFile", "bearerTokenFile", "credentialsFile", "files")
"""Fields that name files; `files` are those of file discovery."""


class Credentials:
    """Of one object, in its namespace."""

    def __init__(self, lookup: Lookup, namespace: str) -> None:
        self._lookup = lookup
        self._namespace = namespace

    def secret(self, reference: Mapping[str, Any], field: str) -> str:
        """Raises SecretMissing."""
        name, key = reference.get("name", ""), reference.get("key", "")
        found = self._lookup("secrets", self._namespace, name)
        data = (found or {}).get("data") or {}
        if key not in data:
            if reference.get("optional"):
                return ""
            raise SecretMissing(
                f"{field}: Secret {self._namespace}/{name} has no key {key!r}" if found else f"{field}: no Secret {self._namespace}/{name}"
            )
        try:
            return base64.b64decode(data[key], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ResourceRefused(f"{field}: key {key!r} of Secret {self._namespace}/{name} is not text") from error

    def either(self, reference: Mapping[str, Any], field: str) -> str:
        """Of a Secret or a ConfigMap. Raises SecretMissing."""
        if reference.get("secret"):
            return self.secret(reference["secret"], field)
        chosen = reference.get("configMap") or {}
        name, key = chosen.get("name", ""), chosen.get("key", "")
        data = (self._lookup("configmaps", self._namespace, name) or {}).get("data") or {}
        if key not in data:
            raise SecretMissing(f"{field}: ConfigMap {self._namespace}/{name} has no key {key!r}")
        return str(data[key])

    def documents(self, reference: Mapping[str, Any] | None, field: str) -> list[Config]:
        """A Secret's key that holds a list of sections, in prometheus.yml's words; [] when nothing is referred to. Raises ResourceRefused."""
        if not reference:
            return []
        where = f"{field}: key {reference.get('key', '')!r} of Secret {self._namespace}/{reference.get('name', '')}"
        try:
            found = yaml.safe_load(self.secret(reference, field))
        except yaml.YAMLError as error:
            raise ResourceRefused(f"{where}: {' '.join(str(error).split())}") from error
        if found is None:
            return []
        if not isinstance(found, list) or not all(isinstance(section, dict) for section in found):
            raise ResourceRefused(f"{where}: a list of sections is wanted")
        return found

    def http(self, given: Mapping[str, Any], field: str) -> Config:
        """basicAuth, authorization, bearerTokenSecret, oauth2, tlsConfig, proxies and redirects of an endpoint, in prometheus.yml's words."""
        config: Config = {}
        if basic := given.get("basicAuth"):
            config["basic_auth"] = {
                part: self.secret(basic[part], f"{field}.basicAuth.{part}") for part in ("username", "password") if basic.get(part)
            }
        if authorization := given.get("authorization"):
            config["authorization"] = {"type": authorization.get("type") or "Bearer"}
            if authorization.get("credentials"):
                config["authorization"]["credentials"] = self.secret(authorization["credentials"], f"{field}.authorization.credentials")
            if authorization.get("credentialsFile"):
                config["authorization"]["credentials_file"] = authorization["credentialsFile"]
        token = given.get("bearerTokenSecret") or {}
        if token.get("key"):
            config["bearer_token"] = self.secret(token, f"{field}.bearerTokenSecret")
        if given.get("bearerTokenFile"):
            config["bearer_token_file"] = given["bearerTokenFile"]
        if oauth := given.get("oauth2"):
            config["oauth2"] = self._oauth2(oauth, f"{field}.oauth2")
        if tls := given.get("tlsConfig"):
            config["tls_config"] = self.tls(tls, f"{field}.tlsConfig")
        for theirs, ours in (
            ("followRedirects", "follow_redirects"),
            ("enableHttp2", "enable_http2"),
            ("proxyUrl", "proxy_url"),
            ("noProxy", "no_proxy"),
        ):
            if given.get(theirs) is not None:
                config[ours] = given[theirs]
        return config

    def tls(self, given: Mapping[str, Any], field: str) -> Config:
        config: Config = {}
        for part in ("ca", "cert"):
            if given.get(part):
                config[part] = self.either(given[part], f"{field}.{part}")
        if given.get("keySecret"):
            config["key"] = self.secret(given["keySecret"], f"{field}.keySecret")
        names = (
            ("serverName", "server_name"), ("insecureSkipVerify", "insecure_skip_verify"),
            ("minVersion", "min_version"), ("maxVersion", "max_version"),
            ("caFile", "ca_file"), ("certFile", "cert_file"), ("keyFile", "key_file"),
        )  # fmt: skip
        return config | {ours: given[theirs] for theirs, ours in names if given.get(theirs) is not None}

    def _oauth2(self, given: Mapping[str, Any], field: str) -> Config:
        config: Config = {
            "client_id": self.either(given.get("clientId") or {}, f"{field}.clientId"),
            "client_secret": self.secret(given.get("clientSecret") or {}, f"{field}.clientSecret"),
            "token_url": given.get("tokenUrl", ""),
        }
        if given.get("scopes"):
            config["scopes"] = given["scopes"]
        if given.get("endpointParams"):
            config["endpoint_params"] = given["endpointParams"]
        if given.get("tlsConfig"):
            config["tls_config"] = self.tls(given["tlsConfig"], f"{field}.tlsConfig")
        return config


def without_files(given: Mapping[str, Any], field: str) -> None:
    """Where a Prometheus says arbitraryFSAccessThroughSMs.deny. Raises ResourceRefused for a path on the server's disk."""
    for name in _REFUSED:
        if given.get(name) or (given.get("tlsConfig") or {}).get(name):
            raise ResourceRefused(f"{field}: it accesses the file system via {name}, which this Prometheus denies")
