"""Reads a kubeconfig: which server its current context means, and who the user is there.

Certificates and keys that are in the file itself are written beside one another into a directory that only the caller can read, because
Python's TLS takes them from files alone. Exec plugins, auth providers, passwords and unverified servers are refused.

Source: k8s.io/client-go tools/clientcmd/api/v1.
"""

import base64
import binascii
import os
from pathlib import Path
from typing import Any

from podium.client.https import Endpoint


class BadKubeconfig(ValueError):
    """The file cannot be used. Says why."""


def endpoint(path: Path, directory: Path, context: str = "") -> Endpoint:
    """`directory` is where what the file holds inline is written (mode 0600). Raises BadKubeconfig, OSError."""
    import yaml

    try:
        config = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadKubeconfig(f"{path}: not YAML: {error}") from error
    if not isinstance(config, dict):
        raise BadKubeconfig(f"{path}: not a kubeconfig")
    wanted = context or config.get("current-context") or ""
    chosen = _named(config, "contexts", wanted, "context", path)
    cluster = _named(config, "clusters", chosen.get("cluster", ""), "cluster", path)
    user = _named(config, "users", chosen.get("user", ""), "user", path)
    if cluster.get("insecure-skip-tls-verify"):
        raise BadKubeconfig(f"{path}: insecure-skip-tls-verify is not supported: name a certificate authority")
    for field in ("exec", "auth-provider", "username", "tokenFile", "as"):
        if user.get(field):
            raise BadKubeconfig(f"{path}: users with {field} are not supported: use a client certificate or a token")
    ca = _file(cluster, "certificate-authority", path, directory)
    if ca is None:
        raise BadKubeconfig(f"{path}: the cluster has no certificate-authority")
    certificate, key = (_file(user, name, path, directory) for name in ("client-certificate", "client-key"))
    token = user.get("token") or ""
    if not token and (certificate is None or key is None):
        raise BadKubeconfig(f"{path}: the user has neither a client certificate with its key nor a token")
    return Endpoint(str(cluster.get("server", "")), ca, certificate, key, token)


def _named(config: dict[str, Any], plural: str, name: str, singular: str, path: Path) -> dict[str, Any]:
    for entry in config.get(plural) or ():
        if isinstance(entry, dict) and entry.get("name") == name:
            return entry.get(singular) or {}
    raise BadKubeconfig(f"{path}: there is no {singular} {name!r}")


def _file(part: dict[str, Any], field: str, path: Path, directory: Path) -> Path | None:
    inline = part.get(f"{field}-data")
    if inline:
        try:
            data = base64.b64decode(inline, validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise BadKubeconfig(f"{path}: {field}-data is not base64") from error
        target = directory / f"{field}.pem"
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        return target
    named = part.get(field)
    return (path.parent / named) if named else None
