// Alerting rules and what they have found, the firing ones first.

import { ask } from "./api.js";
import { badge, h, labels, table } from "./elements.js";
import { ago } from "./times.js";
import { expression, health } from "./rules.js";

const KINDS = { firing: "bad", pending: "fair", inactive: "good", unknown: "fair" };

export async function view() {
  const { groups } = await ask("rules", { type: "alert" });
  const { activeAlertmanagers } = await ask("alertmanagers");
  const rules = groups.flatMap((group) => group.rules.map((rule) => ({ ...rule, group: group.name })));
  const counts = Object.keys(KINDS)
    .map((state) => [state, rules.filter((rule) => rule.state === state).length])
    .filter(([, count]) => count);
  const order = Object.keys(KINDS);
  rules.sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state));
  return h(
    "div",
    {},
    h(
      "p",
      { class: "bar" },
      counts.map(([state, count]) => badge(KINDS[state], `${count} ${state}`)),
      h(
        "span",
        { class: "soft end" },
        activeAlertmanagers.length ? `told to ${activeAlertmanagers.map((one) => one.url).join(", ")}` : "no Alertmanager is told",
      ),
    ),
    rules.length ? rules.map(rule) : h("div", { class: "card soft" }, "There is no alerting rule."),
  );
}

function rule(one) {
  const alerts = one.alerts ?? [];
  const rows = alerts.map((alert) => [
    badge(KINDS[alert.state], alert.state),
    h(
      "td",
      {},
      labels(alert.labels),
      Object.entries(alert.annotations).map(([name, text]) => h("div", { class: "soft" }, `${name}: ${text}`)),
    ),
    ago(alert.activeAt),
    h("code", {}, alert.value),
  ]);
  return h(
    "details",
    { class: "card", open: one.state === "firing" },
    h(
      "summary",
      {},
      badge(KINDS[one.state], one.state),
      ` ${one.name} `,
      h("span", { class: "soft" }, `${one.group}${alerts.length ? ` · ${alerts.length} active` : ""} `),
      health(one),
    ),
    expression(one),
    rows.length > 0 && table(["State", "Alert", "Since", "Value"], rows),
  );
}
