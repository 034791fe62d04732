// Why does this square have this colour, and can it be proven? The panel that opens on a click.

import { certificatePart } from "./certificatepart.js";
import { el, fill } from "./elements.js";
import { dayText, kindName, minute, moment, number, percent, t } from "./words.js";

const FIRST_PASSES = 8;

const swatch = (colour, state) => el("i", { class: "swatch", "aria-hidden": "true", data: { colour, state: state ?? "none" } });

const chip = (code) =>
  el("span", { class: "chip" }, swatch(code.colour, code.state), t("colour", code.colour), stateWord(code), code.kind ? ` · ${kindName(code.kind)}` : null);

const stateWord = (code) => (code.state && code.state !== "none" ? ` · ${t("state", code.state)}` : null);

/** A part of a panel; without a title, only what it holds. */
export const part = (title, ...content) => el("section", { class: "part" }, title ? el("h3", {}, title) : null, content);

/** The head of a panel with its close button. */
export function head(title, close, ...content) {
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
  return part(
    t("why"),
    el("p", { class: "because" }, because(cell)),
    measures(cell),
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

function passRow(pass, withPlace) {
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
    withPlace ? el("td", { class: "num" }, pass.sigma_m === null || pass.sigma_m === undefined ? "—" : `± ${number(pass.sigma_m, 1)} m`) : null,
    el("td", { class: "num weight", data: { sign: weight > 0 ? "for" : weight < 0 ? "against" : "none" } }, `${weight > 0 ? "+" : weight < 0 ? "−" : ""}${number(Math.abs(weight), 2)}`),
  );
}

function evidence(cell) {
  if (!cell.evidence.length) return part(t("evidence"), el("p", { class: "empty" }, t("evidenceNone")));
  return part(t("evidence"), passTable(cell.evidence, t("evidence"), true), el("p", { class: "fine" }, `${t("weight")}: ${t("weightHint")}.`));
}

/** The first few passes as a table, and a button for the rest. */
function passTable(passes, label, withPlace) {
  const rows = (some) => some.map((pass) => passRow(pass, withPlace));
  const body = el("tbody", {}, rows(passes.slice(0, FIRST_PASSES)));
  const column = (name, cls, hint) => el("th", { scope: "col", class: cls, title: hint }, t(name));
  const all = passes.length > FIRST_PASSES
    ? el("button", { type: "button", class: "plain", on: { click: (e) => { fill(body, rows(passes)); e.currentTarget.remove(); } } }, t("evidenceAll")(passes.length))
    : null;
  return [
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
      el("table", {}, el("thead", {}, el("tr", {}, column("at"), column("sensor"), column("felt"), column("speed", "num"), withPlace ? column("sigma", "num") : null, column("weight", "num", t("weightHint")))), body),
    ),
    all,
  ];
}

function history(cell) {
  // The history of its own tells more: which passes moved each change.
  const changes = cell.past?.changes ?? cell.history;
  if (!changes.length) return part(t("history"), el("p", { class: "empty" }, t("historyNone")));
  return part(t("history"), el("ol", { class: "history" }, changes.map(change)), cell.past?.truncated ? el("p", { class: "fine" }, t("historyCut")(changes.length)) : null);
}

function change(h) {
  const when = h.at ? moment(h.at) : dayText(h.day);
  return el(
    "li",
    {},
    el("time", { datetime: h.at ?? h.day }, when),
    el("div", { class: "change" }, chip(h.before), el("span", { class: "arrow", "aria-hidden": "true" }, "→"), chip(h.after)),
    h.why ? el("p", { class: "fine" }, String(h.why)) : null,
    !h.passes ? null : !h.passes.length ? el("p", { class: "fine" }, t(h.passes_told === false ? "movedByNotAsked" : "movedByNone")) : el("details", {}, el("summary", {}, t("movedBy")(h.passes.length)), passTable(h.passes, `${t("movedBy")(h.passes.length)}, ${when}`, false)),
  );
}

/** What the code says besides its colour, and what the registers say of the place. */
function notes(cell) {
  const flags = new Set(cell.flags ?? []);
  const register = cell.past?.register ?? {};
  const harmless = register.harmless;
  const permits = register.works ?? [];
  const repairs = register.repairs ?? [];
  const lost = (cell.past?.changes ?? cell.history).find((h) => h.after?.colour === "grey" && ["yellow", "red"].includes(h.before?.colour));
  const line = (mark, text, ...more) => el("li", { data: { mark } }, el("span", {}, text, more.map((m) => (m ? el("small", {}, m) : null))));
  const days = (p) => t("permit")(String(p.number ?? ""), dayText(p.from), p.to ? dayText(p.to) : t("openEnd"));
  const lines = [
    flags.has("works") || permits.length ? line("works", flags.has("works") ? t("works") : days(permits[0]), permits.slice(flags.has("works") ? 0 : 1).map(days)) : null,
    flags.has("harmless") || harmless ? line("harmless", t("harmless")(t("harmlessKind", harmless?.kind ?? "other")), harmless ? t("harmlessFrom")(t("registerSource", harmless.source), dayText(harmless.since)) : null) : null,
    flags.has("expired") ? line("expired", t("expired")(lost ? t("colour", lost.before.colour).split(/[:：]/)[0] : t("expiredColour"))) : null,
    flags.has("ghost") ? line("ghost", t("ghost")) : null,
    ...repairs.map((r) => line("repair", t("repair")(dayText(r.day), r.kind ? t("repairKind", r.kind) : ""))),
  ].filter(Boolean);
  return lines.length ? part(t("flags"), el("ul", { class: "flags" }, lines)) : null;
}

/** How far the place may be off, how bad, how deep: of a yellow or red only. */
function measures(cell) {
  if (!["yellow", "red"].includes(cell.colour)) return null;
  const told = [cell.sigma_m ? t("placeSigma")(number(cell.sigma_m, 1)) : null, cell.severity ? t("severityIs")(number(cell.severity, 1)) : null, cell.size_mm ? t("sizeMm")(number(cell.size_mm)) : null].filter(Boolean);
  return told.length ? el("p", { class: "measures" }, told.join(" · ")) : null;
}

/** A step's name; of the square's own record with what it is of in front. */
function stepName(name) {
  const at = name.lastIndexOf(": ");
  return at < 0 ? t("step", name) : `${t("step", name.slice(0, at))}: ${t("step", name.slice(at + 2))}`;
}

/** What chain and witnesses are worth against the operator himself. */
function trustNotes(trust) {
  if (!trust) return null;
  return [el("p", { class: "note" }, t("trustChain", trust.chain)), el("p", { class: "note" }, t("trustWitnesses", trust.witnesses))];
}

function proof(cell) {
  const { status, steps = [], record, trust } = cell.proof;
  const sign = (ok) => (ok === true ? "✓" : ok === false ? "✗" : "…");
  return part(
    t("proof"),
    el("p", { class: "proof-status", data: { status } }, t("proofStatus", status)),
    steps.length
      ? el("ol", { class: "steps" }, steps.map((s) => el("li", { data: { ok: String(s.ok ?? null) } }, el("span", { class: "sign", "aria-hidden": "true" }, s.wanted === false ? "–" : sign(s.ok)), el("div", {}, el("strong", {}, stepName(s.name)), el("span", { class: "off" }, ` (${t("stepState", s.wanted === false ? "off" : String(s.ok ?? null))})`), el("p", {}, String(s.detail ?? ""))))))
      : el("p", { class: "empty" }, t("proofNone")),
    steps.length ? [el("p", { class: "note" }, t("chainProves")), el("p", { class: "note" }, t("chainDoesNot")), trustNotes(trust)] : null,
    steps.length ? el("p", {}, el("a", { class: "audit", href: `audit.html?cell=${cell.cell}`, target: "_blank", rel: "noopener" }, t("auditLink"))) : null,
    record && Object.keys(record).length ? el("details", {}, el("summary", {}, t("recordRaw")), el("pre", { tabindex: "0" }, JSON.stringify(record, null, 2))) : null,
  );
}

/** Show the story of a square. road: {name, go} of the section it lies on, if that is known. */
export function showStory(node, cell, close, road = null) {
  const origins = (cell.origin ?? []).map((o) => t("origins", o)).join(" + ");
  fill(
    node,
    head(
      `${t("storyTitle")} ${cell.name}`,
      close,
      el("p", { class: "verdict", data: { colour: cell.colour } }, swatch(cell.colour, cell.state), el("strong", {}, t("colour", cell.colour)), cell.state !== "none" ? el("span", { class: "tag", data: { state: cell.state } }, t("state", cell.state)) : null, cell.kind ? el("span", {}, kindName(cell.kind)) : null),
      el("p", { class: "fine" }, [t("side")(cell.side_m), t("passes")(cell.passes), `${t("number")} ${cell.cell}`, origins ? `${t("origin")}: ${origins}` : null].filter(Boolean).join(" · ")),
      road ? el("p", {}, el("button", { type: "button", class: "plain up", on: { click: road.go } }, `${t("section")}: ${road.name}`)) : null,
    ),
    notes(cell),
    why(cell),
    cell.case ? part(t("caseTitle"), el("p", {}, t("caseOf")(cell.case.id, t("caseState", cell.case.state)))) : null,
    evidence(cell),
    history(cell),
    proof(cell),
    certificatePart(`api/v1/cells/${cell.cell}`),
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
