// The page of proofs: takes a file or a square's number, checks every step here in the browser, and draws the path.

import { byId, el, fill } from "./elements.js";
import { getJson } from "./http.js";
import { checkDocument } from "./proofs.js";
import { readPolicy } from "./witnesses.js";
import { KIND_ORDER, kindName, word } from "./auditwords.js";

let language = localStorage.getItem("language") === "en" || !navigator.language.startsWith("zh") ? "en" : "zh";
let shown = null;

const t = (name, ...args) => word(language, name, ...args);

function label() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  byId("language").textContent = t("other");
  if (shown) draw();
}

const trustedKey = () => byId("key").value.trim();

async function show(document_) {
  if (!crypto.subtle) return say(t("insecure"));
  say(t("checking"));
  const own = document_?.log?.key ?? "";
  const key = trustedKey() || own;
  let policy = null;
  try {
    const text = byId("policy").value;
    policy = text.trim() ? await readPolicy(text) : null;
  } catch (error) {
    return say(error.message);
  }
  const steps = await checkDocument(document_, { key, policy }, KIND_ORDER);
  shown = { document: document_, steps, trusted: Boolean(trustedKey()) };
  say("");
  draw();
}

const mark = (ok) => (ok === true ? "yes" : ok === false ? "no" : "open");
const SIGN = { yes: "✓", no: "✗", open: "○" };

function draw() {
  const { document: doc, steps, trusted } = shown;
  const banner = byId("banner");
  banner.hidden = !doc?.banner;
  banner.textContent = doc?.banner ? t("notReal", doc.banner) : "";
  const broken = steps.some((s) => s.ok === false);
  // Something must have been held against the key: a file in which nothing is signed is not proven by saying nothing false.
  const signed = steps.some((s) => s.ok === true && s.name.endsWith("signature"));
  const unwitnessed = steps.some((s) => s.ok !== true && s.name.endsWith("witnesses"));
  const vouched = trusted && signed && !unwitnessed;
  const verdict = byId("verdict");
  verdict.hidden = false;
  verdict.dataset.ok = broken ? "no" : vouched ? "yes" : "open";
  // Only a road proof's code is checked: one that is written into another file is nobody's word.
  const code = doc?.what === "road proof" ? doc.code : null;
  fill(
    verdict,
    el("span", { class: "mark", "aria-hidden": "true" }, SIGN[verdict.dataset.ok]),
    el(
      "div", {},
      el("strong", {}, broken ? t("broken") : vouched ? t("holds") : !trusted ? t("holdsAlone") : signed ? t("holdsUnwitnessed") : t("holdsNothing")),
      code ? el("p", {}, el("span", { class: "swatch", style: { background: `var(--${/^(red|yellow|green|grey)$/.test(code.colour) ? code.colour : "grey"})` } }), t("said", doc, kindName(language, code.kind))) : null,
      el("p", { class: "fine" }, t("anchorOpen")),
    ),
  );
  const path = byId("path");
  path.hidden = false;
  fill(
    path,
    el(
      "ol", {},
      steps.map((s) => {
        const ok = mark(s.ok);
        const lines = s.name.startsWith("chunks of") ? chunks(doc, s) : null;
        return el(
          "li", { data: { ok } },
          el("i", { "aria-hidden": "true" }, SIGN[ok]),
          el("strong", {}, t("step", s.name), el("em", { class: "off" }, ` ${t(ok)}`)),
          el("span", {}, t("detail", s)),
          lines,
        );
      }),
    ),
  );
  drawCaused(doc);
}

function chunks(doc, s) {
  const day = doc.days?.find((d) => s.name.endsWith(d.day));
  if (!day?.chunks?.length) return null;
  return el("details", {}, el("summary", {}, t("hashes", day.chunks.length)), el("pre", {}, day.chunks.slice(0, 500).join("\n")));
}

function drawCaused(doc) {
  const box = byId("caused");
  box.hidden = !doc?.caused;
  if (!doc?.caused) return;
  const rows = doc.caused.flatMap((c) => c.changes.map((change) => ({ ...change, block: c.block })));
  const cases = [...new Set(doc.caused.flatMap((c) => c.cases))];
  fill(
    box,
    el("h2", {}, t("causedTitle", doc.day)),
    el("p", { class: "fine" }, t("causedText", doc.caused.length, rows.length, cases)),
    rows.length
      ? el(
          "div", { class: "scroll" },
          el(
            "table", {},
            el("thead", {}, el("tr", {}, ["square", "when", "from", "to", "why"].map((name) => el("th", {}, t(name))))),
            el(
              "tbody", {},
              rows.slice(0, 100).map((r) => el("tr", {}, [r.name ?? r.cell, r.at?.slice(0, 16).replace("T", " "), t("colour", r.before?.colour), t("colour", r.after?.colour), r.why].map((v) => el("td", {}, String(v ?? ""))))),
            ),
          ),
        )
      : null,
  );
}

const say = (text) => {
  byId("said").textContent = text;
};

async function fetched(path) {
  say(t("checking"));
  try {
    await show(await getJson(path));
  } catch (error) {
    say(`${t("failed")} ${error.message || error.name}`);
  }
}

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const cell = byId("cell").value.trim();
  if (/^[0-9]{6,19}$/.test(cell)) fetched(`api/v1/cells/${cell}/proof`);
  else say(t("badCell"));
});
byId("trace").addEventListener("click", () => {
  const hash = byId("hash").value.trim().toLowerCase();
  if (/^[0-9a-f]{64}$/.test(hash) && byId("day").value) fetched(`api/v1/trace/${hash}?day=${byId("day").value}`);
  else say(t("badHash"));
});
byId("file").addEventListener("change", async () => {
  const [file] = byId("file").files;
  if (!file) return;
  try {
    await show(JSON.parse(await file.text()));
  } catch {
    say(t("notJson"));
  }
});
byId("policy").addEventListener("change", () => shown && show(shown.document));
byId("key").addEventListener("change", () => shown && show(shown.document));
byId("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem("language", language);
  label();
});

label();
const asked = new URLSearchParams(location.search).get("cell");
if (asked && /^[0-9]{6,19}$/.test(asked)) {
  byId("cell").value = asked;
  fetched(`api/v1/cells/${asked}/proof`);
}
