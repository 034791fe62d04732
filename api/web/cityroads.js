// How are the city's roads as a whole, and the roads in view? Two cards of the panel, and what the marks mean.

import { el, fill } from "./elements.js";
import { colourWord, roadNames, shareBar } from "./section.js";
import { swatch } from "./story.js";
import { COLOURS } from "./tiles.js";
import { number, percent, t } from "./words.js";

const LISTED = 30;
const SECTION_M = 100;
const LANES_M = 7;
const RANK = { red: 0, yellow: 1, grey: 2, green: 3 };
const GRADES = ["A", "B", "C", "D", "none"];
const has = (value) => value !== null && value !== undefined && Number.isFinite(value);

const interval = (row) => (has(row.pci_low) && has(row.pci_high) ? ` (${t("range")(number(row.pci_low), number(row.pci_high))})` : "");
const sharesOf = (row) => ({ red: row.red ?? 0, yellow: row.yellow ?? 0, green: row.green ?? 0, grey: row.grey ?? 1 });

function rollUp(rows, title, nameOf, heading) {
  if (!rows?.length) return null;
  const column = (text, cls) => el("th", { scope: "col", class: cls }, text);
  const cell = (text) => el("td", { class: "num" }, text);
  return el(
    "details",
    {},
    el("summary", {}, title),
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": title },
      el(
        "table",
        {},
        el("thead", {}, el("tr", {}, column(heading), column(t("length"), "num"), COLOURS.toReversed().map((c) => el("th", { scope: "col", class: "num" }, swatch(c), el("span", { class: "off" }, colourWord(c)))), column("IRI", "num"), column("PCI", "num"))),
        el("tbody", {}, rows.map((row) => el("tr", {}, el("th", { scope: "row" }, nameOf(row)), cell(t("km")(number(row.km ?? 0, 1))), COLOURS.toReversed().map((c) => cell(percent(sharesOf(row)[c]))), cell(has(row.iri) ? number(row.iri, 1) : "—"), cell(has(row.pci_est) ? `${number(row.pci_est)}${interval(row)}` : "—")))),
      ),
    ),
  );
}

/** roads: totals and rows of /api/v1/city, shares by length; nothing where there is no network. */
export function showCityRoads(node, roads) {
  const card = node.closest(".card");
  const all = roads?.totals;
  card.hidden = !all?.sections;
  if (card.hidden) return fill(node);
  const grades = all.grades ?? {};
  return fill(
    node,
    el("p", { class: "total" }, el("strong", {}, t("km")(number(all.km, 1))), el("span", {}, `${t("sectionsCount")(all.sections)} · ${t("greyOfArea")(percent(all.grey_share ?? 1))}`)),
    shareBar(sharesOf(all)),
    el("p", { class: "fine" }, t("byLength")(COLOURS.toReversed().map((c) => `${colourWord(c)} ${percent(sharesOf(all)[c])}`).join(", "))),
    el(
      "dl",
      { class: "facts" },
      [["pciEst", has(all.pci_est) ? `${number(all.pci_est)}${interval(all)}` : t("notMeasured")], ["iri", has(all.iri) ? `${number(all.iri, 1)} ${t("iriUnit")}` : t("notMeasured")], ["trend", t("trends", all.trend ?? "none")]].map(([name, value]) => el("div", {}, el("dt", {}, t(name)), el("dd", {}, value))),
    ),
    el("ul", { class: "grades" }, GRADES.filter((g) => grades[g]).map((g) => el("li", { data: { grade: g } }, el("b", {}, number(grades[g])), el("span", {}, t("grades", g))))),
    rollUp(roads.by_class, t("byClass"), (row) => t("roadClass", row.road_class), t("roadClassName")),
    rollUp(roads.by_district, t("byDistrict"), (row) => row.district || t("noDistrict"), t("district")),
    el("p", { class: "links" }, el("a", { class: "plain", href: "report/daily", target: "_blank", rel: "noopener" }, t("dailyReport"))),
  );
}

/** What is drawn now, how much of the roads in view is grey, and what marks of sections mean. */
export function showScale(node, { scale, features, known, truncated, broken }) {
  if (!known) return fill(node, known === null ? null : el("p", { class: "fine hint" }, t("noNetwork")));
  // A section that was imported a moment ago has no squares yet: it counts by its length, as grey.
  const size = (p) => p.cells || (p.length_m ?? SECTION_M) * LANES_M;
  const all = features.reduce((sum, { properties: p }) => sum + size(p), 0);
  const grey = features.reduce((sum, { properties: p }) => sum + size(p) * (p.grey_share ?? 1), 0);
  return fill(
    node,
    el("p", { class: "scale" }, t("scaleNow", scale)),
    all ? el("p", { class: "grey-in-view" }, t("greyInView")(percent(grey / all), features.length)) : null,
    truncated ? el("p", { class: "note" }, t("roadsCut")(features.length)) : null,
    broken ? el("p", { class: "note", role: "status" }, t("roadsFailed")) : null,
    el("h3", {}, t("roadMarks")),
    el("ul", { class: "marks roads" }, COLOURS.toReversed().map((c) => el("li", {}, el("i", { class: "road", "aria-hidden": "true", data: { colour: c } }), t("roadMark", c)))),
  );
}

/** The sections in view, worst first; a way to each for who uses no mouse. */
export function showRoads(node, { features, known }, open) {
  const card = node.closest(".card");
  card.hidden = !known;
  if (!known) return fill(node);
  if (!features.length) return fill(node, el("p", { class: "empty" }, t("roadsNone")));
  const worst = [...features].sort((a, b) => RANK[a.properties.colour] - RANK[b.properties.colour] || (b.properties.red_m2 ?? 0) - (a.properties.red_m2 ?? 0) || (b.properties.yellow_m2 ?? 0) - (a.properties.yellow_m2 ?? 0) || (b.properties.grey_share ?? 0) - (a.properties.grey_share ?? 0) || a.properties.number - b.properties.number);
  const focused = document.activeElement?.dataset?.section;
  fill(
    node,
    el("ul", { class: "cases" }, worst.slice(0, LISTED).map(({ properties: p }) => el("li", {}, el("button", { type: "button", data: { section: String(p.number) }, on: { click: () => open(p.number) } }, el("i", { class: "road", "aria-hidden": "true", data: { colour: p.colour } }), el("span", {}, el("strong", {}, roadNames(p)[0]), el("small", {}, [colourWord(p.colour), p.red_m2 ? `${colourWord("red")} ${number(p.red_m2)} m²` : null, p.yellow_m2 ? `${colourWord("yellow")} ${number(p.yellow_m2)} m²` : null, t("greyPart")(percent(p.grey_share ?? 1))].filter(Boolean).join(" · "))), el("span", { class: "arrow", "aria-hidden": "true" }, "›"))))),
    worst.length > LISTED ? el("p", { class: "fine" }, t("moreRoads")(worst.length - LISTED)) : null,
  );
  if (focused) node.querySelector(`[data-section="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  return node;
}
