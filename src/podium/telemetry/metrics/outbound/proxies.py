"""Through which proxy a request goes. Source: golang.org/x/net/http/httpproxy (no_proxy: names, domains, addresses, networks)."""

import base64
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from podium.telemetry.metrics.configuration.http import ProxyConfig


@dataclass(frozen=True, slots=True)
class Proxy:
    host: str
    port: int
    headers: Mapping[str, str]  # for the proxy itself


def proxy_for(config: ProxyConfig, scheme: str, host: str, port: int, environment: Mapping[str, str] | None = None) -> Proxy | None:
    """None: none. Raises ValueError for an address of a proxy that is none, or of a scheme other than http."""
    url, excluded = str.__str__(config.proxy_url), config.no_proxy
    if config.proxy_from_environment:
        variables = os.environ if environment is None else environment
        url = _variable(variables, f"{scheme}_proxy")
        excluded = _variable(variables, "no_proxy")
        if url and (host == "localhost" or _is_loopback(host)):
            return None
    if not url or _is_excluded(host, port, excluded):
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"proxy {config.proxy_url.redacted()}: only http:// proxies are supported")
    headers = {name.lower(): ", ".join(v.reveal() for v in values) for name, values in config.proxy_connect_header.items()}
    if parts.username is not None:
        token = base64.b64encode(f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()).decode()
        headers.setdefault("proxy-authorization", f"Basic {token}")
    return Proxy(parts.hostname, parts.port or 80, headers)


def _variable(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name.upper()) or environment.get(name) or ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_excluded(host: str, port: int, rules: str) -> bool:
    host = host.rstrip(".").lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    for rule in (text.strip().lower() for text in rules.split(",")):
        if rule == "*":
            return True
        name, _, number = rule.rpartition(":") if rule.count(":") == 1 else (rule, "", "")
        if not rule or (number and number != str(port)):
            continue
        if address is not None:
            try:
                if address in ipaddress.ip_network(name.strip("[]"), strict=False):
                    return True
            except ValueError:
                continue
        elif host == name.removeprefix("*.").removeprefix("."):
            if not name.startswith((".", "*.")):
                return True
        elif host.endswith("." + name.removeprefix("*.").removeprefix(".")):
            return True
    return False
