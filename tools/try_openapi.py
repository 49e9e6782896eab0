"""Drives a Podium API server with requests that schemathesis makes from its own OpenAPI documents: no answer may be a 5xx, none may hang.

    python tools/try_openapi.py [--examples N] [--seed N] [GROUP/VERSION...]

The server is `podium envtest`'s: alone, in memory, on loopback, ended afterwards. One document after the other, all of them unless some are
named (`api/v1`, `apis/apps/v1`). Exit code 1 when any failed; the output has schemathesis' own commands to repeat what did. Where there is no
schemathesis this says so and ends well.
"""

import argparse
import json
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE_S = 20.0
REQUEST_TIMEOUT_S = 10
FAILURES_MAX = 10
STREAMS = ("/exec", "/attach", "/portforward", "/proxy", "/proxy/{path}", "/log")
CONTEXT = ssl._create_unverified_context()


@contextmanager
def server(directory: Path) -> Iterator[tuple[str, str]]:
    """(URL, token of an administrator)."""
    from podium.api.authority import Authority

    certificate, key = Authority.load_or_create(directory).issue("kube-apiserver", hosts=["127.0.0.1"])
    (directory / "apiserver.crt").write_bytes(certificate)
    (directory / "apiserver.key").write_bytes(key)
    token, tokens = secrets.token_hex(16), directory / "tokens.csv"
    tokens.touch(mode=0o600)
    tokens.write_text(f'{token},administrator,1,"system:masters"\n')
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    flags = (f"--secure-port={port}", f"--cert-dir={directory}", f"--token-auth-file={tokens}")
    process = subprocess.Popen([sys.executable, "-m", "podium.envtest", "kube-apiserver", *flags])
    try:
        url = f"https://127.0.0.1:{port}"
        _await(url)
        yield url, token
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _await(url: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            urllib.request.urlopen(f"{url}/readyz", context=CONTEXT, timeout=2).close()
            return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise SystemExit("the API server did not become ready") from None
            time.sleep(0.05)


def read(url: str, token: str, path: str) -> bytes:
    request = urllib.request.Request(url + path, headers={"authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, context=CONTEXT, timeout=PATIENCE_S) as answer:
        body: bytes = answer.read()
        return body


def without_streams(document: dict[str, Any]) -> dict[str, Any]:
    """The document without what answers for as long as it is listened to: watches, and connections into pods and nodes."""
    for path in [path for path in document["paths"] if "/watch/" in path or path.endswith(STREAMS)]:
        del document["paths"][path]
    for item in document["paths"].values():
        for part in (item, *(operation for operation in item.values() if isinstance(operation, dict))):
            if "parameters" in part:
                part["parameters"] = [p for p in part["parameters"] if p.get("name") != "watch"]
    return document


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", metavar="GROUP/VERSION")
    parser.add_argument("--examples", type=int, default=5, help="requests for each operation, beside those that cover its schema")
    parser.add_argument("--seed", type=int)
    arguments = parser.parse_args()
    beside = Path(sys.executable).with_name("schemathesis")
    program = str(beside) if beside.exists() else shutil.which("schemathesis")
    if program is None:
        print("try_openapi: skipped: no schemathesis here (pip install schemathesis)", file=sys.stderr)
        return
    failed = []
    with tempfile.TemporaryDirectory(prefix="podium-openapi-") as directory, server(Path(directory)) as (url, token):
        index = json.loads(read(url, token, "/openapi/v3"))["paths"]
        for name in arguments.versions or sorted(index):
            document = Path(directory) / "document.json"
            document.write_text(json.dumps(without_streams(json.loads(read(url, token, f"/openapi/v3/{name}")))))
            command = [
                program, "run", str(document), "--url", url, "--tls-verify", "false", "--header", f"Authorization: Bearer {token}",
                "--checks", "not_a_server_error", "--phases", "fuzzing,coverage", "--max-examples", str(arguments.examples),
                "--request-timeout", str(REQUEST_TIMEOUT_S), "--max-failures", str(FAILURES_MAX), "--suppress-health-check", "all",
            ]  # fmt: skip
            if arguments.seed is not None:
                command += ["--seed", str(arguments.seed)]
            print(f"== {name}", flush=True)
            if subprocess.run(command, cwd=directory, check=False).returncode:
                failed.append(name)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
