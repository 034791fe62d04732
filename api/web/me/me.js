// A citizen's page: what did my phone earn, and why? Everything that can be done here is locked while we drive.

import { byId, el, fill } from "../elements.js";
import * as client from "./client.js";
import { watch } from "./lock.js";
import { language, said, t, turn } from "./words.js";

const state = { credits: null, reports: [], consent: null, code: null, lock: { locked: false, known: false, fix: null }, busy: false };
const main = byId("main");

// ---------------------------------------------------------------- parts

let silence = null;
/** Says something for as long as it takes to read it; it lies over the page. */
function tell(text) {
  byId("said").textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => { byId("said").textContent = ""; }, 6000);
}

const number = (n) => new Intl.NumberFormat(language() === "zh" ? "zh-CN" : "en-GB").format(n);
const moment = (iso) => new Intl.DateTimeFormat(language() === "zh" ? "zh-CN" : "en-GB", { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));

function failed(error) {
  const words = t("errors")[error.name];
  tell(words ?? `${t("failed")}: ${error.message}`);
}

/** Runs what a control does: once at a time, not while we drive, and says how it went. */
async function act(work, ended = "") {
  if (state.busy || state.lock.locked) return;
  state.busy = true;
  main.setAttribute("aria-busy", "true");
  tell("");
  try {
    await work();
    tell(ended);
  } catch (error) {
    failed(error);
    if (error.name === "not_known" && state.credits) leave();
  } finally {
    state.busy = false;
    main.removeAttribute("aria-busy");
  }
}

const card = (id, title, ...children) => el("section", { id, class: "card", "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title` }, title), children);
const fine = (text) => el("p", { class: "fine" }, text);
const field = (label, input) => el("label", { class: "field" }, el("span", {}, label), input);
const submits = (work, ended) => ({ submit: (event) => { event.preventDefault(); act(() => work(event.target), ended?.()); } });

// ---------------------------------------------------------------- signing in, joining

function signInCard() {
  const form = el("form", { on: submits(async (form) => {
    client.signIn(form.elements.device.value.trim(), form.elements.password.value);
    try {
      await load();
      client.keep();
    } catch (error) {
      client.signOut();
      throw error;
    }
    show();
  }) },
  field(t("device"), el("input", { name: "device", required: true, autocomplete: "username", autocapitalize: "none", spellcheck: "false", maxlength: 60 })),
  field(t("password"), el("input", { name: "password", type: "password", required: true, autocomplete: "current-password", maxlength: 64 })),
  el("button", { class: "main" }, t("signIn")));
  return card("sign-in", t("signIn"), fine(t("signInWhy")), form);
}

function joinCard() {
  const text = state.consent?.points;
  const form = el("form", { on: submits(async () => {
    await client.post("points", { consent: text.version });
    await load();
    show();
  }, () => t("done")) },
  el("label", { class: "check" }, el("input", { type: "checkbox", required: true, name: "agree" }), el("span", {}, t("agree"))),
  el("button", { class: "main" }, t("join")));
  return card("join", t("join"), fine(t("joinWhy")), el("p", { class: "consent" }, text ? said(text) : ""), text ? form : null);
}

// ---------------------------------------------------------------- balance and days

function balanceCard() {
  const { balance, expiring, budget } = state.credits;
  const facts = ["earned", "spent", "expired"].map((name) => el("div", {}, el("dt", {}, t(name)), el("dd", {}, number(balance[name]))));
  return card("balance", t("available"),
    el("p", { class: "big" }, number(balance.available)),
    el("dl", { class: "facts" }, facts),
    expiring.map(({ on, points }) => el("p", { class: "soon" }, t("soon")(number(points), on))),
    fine(budget ? t("budget")(budget.day, number(budget.issued), number(budget.points)) : t("noBudget")));
}

function entry(one) {
  const facts = Object.entries(t("facts")).filter(([name]) => Number.isFinite(one.why?.[name]) && (one.why[name] || name === "nanobits"));
  const value = (name) => (name === "nanobits" ? number(Math.round(one.why[name] / 1000)) : number(one.why[name]));
  return el("li", {},
    el("div", { class: "line" }, el("span", {}, said(one)), el("b", {}, `+${number(one.points)}`)),
    facts.length ? el("ul", { class: "why" }, facts.map(([name, label]) => el("li", {}, el("span", {}, label), el("span", {}, value(name))))) : null);
}

const refusal = (one) => el("li", { data: { reason: one.reason } }, el("span", {}, said(one)), " ", el("span", { class: "n" }, t("times")(number(one.n), language() === "zh" ? one.unit_zh : one.unit_en)));

function claim(one) {
  const what = one.what === "appeal" ? t("appealState", "granted") : t("report");
  return el("li", { class: "line" }, el("span", {}, what), el("span", { class: "n" }, one.state === "waits" ? t("waits") : said(one)));
}

function dayPart(day) {
  const settled = day.status === "settled";
  const status = settled ? t("settled") : day.status === "open" ? t("open")(moment(day.settles_after)) : t("nothing");
  const waits = day.appeals.some((a) => a.state === "waiting");
  const body = [
    el("p", { class: "fine" }, status, settled ? ` · ${day.settlement.record === null ? t("recordWaits") : t("record")(day.settlement.record)}` : ""),
    day.entries.length ? [el("h3", {}, t("taught")), el("ul", { class: "rows" }, day.entries.map(entry))] : null,
    day.refusals.length ? [el("h3", {}, t("notEarned")), el("ul", { class: "rows" }, day.refusals.map(refusal))] : null,
    day.claims.length ? el("ul", { class: "rows" }, day.claims.map(claim)) : null,
    !day.entries.length && !day.refusals.length && !day.claims.length ? el("p", {}, day.status === "open" ? t("notYet") : t("nothingSent")) : null,
    day.appeals.map((a) => el("div", { class: "appeal", data: { state: a.state } }, el("b", {}, t("appealState", a.state)), a.points ? ` +${number(a.points)}` : "", el("p", {}, a.text), a.answer ? el("p", {}, `${t("answer")}: ${a.answer}`) : null)),
    settled ? el("p", { class: "file" }, el("button", { type: "button", class: "plain", on: { click: () => act(() => download(day.day)) } }, t("statement")), el("span", { class: "fine" }, t("statementWhy"))) : null,
    waits ? null : appealForm(day.day),
  ];
  return el("details", { data: { day: day.day } },
    el("summary", {}, el("time", { datetime: day.day }, day.day), el("span", { class: "status", data: { status: day.status } }, settled ? t("settled") : ""), el("b", {}, settled || day.points ? t("points")(number(day.points)) : el("span", { class: "status" }, t("notSettled")))), body);
}

async function download(day) {
  const statement = await client.get(`credits/${day}/statement`);
  const url = URL.createObjectURL(new Blob([JSON.stringify(statement, null, 1)], { type: "application/json" }));
  const link = el("a", { href: url, download: `statement-${day}.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function appealForm(day) {
  return el("details", { class: "inner" }, el("summary", {}, t("appeal")),
    el("form", { on: submits(async (form) => {
      await client.post("credits/appeals", { day, text: form.elements.text.value });
      await load();
      show();
    }, () => t("sent")) },
    fine(t("appealWhy")),
    el("textarea", { name: "text", rows: 3, maxlength: 500, required: true, "aria-label": t("appeal") }),
    el("button", {}, t("appealSend"))));
}

function daysCard() {
  const { days } = state.credits;
  return card("days", t("days"), days.length ? days.map(dayPart) : el("p", { class: "fine" }, t("daysNone")));
}

// ---------------------------------------------------------------- reports

function reportCard() {
  const place = el("p", { class: "fine", role: "status" });
  const form = el("form", { on: submits(sendReport, () => t("sent")) },
    field(t("kind"), el("select", { name: "kind", required: true }, state.credits.kinds.map((k) => el("option", { value: k.key, selected: k.key === "pothole" }, said(k))))),
    el("div", { class: "two" },
      field(t("lat"), el("input", { name: "lat", inputmode: "decimal", required: true, pattern: "-?[0-9]+([.][0-9]+)?", maxlength: 14 })),
      field(t("lon"), el("input", { name: "lon", inputmode: "decimal", required: true, pattern: "-?[0-9]+([.][0-9]+)?", maxlength: 14 }))),
    el("button", { type: "button", class: "plain", on: { click: () => here(form, place) } }, t("here")), place,
    field(t("note"), el("textarea", { name: "note", rows: 2, maxlength: 500 })),
    field(t("photo"), el("input", { name: "photo", type: "file", accept: "image/jpeg,image/png", capture: "environment" })),
    fine(t("photoWhy")),
    el("button", { class: "main" }, t("reportSend")));
  return card("report", t("report"), fine(t("reportWhy")), form, reportList());
}

function here(form, place) {
  const { fix } = state.lock;
  if (!fix) {
    place.textContent = t("hereNone");
    return;
  }
  form.elements.lat.value = fix.lat.toFixed(6);
  form.elements.lon.value = fix.lon.toFixed(6);
  place.textContent = t("hereGot")(Math.round(fix.accuracy));
}

async function sendReport(form) {
  const { lat, lon, kind, note, photo } = form.elements;
  const file = photo.files[0];
  let blob = null;
  if (file) {
    blob = await client.redrawn(file).catch(() => {
      throw new client.Refused("bad_photo", "", 0);
    });
  }
  const made = await client.post("reports", { lat: Number(lat.value), lon: Number(lon.value), kind: kind.value, note: note.value });
  if (blob) await client.put(`reports/${made.number}/photo`, blob);
  await load();
  show();
}

function reportList() {
  if (!state.reports.length) return null;
  const row = (r) => el("li", { data: { state: r.state } },
    el("div", { class: "line" }, el("span", {}, `${r.day} · ${said(r)}`), el("span", { class: "status" }, t("reportState", r.state))),
    r.note ? el("p", { class: "fine" }, r.note) : null, r.answer ? el("p", { class: "fine" }, `${t("answer")}: ${r.answer}`) : null);
  return [el("h3", {}, t("reports")), el("ul", { class: "rows" }, state.reports.map(row))];
}

// ---------------------------------------------------------------- the mall, leaving

function redeemCard() {
  const { available } = state.credits.balance;
  const code = state.code && [
    el("p", { class: "code", translate: "no" }, state.code.code),
    fine(`${t("points")(number(state.code.points))} · ${t("codeUntil")(moment(state.code.until))}`),
    el("button", { type: "button", class: "plain", on: { click: () => act(async () => {
      await client.remove("redemption-code");
      state.code = null;
      show();
    }) } }, t("dropCode")),
  ];
  const form = el("form", { on: submits(async (form) => {
    state.code = await client.post("redemption-code", { points: Number(form.elements.points.value) });
    show();
  }) },
  field(t("howMany"), el("input", { name: "points", type: "number", min: 1, max: Math.max(available, 1), step: 1, required: true, inputmode: "numeric" })),
  el("button", { disabled: available < 1 }, t("makeCode")));
  return card("redeem", t("redeem"), fine(t("redeemWhy")), code || form);
}

function leaveCard() {
  return card("leave", t("leave"), fine(t("leaveWhy")),
    el("details", { class: "inner" }, el("summary", {}, t("leave")),
      el("button", { type: "button", class: "bad", on: { click: () => act(async () => {
        await client.remove("points");
        await load();
        show();
      }) } }, t("leaveSure"))));
}

// ---------------------------------------------------------------- all of it

async function load() {
  const credits = await client.get("credits");
  const reports = credits.joined ? (await client.get("reports")).reports : [];
  Object.assign(state, { credits, reports });
  if (!credits.joined) state.consent = await client.consent();
}

function leave() {
  client.signOut();
  Object.assign(state, { credits: null, reports: [], code: null });
  show();
}

/** What is open and what was typed stays when the page is drawn again in another language or with newer figures. */
function show() {
  const open = new Set([...main.querySelectorAll("details[open][data-day]")].map((d) => d.dataset.day));
  document.documentElement.lang = language() === "zh" ? "zh-CN" : "en";
  document.title = t("title");
  fill(byId("title"), t("title"));
  fill(byId("language"), t("other"));
  fill(byId("sign-out"), t("signOut"));
  byId("sign-out").hidden = !client.signedIn() || !state.credits;
  const banner = state.credits?.banner;
  byId("banner").hidden = !banner;
  byId("banner").textContent = banner ?? "";
  const speed = el("p", { id: "speed", class: "fine" });
  const parts = !state.credits ? [signInCard()]
    : !state.credits.joined ? [joinCard()]
    : [el("div", { class: "column" }, balanceCard(), daysCard()), el("div", { class: "column" }, reportCard(), redeemCard(), leaveCard())];
  fill(main, el("fieldset", { id: "controls", disabled: state.lock.locked }, el("div", { class: "columns" }, parts)), speed);
  for (const day of main.querySelectorAll("details[data-day]")) day.open = open.has(day.dataset.day);
  showLock();
}

function showLock() {
  const { locked, known } = state.lock;
  const controls = byId("controls");
  if (controls) controls.disabled = locked;
  main.inert = locked;
  byId("stop").hidden = !locked;
  byId("language").disabled = byId("sign-out").disabled = locked;
  fill(byId("stop-title"), t("stops"));
  fill(byId("stop-text"), t("stopsWhy"));
  if (byId("speed")) fill(byId("speed"), t(known ? "speedKnown" : "speedUnknown"));
  if (locked && document.activeElement instanceof HTMLElement) document.activeElement.blur();
}

byId("language").addEventListener("click", () => { turn(); show(); });
byId("sign-out").addEventListener("click", leave);
watch((lock) => { state.lock = lock; showLock(); });
show();
if (client.signedIn()) {
  load().then(show, (error) => {
    if (error.name === "not_known") leave();
    failed(error);
  }).finally(() => { document.documentElement.dataset.ready = ""; });
} else document.documentElement.dataset.ready = "";
