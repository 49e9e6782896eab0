// A line chart of a range query's answer: lines break where a series has no sample; the legend chooses what is shown.

import { h, s, seriesText } from "./elements.js";

const WIDTH = 1200,
  HEIGHT = 380,
  LEFT = 64,
  RIGHT = 12,
  TOP = 10,
  BOTTOM = 26;
const DRAWN_MAX = 500; // lines; a browser that draws more than that serves nobody
const LEGEND_MAX = 100;

const color = (index) => `hsl(${(index * 137.508 + 215) % 360} 62% ${48 + (index % 3) * 6}%)`;

/** `result` is a matrix, `start`, `end` and `step` in seconds. */
export function chart(result, start, end, step) {
  const series = result
    .filter((one) => one.values?.length)
    .map((one, index) => ({
      name: seriesText(one.metric),
      color: color(index),
      shown: true,
      points: one.values
        .map(([time, text]) => [time, Number(text.replace("Inf", "Infinity"))])
        .filter(([, value]) => Number.isFinite(value)),
    }));
  const box = h("div", { class: "chart" });
  const draw = () => box.replaceChildren(...drawing(series.filter((one) => one.shown).slice(0, DRAWN_MAX), start, end, step));
  draw();
  const notes = [];
  if (result.length > series.length) notes.push(`${result.length - series.length} series of histograms are in the table only.`);
  if (series.length > DRAWN_MAX) notes.push(`${DRAWN_MAX} of ${series.length} series are drawn: aggregate, or ask for topk().`);
  return h(
    "div",
    {},
    notes.map((note) => h("p", { class: "warning" }, note)),
    box,
    legend(series, draw),
  );
}

function legend(series, draw) {
  const buttons = series
    .slice(0, LEGEND_MAX)
    .map((one) =>
      h(
        "button",
        { type: "button", title: "Show this one alone; with Ctrl, hide or show it" },
        h("span", { class: "swatch", style: { background: one.color } }),
        h("span", {}, one.name),
      ),
    );
  const mark = () => buttons.forEach((button, index) => button.setAttribute("aria-pressed", series[index].shown));
  buttons.forEach((button, index) =>
    button.addEventListener("click", (event) => {
      const chosen = series[index];
      const alone = chosen.shown && series.every((one) => one === chosen || !one.shown);
      if (event.ctrlKey || event.metaKey) chosen.shown = !chosen.shown;
      else
        series.forEach((one) => {
          one.shown = alone || one === chosen;
        });
      mark();
      draw();
    }),
  );
  mark();
  return h(
    "div",
    { class: "legend" },
    buttons,
    series.length > LEGEND_MAX && h("p", { class: "soft" }, `and ${series.length - LEGEND_MAX} more`),
  );
}

function drawing(series, start, end, step) {
  let low = Infinity,
    high = -Infinity;
  for (const one of series)
    for (const [, value] of one.points) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  if (low > high) {
    low = 0;
    high = 1;
  }
  if (low > 0 && low < high / 2) low = 0;
  if (low === high) {
    const margin = Math.abs(low) * 0.1 || 1;
    low -= margin;
    high += margin;
  }
  const ticks = valueTicks(low, high);
  low = Math.min(low, ticks[0]);
  high = Math.max(high, ticks.at(-1));
  const x = (time) => LEFT + ((time - start) / (end - start || 1)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const svg = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${series.length} series` });
  for (const tick of ticks)
    svg.append(
      s("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) }),
      s("text", { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, number(tick)),
    );
  for (const [time, text] of timeTicks(start, end))
    svg.append(
      s("line", { class: "grid", x1: x(time), x2: x(time), y1: TOP, y2: HEIGHT - BOTTOM }),
      s("text", { x: x(time), y: HEIGHT - 8, "text-anchor": "middle" }, text),
    );
  for (const one of series) svg.append(s("path", { d: outline(one.points, x, y, step), stroke: one.color }));
  const cursor = s("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
  const dot = s("circle", { r: 4, visibility: "hidden" });
  svg.append(cursor, dot);
  const tip = h("div", { class: "tip", hidden: true });
  hover(svg, tip, cursor, dot, series, { x, y, start, end, step });
  return [svg, tip];
}

/** A path; a gap of more than a step and a half breaks it, and a lone point is a dot (a line of no length with round ends). */
function outline(points, x, y, step) {
  let path = "",
    before = -Infinity,
    lone = false;
  for (const [time, value] of points) {
    const place = `${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
    const joined = time - before <= step * 1.5;
    if (!joined && lone) path += "h0";
    path += joined ? `L${place}` : `M${place}`;
    lone = !joined;
    before = time;
  }
  return lone ? `${path}h0` : path;
}

function hover(svg, tip, cursor, dot, series, { x, y, start, end, step }) {
  const hide = () => {
    tip.hidden = true;
    cursor.setAttribute("visibility", "hidden");
    dot.setAttribute("visibility", "hidden");
  };
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("pointermove", (event) => {
    const frame = svg.getBoundingClientRect();
    const scale = WIDTH / frame.width;
    const atX = (event.clientX - frame.left) * scale,
      atY = (event.clientY - frame.top) * scale;
    const time = Math.round((((atX - LEFT) / (WIDTH - LEFT - RIGHT)) * (end - start)) / step) * step + start;
    let best = null;
    for (const one of series) {
      const value = valueAt(one.points, time, step);
      if (value === null) continue;
      const distance = Math.abs(y(value) - atY);
      if (!best || distance < best.distance) best = { one, value, distance };
    }
    if (!best) return hide();
    cursor.setAttribute("x1", x(time));
    cursor.setAttribute("x2", x(time));
    cursor.setAttribute("visibility", "visible");
    dot.setAttribute("cx", x(time));
    dot.setAttribute("cy", y(best.value));
    dot.setAttribute("fill", best.one.color);
    dot.setAttribute("visibility", "visible");
    tip.hidden = false;
    tip.replaceChildren(
      h("div", { class: "soft" }, new Date(time * 1000).toLocaleString()),
      h("b", {}, String(best.value)),
      h("div", { class: "mono" }, best.one.name),
    );
    const right = event.clientX - frame.left > frame.width / 2;
    tip.style.left = right ? "auto" : `${event.clientX - frame.left + 16}px`;
    tip.style.right = right ? `${frame.right - event.clientX + 16}px` : "auto";
    tip.style.top = `${event.clientY - frame.top + 8}px`;
  });
}

/** The value within half a step of `time`, by bisection; null where there is none. */
function valueAt(points, time, step) {
  let low = 0,
    high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < time - step / 2) low = middle + 1;
    else high = middle;
  }
  return low < points.length && points[low][0] <= time + step / 2 ? points[low][1] : null;
}

/** Round values, five or so of them, of which the first is at or below `low` and the last at or above `high`. */
function valueTicks(low, high) {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const first = Math.floor(low / size),
    last = Math.ceil(high / size);
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * size);
}

const STEPS = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400, 172800, 604800, 2592000, 7776000, 31536000];

function timeTicks(start, end) {
  const size = STEPS.find((length) => (end - start) / length <= 10) ?? STEPS.at(-1);
  const zone = new Date(start * 1000).getTimezoneOffset() * 60;
  const ticks = [];
  for (let time = Math.ceil((start - zone) / size) * size + zone; time <= end; time += size) {
    const date = new Date(time * 1000);
    ticks.push([
      time,
      size >= 86400
        ? date.toLocaleDateString()
        : date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: size < 60 ? "2-digit" : undefined }),
    ]);
  }
  return ticks;
}

const PREFIXES = [
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
  [1, ""],
  [1e-3, "m"],
  [1e-6, "µ"],
  [1e-9, "n"],
];

function number(value) {
  if (value === 0) return "0";
  const [size, prefix] = PREFIXES.find(([limit]) => Math.abs(value) >= limit * 0.9999) ?? PREFIXES.at(-1);
  const shown = Number((value / size).toPrecision(4));
  return Math.abs(shown) >= 1e4 || shown === 0 ? value.toExponential(2) : `${shown}${prefix}`;
}
