// What is scraped, by pool, with the last error; the pools with something down first.

import { ask } from "./api.js";
import { badge, h, labels, link, table } from "./elements.js";
import { ago, short } from "./times.js";

const KINDS = { up: "good", down: "bad", unknown: "fair" };
const DROPPED_MAX = 50;

export async function view() {
  const { activeTargets, droppedTargets, droppedTargetCounts } = await ask("targets");
  const pools = Map.groupBy ? Map.groupBy(activeTargets, (target) => target.scrapePool) : grouped(activeTargets);
  for (const name of Object.keys(droppedTargetCounts)) if (!pools.has(name)) pools.set(name, []);
  const down = (targets) => targets.filter((target) => target.health === "down").length;
  const ordered = [...pools].sort(([a, ofA], [b, ofB]) => down(ofB) - down(ofA) || a.localeCompare(b));
  if (!ordered.length)
    return h(
      "div",
      { class: "card soft" },
      "Nothing is scraped: the configuration has no scrape_configs, or their discovery has found nothing.",
    );
  return h(
    "div",
    {},
    ordered.map(([name, targets]) =>
      pool(
        name,
        targets,
        droppedTargets.filter((one) => one.scrapePool === name),
        droppedTargetCounts[name] ?? 0,
      ),
    ),
  );
}

function grouped(targets) {
  const pools = new Map();
  for (const target of targets) pools.set(target.scrapePool, [...(pools.get(target.scrapePool) ?? []), target]);
  return pools;
}

function pool(name, targets, dropped, droppedCount) {
  const up = targets.filter((target) => target.health === "up").length;
  const rows = targets.map((target) => [
    h("td", {}, link(target.scrapeUrl), target.lastError && h("div", { class: "error" }, target.lastError)),
    badge(KINDS[target.health], target.health),
    h("td", {}, labels(target.labels)),
    ago(target.lastScrape),
    short(target.lastScrapeDuration),
  ]);
  return h(
    "details",
    { class: "card", open: up < targets.length || targets.length <= 20 },
    h(
      "summary",
      {},
      badge(up === targets.length ? "good" : "bad", `${up}/${targets.length} up`),
      ` ${name} `,
      droppedCount > 0 && h("span", { class: "soft" }, `${droppedCount} dropped by relabeling`),
    ),
    rows.length > 0 && table(["Target", "State", "Labels", "Last scrape", "Took"], rows),
    dropped.length > 0 &&
      h(
        "details",
        {},
        h("summary", { class: "soft" }, "Dropped targets, as discovered"),
        dropped.slice(0, DROPPED_MAX).map((one) => h("div", {}, labels(one.discoveredLabels))),
      ),
  );
}
