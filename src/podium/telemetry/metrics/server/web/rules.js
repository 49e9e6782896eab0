// All rules by group, with what their last evaluation took and said.

import { ask } from "./api.js";
import { badge, h, labels, table } from "./elements.js";
import { ago, duration, short } from "./times.js";

export const health = (rule) =>
  rule.health !== "ok" && badge(rule.health === "err" ? "bad" : "fair", rule.health === "err" ? "error" : "not yet evaluated");

/** The expression as a link to its graph, how long it must hold, what is added, the last error. */
export function expression(rule) {
  const address = `query?${new URLSearchParams({ "g0.expr": rule.query, "g0.tab": "1" })}`;
  return h(
    "div",
    {},
    h("a", { href: address, title: "Ask this" }, h("code", {}, rule.query)),
    rule.duration > 0 && h("span", { class: "soft" }, ` for ${duration(rule.duration)}`),
    rule.keepFiringFor > 0 && h("span", { class: "soft" }, ` keep firing for ${duration(rule.keepFiringFor)}`),
    h("div", {}, labels(rule.labels ?? {})),
    rule.lastError && h("p", { class: "error" }, rule.lastError),
  );
}

export async function view() {
  const { groups } = await ask("rules", { exclude_alerts: true });
  if (!groups.length) return h("div", { class: "card soft" }, "There are no rules.");
  return h(
    "div",
    {},
    groups.map((group) =>
      h(
        "section",
        { class: "card" },
        h(
          "h2",
          {},
          group.name,
          " ",
          h(
            "span",
            { class: "soft" },
            `${group.file} · every ${duration(group.interval)} · ${ago(group.lastEvaluation)}, took ${short(group.evaluationTime)}`,
          ),
        ),
        table(
          ["Rule", "Expression", "Last", "Took"],
          group.rules.map((rule) => [
            h(
              "td",
              {},
              h("b", {}, rule.name),
              h("div", {}, badge(rule.type === "alerting" ? "fair" : "good", rule.type), " ", health(rule)),
            ),
            expression(rule),
            ago(rule.lastEvaluation),
            short(rule.evaluationTime),
          ]),
        ),
      ),
    ),
  );
}
