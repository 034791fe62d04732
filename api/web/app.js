// What happens when? Puts the parts of the page together.

import { byId, el, fill } from "./elements.js";
import { getJson, getTile, listen, ServerError } from "./http.js";
import { hasWebgl, makeMap } from "./map.js";
import { showCases, showLegend, showSummary } from "./overview.js";
import { readPlace, readQuery, writePlace } from "./place.js";
import { makeSheet } from "./sheet.js";
import { failureText, showFailure, showLoading, showNowhere, showStory } from "./story.js";
import { COLOURS, makeTiles, MIN_ZOOM, PALETTES } from "./tiles.js";
import { currentLanguage, moment, setLanguage, t } from "./words.js";

const kept = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
const keep = (name, value) => { try { localStorage.setItem(name, value); } catch { /* A browser that stores nothing forgets the choice, no more. */ } };

const darkness = matchMedia("(prefers-color-scheme: dark)");
const now = {
  city: null, summary: null, summaryError: null, cases: null, casesError: null,
  cell: null, story: null, asked: 0,
  shown: new Set(COLOURS), palette: kept("palette") === "blind" ? "blind" : "plain",
  heard: null, connection: "wait",
};
let stage = null;
let tiles = null;

const say = (text) => { byId("status").textContent = text; };
const look = () => ({ palette: PALETTES[now.palette], shown: now.shown, dark: darkness.matches });
const view = () => stage?.view() ?? { centre: now.city?.centre ?? [0, 0], bounds: null };
const sheet = makeSheet(byId("panel"), byId("handle"), (covered) => {
  byId("map-box").style.setProperty("--covered", `${covered}px`);
  stage?.room(covered);
});

/* ---- what is drawn from `now` ---- */

function drawCity() {
  const { city } = now;
  if (!city) return;
  const zh = currentLanguage() === "zh";
  byId("city").textContent = zh ? city.name_zh : city.name;
  const banner = byId("banner");
  banner.hidden = !city.banner;
  const both = /REPLAY/.test(city.banner) && /SIMULATED/.test(city.banner);
  const words = t(both ? "banner" : /REPLAY/.test(city.banner) ? "bannerReplay" : "bannerSimulated");
  fill(banner, el("strong", {}, city.banner), el("span", {}, words));
}

function drawOverview() {
  showSummary(byId("summary"), now.summary, now.summaryError, refreshSummary);
  showLegend(byId("legend"), now.summary, now.shown, (colour, shown) => {
    if (shown) now.shown.add(colour);
    else now.shown.delete(colour);
    stage?.repaint();
  });
  drawCases();
}

const drawCases = () => showCases(byId("cases"), now.cases, view(), now.casesError, openCase, refreshCases);

function drawTools() {
  const language = byId("language");
  language.textContent = t("languageName");
  language.setAttribute("aria-label", t("languageLabel"));
  language.lang = currentLanguage() === "zh" ? "en" : "zh-CN";
  const palette = byId("palette");
  palette.setAttribute("aria-label", t("paletteName"));
  palette.title = t("paletteName");
  fill(palette, el("i", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i")), el("span", {}, t("paletteName")));
  palette.setAttribute("aria-pressed", String(now.palette === "blind"));
  document.documentElement.dataset.palette = now.palette;
  const query = byId("query");
  query.placeholder = t("searchHint");
  byId("panel").setAttribute("aria-label", t("summary"));
  sheet.relabel();
  drawConnection();
  drawZoom();
}

function drawConnection() {
  byId("live").dataset.state = now.connection;
  byId("live-word").textContent = t(now.connection);
  const stale = byId("stale");
  stale.hidden = now.connection !== "down";
  stale.textContent = stale.hidden ? "" : t("stale")(moment(now.heard));
}

function drawZoom() {
  const closer = byId("closer");
  const far = Boolean(stage) && stage.map.getZoom() < MIN_ZOOM - 1;
  closer.hidden = !far;
  closer.textContent = far ? t("closer") : "";
}

/* ---- squares ---- */

const storyNode = byId("story");

function showPanel(open) {
  storyNode.hidden = !open;
  byId("overview").hidden = open;
  byId("panel-body").scrollTop = 0;
  if (open) sheet.atLeast("half");
}

function closeStory() {
  now.asked += 1;
  now.cell = now.story = null;
  stage?.choose(null);
  showPanel(false);
  sheet.set("peek");
  if (stage) writePlace(stage.view(), null);
  byId("map").querySelector("canvas")?.focus({ preventScroll: true });
}

/** Run `ask` for the panel; a later question makes an earlier answer void. */
async function tell(ask, quiet, again) {
  // A quiet refresh gives way to whatever a person asks; it does not make that answer void.
  if (!quiet) now.asked += 1;
  const mine = now.asked;
  if (!quiet) {
    now.cell = now.story = null;
    showPanel(true);
    showLoading(storyNode, closeStory);
  }
  try {
    const show = await ask();
    if (mine !== now.asked) return;
    show();
    if (!quiet) byId("story-title")?.focus({ preventScroll: true });
  } catch (error) {
    if (mine !== now.asked || quiet) return;
    showFailure(storyNode, error, again, closeStory);
  }
}

function present(cell, { move, quiet }) {
  now.cell = cell.cell;
  now.story = cell;
  const scroll = byId("panel-body").scrollTop;
  showStory(storyNode, cell, closeStory);
  if (quiet) byId("panel-body").scrollTop = scroll;
  else say(`${t("opensAt")(cell.name)}. ${t("found")(t("colour", cell.colour))}`);
  if (!stage) return;
  stage.choose(cell.polygon);
  const middle = [0, 1].map((i) => (cell.polygon[0][i] + cell.polygon[2][i]) / 2);
  const padding = { top: 0, left: 0, right: 0, bottom: sheet.covers() };
  if (move) stage.map.easeTo({ center: middle, zoom: Math.max(stage.map.getZoom(), 19.5), padding, duration: 500 });
  else if (!quiet && padding.bottom) stage.map.easeTo({ center: middle, padding, duration: 300 });
  writePlace(stage.view(), now.cell);
}

function openCell(id, { move = false, quiet = false } = {}) {
  return tell(async () => {
    const cell = await getJson(`api/v1/cells/${id}`);
    return () => present(cell, { move, quiet });
  }, quiet, () => openCell(id, { move }));
}

function openAt(lon, lat, { move = false } = {}) {
  return tell(async () => {
    const { cell: id } = await getJson(`api/v1/at?lon=${lon}&lat=${lat}`);
    if (id === null) {
      return () => {
        now.cell = now.story = null;
        stage?.choose(null);
        if (stage) {
          if (move) stage.map.easeTo({ center: [lon, lat], zoom: Math.max(stage.map.getZoom(), 18) });
          writePlace(stage.view(), null);
        }
        showNowhere(storyNode, `${lon.toFixed(6)}, ${lat.toFixed(6)}`, closeStory);
        say(t("nowhere"));
      };
    }
    const cell = await getJson(`api/v1/cells/${id}`);
    return () => present(cell, { move, quiet: false });
  }, false, () => openAt(lon, lat, { move }));
}

function openCase(feature) {
  const { cells } = feature.properties;
  const [lon, lat] = feature.geometry.coordinates;
  return Array.isArray(cells) && cells.length ? openCell(cells[0], { move: true }) : openAt(lon, lat, { move: true });
}

/* ---- what the server says ---- */

async function refreshSummary() {
  try {
    now.summary = await getJson("api/v1/summary");
    now.summaryError = null;
    now.heard = new Date().toISOString();
  } catch (error) {
    now.summaryError = now.summary ? null : error;
  }
  drawOverview();
}

async function refreshCases() {
  try {
    const collection = await getJson("api/v1/cases");
    now.cases = collection.features;
    now.casesError = null;
    stage?.cases(collection);
  } catch (error) {
    now.casesError = now.cases ? null : error;
  }
  drawCases();
}

let touched = [];
let timer = null;
let overview = null;

/** Counts and cases follow every two seconds at most: while vehicles drive, changes come without end. */
function refreshOverview() {
  overview ??= setTimeout(() => {
    overview = null;
    refreshSummary();
    refreshCases();
  }, 2000);
}

/** Changes come in bursts: one repaint for those of a third of a second. */
function onCodes(bbox) {
  now.heard = new Date().toISOString();
  touched.push(bbox);
  timer ??= setTimeout(() => {
    const boxes = touched;
    touched = [];
    timer = null;
    stage?.repaint(boxes.flatMap((box) => tiles?.forget(box) ?? []));
    refreshOverview();
    const ring = now.story?.polygon;
    const meets = (b) => b === null || (ring && ring[0][0] <= b[2] && ring[2][0] >= b[0] && ring[0][1] <= b[3] && ring[2][1] >= b[1]);
    if (now.cell && boxes.some(meets)) openCell(now.cell, { quiet: true });
  }, 300);
}

function onUp() {
  const lost = now.connection === "down";
  now.connection = "live";
  now.heard = new Date().toISOString();
  drawConnection();
  if (!lost) return;
  // What happened meanwhile was not heard: everything is asked again.
  say(t("back"));
  onCodes(null);
}

function onDown() {
  now.connection = "down";
  drawConnection();
}

/* ---- begin ---- */

function speak(language) {
  setLanguage(language);
  drawTools();
  drawCity();
  drawOverview();
  stage?.relabel();
  if (now.story) showStory(storyNode, now.story, closeStory);
}

byId("language").addEventListener("click", () => {
  const wanted = currentLanguage() === "zh" ? "en" : "zh";
  keep("language", wanted);
  speak(wanted);
});

byId("palette").addEventListener("click", () => {
  now.palette = now.palette === "blind" ? "plain" : "blind";
  keep("palette", now.palette);
  drawTools();
  stage?.repaint();
});

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = readQuery(byId("query").value);
  const answer = byId("search-answer");
  answer.hidden = Boolean(wanted);
  answer.textContent = wanted ? "" : t("searchNone");
  if (!wanted) return;
  if (wanted.cell) openCell(wanted.cell, { move: true });
  else openAt(wanted.lon, wanted.lat, { move: true });
});

byId("query").addEventListener("input", () => { byId("search-answer").hidden = true; });

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !storyNode.hidden) closeStory();
});

addEventListener("hashchange", () => {
  const { view: wanted, cell } = readPlace(location.hash);
  if (wanted && stage) stage.map.jumpTo({ center: wanted.centre, zoom: wanted.zoom });
  if (cell && cell !== now.cell) openCell(cell);
});

darkness.addEventListener("change", () => {
  stage?.theme(darkness.matches);
  stage?.repaint();
});

function broken(text) {
  byId("broken").hidden = !text;
  byId("broken").textContent = text;
}

function firstView(place) {
  if (place.view) return place.view;
  const box = now.summary?.bbox;
  if (!box) return { centre: now.city.centre, zoom: 15 };
  const node = byId("map-box");
  const wide = Math.max(box[2] - box[0], 1e-6);
  const high = Math.max(box[3] - box[1], 1e-6) / Math.cos((box[1] * Math.PI) / 180);
  const fit = Math.min(Math.log2((node.clientWidth * 0.86 * 360) / (512 * wide)), Math.log2(((node.clientHeight - sheet.covers()) * 0.8 * 360) / (512 * high)));
  return { centre: [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], zoom: Math.min(Math.max(fit, 10), 18.5) };
}

function zoneOf(city) {
  const said = /^(\d{1,2})\s*([A-Z])?/i.exec(String(city.utm_zone));
  const letter = said?.[2]?.toUpperCase();
  return { number: Number(said?.[1] ?? 31), north: letter ? letter >= "N" : city.centre[1] >= 0 };
}

let failing = null;

async function begin() {
  const asked = kept("language") ?? navigator.language ?? "en";
  speak(asked.toLowerCase().startsWith("zh") ? "zh" : "en");
  const place = readPlace(location.hash);
  const [city] = await Promise.allSettled([getJson("api/v1/city"), refreshSummary(), refreshCases()]);
  if (city.status === "rejected") {
    broken(`${t("failed")}. ${failureText(city.reason)}`);
    setTimeout(() => { broken(""); begin(); }, 3000);
    return;
  }
  now.city = city.value;
  drawCity();
  tiles = makeTiles({ fetchTile: getTile, look, zone: zoneOf(now.city) });
  if (hasWebgl()) {
    stage = makeMap({
      container: byId("map"),
      view: { ...firstView(place), covered: sheet.covers() },
      dark: darkness.matches,
      load: tiles.load,
      on: {
        moved() {
          writePlace(stage.view(), now.cell);
          drawZoom();
          drawCases();
        },
        pressed: (lon, lat) => openAt(lon, lat),
        picked(id) {
          const feature = now.cases?.find((f) => String(f.properties.id) === id);
          if (feature) openCase(feature);
        },
        failed(error) {
          if (!(error instanceof ServerError)) return;
          broken(t("tileFailed"));
          clearTimeout(failing);
          failing = setTimeout(() => { broken(""); stage?.repaint(); }, 4000);
        },
      },
    });
    stage.map.on("load", () => { document.documentElement.dataset.ready = "yes"; });
    const canvas = stage.map.getCanvas();
    canvas.addEventListener("focus", () => { byId("aim").hidden = !canvas.matches(":focus-visible"); });
    canvas.addEventListener("blur", () => { byId("aim").hidden = true; });
    if (now.cases) stage.cases({ type: "FeatureCollection", features: now.cases });
    drawZoom();
    drawCases();
  } else broken(t("noWebgl"));
  listen({ codes: onCodes, up: onUp, down: onDown });
  if (place.cell) openCell(place.cell, { move: !place.view });
}

begin();
