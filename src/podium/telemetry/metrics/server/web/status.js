// The server itself: build, run time, store, flags; and its configuration.

import { ask } from "./api.js";
import { h, table } from "./elements.js";

const pairs = (values) =>
  table(
    ["Name", "Value"],
    Object.entries(values)
      .filter(([, value]) => value !== "")
      .map(([name, value]) => [h("code", {}, name), h("code", {}, String(value))]),
  );

const section = (title, content) => h("section", { class: "card" }, h("h2", {}, title), content);

/** What an endpoint says, or why it does not: one that does not exist on this server leaves the rest of the page alone. */
const shown = async (title, path, show) => {
  try {
    return section(title, show(await ask(path)));
  } catch (error) {
    return section(title, h("p", { class: "soft" }, error.message));
  }
};

const TABLES = {
  seriesCountByMetricName: "Series by metric",
  labelValueCountByLabelName: "Values by label",
  memoryInBytesByLabelName: "Bytes by label",
  seriesCountByLabelValuePair: "Series by label and value",
};

export async function view() {
  return h(
    "div",
    {},
    await Promise.all([
      shown("Build", "status/buildinfo", pairs),
      shown("Run time", "status/runtimeinfo", pairs),
      shown("Store", "status/tsdb", ({ headStats, ...counts }) =>
        h(
          "div",
          {},
          pairs(headStats),
          Object.entries(TABLES).map(([name, title]) =>
            h(
              "details",
              {},
              h("summary", {}, title),
              table(
                ["Name", "Count"],
                counts[name].map((one) => [h("code", {}, one.name), h("td", {}, one.value.toLocaleString())]),
              ),
            ),
          ),
        ),
      ),
      shown("Flags", "status/flags", pairs),
    ]),
  );
}

export async function configuration() {
  return shown("Configuration", "status/config", ({ yaml }) => h("pre", {}, yaml));
}
