// How did a number go over days? Small drawings: bars of areas, lines of indices, a range on a scale. Their text stands
// beside them: a drawing alone says nothing to who cannot see it.

import { svg } from "./elements.js";
import { number } from "./words.js";

const [WIDE, HIGH, LEFT, FOOT, TOP] = [360, 92, 30, 18, 6];

const dayNumber = (day) => Date.parse(`${day}T00:00:00Z`) / 86400000;
const short = (day) => day.slice(5).replace("-", "/");

function frame(label, days, most, least, ...marks) {
  const ys = [least, most];
  const y = scale(least, most);
  return svg(
    "svg",
    { class: "chart", viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": label },
    ys.map((v) => [svg("line", { x1: LEFT, x2: WIDE, y1: y(v), y2: y(v), class: "axis" }), svg("text", { x: LEFT - 4, y: y(v) + 4, "text-anchor": "end" }, number(v, most - least < 5 && v ? 1 : 0))]),
    marks,
    // The first day's label only where it does not run into the last one's.
    across(days).x(days[0]) < WIDE - 80 ? svg("text", { x: across(days).x(days[0]), y: HIGH - 3 }, short(days[0])) : null,
    svg("text", { x: WIDE, y: HIGH - 3, "text-anchor": "end" }, short(days.at(-1))),
  );
}

const scale = (least, most) => (v) => HIGH - FOOT - ((v - least) / Math.max(most - least, 1e-9)) * (HIGH - FOOT - TOP);

/** Where each day lies; at least a fortnight wide, so that two days are not drawn as a whole history. */
function across(days) {
  const last = dayNumber(days.at(-1));
  const span = Math.max(last - dayNumber(days[0]) + 1, 14);
  const slot = (WIDE - LEFT) / span;
  return { slot, x: (day) => WIDE - (last - dayNumber(day) + 1) * slot };
}

/** Stacked bars. rows: [{day, ...}], keys: [[name of a field, colour]...] from the foot up. */
export function bars(label, rows, keys) {
  const days = rows.map((r) => r.day);
  const most = Math.max(1, ...rows.map((r) => keys.reduce((sum, [k]) => sum + (r[k] ?? 0), 0)));
  const { slot, x } = across(days);
  const y = scale(0, most);
  const thick = Math.max(Math.min(slot - 1, 16), 1);
  const drawn = rows.map((r) => {
    let under = 0;
    return keys.map(([k, colour]) => {
      const from = under;
      under += r[k] ?? 0;
      return r[k] ? svg("rect", { x: x(r.day) + (slot - thick) / 2, width: thick, y: y(under), height: y(from) - y(under), class: "bar", data: { colour } }) : null;
    });
  });
  return frame(label, days, most, 0, drawn);
}

/** A line with its points; rows without a value break it. */
export function line(label, rows, key, least, most) {
  const days = rows.map((r) => r.day);
  const { slot, x } = across(days);
  const y = scale(least, most);
  const known = rows.filter((r) => Number.isFinite(r[key])).map((r) => [x(r.day) + slot / 2, y(Math.min(Math.max(r[key], least), most))]);
  return frame(label, days, most, least, svg("polyline", { points: known.map((p) => p.map((v) => v.toFixed(1)).join(",")).join(" "), class: "line" }), known.map(([px, py]) => svg("circle", { cx: px, cy: py, r: 2.4, class: "dot" })));
}

/** A value and its interval on a scale from least to most, as a mark on a bar. */
export function range(value, low, high, least, most) {
  const x = (v) => (Math.min(Math.max((v - least) / (most - least), 0), 1) * 100).toFixed(2);
  return svg(
    "svg",
    { class: "range", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { x: 0, y: 3, width: 100, height: 2, class: "rail" }),
    Number.isFinite(low) && Number.isFinite(high) ? svg("rect", { x: x(low), y: 1, width: Math.max(x(high) - x(low), 0.8), height: 6, class: "span" }) : null,
    svg("rect", { x: x(value) - 0.6, y: 0, width: 1.2, height: 8, class: "needle" }),
  );
}
