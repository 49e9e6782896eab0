"""What each integration sends: method, URL, headers and body, and how it takes the answers."""

from collections.abc import Mapping
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from podium.telemetry.metrics.alertmanager.alerts import Alert
from podium.telemetry.metrics.alertmanager.configuration import load
from podium.telemetry.metrics.alertmanager.errors import NotificationError
from podium.telemetry.metrics.alertmanager.notification import HttpMessage, HttpReply, Mail, Notification
from podium.telemetry.metrics.alertmanager.notification_data import data_of
from podium.telemetry.metrics.alertmanager.notification_templates import NotificationTemplates
from podium.telemetry.metrics.alertmanager.notifiers import NOTIFIERS, slack
from podium.world import virtual
from podium.world.virtual import VirtualWorld

KEY = '{}:{alertname="High"}'


class Recorder:
    def __init__(self, reply: HttpReply) -> None:
        self.reply = reply
        self.messages: list[HttpMessage] = []
        self.settings: list[Mapping[str, Any]] = []
        self.mails: list[Mail] = []

    async def http(self, message: HttpMessage, settings: Mapping[str, Any]) -> HttpReply:
        self.messages.append(message)
        self.settings.append(settings)
        return self.reply

    async def mail(self, mail: Mail, settings: Mapping[str, Any]) -> None:
        self.mails.append(mail)


def send(
    kind: str, settings: str, *, resolved: bool = False, reply: HttpReply | None = None, general: str = "", notes: dict[str, str] | None = None,
    summary: str = "it is <high>",
) -> Recorder:  # fmt: skip
    """What that integration sends for two alerts."""
    recorder = Recorder(reply or HttpReply(200, {}, b""))
    configuration = load(f"global: {{{general}}}\nroute: {{receiver: ops}}\nreceivers: [{{name: ops, {kind}_configs: [{{{settings}}}]}}]")
    integration = configuration.receivers["ops"].integrations[0]

    async def main(world: VirtualWorld) -> None:
        now = world.clock.now()
        alerts = [
            Alert(
                {"alertname": "High", "i": i, "severity": "critical"},
                now,
                now if resolved else None,
                now,
                {"summary": summary},
                "http://p/g?a=1&b=2",
            )
            for i in ("1", "2")
        ]
        data = data_of(
            alerts,
            now,
            receiver="ops",
            group_labels={"alertname": "High"},
            route_labels={},
            reason="first notification",
            external_url="http://am",
        )
        templates = NotificationTemplates.load((), world.clock)
        notification = Notification(
            KEY, alerts, now, data, integration.settings, templates, recorder, world, notes if notes is not None else {}
        )
        await NOTIFIERS[kind](notification)

    virtual.run(main)
    return recorder


def body(recorder: Recorder, index: int = 0) -> Any:
    return orjson.loads(recorder.messages[index].body)


SUBJECT = "[FIRING:2] High (critical)"
LINK = "http://am/#/alerts?receiver=ops"


def test_webhook_version_4() -> None:
    recorder = send("webhook", "url: 'http://h/x?y={{ .Status }}', max_alerts: 1")
    message = recorder.messages[0]
    assert (message.method, message.url, message.headers["content-type"]) == ("POST", "http://h/x?y=firing", "application/json")
    found = body(recorder)
    assert list(found) == [
        "receiver", "status", "alerts", "notification_reason", "groupLabels", "commonLabels", "commonAnnotations", "routeLabels",
        "externalURL", "version", "groupKey", "truncatedAlerts",
    ]  # fmt: skip
    assert found["alerts"] == [{
        "status": "firing", "labels": {"alertname": "High", "i": "1", "severity": "critical"}, "annotations": {"summary": "it is <high>"},
        "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://p/g?a=1&b=2",
        "fingerprint": found["alerts"][0]["fingerprint"],
    }]  # fmt: skip
    assert (found["version"], found["groupKey"], found["truncatedAlerts"]) == ("4", KEY, 1)
    assert found["commonLabels"] == found["alerts"][0]["labels"]  # of those that are left
    assert b"\\u003chigh\\u003e" in message.body


def test_webhook_with_a_payload_of_one_s_own() -> None:
    payload = (
        "{text: '{{ len .Alerts }} of {{ .Receiver }}', count: '{{ len .Alerts }}', list: ['{{ .Status }}', 7], '{{ .Status }}': true}"
    )
    assert body(send("webhook", f"url: 'http://h', payload: {payload}")) == {
        "text": "2 of ops", "count": 2, "list": ["firing", 7], "firing": True,
    }  # fmt: skip


def test_slack_webhook() -> None:
    recorder = send(
        "slack",
        "channel: '#{{ .Receiver }}', fields: [{title: a, value: '{{ .Status }}'}], link_names: true,"
        " actions: [{type: button, text: go, url: 'http://x'}]",
        general="slack_api_url: 'http://slack/hook'",
    )
    assert recorder.messages[0].url == "http://slack/hook"
    assert body(recorder) == {
        "channel": "#ops", "username": "Alertmanager", "link_names": True,
        "attachments": [{
            "title": SUBJECT, "title_link": LINK, "text": "", "fallback": f"{SUBJECT} | {LINK}", "callback_id": "",
            "fields": [{"title": "a", "value": "firing", "short": False}], "actions": [{"type": "button", "text": "go", "url": "http://x"}],
            "footer": "", "color": "danger", "mrkdwn_in": ["fallback", "pretext", "text"],
        }],
    }  # fmt: skip


def test_slack_app_updates_its_message() -> None:
    notes: dict[str, str] = {}
    reply = HttpReply(200, {"content-type": "application/json"}, b'{"ok":true,"ts":"17.1","channel":"C1"}')
    first = send("slack", "channel: '#a', app_token: t, update_message: true", reply=reply, notes=notes)
    assert first.messages[0].url == "https://slack.com/api/chat.postMessage"
    assert first.settings[0]["authorization"] == {"type": "Bearer", "credentials": "t", "credentials_file": None}
    assert notes == {"threadTs": "17.1", "channelId": "C1"}
    second = send("slack", "channel: '#a', app_token: t, update_message: true", reply=reply, notes=notes, resolved=True)
    assert second.messages[0].url == "https://slack.com/api/chat.update"
    assert (body(second)["ts"], body(second)["channel"], body(second)["attachments"][0]["color"]) == ("17.1", "C1", "good")


SLACK_ERRORS = [
    (
        HttpReply(200, {"content-type": "application/json"}, b'{"ok":false,"error":"no_such_channel"}'),
        "error response from Slack: no_such_channel",
        False,
    ),
    (HttpReply(200, {"content-type": "text/html"}, b"no_team"), "received an error response from Slack: no_team", False),
    (HttpReply(200, {"content-type": "application/json"}, b"{"), "could not unmarshal JSON response", True),
    (HttpReply(503, {}, b"later"), "unexpected status code 503: later", True),
]


@pytest.mark.parametrize(("reply", "message", "is_retriable"), SLACK_ERRORS)
def test_slack_s_refusals_are_told_apart(reply: HttpReply, message: str, is_retriable: bool) -> None:
    with pytest.raises(NotificationError, match=message) as raised:
        send("slack", "api_url: 'http://slack', channel: c", reply=reply)
    assert raised.value.is_retriable is is_retriable


@pytest.fixture(autouse=True)
def _slack_says_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default reply of `send` is empty, which Slack's webhook would not say."""
    judge = slack._judge
    monkeypatch.setattr(slack, "_judge", lambda n, reply, channel: None if reply.body == b"" else judge(n, reply, channel))


def test_pagerduty_v2() -> None:
    recorder = send(
        "pagerduty", "routing_key: 'k{{ .Status }}', class: c, images: [{src: ''}, {src: s}], details: {more: '{{ len .Alerts }}'}"
    )
    assert recorder.messages[0].url == "https://events.pagerduty.com/v2/enqueue"
    found = body(recorder)
    details = found["payload"].pop("custom_details")
    assert found == {
        "routing_key": "kfiring", "dedup_key": found["dedup_key"], "event_action": "trigger", "client": "Alertmanager", "client_url": LINK,
        "payload": {"summary": SUBJECT, "source": "Alertmanager", "severity": "error", "class": "c"}, "images": [{"src": "s", "alt": "", "href": ""}],
    }  # fmt: skip
    assert len(found["dedup_key"]) == 64
    assert (details["num_firing"], details["num_resolved"], details["more"], details["resolved"]) == (2, 0, 2, [])
    assert details["firing"][0]["labels"]["alertname"] == "High"
    assert body(send("pagerduty", "routing_key: k", resolved=True))["event_action"] == "resolve"


def test_pagerduty_v1_by_service_key() -> None:
    recorder = send("pagerduty", "service_key: k")
    assert recorder.messages[0].url.endswith("/generic/2010-04-15/create_event.json")
    found = body(recorder)
    assert (found["service_key"], found["event_type"], found["description"], found["client"]) == ("k", "trigger", SUBJECT, "Alertmanager")


def test_pagerduty_s_event_is_cut_to_its_limit() -> None:
    recorder = send("pagerduty", "routing_key: k", summary="x" * 300_000)
    assert len(recorder.messages[0].body) < 512_000
    assert "have been removed" in body(recorder)["payload"]["custom_details"]["error"]


def test_pagerduty_names_what_it_refuses() -> None:
    with pytest.raises(NotificationError, match="400: bad event: a,b") as raised:
        send("pagerduty", "routing_key: k", reply=HttpReply(400, {}, b'{"message":"bad event","errors":["a","b"]}'))
    assert not raised.value.is_retriable
    with pytest.raises(NotificationError) as raised:
        send("pagerduty", "routing_key: k", reply=HttpReply(429, {}, b""))
    assert raised.value.is_retriable and raised.value.reason == "rateLimited"


def test_opsgenie_opens_updates_and_closes() -> None:
    settings = (
        "api_key: k, api_url: 'http://og/api', tags: 'a,b,', priority: P1, update_alerts: true, details: {x: '{{ .Status }}'},"
        " responders: [{name: 'x,y', type: teams}, {name: '{{ .CommonLabels.nobody }}', type: '{{ .CommonLabels.nobody }}'}, {id: z, type: USER}]"
    )
    recorder = send("opsgenie", settings)
    alias = body(recorder)["alias"]
    assert [(m.method, m.url) for m in recorder.messages] == [
        ("POST", "http://og/api/v2/alerts"),
        ("PUT", f"http://og/api/v2/alerts/{alias}/message?identifierType=alias"),
        ("PUT", f"http://og/api/v2/alerts/{alias}/description?identifierType=alias"),
    ]
    assert recorder.messages[0].headers["authorization"] == "GenieKey k"
    found = body(recorder)
    assert found["responders"] == [{"name": "x", "type": "team"}, {"name": "y", "type": "team"}, {"id": "z", "type": "user"}]
    assert (found["tags"], found["priority"], found["message"]) == (["a", "b"], "P1", SUBJECT)
    assert found["details"] == {"alertname": "High", "severity": "critical", "x": "firing"}
    closed = send("opsgenie", settings, resolved=True)
    assert [m.url for m in closed.messages] == [f"http://og/api/v2/alerts/{alias}/close?identifierType=alias"]
    assert body(closed) == {"source": LINK}


def test_victorops() -> None:
    recorder = send("victorops", "api_key: k, routing_key: 'r-{{ .Status }}', message_type: WARNING, custom_fields: {a: '{{ .Receiver }}'}")
    assert recorder.messages[0].url == "https://alert.victorops.com/integrations/generic/20131114/alert/k/r-firing"
    found = body(recorder)
    assert (found["message_type"], found["entity_display_name"], found["monitoring_tool"], found["a"]) == (
        "WARNING",
        SUBJECT,
        "Alertmanager",
        "ops",
    )
    assert body(send("victorops", "api_key: k, routing_key: r", resolved=True))["message_type"] == "RECOVERY"


def test_discord() -> None:
    found = body(send("discord", "webhook_url: 'http://d', username: u", summary="x" * 5_000))
    assert (found["username"], found["content"], found["embeds"][0]["title"], found["embeds"][0]["color"]) == ("u", "", SUBJECT, 0x992D22)
    assert len(found["embeds"][0]["description"]) == 4096 and found["embeds"][0]["description"].endswith("…")


def test_teams_connector_card() -> None:
    found = body(send("msteams", "webhook_url: 'http://t'", resolved=True))
    text = found.pop("text")
    assert found == {
        "@context": "http://schema.org/extensions", "type": "MessageCard", "title": "[RESOLVED] High (critical)",
        "summary": "[RESOLVED] High (critical)", "themeColor": "2DC72D",
    }  # fmt: skip
    assert text.startswith("## Resolved (2)\n\n- **it is <high>**")


def test_teams_workflow_card() -> None:
    found = body(send("msteamsv2", "webhook_url: 'http://t'"))
    assert (found["type"], found["attachments"][0]["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    card = found["attachments"][0]["content"]
    assert (card["type"], card["version"], card["msteams"]) == ("AdaptiveCard", "1.2", {"width": "full"})
    assert [(block["text"][:10], block.get("color")) for block in card["body"]] == [(SUBJECT[:10], "Attention"), ("## Firing ", None)]


def test_webex() -> None:
    recorder = send("webex", "room_id: r, http_config: {authorization: {credentials: t}}", summary="ü" * 5_000)
    assert recorder.messages[0].url == "https://webexapis.com/v1/messages"
    found = body(recorder)
    assert found["roomId"] == "r" and len(found["markdown"].encode()) <= 7439 and found["markdown"].endswith("…")


OK = HttpReply(200, {}, b'{"ok":true}')


def test_telegram_escapes_its_html() -> None:
    recorder = send("telegram", "bot_token: t, chat_id: -17, message_thread_id: 3, disable_notifications: true", reply=OK)
    assert recorder.messages[0].url == "https://api.telegram.org/bott/sendMessage"
    found = body(recorder)
    text = found.pop("text")
    assert found == {
        "chat_id": "-17", "disable_web_page_preview": "true", "message_thread_id": "3", "disable_notification": "true", "parse_mode": "HTML",
    }  # fmt: skip
    assert "it is &lt;high&gt;" in text
    assert "longer than Telegram allows" in body(send("telegram", "bot_token: t, chat_id: 1", reply=OK, summary="x" * 5_000))["text"]


def test_telegram_s_refusal_is_an_error() -> None:
    with pytest.raises(NotificationError, match=r"telegram: chat not found \(400\)"):
        send("telegram", "bot_token: t, chat_id: 1", reply=HttpReply(400, {}, b'{"ok":false,"description":"chat not found"}'))


def test_pushover() -> None:
    recorder = send("pushover", "token: t, user_key: u, retry: 2m, ttl: 1h, sound: s, html: true", summary="x" * 3_000)
    parts = urlsplit(recorder.messages[0].url)
    found = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert parts.netloc == "api.pushover.net"
    expected = {
        "token": "t",
        "user": "u",
        "title": SUBJECT,
        "priority": "2",
        "retry": "120",
        "expire": "3600",
        "ttl": "3600",
        "html": "1",
        "sound": "s",
    }
    assert {name: found[name] for name in expected} == expected
    assert len(found["message"]) == 1024


def test_sns_signs_what_it_publishes() -> None:
    settings = (
        "topic_arn: 'arn:aws:sns:eu-west-1:1:t.fifo', sigv4: {region: eu-west-1, access_key: AK, secret_key: SK},"
        " attributes: {a: '{{ .Status }}'}"
    )
    recorder = send("sns", settings, summary="x" * 300_000)
    message = recorder.messages[0]
    assert message.url == "https://sns.eu-west-1.amazonaws.com/"
    assert message.headers["authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/sns/aws4_request, SignedHeaders=content-type;host;x-amz-date, "
    )
    found = {name: values[0] for name, values in parse_qs(message.body.decode()).items()}
    assert (found["Action"], found["TopicArn"], found["Subject"]) == ("Publish", "arn:aws:sns:eu-west-1:1:t.fifo", SUBJECT)
    assert len(found["Message"]) == 256 * 1024 and found["MessageGroupId"] == found["MessageDeduplicationId"]
    attributes = {found[f"MessageAttributes.entry.{n}.Name"]: found[f"MessageAttributes.entry.{n}.Value.StringValue"] for n in (1, 2)}
    assert attributes == {"a": "firing", "truncated": "true"}


def test_sns_takes_a_role() -> None:
    reply = HttpReply(
        200, {}, b"<R><AccessKeyId>RA</AccessKeyId><SecretAccessKey>RS</SecretAccessKey><SessionToken>RT</SessionToken></R>"
    )  # fmt: skip
    settings = "phone_number: '+1', sigv4: {region: us-east-1, role_arn: 'arn:role'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "AK")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "SK")
        recorder = send("sns", settings, reply=reply)
    assert [m.url for m in recorder.messages] == ["https://sts.us-east-1.amazonaws.com/", "https://sns.us-east-1.amazonaws.com/"]
    assert "Credential=RA/" in recorder.messages[1].headers["authorization"]
    assert recorder.messages[1].headers["x-amz-security-token"] == "RT"


def test_email_has_two_parts_and_clean_headers() -> None:
    settings = (
        "to: 'Ops <ops@x.org>, b@x.org', text: '{{ .Status }} dot', threading: {enabled: true, thread_by_date: daily},"
        ' headers: {X-Note: "ü {{ .Status }}", Subject: "a {{ .Receiver }}\\nBcc: evil@x.org"}'
    )
    mail = send("email", settings, general="smtp_smarthost: 'mail.x.org:587', smtp_from: 'am@x.org'").mails[0]
    assert (mail.host, mail.port, mail.sender, mail.recipients) == ("mail.x.org", 587, "am@x.org", ("ops@x.org", "b@x.org"))
    message = message_from_bytes(mail.content, policy=policy.default)
    assert message["Subject"] == "a ops Bcc: evil@x.org" and message["Bcc"] is None
    assert (message["From"], message["To"], message["X-Note"]) == ("am@x.org", "Ops <ops@x.org>, b@x.org", "ü firing")
    assert message["References"] == message["In-Reply-To"] and message["References"].endswith("-2026-01-01@alertmanager>")
    assert message["Date"] == "Thu, 01 Jan 2026 00:00:00 +0000"
    parts = {part.get_content_type(): part.get_content() for part in message.iter_parts()}  # type: ignore[union-attr]
    assert parts["text/plain"].strip() == "firing dot"
    assert "it is &lt;high&gt;" in parts["text/html"] and "<title>[FIRING:2] High (critical)</title>" in parts["text/html"]
    assert b"\n" not in mail.content.replace(b"\r\n", b"") and max(map(len, mail.content.split(b"\r\n"))) <= 200


BAD_MAILS = [
    ("to: 'no address'", "parse 'to' addresses"),
    ("to: 'a@x.org', from: 'a@x.org, b@x.org'", "must be exactly one 'from' address"),
    ("to: 'a@x.org', headers: {X: \"a\\nb\"}", 'header "X" has a line break'),
    ("to: 'a@x.org', html: '{{ .Nope }}'", "can't evaluate field Nope in type \\*template.Data"),
]


@pytest.mark.parametrize(("settings", "message"), BAD_MAILS)
def test_a_bad_mail_is_refused_before_it_is_sent(settings: str, message: str) -> None:
    with pytest.raises(NotificationError, match=message) as raised:
        send("email", settings, general="smtp_smarthost: 'mail.x.org:587', smtp_from: 'am@x.org'")
    assert not raised.value.is_retriable


def test_secrets_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(" from-file\n")
    assert body(send("pagerduty", f"routing_key_file: '{tmp_path}/key'"))["routing_key"] == "from-file"
    with pytest.raises(NotificationError, match=r"could not read .*: No such file or directory"):
        send("pagerduty", f"routing_key_file: '{tmp_path}/no'")
