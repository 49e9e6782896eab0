// Completion of metric names, functions and keywords while an expression is typed.

import { ask } from "./api.js";
import { h } from "./elements.js";

const SHOWN_MAX = 30;
const WORDS = {
  keyword: "by without on ignoring group_left group_right bool offset and or unless atan2 start end",
  aggregation: "sum min max avg count stddev stdvar topk bottomk quantile count_values group",
  function:
    "abs absent absent_over_time acos acosh asin asinh atan atanh avg_over_time ceil changes clamp clamp_max clamp_min cos cosh count_over_time day_of_month day_of_week " +
    "day_of_year days_in_month deg delta deriv exp floor histogram_avg histogram_count histogram_fraction histogram_quantile histogram_stddev histogram_stdvar histogram_sum " +
    "hour idelta increase irate label_join label_replace last_over_time ln log10 log2 max_over_time min_over_time minute month pi predict_linear present_over_time quantile_over_time rad rate " +
    "resets round scalar sgn sin sinh sort sort_desc sqrt stddev_over_time stdvar_over_time sum_over_time tan tanh time timestamp vector year",
};
const FIXED = Object.entries(WORDS).flatMap(([kind, words]) => words.split(" ").map((word) => [word, kind]));

let metrics = null;

async function candidates() {
  metrics ??= ask("label/__name__/values").catch(() => []);
  return [...(await metrics).map((name) => [name, "metric"]), ...FIXED];
}

/** Those that begin with `typed` first, then those in which it stands. */
function matching(all, typed) {
  const wanted = typed.toLowerCase();
  const ranked = [[], []];
  for (const one of all) {
    const place = one[0].toLowerCase().indexOf(wanted);
    if (place >= 0 && one[0] !== typed) ranked[place === 0 ? 0 : 1].push(one);
  }
  return ranked.flat().slice(0, SHOWN_MAX);
}

/** Puts a list of choices below `input`, a text area. Returns the element to put beside it. */
export function completion(input) {
  const list = h("ul", { class: "choices", role: "listbox", hidden: true });
  let chosen = -1; // the place in the list; -1 where Enter should ask rather than take
  const close = () => {
    list.hidden = true;
  };
  const word = () => {
    const before = input.value.slice(0, input.selectionStart);
    const quotes = before.replace(/\\./g, "").match(/["'`]/g)?.length ?? 0;
    return quotes % 2 || (/[{,]\s*\w*$/.test(before) && before.lastIndexOf("{") > before.lastIndexOf("}"))
      ? ""
      : (before.match(/[a-zA-Z_:][\w:]*$/)?.[0] ?? "");
  };
  const take = (text) => {
    const end = input.selectionStart;
    input.setRangeText(text, end - word().length, end, "end");
    close();
    input.focus();
  };
  const mark = () =>
    [...list.children].forEach((item, index) => {
      item.setAttribute("aria-selected", index === chosen);
      if (index === chosen) item.scrollIntoView({ block: "nearest" });
    });
  input.addEventListener("input", async () => {
    const typed = word();
    const found = typed ? matching(await candidates(), typed) : [];
    if (word() !== typed) return; // typed on while the names were fetched
    chosen = -1;
    list.replaceChildren(
      ...found.map(([text, kind]) =>
        h(
          "li",
          {
            role: "option",
            onmousedown: (event) => {
              event.preventDefault();
              take(text);
            },
          },
          text,
          h("span", { class: "choice-kind" }, kind),
        ),
      ),
    );
    list.hidden = !found.length;
  });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    const count = list.children.length;
    if (event.key === "ArrowDown") chosen = (chosen + 1) % count;
    else if (event.key === "ArrowUp") chosen = (chosen <= 0 ? count : chosen) - 1;
    else if (event.key === "Escape") return close();
    else if (event.key === "Tab" || (event.key === "Enter" && chosen >= 0)) take(list.children[Math.max(chosen, 0)].firstChild.data);
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!list.hidden) mark();
  });
  return list;
}
