// What answering a query cost, part by part: a tree, with a bar for each part's own share of the time.

import { h, table } from "./elements.js";
import { short } from "./times.js";

/** `explained` is the data of /api/v1/podium/explain. */
export function tree({ plan, remoteReads }) {
  if (!plan) return h("p", { class: "soft" }, "Nothing was evaluated.");
  const rows = [];
  walk(plan, 0, plan.totalSeconds || 1, rows);
  return h(
    "div",
    {},
    table(["Part", "Own time", "With what is below", "Series", "Samples", "Read"], rows),
    remoteReads.map((one) =>
      h(
        "p",
        { class: "soft" },
        `From ${one.remote}: ${one.selector}, ${one.series} series, ${one.samples} samples in ${short(one.seconds)}`,
      ),
    ),
  );
}

function walk(part, depth, whole, rows) {
  const share = Math.min(100, (100 * part.selfSeconds) / whole);
  const number = (content) => h("td", { class: "number" }, content);
  rows.push([
    h("td", { style: { paddingLeft: `${depth * 20}px` } }, h("code", {}, part.text), part.once && h("span", { class: "soft" }, " once")),
    h(
      "td",
      { class: "number share" },
      short(part.selfSeconds),
      h("div", { class: "bar-of-time", style: { width: `${share.toFixed(1)}%` } }),
    ),
    number(short(part.totalSeconds)),
    number(part.series.toLocaleString()),
    number(part.samples.toLocaleString()),
    number(part.samplesRead === undefined ? "" : `${part.samplesRead.toLocaleString()} of ${part.seriesRead.toLocaleString()} series`),
  ]);
  for (const child of part.children) walk(child, depth + 1, whole, rows);
}
