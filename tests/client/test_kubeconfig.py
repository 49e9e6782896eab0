"""Kubeconfigs: where a server is and who the user is there."""

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from podium.client.kubeconfig import BadKubeconfig, endpoint

SERVER = {"server": "https://192.0.2.1:6443", "certificate-authority": "ca.crt"}


def config(user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": SERVER if cluster is None else cluster}],
        "users": [{"name": "u", "user": {"token": "t"} if user is None else user}],
    }  # fmt: skip


def test_inline_data_becomes_private_files_and_paths_are_of_the_file(tmp_path: Path) -> None:
    data = base64.b64encode(b"PEM").decode()
    path = tmp_path / "config"
    path.write_text(yaml.dump(config({"client-certificate-data": data, "client-key": "keys/my.key"})))
    found = endpoint(path, tmp_path)
    assert found.url == "https://192.0.2.1:6443"
    assert found.ca_path == tmp_path / "ca.crt" and found.key_path == tmp_path / "keys/my.key"
    assert found.certificate_path is not None and found.certificate_path.read_bytes() == b"PEM"
    assert found.certificate_path.stat().st_mode & 0o777 == 0o600
    path.write_text(yaml.dump(config()))
    assert endpoint(path, tmp_path).token == "t"


BAD = [
    ({"contexts": []}, "there is no context 'c'"),
    ({"users": []}, "there is no user 'u'"),
    (config({"exec": {"command": "aws"}}), "users with exec are not supported"),
    (config({}), "neither a client certificate"),
    (config({"client-certificate-data": "%%", "client-key": "k"}), "is not base64"),
    (config(cluster={"server": "https://x"}), "no certificate-authority"),
    (config(cluster={"server": "https://x", "insecure-skip-tls-verify": True}), "insecure-skip-tls-verify"),
    ([], "not a kubeconfig"),
]


@pytest.mark.parametrize(("value", "why"), BAD)
def test_what_cannot_be_used_is_refused(value: Any, why: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.dump({**config(), **value} if isinstance(value, dict) else value))
    with pytest.raises(BadKubeconfig, match=why):
        endpoint(path, tmp_path)


def test_another_context_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.dump(config()))
    with pytest.raises(BadKubeconfig, match="'other'"):
        endpoint(path, tmp_path, "other")
    path.write_text("a: [")
    with pytest.raises(BadKubeconfig, match="not YAML"):
        endpoint(path, tmp_path)
