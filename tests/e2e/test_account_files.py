"""What a pod finds of its service account, read by its own containers (processes): the default files, and a projected token."""

import base64
import json
import time
from typing import Any

import pytest

from tests.e2e.conftest import Kubectl, without_kubectl

ABOUT_KUBECTL = False
pytestmark = [pytest.mark.e2e, pytest.mark.slow, without_kubectl, pytest.mark.runtime("process")]
shows = pytest.mark.conformance
DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"


def reader(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "image": "busybox", "command": ["cat", path]}


def run_to_end(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "reader"}, "spec": {"restartPolicy": "Never", **spec}}
    kubectl("create", "-f", "-", stdin=json.dumps(pod))
    kubectl("wait", "pod/reader", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=40s")


def claims(token: str) -> Any:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def reviewed(kubectl: Kubectl, token: str, *audiences: str) -> Any:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token, "audiences": list(audiences)}}
    return json.loads(kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(review)))["status"]


@shows("[sig-auth] ServiceAccounts should mount an API token into pods")
def test_the_files_of_the_account_are_in_every_container(kubectl: Kubectl) -> None:
    kubectl("create", "serviceaccount", "mount-test")
    files = {"token": "token", "root": "ca.crt", "namespace": "namespace"}
    containers = [reader(name, f"{DIRECTORY}/{file}") for name, file in files.items()]
    run_to_end(kubectl, {"serviceAccountName": "mount-test", "containers": containers})
    spec = json.loads(kubectl("get", "pod", "reader", "-o", "json"))["spec"]
    assert all([m["mountPath"] for m in c["volumeMounts"]] == [DIRECTORY] for c in spec["containers"])
    said = {name: kubectl("logs", "reader", "-c", name) for name in files}
    assert said["namespace"].strip() == kubectl.namespace
    assert said["root"].strip() == kubectl("get", "configmap", "kube-root-ca.crt", "-o", "jsonpath={.data.ca\\.crt}").strip()
    status = reviewed(kubectl, said["token"].strip())
    assert status["authenticated"] and status["user"]["username"] == f"system:serviceaccount:{kubectl.namespace}:mount-test"
    assert status["user"]["extra"]["authentication.kubernetes.io/pod-name"] == ["reader"]


@shows("[sig-auth] ServiceAccounts should mount projected service account token")
def test_a_projected_token_is_for_its_audience_and_time(kubectl: Kubectl) -> None:
    token = {"serviceAccountToken": {"path": "word", "expirationSeconds": 1200, "audience": "vault"}}
    volume = {"name": "projected", "projected": {"sources": [token]}}
    container = {**reader("reader", "/service_account/word"), "volumeMounts": [{"name": "projected", "mountPath": "/service_account"}]}
    run_to_end(kubectl, {"containers": [container], "volumes": [volume]})
    text = kubectl("logs", "reader").strip()
    told = claims(text)
    assert told["aud"] == ["vault"] and told["kubernetes.io"]["pod"]["name"] == "reader"
    assert 1190 < told["exp"] - told["iat"] < 1300 and abs(told["iat"] - time.time()) < 60
    assert reviewed(kubectl, text, "vault")["authenticated"]
    assert not reviewed(kubectl, text).get("authenticated")
