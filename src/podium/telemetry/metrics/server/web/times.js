// Durations as PromQL writes them, and times as people read them.

const UNITS = { y: 31536000, w: 604800, d: 86400, h: 3600, m: 60, s: 1, ms: 0.001 };

/** Seconds of "1h30m"; NaN where the text is not a duration. */
export function seconds(text) {
  if (!/^(\d+(ms|[ywdhms]))+$/.test(text.trim())) return NaN;
  return [...text.matchAll(/(\d+)(ms|[ywdhms])/g)].reduce((sum, [, count, unit]) => sum + count * UNITS[unit], 0);
}

/** "1h30m" of seconds, which are rounded to a whole one. */
export function duration(length) {
  let left = Math.round(length);
  let text = "";
  for (const unit of ["d", "h", "m", "s"]) {
    const count = Math.floor(left / UNITS[unit]);
    if (count) text += `${count}${unit}`;
    left -= count * UNITS[unit];
  }
  return text || "0s";
}

/** Short, for a measured time: "3.2ms", "12s", "2h5m". */
export function short(length) {
  if (length < 1) return `${(length * 1000).toPrecision(3)}ms`;
  return length < 60 ? `${length.toPrecision(3)}s` : duration(length);
}

export const ago = (timestamp) => {
  const then = Date.parse(timestamp);
  return then > 0 ? `${short(Math.max(0, (Date.now() - then) / 1000))} ago` : "never";
};

export const local = (timestamp) => new Date(timestamp).toLocaleString();

/** What an <input type="datetime-local"> takes, in the reader's own time zone. */
export function inputTime(date) {
  const shifted = new Date(date.getTime() - date.getTimezoneOffset() * 60000);
  return shifted.toISOString().slice(0, 19);
}
