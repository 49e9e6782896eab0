"""Is the API server ready: one request over a plain TLS socket, with the admin certificate. No HTTP library, because `up` counts milliseconds."""

import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from podium.cli.cluster import Cluster

REQUEST_TIMEOUT_S = 2.0


def tls_context(cluster: Cluster) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(cluster.pki_dir / "ca.crt"))
    context.load_cert_chain(cluster.pki_dir / "admin.crt", cluster.pki_dir / "admin.key")
    return context


def get(cluster: Cluster, path: str, context: ssl.SSLContext) -> tuple[int, bytes]:
    """(HTTP status, body). Raises OSError when there is no answer."""
    address = (cluster.api_host, cluster.api_port)
    with (
        socket.create_connection(address, timeout=REQUEST_TIMEOUT_S) as raw,
        context.wrap_socket(raw, server_hostname=cluster.api_host) as stream,
    ):
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: {cluster.api_host}\r\nAccept: application/json\r\nConnection: close\r\n\r\n".encode())
        chunks = []
        while chunk := stream.recv(65536):
            chunks.append(chunk)
    head, _, body = b"".join(chunks).partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        raise ConnectionError("not an HTTP answer")
    return int(words[1]), body


def is_ready(cluster: Cluster, context: ssl.SSLContext) -> bool:
    try:
        return get(cluster, "/readyz", context)[0] == 200
    except OSError:
        return False


def listening(cluster: Cluster) -> bool:
    with socket.socket() as probe:
        probe.settimeout(REQUEST_TIMEOUT_S)
        return probe.connect_ex((cluster.api_host, cluster.api_port)) == 0


def wait_until(condition: Callable[[], bool], patience_s: float, pause_s: float = 0.01) -> bool:
    """Calls `condition` until it is true or patience ends."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause_s)
    return True


def get_json(cluster: Cluster, path: str, context: ssl.SSLContext) -> Any:
    """Raises OSError when there is no answer or it is not a success, ValueError when it is not JSON."""
    import http.client
    import json

    connection = http.client.HTTPSConnection(cluster.api_host, cluster.api_port, timeout=10.0, context=context)
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()
    if answer.status != 200:
        raise ConnectionError(f"GET {path} answered {answer.status}")
    return json.loads(body)
