// Elements without a framework: text is always text, never markup, so that nothing that a label says can become a script.

/** An element `tag` with `attributes` (`on...` is a listener, `style` an object; `false`, null and undefined are left out) and children (nodes, texts, arrays of them). */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  set(element, attributes);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The same in a drawing. */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(element, attributes);
  element.append(...children.flat(Infinity));
  return element;
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "style")
      Object.assign(element.style, value); // through the object model: the page's policy bans style attributes
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
}

/** A link, or plain text where the address is not one that a browser should follow. */
export function link(address, text = address) {
  return /^(https?:\/\/|[^:]*$)/.test(address) ? h("a", { href: address }, text) : text;
}

export const badge = (kind, text) => h("span", { class: `badge ${kind}` }, text);

export const label = (name, value) => h("span", { class: "label" }, `${name}="${value}"`);

export const labels = (set) => Object.entries(set).map(([name, value]) => label(name, value));

export function table(heads, rows) {
  return h(
    "table",
    {},
    h(
      "tr",
      {},
      heads.map((head) => h("th", { scope: "col" }, head)),
    ),
    rows.map((cells) =>
      h(
        "tr",
        {},
        cells.map((cell) => (cell instanceof HTMLTableCellElement ? cell : h("td", {}, cell))),
      ),
    ),
  );
}

/** "{a="b"}" with the metric's name before it, as PromQL writes it. */
export function seriesText(metric) {
  const { __name__: name = "", ...others } = metric;
  const inside = Object.entries(others).map(
    ([key, value]) => `${/^[a-zA-Z_]\w*$/.test(key) ? key : JSON.stringify(key)}=${JSON.stringify(value)}`,
  );
  if (name && !/^[a-zA-Z_:][\w:]*$/.test(name)) return `{${[JSON.stringify(name), ...inside].join(", ")}}`;
  return inside.length ? `${name}{${inside.join(", ")}}` : name || "{}";
}
