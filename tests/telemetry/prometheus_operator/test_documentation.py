"""docs/prometheus-operator.md names every field that has no effect, and every one for which there is something else to do."""

import re
from pathlib import Path

import pytest

from podium.telemetry.prometheus_operator.definitions import KINDS
from podium.telemetry.prometheus_operator.field_effects import REASONS, WITHOUT_EFFECT

TEXT = (Path(__file__).parents[3] / "docs" / "prometheus-operator.md").read_text()


def section(title: str) -> set[str]:
    """Fields of the first column of the table with that title."""
    table = TEXT[TEXT.index(f"| {title} |") :].partition("\n\n")[0]
    return {name for line in table.splitlines()[2:] for name in re.findall(r"`([a-zA-Z.]+)`", line.split("|")[1])}


def test_what_has_no_effect_is_listed() -> None:
    assert section("without effect") == {name for fields in WITHOUT_EFFECT.values() for name in fields}


def test_what_is_refused_for_a_reason_is_listed() -> None:
    assert set(REASONS) <= section("refused")
    assert section("refused") - {"replicas", "shards", "File"} <= {
        *REASONS,
        "volumes",
        "hostAliases",
        "dnsPolicy",
        "listenLocal",
        "routePrefix",
    }


@pytest.mark.parametrize("kind", [kind.kind for kind in KINDS])
def test_every_kind_is_listed(kind: str) -> None:
    assert kind in TEXT


def test_no_field_that_works_is_listed_as_refused() -> None:
    working = {name for kind in KINDS for name in kind.spec["properties"]} - {"replicas", "shards"}
    assert not working & section("refused")
