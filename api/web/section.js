// How is this section, and how well is that known? The panel that opens on a road.

import { certificatePart } from "./certificatepart.js";
import { bars, line, range } from "./chart.js";
import { el, fill } from "./elements.js";
import { head, part, swatch } from "./story.js";
import { COLOURS } from "./tiles.js";
import { area, currentLanguage, dayText, number, percent, t } from "./words.js";

const FROM_WORST = [...COLOURS].reverse();
const STRIP_M = 10;

export const colourWord = (colour) => t("colour", colour).split(/[:：]/)[0];

/** [what people call it, its name in the other language or null]. */
export function roadNames(section) {
  const zh = currentLanguage() === "zh";
  const [own, other] = zh ? [section.name_zh, section.name] : [section.name, section.name_zh];
  return [own || other || t("unnamed"), own && other && own !== other ? other : null];
}

const has = (value) => value !== null && value !== undefined && Number.isFinite(value);
const span = (low, high, digits) => (has(low) && has(high) ? t("range")(number(low, digits), number(high, digits)) : null);

/** m² by colour; what no colour claims of the cells is grey. */
export function areasOf(s) {
  const known = (s.red_m2 ?? 0) + (s.yellow_m2 ?? 0) + (s.green_m2 ?? 0);
  return { red: s.red_m2 ?? 0, yellow: s.yellow_m2 ?? 0, green: s.green_m2 ?? 0, grey: Math.max((s.cells ?? 0) - known, 0) };
}

export function shareBar(areas) {
  return el("div", { class: "shares", "aria-hidden": "true" }, FROM_WORST.map((c) => el("i", { data: { colour: c }, style: { "flex-grow": String(areas[c]) }, hidden: !areas[c] })));
}

function gap(days) {
  if (!has(days)) return t("notMeasured");
  return days < 1 ? t("gapHours")(number(days * 24, days < 0.1 ? 1 : 0)) : t("gapDays")(number(days, days < 10 ? 1 : 0));
}

function surface(s) {
  const areas = areasOf(s);
  const fact = (name, value) => el("div", {}, el("dt", {}, t(name)), el("dd", {}, value));
  return part(
    t("surface"),
    shareBar(areas),
    el("ul", { class: "areas" }, FROM_WORST.map((c) => el("li", {}, swatch(c), el("span", {}, t("areaOf", c)), el("b", {}, area(areas[c]))))),
    el("p", { class: "note" }, t("greyShare")(percent(s.grey_share ?? 1))),
    el("dl", { class: "facts" }, fact("lastPass", s.last_pass_day ? dayText(s.last_pass_day) : t("neverPassed")), fact("medianGap", gap(s.median_gap_days)), fact("roadCases", number(s.cases ?? 0))),
  );
}

function score(name, value, digits, unit, interval, drawing) {
  return el(
    "div",
    { class: "score" },
    el("dt", {}, t(name)),
    el("dd", {}, has(value) ? [el("strong", {}, number(value, digits)), unit ? ` ${unit}` : null, interval ? el("small", {}, ` (${interval})`) : null, drawing] : el("span", { class: "fine" }, t(name === "pqi" ? "notGiven" : "notMeasured"))),
  );
}

function scores(s) {
  return part(
    t("scores"),
    el(
      "div",
      { class: "grade", data: { grade: s.grade ?? "none" } },
      el("b", {}, s.grade ?? "–"),
      el("p", {}, s.grade ? `${t("grade")} ${t("grades", s.grade)}` : [el("strong", {}, t("noGrade")), s.why_no_grade ? ` · ${t("whyNoGrade", s.why_no_grade)}${has(s.camera_share) ? ` ${t("cameraShare")(percent(s.camera_share))}` : ""}` : null]),
    ),
    el(
      "dl",
      { class: "scores" },
      score("pciEst", s.pci_est, 0, null, span(s.pci_low, s.pci_high, 0), has(s.pci_est) ? range(s.pci_est, s.pci_low, s.pci_high, 0, 100) : null),
      score("iri", s.iri, 1, t("iriUnit"), span(s.iri_low, s.iri_high, 1), has(s.iri) ? range(s.iri, s.iri_low, s.iri_high, 0, 12) : null),
      score("rqi", s.rqi, 2, null, null, has(s.rqi) ? range(s.rqi, null, null, 0, 5) : null),
      score("pqi", s.pqi, 0, null, null, has(s.pqi) ? range(s.pqi, null, null, 0, 100) : null),
    ),
    el("p", { class: "trend", data: { trend: s.trend ?? "none" } }, `${t("trend")}: `, el("b", {}, t("trends", s.trend ?? "none"))),
    el("p", { class: "fine" }, t("estimated")),
  );
}

function pastDays(history) {
  const rows = [...(history ?? [])].sort((a, b) => (a.day < b.day ? -1 : 1));
  if (!rows.length) return part(t("roadHistory"), el("p", { class: "empty" }, t("roadHistoryNone")));
  const told = (what, values, digits) => t("chartOf")(t(what), dayText(rows[0].day), dayText(rows.at(-1).day), number(Math.min(...values), digits), number(Math.max(...values), digits));
  const of = (key) => rows.map((r) => r[key]).filter(has);
  const figure = (what, values, drawing) => el("figure", {}, el("figcaption", {}, t(what)), drawing);
  const defects = rows.map((r) => (r.red_m2 ?? 0) + (r.yellow_m2 ?? 0));
  const [pci, iri] = [of("pci_est"), of("iri")];
  const cell = (value, digits) => el("td", { class: "num" }, has(value) ? number(value, digits) : "—");
  return part(
    t("roadHistory"),
    figure("chartDefects", defects, bars(told("chartDefects", defects, 0), rows, [["red_m2", "red"], ["yellow_m2", "yellow"]])),
    pci.length ? figure("chartPci", pci, line(told("chartPci", pci, 0), rows, "pci_est", 0, 100)) : null,
    iri.length ? figure("chartIri", iri, line(told("chartIri", iri, 1), rows, "iri", 0, Math.max(6, Math.ceil(Math.max(...iri))))) : null,
    el(
      "details",
      {},
      el("summary", {}, t("asTable")),
      el(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": t("roadHistory") },
        el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("day")), ["red", "yellow", "green"].map((c) => el("th", { scope: "col", class: "num" }, `${t("areaOf", c)} m²`)), el("th", { scope: "col", class: "num" }, "PCI"), el("th", { scope: "col", class: "num" }, "IRI"))), el("tbody", {}, [...rows].reverse().map((r) => el("tr", {}, el("th", { scope: "row" }, el("span", { class: "chip" }, swatch(r.colour), dayText(r.day))), cell(r.red_m2, 0), cell(r.yellow_m2, 0), cell(r.green_m2, 0), cell(r.pci_est, 0), cell(r.iri, 1))))),
      ),
    ),
  );
}

const stripPlace = (p) => t("stripAt")(t("lane")(p.lane), p.index * STRIP_M, (p.index + 1) * STRIP_M);

function stripGrid(strips, chosen, go) {
  if (!strips.length) return part(t("strips"), el("p", { class: "empty" }, t("stripsNone")));
  const lanes = [...new Set(strips.map((f) => f.properties.lane))].sort((a, b) => a - b);
  const about = el("p", { class: "fine", role: "status" }, t("stripsHint"));
  const says = (p) => `${stripPlace(p)}: ${t("stripSays")(colourWord(p.colour), number(p.red_m2 ?? 0), number(p.yellow_m2 ?? 0), percent(p.grey_share ?? 1))}${has(p.iri) ? `, IRI ${number(p.iri, 1)}` : ""}`;
  const is = (p) => chosen && p.lane === chosen.lane && p.index === chosen.index;
  const box = (f) => {
    const p = f.properties;
    const press = (event) => {
      for (const other of event.currentTarget.closest(".strips").querySelectorAll("[aria-pressed=true]")) other.setAttribute("aria-pressed", "false");
      event.currentTarget.setAttribute("aria-pressed", "true");
      about.textContent = says(p);
      go(f);
    };
    return el("button", { type: "button", class: "strip", title: says(p), "aria-label": says(p), "aria-pressed": String(Boolean(is(p))), data: { colour: p.colour }, on: { click: press } });
  };
  const found = chosen && strips.find((f) => is(f.properties));
  if (found) about.textContent = says(found.properties);
  return part(
    t("strips"),
    el("div", { class: "strips", role: "group", "aria-label": t("strips") }, lanes.map((lane) => el("div", { class: "lane" }, el("span", {}, t("lane")(lane)), el("div", {}, strips.filter((f) => f.properties.lane === lane).sort((a, b) => a.properties.index - b.properties.index).map(box))))),
    about,
  );
}

function worstSquares(cells, open) {
  return part(
    t("worst"),
    cells.length
      ? el("ul", { class: "cases" }, cells.map((f) => el("li", {}, el("button", { type: "button", on: { click: () => open(f.properties.cell) } }, swatch(f.properties.colour, f.properties.state), el("span", {}, el("strong", {}, `${colourWord(f.properties.colour)} · ${f.kindName}`), el("small", {}, [t("state", f.properties.state), `${t("number")} ${f.properties.cell}`].filter(Boolean).join(" · "))), el("span", { class: "arrow", "aria-hidden": "true" }, "›")))))
      : el("p", { class: "empty" }, t("worstNone")),
  );
}

/** Show a section. told: {section, strips, worst, chosen (a strip's properties or null)}; on: {close, strip(feature), cell(id)}. */
export function showSection(node, { section: s, strips, worst, chosen }, on) {
  const [name, other] = roadNames(s);
  fill(
    node,
    head(
      name,
      on.close,
      el("p", { class: "verdict", data: { colour: s.colour } }, swatch(s.colour), el("strong", {}, t("colour", s.colour)), other ? el("span", { class: "tag", lang: currentLanguage() === "zh" ? "en" : "zh-CN" }, other) : null),
      el("p", { class: "fine" }, [t("roadClass", s.road_class), t("sectionNumber")(s.number), s.district, has(s.cells) ? area(s.cells) : null].filter(Boolean).join(" · ")),
    ),
    surface(s),
    scores(s),
    stripGrid(strips, chosen, on.strip),
    worstSquares(worst, on.cell),
    pastDays(s.history),
    certificatePart(`api/v1/sections/${s.number}`),
    part(null, el("a", { class: "plain", href: s.last_pass_day ? `report/daily?day=${encodeURIComponent(s.last_pass_day)}` : "report/daily", target: "_blank", rel: "noopener" }, t("dailyReport"))),
  );
}
