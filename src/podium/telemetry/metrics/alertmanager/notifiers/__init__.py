"""One function per kind of integration: what is sent, in the shape that its service takes. NOTIFIERS has them all by kind."""

from podium.telemetry.metrics.alertmanager.notification import Notifier
from podium.telemetry.metrics.alertmanager.notifiers import chat, email, on_call, phone, slack, sns, webhook

NOTIFIERS: dict[str, Notifier] = {
    "webhook": webhook.notify,
    "email": email.notify,
    "slack": slack.notify,
    "pagerduty": on_call.notify_pagerduty,
    "opsgenie": on_call.notify_opsgenie,
    "victorops": on_call.notify_victorops,
    "discord": chat.notify_discord,
    "msteams": chat.notify_msteams,
    "msteamsv2": chat.notify_msteams_v2,
    "webex": chat.notify_webex,
    "telegram": phone.notify_telegram,
    "pushover": phone.notify_pushover,
    "sns": sns.notify,
}
