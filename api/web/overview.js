// What is known of the city, what do the colours mean, and which cases are in view? The panel when no square is open.

import { el, fill } from "./elements.js";
import { failureText, swatch } from "./story.js";
import { COLOURS } from "./tiles.js";
import { area, kindName, moment, number, percent, t } from "./words.js";

const LISTED = 60;
const FROM_WORST = [...COLOURS].reverse();

const retry = (error, again) =>
  el("p", { class: "empty" }, `${t("failed")}. ${failureText(error)} `, el("button", { type: "button", class: "plain", on: { click: again } }, t("retry")));

export function showSummary(node, summary, error, again) {
  if (error) return fill(node, retry(error, again));
  if (!summary) return fill(node, el("div", { class: "bones", "aria-hidden": "true" }, el("i"), el("i")), el("span", { class: "off" }, t("loading")));
  const total = COLOURS.reduce((sum, c) => sum + (summary.area_m2[c] ?? 0), 0);
  if (!total) return fill(node, el("p", { class: "empty" }, t("nothingYet")));
  const fact = (name, value) => el("div", {}, el("dt", {}, t(name)), el("dd", {}, value));
  return fill(
    node,
    el("p", { class: "total" }, el("strong", {}, area(total)), el("span", {}, t("share")(percent((summary.area_m2.grey ?? 0) / total)))),
    el("div", { class: "shares", "aria-hidden": "true" }, FROM_WORST.map((c) => el("i", { data: { colour: c }, style: { "flex-grow": String(summary.area_m2[c] ?? 0) }, hidden: !summary.area_m2[c] }))),
    el("ul", { class: "areas" }, FROM_WORST.map((c) => el("li", {}, swatch(c), el("span", {}, t("colour", c).split(/[:：]/)[0]), el("b", {}, area(summary.area_m2[c] ?? 0))))),
    el("dl", { class: "facts" }, fact("caseCount", number(summary.cases)), fact("records", number(summary.records)), fact("anchors", number(summary.anchors)), fact("chunks", number(summary.chunks)), fact("refused", number(summary.refused)), fact("anchoredAt", summary.anchored_at ? moment(summary.anchored_at) : t("notAnchored"))),
  );
}

/** Checkboxes per colour, and what the marks mean. onChange(colour, shown). */
export function showLegend(node, summary, shown, onChange) {
  const line = (c) => {
    const size = summary ? area(summary.area_m2[c] ?? 0) : "…";
    const box = el("input", { type: "checkbox", id: `show-${c}`, "aria-describedby": `about-${c}`, on: { change: (e) => onChange(c, e.currentTarget.checked) } });
    box.checked = shown.has(c);
    return el("li", {}, el("label", { for: `show-${c}` }, box, swatch(c, "confirmed"), el("span", {}, t("colour", c)), el("b", {}, size)), el("p", { id: `about-${c}`, class: "fine" }, t("about", c)));
  };
  const mark = (cls, text, data) => el("li", {}, el("i", { class: `swatch ${cls}`, "aria-hidden": "true", data }), text);
  fill(
    node,
    el("ul", { class: "legend" }, FROM_WORST.map(line)),
    el("ul", { class: "marks" }, mark("", t("confirmedMark"), { colour: "red", state: "confirmed" }), mark("", t("suspectedMark"), { colour: "red", state: "suspected" }), mark("coarse", t("coarseMark"), { colour: "red" }), mark("works", t("worksMark"), {}), mark("expired", t("expiredMark"), {}), mark("ring", t("caseMark"), {})),
  );
}

/** The cases in view, nearest to the middle first. */
export function showCases(node, features, view, error, open, again) {
  if (error) return fill(node, retry(error, again));
  if (!features) return fill(node, el("div", { class: "bones", "aria-hidden": "true" }, el("i"), el("i")));
  if (!features.length) return fill(node, el("p", { class: "empty" }, t("casesNone")));
  const away = (f) => Math.hypot((f.geometry.coordinates[0] - view.centre[0]) * Math.cos((view.centre[1] * Math.PI) / 180), f.geometry.coordinates[1] - view.centre[1]);
  const inside = view.bounds ? features.filter((f) => view.bounds.contains(f.geometry.coordinates)) : features;
  const near = [...inside].sort((a, b) => away(a) - away(b));
  const focused = document.activeElement?.dataset?.case;
  fill(
    node,
    el("p", { class: "fine" }, t("casesInView")(inside.length, features.length)),
    inside.length
      ? el("ul", { class: "cases" }, near.slice(0, LISTED).map((f) => {
          const p = f.properties;
          const size = Array.isArray(p.cells) ? p.cells.length : p.cells;
          return el("li", {}, el("button", { type: "button", data: { case: String(p.id) }, on: { click: () => open(f) } }, el("i", { class: "swatch ring", "aria-hidden": "true" }), el("span", {}, el("strong", {}, kindName(p.kind)), el("small", {}, [t("caseState", p.state), Number.isFinite(size) ? t("cells")(size) : null, `${t("opened")} ${moment(p.opened)}`].filter(Boolean).join(" · "))), el("span", { class: "arrow", "aria-hidden": "true" }, "›")));
        }))
      : el("p", { class: "empty" }, t("casesNotHere")),
    near.length > LISTED ? el("p", { class: "fine" }, t("more")(near.length - LISTED)) : null,
  );
  // The list is rebuilt as the map moves: whoever stood in it with the keyboard stays there.
  if (focused) node.querySelector(`[data-case="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  return node;
}
