// Why does this square have this colour, and can it be proven? The panel that opens on a click.

import { el, fill } from "./elements.js";
import { kindName, minute, moment, number, percent, t } from "./words.js";

const FIRST_PASSES = 8;

const swatch = (colour, state) => el("i", { class: "swatch", "aria-hidden": "true", data: { colour, state: state ?? "none" } });

const chip = (code) =>
  el("span", { class: "chip" }, swatch(code.colour, code.state), t("colour", code.colour), stateWord(code), code.kind ? ` · ${kindName(code.kind)}` : null);

const stateWord = (code) => (code.state && code.state !== "none" ? ` · ${t("state", code.state)}` : null);

const section = (title, ...content) => el("section", { class: "part" }, el("h3", {}, title), content);

function head(title, close, ...content) {
  return el(
    "header",
    { class: "story-head" },
    el("button", { class: "close", type: "button", "aria-label": t("close"), on: { click: close } }, "×"),
    el("h2", { id: "story-title", tabindex: "-1" }, title),
    content,
  );
}

function because(cell) {
  const say = t("because", cell.colour);
  if (typeof say !== "function") return cell.colour;
  if (cell.colour === "green") return say(cell.seen.length, cell.of);
  return say(kindName(cell.kind), t("state", cell.state));
}

function why(cell) {
  const reason = cell.state === "confirmed" ? t("confirmedWhy") : cell.state === "suspected" ? t("suspectedWhy") : null;
  const types = (keys, mark) => keys.map((key) => el("li", { data: { mark } }, kindName(key)));
  return section(
    t("why"),
    el("p", { class: "because" }, because(cell)),
    reason ? el("p", {}, reason) : null,
    cell.side_m > 1 ? el("p", { class: "note" }, t("coarse")(cell.side_m)) : null,
    el(
      "details",
      { class: "types", open: cell.colour === "green" },
      el("summary", {}, t("greenOf")(cell.seen.length, cell.of), el("span", { class: "meter", "aria-hidden": "true" }, el("i", { style: { width: `${(100 * cell.seen.length) / Math.max(cell.of, 1)}%` } }))),
      cell.seen.length ? [el("h4", {}, t("seen")), el("ul", { class: "kinds" }, types(cell.seen, "yes"))] : null,
      cell.not_seen.length ? [el("h4", {}, t("notSeen")), el("ul", { class: "kinds" }, types(cell.not_seen, "no"))] : null,
    ),
  );
}

/** What the recogniser says of a jolt: how likely a defect; and, if it is one, which and how deep or high. */
function recognised(pass) {
  if (pass.p === null || pass.p === undefined) return null;
  const subtype = pass.subtype ? ` · ${t("subtype", pass.subtype)}` : "";
  const named = pass.named ? t("ifSo")(kindName(pass.named) + subtype, percent(pass.named_p)) : null;
  const size = pass.size_mm ? t("aboutMm")(number(pass.size_mm)) : null;
  return el("small", {}, [t("isDefect")(percent(pass.p)), named, size].filter(Boolean).join("; "));
}

function passRow(pass) {
  const strength = pass.g === null || pass.g === undefined ? null : `${number(pass.g, 2)} g`;
  const kind = pass.kind && pass.kind !== "uneven" ? el("small", {}, kindName(pass.kind)) : null;
  const day = pass.devices_at_least ? el("small", {}, t("daySum")(pass.passes, pass.devices_at_least)) : null;
  const weight = Number(pass.weight);
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, pass.at ? minute(pass.at) : String(pass.day ?? "—")),
    el("td", {}, t("sensors", pass.sensor)),
    el("td", {}, [t("what", pass.what), strength].filter(Boolean).join(" "), kind, day, recognised(pass)),
    el("td", { class: "num" }, pass.speed_kmh === null || pass.speed_kmh === undefined ? "—" : `${number(pass.speed_kmh)} km/h`),
    el("td", { class: "num" }, pass.sigma_m === null ? "—" : `± ${number(pass.sigma_m, 1)} m`),
    el("td", { class: "num weight", data: { sign: weight > 0 ? "for" : weight < 0 ? "against" : "none" } }, `${weight > 0 ? "+" : weight < 0 ? "−" : ""}${number(Math.abs(weight), 2)}`),
  );
}

function evidence(cell) {
  if (!cell.evidence.length) return section(t("evidence"), el("p", { class: "empty" }, t("evidenceNone")));
  const body = el("tbody", {}, cell.evidence.slice(0, FIRST_PASSES).map(passRow));
  const column = (name, cls, hint) => el("th", { scope: "col", class: cls, title: hint }, t(name));
  const all = cell.evidence.length > FIRST_PASSES
    ? el("button", { type: "button", class: "plain", on: { click: (e) => { fill(body, cell.evidence.map(passRow)); e.currentTarget.remove(); } } }, t("evidenceAll")(cell.evidence.length))
    : null;
  return section(
    t("evidence"),
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": t("evidence") },
      el("table", {}, el("thead", {}, el("tr", {}, column("at"), column("sensor"), column("felt"), column("speed", "num"), column("sigma", "num"), column("weight", "num", t("weightHint")))), body),
    ),
    all,
    el("p", { class: "fine" }, `${t("weight")}: ${t("weightHint")}.`),
  );
}

function history(cell) {
  if (!cell.history.length) return section(t("history"), el("p", { class: "empty" }, t("historyNone")));
  return section(
    t("history"),
    el("ol", { class: "history" }, cell.history.map((h) => el("li", {}, el("time", { datetime: h.at }, moment(h.at)), el("div", { class: "change" }, chip(h.before), el("span", { class: "arrow", "aria-hidden": "true" }, "→"), chip(h.after)), h.why ? el("p", { class: "fine" }, String(h.why)) : null))),
  );
}

function proof(cell) {
  const { status, steps = [], record } = cell.proof;
  const sign = (ok) => (ok === true ? "✓" : ok === false ? "✗" : "…");
  return section(
    t("proof"),
    el("p", { class: "proof-status", data: { status } }, t("proofStatus", status)),
    steps.length
      ? el("ol", { class: "steps" }, steps.map((s) => el("li", { data: { ok: String(s.ok ?? null) } }, el("span", { class: "sign", "aria-hidden": "true" }, sign(s.ok)), el("div", {}, el("strong", {}, t("step", s.name)), el("span", { class: "off" }, ` (${t("stepState", String(s.ok ?? null))})`), el("p", {}, String(s.detail ?? ""))))))
      : el("p", { class: "empty" }, t("proofNone")),
    steps.length ? [el("p", { class: "note" }, t("chainProves")), el("p", { class: "note" }, t("chainDoesNot"))] : null,
    record && Object.keys(record).length ? el("details", {}, el("summary", {}, t("recordRaw")), el("pre", { tabindex: "0" }, JSON.stringify(record, null, 2))) : null,
  );
}

/** Show the story of a square. */
export function showStory(node, cell, close) {
  const origins = (cell.origin ?? []).map((o) => t("origins", o)).join(" + ");
  fill(
    node,
    head(
      `${t("storyTitle")} ${cell.name}`,
      close,
      el("p", { class: "verdict", data: { colour: cell.colour } }, swatch(cell.colour, cell.state), el("strong", {}, t("colour", cell.colour)), cell.state !== "none" ? el("span", { class: "tag", data: { state: cell.state } }, t("state", cell.state)) : null, cell.kind ? el("span", {}, kindName(cell.kind)) : null),
      el("p", { class: "fine" }, [t("side")(cell.side_m), t("passes")(cell.passes), `${t("number")} ${cell.cell}`, origins ? `${t("origin")}: ${origins}` : null].filter(Boolean).join(" · ")),
    ),
    why(cell),
    cell.case ? section(t("caseTitle"), el("p", {}, t("caseOf")(cell.case.id, t("caseState", cell.case.state)))) : null,
    evidence(cell),
    history(cell),
    proof(cell),
  );
}

export function showNowhere(node, place, close) {
  fill(node, head(t("nowhere"), close, el("p", { class: "fine" }, place)), el("p", { class: "part" }, t("nowhereText")));
}

export function showLoading(node, close) {
  fill(node, head(t("loading"), close), el("div", { class: "bones", "aria-hidden": "true" }, el("i"), el("i"), el("i")));
}

export function showFailure(node, error, again, close) {
  fill(
    node,
    head(t("failed"), close),
    el("p", { class: "part" }, failureText(error)),
    el("p", { class: "part" }, el("button", { type: "button", class: "plain", on: { click: again } }, t("retry"))),
  );
}

export const failureText = (error) => [t(error.name) && typeof t(error.name) === "string" ? t(error.name) : null, error.message].filter(Boolean).join(" ") || String(error);
export { swatch };
