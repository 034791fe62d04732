// Is the certificate that I see genuine, and what does it say? Camera, photo or text; checked here, with a trust list that is kept.

import { hex, readCertificate, verifyCertificate } from "./certificate.js";
import { byId, el, fill, svg } from "./elements.js";
import { bytesOfHex, forget, trustInForce } from "./trust.js";
import { currentLanguage, kindName, number, setLanguage, t } from "./words.js";

const COLOURS = ["grey", "green", "yellow", "red"];
const STATES = ["none", "suspected", "confirmed"];
const KINDS = ["uneven", "linear_crack", "net_crack", "alligator_crack", "shoving", "rutting", "subsidence", "mud_boil", "ravelling", "pothole", "edge_break", "frame_level", "pumping", "bleeding", "faulting", "broken_slab", "defective_cover", "ponding", "litter"];
const OF_THE_STANDARD = 16;
const ORIGINS = [["live", 1], ["replay", 2], ["simulated", 4]];
const [WORKS, EXPIRED] = [2, 4];
const WIDEST = [1600, 1000, 600];
const LOOK_MS = 180;
const DAY_S = 86400;

let stream = null;
let trust = { list: null, key: null, fetchedS: null, trouble: "" };
let shown = null;

const now = () => Math.floor(Date.now() / 1000);
const kept = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
const keep = (name, value) => { try { localStorage.setItem(name, value); } catch { /* Forgotten at the next visit, no more. */ } };
const moment = (s) => new Intl.DateTimeFormat(currentLanguage() === "zh" ? "zh-CN" : "en-GB", { dateStyle: "medium", timeStyle: "short" }).format(new Date(s * 1000));

function speak(language) {
  setLanguage(language);
  document.title = t("scanTitle");
  byId("language").textContent = t("languageName");
  byId("language").setAttribute("aria-label", t("languageLabel"));
  byId("camera").textContent = t(stream ? "scanStop" : "scanCamera");
  byId("insecure").textContent = t("scanInsecure");
  showTrust();
  if (shown) showVerdict(shown);
}

function say(name) {
  byId("message").hidden = !name;
  byId("message").textContent = name ? t(name) : "";
}

/** The shape of a colour with its sign, as docs/road-code-standard.md draws it. */
function shape(colour) {
  const body = {
    grey: svg("rect", { x: 8, y: 8, width: 84, height: 84, rx: 4, "stroke-dasharray": "12 7" }),
    green: svg("circle", { cx: 50, cy: 50, r: 44 }),
    yellow: svg("path", { d: "M50 5 96 91H4Z" }),
    red: svg("path", { d: "M32 5h36l27 27v36L68 95H32L5 68V32Z" }),
    none: svg("path", { d: "M20 8 50 38 80 8 92 20 62 50 92 80 80 92 50 62 20 92 8 80 38 50 8 20Z" }),
  }[colour];
  body.setAttribute("fill", colour === "none" ? "var(--bad)" : `var(--${colour})`);
  body.setAttribute("stroke", "currentColor");
  body.setAttribute("stroke-width", "3");
  const sign = { grey: "灰", green: "绿", yellow: "黄", red: "红" }[colour];
  const ink = colour === "red" ? "#ffffff" : "#17212b";
  return svg("svg", { viewBox: "0 0 100 100", "aria-hidden": "true" }, body, sign ? svg("text", { x: 50, y: colour === "yellow" ? 66 : 50, "font-size": 38, "font-weight": 700, fill: ink, "text-anchor": "middle", "dominant-baseline": "central" }, sign) : null);
}

function words(said) {
  const kind = said.kind === null || said.kind === undefined ? null : kindName(KINDS[said.kind]);
  const seen = Array.from({ length: OF_THE_STANDARD }, (_, bit) => Math.floor((said.seen ?? 0) / 2 ** bit) % 2).reduce((a, b) => a + b, 0);
  return [
    said.state ? t("state", STATES[said.state]) : null,
    kind,
    said.flags & EXPIRED ? t("scanExpired") : null,
    said.flags & WORKS ? t("scanWorks") : null,
    said.about === "square" && said.colour === 1 ? t("scanSeen")(seen, OF_THE_STANDARD) : null,
    said.about === "section" ? t("scanKnown")(said.known_pct) : null,
  ].filter(Boolean).join(" · ");
}

function place(said) {
  const what = said.about === "square" ? t("scanSquare")(said.extent_m) : t("scanSection")(said.extent_m);
  const name = said.about === "square" ? `№${said.cell}` : `${said.name || t("scanUnnamed")} №${said.section}`;
  return `${name} · ${what}`;
}

function farFromHere(said, answer) {
  answer.textContent = "…";
  const failed = () => { answer.textContent = t("scanFarNot"); };
  if (!navigator.geolocation) return failed();
  navigator.geolocation.getCurrentPosition(
    ({ coords }) => {
      const [lat, lon] = [said.lat_e7 / 1e7, said.lon_e7 / 1e7];
      const metres = Math.hypot((coords.longitude - lon) * Math.cos((lat * Math.PI) / 180), coords.latitude - lat) * 111195;
      const length = (m) => (m < 1000 ? `${number(m)} m` : `${number(m / 1000, 1)} km`);
      answer.textContent = t("scanFarIs")(length(metres), length(coords.accuracy));
    },
    failed,
    { enableHighAccuracy: true, timeout: 15000, maximumAge: 5000 },
  );
}

function facts(said) {
  const [lat, lon] = [said.lat_e7 / 1e7, said.lon_e7 / 1e7];
  const fact = (name, value) => [el("dt", {}, t(name)), el("dd", {}, value)];
  const district = t("scanDistrictOf")(trust.list?.nameOf(shown.kid) ?? null, said.issuer);
  return el(
    "dl",
    {},
    fact("scanPlace", place(said)),
    fact("scanPosition", `${lat.toFixed(5)}, ${lon.toFixed(5)}`),
    fact("scanUntil", moment(said.expires)),
    fact("scanIssued", moment(said.issued)),
    fact("scanDistrict", district),
    fact("scanOrigin", origins(said)),
    fact("scanLog", said.log_size === null ? t("scanLogNone") : t("scanLogAt")(said.log_index ?? null, said.log_size)),
  );
}

const origins = (said) => ORIGINS.filter(([, bit]) => said.origin & bit).map(([name]) => t("origins", name)).join(" + ");

function stepList(steps) {
  return el("details", { open: false }, el("summary", {}, t("scanSteps")), el("ol", { class: "steps" }, steps.map((s) => el("li", { data: { ok: String(s.ok) } }, el("span", { "aria-hidden": "true" }, s.ok ? "✓" : "✗"), el("span", {}, t("scanStep", s.name), s.ok ? null : `: ${t("scanWhy", s.reason)}${s.reason === "readable" && s.detail ? ` (${s.detail})` : ""}`)))));
}

function showVerdict(found) {
  shown = found;
  const { ok, steps, said } = found;
  const node = byId("verdict");
  const colour = ok ? COLOURS[said.colour] : "none";
  node.hidden = false;
  node.dataset.colour = colour;
  const failed = steps.find((s) => !s.ok);
  const far = el("p", { class: "fine", role: "status" });
  const live = said && said.origin === 1;
  const map = said ? `./#19/${(said.lat_e7 / 1e7).toFixed(6)}/${(said.lon_e7 / 1e7).toFixed(6)}/${said.about === "square" ? said.cell : `s${said.section}`}` : "";
  fill(
    node,
    said && !live ? el("p", { class: "origin" }, `${origins(said)} · ${t(said.origin === 2 ? "bannerReplay" : said.origin === 4 ? "bannerSimulated" : "banner")}`) : null,
    el(
      "div",
      { class: "code" },
      shape(colour),
      el("div", {}, el("p", { class: ok ? "holds" : "refused" }, t(ok ? "scanHolds" : "scanRefused")), el("h2", {}, ok ? t("colour", colour) : t("scanWhy", failed.reason)), ok ? el("p", {}, words(said)) : el("p", {}, t("scanDoNotTrust"))),
    ),
    el(
      "div",
      { class: "said" },
      ok ? el("p", { class: "compare" }, t("scanCompare")) : null,
      said && (ok || failed.reason === "expired") ? facts(said) : null,
      ok ? el("div", { class: "row" }, el("a", { class: "tool", href: map }, t("scanMap")), el("button", { class: "tool", type: "button", on: { click: () => farFromHere(said, far) } }, t("scanFar"))) : null,
      ok ? far : null,
      stepList(steps),
      ok ? el("p", { class: "fine" }, t("scanProves")) : null,
    ),
  );
}

async function judge(text) {
  begin();
  stopCamera();
  const found = await verifyCertificate(text, trust.list, now());
  showVerdict({ ...found, kid: kidOf(text) });
  byId("verdict").focus({ preventScroll: true });
  byId("verdict").scrollIntoView({ block: "start", behavior: "auto" });
}

/** No verdict stands while another code is looked at. */
function begin() {
  say(null);
  shown = null;
  byId("verdict").hidden = true;
}

function kidOf(text) {
  try {
    return readCertificate(text).signed.kid;
  } catch {
    return "";
  }
}

// ---------------------------------------------------------------- camera, photo, text

const codeIn = (pixels) => globalThis.jsQR?.(pixels.data, pixels.width, pixels.height, { inversionAttempts: "attemptBoth" })?.data ?? null;

function pixelsOf(source, width, height, widest) {
  const scale = Math.min(1, widest / Math.max(width, height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)));
  const drawing = canvas.getContext("2d", { willReadFrequently: true });
  drawing.drawImage(source, 0, 0, canvas.width, canvas.height);
  return drawing.getImageData(0, 0, canvas.width, canvas.height);
}

async function readPhoto(file) {
  begin();
  say("scanChecking");
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    return say("scanNoCode");
  }
  for (const widest of WIDEST) {
    const text = codeIn(pixelsOf(picture, picture.width, picture.height, widest));
    if (text) return text.startsWith("RHC1:") ? judge(text) : say("scanNotOurs");
  }
  return say("scanNoCode");
}

function stopCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  byId("view").hidden = true;
  byId("camera").textContent = t("scanCamera");
}

async function openCamera() {
  if (stream) return stopCamera();
  begin();
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } }, audio: false });
  } catch {
    return say("scanNoCamera");
  }
  byId("camera").textContent = t("scanStop");
  const video = byId("video");
  video.srcObject = stream;
  byId("view").hidden = false;
  await video.play().catch(() => {});
  look(video, stream);
  return undefined;
}

function look(video, mine) {
  if (stream !== mine) return;
  if (video.videoWidth) {
    const text = codeIn(pixelsOf(video, video.videoWidth, video.videoHeight, 1000));
    if (text?.startsWith("RHC1:")) return void judge(text);
    if (text) say("scanNotOurs");
  }
  setTimeout(() => look(video, mine), LOOK_MS);
}

// ---------------------------------------------------------------- trust

function showTrust() {
  const node = byId("trust");
  const { list, key, fetchedS, trouble } = trust;
  const age = list ? t("scanAge")(Math.max(0, Math.round((now() - fetchedS) / 60))) : "";
  const left = list ? (list.expires - now()) / DAY_S : 0;
  const print = key ? (trust.print ?? "") : "";
  fill(
    node,
    el("h2", {}, t("scanTrust")),
    list ? el("p", { id: "trust-list" }, t("scanTrustOf")(list.publisher, list.number, age)) : el("p", { class: "alert" }, t("scanTrustNone")),
    trouble === "offline" && list ? el("p", {}, t("scanTrustOffline")) : null,
    trouble === "refused" ? el("p", { class: "alert" }, t("scanTrustRefused")) : null,
    list && left < 2 ? el("p", { class: "alert" }, left > 0 ? t("scanTrustOld")(2) : t("scanWhy", "list_expired")) : null,
    print ? el("p", {}, `${t("scanTrustKey")}: `, el("code", {}, print)) : null,
    key ? el("p", {}, t("scanTrustFirst")) : null,
    key ? el("p", {}, el("button", { class: "tool", type: "button", on: { click: () => { forget(); refreshTrust(); } } }, t("scanReset"))) : null,
  );
}

/** What two people read to each other: half of the key's SHA-256, in groups of four. */
async function fingerprint(key) {
  const digest = hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytesOfHex(key)))).slice(0, 32);
  return digest.match(/.{4}/g).join(" ");
}

async function refreshTrust() {
  trust = await trustInForce(now());
  if (trust.key) trust.print = await fingerprint(trust.key);
  showTrust();
}

// ---------------------------------------------------------------- start

const fromAddress = () => {
  try {
    const text = decodeURIComponent(location.hash.slice(1));
    return text.startsWith("RHC1:") ? text : null;
  } catch {
    return null;
  }
};

async function start() {
  const secure = globalThis.isSecureContext && Boolean(globalThis.crypto?.subtle);
  speak(kept("language") ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en"));
  byId("language").addEventListener("click", () => {
    const other = currentLanguage() === "zh" ? "en" : "zh";
    keep("language", other);
    speak(other);
  });
  if (!secure) {
    byId("insecure").hidden = false;
    byId("camera").disabled = byId("photo").disabled = byId("check").disabled = true;
    document.documentElement.dataset.ready = "";
    return;
  }
  byId("camera").disabled = !navigator.mediaDevices?.getUserMedia;
  byId("camera").addEventListener("click", openCamera);
  byId("photo").addEventListener("change", (event) => {
    const [file] = event.currentTarget.files;
    event.currentTarget.value = "";
    if (file) readPhoto(file);
  });
  byId("check").addEventListener("click", () => judge(byId("text").value));
  addEventListener("hashchange", () => fromAddress() && judge(fromAddress()));
  addEventListener("pagehide", stopCamera);
  await refreshTrust();
  if (fromAddress()) await judge(fromAddress());
  document.documentElement.dataset.ready = "";
  navigator.serviceWorker?.register("scan-worker.js", { scope: "scan.html" }).catch(() => {});
}

start();
