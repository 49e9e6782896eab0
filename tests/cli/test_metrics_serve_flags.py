"""Settings of `podium metrics serve`: what cannot be is refused with the flag's name, before anything is touched."""

from pathlib import Path

import pytest

from podium.main import main

REFUSED = [
    (["--read-concurrency", "0"], "--read-concurrency: at least 1 is wanted, not 0"),
    (["--storage.remote.read-max-bytes-in-frame", "0"], "--read-frame-bytes: at least 1 is wanted, not 0"),
    (["--storage.remote.read-sample-limit", "-1"], "--read-samples: at least 0 is wanted, not -1"),
    (["--enable-feature", "otlp-deltatocumulative"], "--enable-feature otlp-deltatocumulative: there is no such feature here"),
    (["--retention", "soon"], "not a valid duration string"),
]


@pytest.mark.parametrize(("flags", "said"), REFUSED)
def test_what_cannot_be_is_refused_by_name(flags: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "data"
    code = main(["metrics", "serve", "--config", str(tmp_path / "none.yml"), "--data-dir", str(folder), *flags])
    assert code and said in capsys.readouterr().err and not folder.exists()
