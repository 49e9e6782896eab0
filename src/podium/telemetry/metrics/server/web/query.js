// Expressions and their answers, as a table or a graph. What is asked stands in the address (g0.expr, g0.tab, ...), so that it can be linked to:
// alerts do.

import { answer } from "./api.js";
import { chart } from "./chart.js";
import { completion } from "./completion.js";
import { h, seriesText, table } from "./elements.js";
import { tree } from "./explain.js";
import { duration, inputTime, seconds, short } from "./times.js";

const RANGES_S = [60, 300, 900, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 604800, 1209600, 2419200];
const POINTS = 250;
const ROWS_MAX = 1000;
const FIELDS = ["expr", "tab", "range_input", "end_input", "step_input"];
const PRESET = { expr: "", tab: "1", range_input: "1h", end_input: "", step_input: "" };

export function view() {
  const root = h("div");
  const panels = h("div");
  const settings = fromAddress(new URLSearchParams(location.search));
  const save = () => history.replaceState(null, "", `query?${toAddress(settings)}`);
  const remove = (one, element) => {
    settings.splice(settings.indexOf(one), 1);
    element.remove();
    save();
  };
  const add = (one) => panels.append(panel(one, save, remove));
  settings.forEach(add);
  root.append(
    panels,
    h(
      "button",
      {
        type: "button",
        onclick: () => {
          const one = { ...PRESET };
          settings.push(one);
          add(one);
        },
      },
      "Add a query",
    ),
  );
  return root;
}

function fromAddress(parameters) {
  const found = [];
  for (let index = 0; parameters.has(`g${index}.expr`); index++) {
    found.push(Object.fromEntries(FIELDS.map((field) => [field, parameters.get(`g${index}.${field}`) ?? PRESET[field]])));
  }
  return found.length ? found : [{ ...PRESET }];
}

function toAddress(settings) {
  const parameters = new URLSearchParams();
  settings.forEach((one, index) =>
    FIELDS.forEach((field) => {
      if (one[field] !== "") parameters.set(`g${index}.${field}`, one[field]);
    }),
  );
  return parameters;
}

function panel(setting, save, remove) {
  const shown = h("div");
  const said = h("div", { "aria-live": "polite" });
  let running = null;
  const run = async () => {
    running?.abort();
    const own = (running = new AbortController());
    save();
    if (!setting.expr.trim()) return;
    const began = performance.now();
    said.replaceChildren(h("p", { class: "soft" }, "Asking …"));
    try {
      const { reply, summary, content } = await (MODES.get(setting.tab) ?? MODES.get("1")).show(setting, own.signal);
      const took = short((performance.now() - began) / 1000);
      said.replaceChildren(
        ...(reply.warnings ?? []).map((text) => h("p", { class: "warning" }, text)),
        ...(reply.infos ?? []).map((text) => h("p", { class: "soft" }, text)),
        h("p", { class: "soft" }, `${summary} · ${took}`),
      );
      shown.replaceChildren(content);
    } catch (error) {
      if (own.signal.aborted) return;
      said.replaceChildren(h("p", { class: "error", role: "alert" }, error.message));
      shown.replaceChildren();
    }
  };
  const element = h(
    "section",
    { class: "card" },
    asking(setting, run, () => remove(setting, element)),
    controls(setting, run),
    said,
    shown,
  );
  run();
  return element;
}

function asking(setting, run, remove) {
  const input = h("textarea", {
    rows: Math.min(8, setting.expr.split("\n").length),
    spellcheck: "false",
    autocapitalize: "off",
    placeholder: "Expression (Enter asks, Shift+Enter is a new line)",
    "aria-label": "Expression",
  });
  input.value = setting.expr;
  const choices = completion(input);
  const go = () => {
    setting.expr = input.value;
    run();
  };
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      go();
    }
  });
  return h(
    "div",
    { class: "bar" },
    h("div", { class: "expression" }, input, choices),
    h("button", { type: "button", class: "main", onclick: go }, "Execute"),
    h("button", { type: "button", onclick: remove, title: "Remove this query" }, "×"),
  );
}

function controls(setting, run) {
  const range = h("input", { size: 6, "aria-label": "Range" });
  const end = h("input", { type: "datetime-local", step: 1, "aria-label": "End of the range, or moment of evaluation; now where empty" });
  const step = h("input", { size: 6, placeholder: "step: auto", "aria-label": "Step" });
  range.value = setting.range_input;
  step.value = setting.step_input;
  if (setting.end_input) end.value = inputTime(new Date(setting.end_input));
  const tabs = [...MODES].map(([tab, { name }]) => {
    const choose = () => {
      setting.tab = tab;
      refresh();
      run();
    };
    return h("button", { type: "button", "data-tab": tab, onclick: choose }, name);
  });
  const onlyRange = h("span", { class: "bar" });
  const refresh = () => {
    for (const button of tabs) button.setAttribute("aria-pressed", button.dataset.tab === setting.tab);
    onlyRange.style.display = setting.tab === "1" ? "none" : "";
  };
  const widen = (direction) => () => {
    const now = seconds(setting.range_input);
    const others = RANGES_S.filter((length) => (direction > 0 ? length > now : length < now));
    setting.range_input = range.value = duration((direction > 0 ? others[0] : others.at(-1)) ?? now);
    run();
  };
  range.addEventListener("change", () => {
    setting.range_input = range.value.trim();
    run();
  });
  step.addEventListener("change", () => {
    setting.step_input = step.value.trim();
    run();
  });
  end.addEventListener("change", () => {
    setting.end_input = end.value ? new Date(end.value).toISOString() : "";
    run();
  });
  onlyRange.append(
    h("button", { type: "button", onclick: widen(-1), title: "A shorter range" }, "−"),
    range,
    h("button", { type: "button", onclick: widen(1), title: "A longer range" }, "+"),
    step,
  );
  refresh();
  return h("div", { class: "bar", style: { marginTop: "8px" } }, tabs, onlyRange, end);
}

/** By `tab` of the address, in which upstream has the first two. */
const MODES = new Map([
  ["1", { name: "Table", show: instant }],
  ["0", { name: "Graph", show: graph }],
  ["explain", { name: "Explain", show: explained }],
]);

const moment = (setting) => (setting.end_input ? Date.parse(setting.end_input) : Date.now()) / 1000;

function range(setting) {
  const length = seconds(setting.range_input);
  if (!(length > 0)) throw new Error(`the range is not a duration such as 1h30m: "${setting.range_input}"`);
  const step = setting.step_input ? seconds(setting.step_input) : Math.max(1, Math.floor(length / POINTS));
  if (!(step > 0)) throw new Error(`the step is not a duration such as 15s: "${setting.step_input}"`);
  const end = Math.floor(moment(setting) / step) * step;
  return { start: end - Math.floor(length / step) * step, end, step };
}

const count = ({ resultType, result }) => `${resultType} · ${result.length} ${result.length === 1 ? "result" : "results"}`;

async function graph(setting, signal) {
  const { start, end, step } = range(setting);
  const reply = await answer("query_range", { query: setting.expr, start, end, step }, signal);
  const { result } = reply.data;
  const content = result.length ? chart(result, start, end, step) : h("p", { class: "soft" }, "Nothing in this range.");
  return { reply, summary: count(reply.data), content };
}

async function explained(setting, signal) {
  const reply = await answer("podium/explain", { query: setting.expr, ...range(setting) }, signal);
  const { totalQueryableSamples: looked, peakSamples: peak } = reply.data.stats.samples;
  const summary = `${looked.toLocaleString()} samples looked at, ${peak.toLocaleString()} held at most`;
  return { reply, summary, content: tree(reply.data) };
}

async function instant(setting, signal) {
  const reply = await answer("query", { query: setting.expr, ...(setting.end_input && { time: moment(setting) }) }, signal);
  return { reply, summary: count(reply.data), content: rowsOf(reply.data) };
}

function rowsOf({ resultType, result }) {
  if (resultType === "scalar" || resultType === "string") return h("pre", {}, result[1]);
  if (!result.length) return h("p", { class: "soft" }, "Nothing at this moment.");
  const row = (one) => [h("code", {}, seriesText(one.metric)), h("td", { class: "number mono" }, values(one))];
  return h(
    "div",
    {},
    table(["Series", h("span", { class: "end" }, "Value")], result.slice(0, ROWS_MAX).map(row)),
    result.length > ROWS_MAX && h("p", { class: "warning" }, `${ROWS_MAX} of ${result.length} are shown.`),
  );
}

function values({ value, values: many, histogram, histograms }) {
  if (value) return value[1];
  if (histogram) return histogramText(histogram[1]);
  const lines = [
    ...(many ?? []).map(([time, text]) => `${text} @${time}`),
    ...(histograms ?? []).map(([time, one]) => `${histogramText(one)} @${time}`),
  ];
  return h("pre", {}, lines.join("\n"));
}

const BRACKETS = [
  ["(", "]"],
  ["[", ")"],
  ["(", ")"],
  ["[", "]"],
];

function histogramText({ count, sum, buckets = [] }) {
  const lines = buckets.map(([kind, low, high, inside]) => `${BRACKETS[kind][0]}${low}, ${high}${BRACKETS[kind][1]}: ${inside}`);
  return h("details", {}, h("summary", {}, `count ${count}, sum ${sum}`), h("pre", {}, lines.join("\n")));
}
