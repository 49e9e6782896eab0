"""What the four services of the shop share: an HTTP server, metrics, logs, trace context, and calls to the next service.

Python's standard library only. Everything is configured by environment variables: SERVICE_NAME, POD_IP (the address to listen on), POD_NAME, PORT,
TIMEOUT_S (for calls to the next service), LOG_LEVEL (info or error).

Sources: Prometheus text exposition format 0.0.4; W3C Trace Context level 1 (traceparent).
"""

import http.client
import json
import os
import re
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

NAME = os.environ.get("SERVICE_NAME", os.path.basename(sys.argv[0]).removesuffix(".py"))
POD = os.environ.get("POD_NAME", os.uname().nodename)
TIMEOUT_S = float(os.environ.get("TIMEOUT_S", "2"))
LOG_REQUESTS = os.environ.get("LOG_LEVEL", "info") == "info"
BODY_BYTES_MAX = 64 * 1024
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class Failure(Exception):
    """Answered with `status` and a JSON body that says which service failed and why."""

    def __init__(self, status, message, service=NAME):
        super().__init__(message)
        self.status, self.service = status, service


class Trace:
    """The position in a trace: this service's span, its parent, and whether it is sampled; and how long calls may take here. That shrinks
    from caller to callee, so when something is slow it is its direct caller that gives up, and names it."""

    def __init__(self, header="", timeout_s=""):
        self.timeout_s = min(TIMEOUT_S, float(timeout_s)) if re.fullmatch(r"\d+(\.\d+)?", timeout_s) else TIMEOUT_S
        match = TRACEPARENT.fullmatch(header.strip().lower())
        known = match and match[1] != "0" * 32 and match[2] != "0" * 16
        self.trace_id, self.parent_id, self.flags = match.groups() if known else (os.urandom(16).hex(), "", "01")
        self.span_id = os.urandom(8).hex()

    @property
    def header(self):
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


class Metrics:
    """Counts and a duration histogram per method, route and status."""

    def __init__(self):
        self._lock = threading.Lock()
        self._requests = {}
        self.in_flight = 0

    def begin(self):
        with self._lock:
            self.in_flight += 1

    def end(self, method, route, status, seconds):
        with self._lock:
            self.in_flight -= 1
            seen = self._requests.setdefault((method, route, status), [[0] * len(BUCKETS_S), 0, 0.0])
            for index, bound in enumerate(BUCKETS_S):
                seen[0][index] += seconds <= bound
            seen[1] += 1
            seen[2] += seconds

    def text(self):
        lines = ["# HELP http_requests_total Requests answered.", "# TYPE http_requests_total counter"]
        durations = ["# HELP http_request_duration_seconds Time to answer.", "# TYPE http_request_duration_seconds histogram"]
        with self._lock:
            for (method, route, status), (buckets, count, total) in sorted(self._requests.items()):
                labels = f'service="{NAME}",method="{method}",route="{route}",status="{status}"'
                lines.append(f"http_requests_total{{{labels}}} {count}")
                for bound, below in zip(BUCKETS_S, buckets, strict=True):
                    durations.append(f'http_request_duration_seconds_bucket{{{labels},le="{bound:g}"}} {below}')
                durations.append(f'http_request_duration_seconds_bucket{{{labels},le="+Inf"}} {count}')
                durations.append(f"http_request_duration_seconds_sum{{{labels}}} {total:.6f}")
                durations.append(f"http_request_duration_seconds_count{{{labels}}} {count}")
            gauge = [
                "# HELP http_requests_in_flight Requests being answered.",
                "# TYPE http_requests_in_flight gauge",
                f'http_requests_in_flight{{service="{NAME}"}} {self.in_flight}',
            ]
        return "\n".join([*lines, *durations, *gauge, ""])


METRICS = Metrics()


def log(level, message, **fields):
    if LOG_REQUESTS or level != "info":
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        record = {"time": stamp, "level": level, "service": NAME, "pod": POD, "message": message, **fields}
        sys.stdout.write(json.dumps(record) + "\n")
        sys.stdout.flush()


def address_of(host):
    """A Service of the same namespace is reached by the variables that every container gets for it (AUTH_SERVICE_HOST): they work also where
    an ordinary user cannot serve DNS. Any other name is resolved as usual."""
    return os.environ.get(f"{host.upper().replace('-', '_')}_SERVICE_HOST", host)


def call(url, body, trace, headers=None):
    """POSTs JSON to the next service and returns its JSON answer. Raises Failure 502 when it cannot be reached, is too slow, or fails."""
    parts = urlsplit(url)
    service = parts.hostname.split(".")[0]
    connection = http.client.HTTPConnection(address_of(parts.hostname), parts.port or 80, timeout=trace.timeout_s)
    try:
        sent = {
            "Content-Type": "application/json",
            "traceparent": trace.header,
            "x-timeout-s": f"{trace.timeout_s * 0.8:.3f}",
            **(headers or {}),
        }
        connection.request("POST", parts.path, json.dumps(body), sent)
        response = connection.getresponse()
        answer = json.loads(response.read(BODY_BYTES_MAX))
    except TimeoutError as error:
        raise Failure(502, f"{service} did not answer within {trace.timeout_s:.2g} s", service) from error
    except (OSError, http.client.HTTPException) as error:
        raise Failure(502, f"{service} cannot be reached: {error}", service) from error
    except ValueError as error:
        raise Failure(502, f"{service} did not answer with JSON", service) from error
    finally:
        connection.close()
    if 400 <= response.status < 500:
        raise Failure(response.status, answer.get("error", "refused"), answer.get("service", service))
    if response.status != 200:
        raise Failure(502, answer.get("error", f"{service} answered {response.status}"), answer.get("service", service))
    return answer


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, routes):
        """`routes`: path -> function(input: dict, trace, headers) that returns the answer as a dict, or raises Failure."""
        self.routes = routes
        self.stopping = False
        threading.stack_size(512 * 1024)
        super().__init__((os.environ.get("POD_IP", ""), int(os.environ.get("PORT", "8080"))), Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server_version, sys_version = "shop", ""

    def do_GET(self):
        self.answer_request()

    def do_POST(self):
        self.answer_request()

    def answer_request(self):
        path, _, query = self.path.partition("?")
        if path == "/metrics":
            return self.send(200, METRICS.text().encode(), "text/plain; version=0.0.4; charset=utf-8")
        if path in ("/healthz", "/readyz"):
            ready = path == "/healthz" or not self.server.stopping
            return self.send(200 if ready else 503, b"ok\n" if ready else b"stopping\n", "text/plain")
        started = time.perf_counter()
        trace = Trace(self.headers.get("traceparent", ""), self.headers.get("x-timeout-s", ""))
        METRICS.begin()
        status, value = self.outcome(path, query, trace)
        seconds = time.perf_counter() - started
        METRICS.end(self.command, path if path in self.server.routes else "other", status, seconds)
        fields = {"method": self.command, "path": path, "status": status, "duration_ms": round(seconds * 1000, 3)}
        fields |= {"trace_id": trace.trace_id, "span_id": trace.span_id, "parent_id": trace.parent_id}
        if status >= 400:
            fields["error"] = value["error"]
        log("info" if status < 500 else "error", "request", **fields)
        return self.send(status, json.dumps(value).encode() + b"\n", "application/json", trace)

    def outcome(self, path, query, trace):
        route = self.server.routes.get(path)
        try:
            if route is None:
                raise Failure(404, f"no such path: {path}")
            return 200, route(self.read_input(query), trace, self.headers)
        except Failure as failure:
            return failure.status, {"error": str(failure), "service": failure.service, "trace_id": trace.trace_id}
        except Exception as error:
            return 500, {"error": f"{type(error).__name__}: {error}", "service": NAME, "trace_id": trace.trace_id}

    def read_input(self, query):
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_BYTES_MAX:
            self.close_connection = True
            raise Failure(413, f"the body is larger than {BODY_BYTES_MAX} bytes")
        body = self.rfile.read(length) if length else b""
        try:
            value = json.loads(body) if body else {}
        except ValueError as error:
            raise Failure(400, f"the body is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise Failure(400, "the body must be a JSON object")
        return dict(parse_qsl(query)) | value

    def send(self, status, body, content_type, trace=None):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if trace is not None:
            self.send_header("traceparent", trace.header)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Requests are logged as JSON instead."""


def run(routes):
    """Serves until TERM: then /readyz fails, what is being answered is finished, and the process ends."""
    server = Server(routes)

    def stop(*_):
        server.stopping = True
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    log("info", "listening", address=f"{server.server_address[0]}:{server.server_address[1]}")
    server.serve_forever(poll_interval=0.05)
    deadline = time.monotonic() + 2
    while METRICS.in_flight and time.monotonic() < deadline:
        time.sleep(0.01)
    log("info", "stopped")
