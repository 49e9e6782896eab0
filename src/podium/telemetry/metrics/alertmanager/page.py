"""The page at /: what fires, grouped as it is told of, and what is silenced. Server-side HTML, escaped by place; no scripts."""

from functools import lru_cache
from importlib.resources import files
from typing import Any

from podium.telemetry.metrics.alertmanager.alertmanager import Alertmanager
from podium.telemetry.metrics.alertmanager.alerts import Alert, ordered
from podium.telemetry.metrics.alertmanager.api_documents import filter_matches, ordered_silences
from podium.telemetry.metrics.alertmanager.errors import BadMatcher
from podium.telemetry.metrics.alertmanager.groups import sorted_groups
from podium.telemetry.metrics.alertmanager.matchers import parse_matchers
from podium.telemetry.metrics.alertmanager.notification_data import KV
from podium.telemetry.metrics.templates.template import Template

ALERTS_SHOWN_MAX = 500
SILENCES_SHOWN_MAX = 200


@lru_cache(maxsize=1)
def _template() -> Template:
    return Template.parse("page.tmpl", files(__package__).joinpath("page.tmpl").read_text(), missing_key="zero")


def page(manager: Alertmanager, text: str) -> str:
    """`text` are matchers that alerts have to fulfil; bad ones are said to be so."""
    error = ""
    try:
        matchers = parse_matchers(text)
    except BadMatcher as refused:
        matchers, error = (), str(refused)
    now = manager.world.clock.now()
    groups: list[dict[str, Any]] = []
    shown = total = 0
    for group in sorted_groups(manager.groups()):
        alerts = [a for a in ordered(group.alerts.values()) if not a.resolved_at(now) and filter_matches(matchers, a.labels)]
        total += len(alerts)
        kept = alerts[: max(0, ALERTS_SHOWN_MAX - shown)]
        shown += len(kept)
        if kept:
            groups.append(
                {
                    "labels": KV(group.labels).sorted_pairs(),
                    "receiver": group.route.receiver,
                    "muted": ", ".join(group.muted_by),
                    "alerts": [_alert(manager, alert, set(group.labels), bool(group.muted_by)) for alert in kept],
                }
            )
    silences = [s for s in ordered_silences(manager.silences.all(), now) if s.state(now) != "expired"]
    data = {
        "groups": groups,
        "total": total,
        "hidden": total - shown,
        "silences": [
            {
                "state": s.state(now), "matchers": [str(m) for m in s.matchers], "until": f"{s.ends_at:%Y-%m-%d %H:%M} UTC",
                "from": f"{s.starts_at:%Y-%m-%d %H:%M} UTC", "by": s.created_by, "comment": s.comment, "id": s.id,
            }
            for s in silences[:SILENCES_SHOWN_MAX]
        ],
        "filter": text, "error": error, "version": manager.measurements.version, "now": f"{now:%Y-%m-%d %H:%M:%S} UTC",
        "cluster": manager.cluster.status, "members": [name for name, _ in manager.cluster.members()],
    }  # fmt: skip
    return _template().execute(data, html=True)


def _alert(manager: Alertmanager, alert: Alert, grouped: set[str], is_muted: bool) -> dict[str, Any]:
    status = manager.status_of(alert)
    minutes = int((manager.world.clock.now() - alert.starts_at).total_seconds() // 60)
    age = (
        f"{minutes // 1440}d {minutes // 60 % 24}h"
        if minutes >= 1440
        else f"{minutes // 60}h {minutes % 60}m"
        if minutes >= 60
        else f"{minutes}m"
    )
    why = [f"silenced by {name}" for name in status.silenced_by] + [f"inhibited by {name}" for name in status.inhibited_by]
    return {
        "summary": alert.annotations.get("summary") or alert.name or alert.fingerprint,
        "description": alert.annotations.get("description", ""),
        "labels": KV({n: v for n, v in alert.labels.items() if n not in grouped}).sorted_pairs(),
        "severity": alert.labels.get("severity", ""),
        "since": age,
        "source": alert.generator_url,
        "suppressed": "; ".join(why) or ("muted" if is_muted else ""),
    }
