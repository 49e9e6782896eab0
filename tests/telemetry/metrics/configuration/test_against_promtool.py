"""Debian's promtool refuses what we refuse, in the same words but for the line, which we add.

Left out: what Prometheus 3 added or changed (NEWER), what we refuse and upstream has (OURS).
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from podium.telemetry.metrics.configuration.configuration import load
from podium.telemetry.metrics.errors import ConfigurationError
from tests.telemetry.metrics.configuration.test_configuration import GOOD, REFUSED

MISSING = "" if shutil.which("promtool") else "needs Debian's promtool"
NEWER = (
    "proxy_from_environment", "http_headers", "scrape_protocols", "metric_name_validation_scheme", "protobuf_message", "oauth2: {client_id",
    "sigv4", "cert_file",
)  # fmt: skip
OURS = ("tracing", "sigv4", "api_version: v1", "consult_sd_configs", "a: [")


def promtool(text: str, directory: Path) -> str:
    """Its complaint; empty when the file is fine."""
    path = directory / "prometheus.yml"
    path.write_text(text)
    done = subprocess.run(["promtool", "check", "config", "--syntax-only", path], capture_output=True, text=True, timeout=30)
    return "" if done.returncode == 0 else (done.stdout + done.stderr).partition("FAILED: ")[2].strip()


def words(message: str) -> str:
    """Without file and line before it, and without what upstream says of secret managers since."""
    message = re.sub(r"^parsing YAML file \S+: ", "", message)
    return re.sub(r"^line \d+: ", "", message).replace("password, password_file & password_ref", "password & password_file").strip()


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_what_we_refuse_promtool_refuses_in_the_same_words(tmp_path: Path) -> None:
    compared = 0
    for text, _ in REFUSED:
        if any(word in text for word in OURS):
            continue
        theirs = promtool(text, tmp_path)
        with pytest.raises(ConfigurationError) as refused:
            load(text)
        ours = str(refused.value)
        assert theirs, f"promtool accepts {text!r}, we say {ours}"
        if not any(word in text for word in NEWER):
            allowed = "sigv4, azuread or google_iam parameter"
            assert words(ours).replace(allowed, "or sigv4 parameter") == words(theirs)
            compared += 1
    assert compared > 30


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_what_promtool_accepts_we_accept(tmp_path: Path) -> None:
    older = GOOD.replace("    retention: {time: 1d, size: 1GB}\n", "").replace("  sample_limit: 1500\n  body_size_limit: 15MB\n", "")
    assert promtool(older, tmp_path) == ""
    load(older)
    for interval, good in [("1s", True), ("0s", True), ("90m", True), ("1h30m", True), ("1.5h", False), ("", True), ("-1s", False)]:
        text = f"scrape_configs: [{{job_name: j, scrape_interval: {interval}, scrape_timeout: 1s}}]"
        verdict = promtool(text, tmp_path) == ""
        try:
            load(text)
        except ConfigurationError:
            assert (verdict, good) == (False, False), text
        else:
            assert (verdict, good) == (True, True), text
