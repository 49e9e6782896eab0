"""The rules that come with Podium: sound, and each alert with a page that says what to do."""

from pathlib import Path

import pytest

from podium.telemetry.metrics.rules.documents import read
from podium.telemetry.metrics.rules.rule import AlertingRule

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "src/podium/telemetry/bundled_rules").glob("*.yml"))
PAGES = ROOT / "docs/runbooks"


def alerts() -> list[AlertingRule]:
    rules = [rule for file in FILES for group in read(file.read_bytes(), file.name) for rule in group.rules]
    return [rule for rule in rules if isinstance(rule, AlertingRule)]


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    names = [rule.name for rule in alerts()]
    assert sorted(set(names)) == sorted(names)
    assert sorted(page.stem for page in PAGES.glob("*.md")) == sorted(names)


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule.name)
def test_an_alert_says_how_serious_it_is_and_what_is_wrong(rule: AlertingRule) -> None:
    assert rule.labels["severity"] in ("critical", "warning", "info", "none")
    assert rule.annotations["summary"].endswith(".")
    assert rule.annotations["description"]
    page = (PAGES / f"{rule.name}.md").read_text()
    assert all(part in page for part in ("**Meaning.**", "**Impact.**", "**Where to look.**", "**What to do.**"))
