// Which page stands at which path, and the frame around it. Pages that show a state are drawn again every REFRESH_MS while they can be seen.

import { view as alerts } from "./alerts.js";
import { ask } from "./api.js";
import { h } from "./elements.js";
import { view as query } from "./query.js";
import { view as rules } from "./rules.js";
import { configuration, view as status } from "./status.js";
import { view as targets } from "./targets.js";

const REFRESH_MS = 15000;
const VIEWS = {
  query: [query, false],
  alerts: [alerts, true],
  rules: [rules, true],
  targets: [targets, true],
  status: [status, false],
  config: [configuration, false],
};

const name = location.pathname.split("/").at(-1) || "query";
const [view, isLive] = VIEWS[name] ?? VIEWS.query;
const main = document.querySelector("main");

for (const anchor of document.querySelectorAll("nav a")) {
  if (anchor.getAttribute("href") !== name) continue;
  anchor.setAttribute("aria-current", "page");
  document.title = `${anchor.textContent} · Metrics`;
}

async function draw() {
  const unfolded = [...main.querySelectorAll("details")].map((one) => one.open);
  try {
    const content = await view();
    main.replaceChildren(content);
    const details = [...main.querySelectorAll("details")];
    if (details.length === unfolded.length)
      details.forEach((one, index) => {
        one.open = unfolded[index];
      });
  } catch (error) {
    main.replaceChildren(h("p", { class: "error", role: "alert" }, error.message));
  }
}

await draw();
if (isLive)
  setInterval(() => {
    if (!document.hidden) draw();
  }, REFRESH_MS);
ask("status/buildinfo")
  .then((build) => {
    document.querySelector("#server").textContent = `PromQL ${build.version} · ${build.revision}`;
  })
  .catch(() => {});
