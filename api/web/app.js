// What happens when? Puts the parts of the page together.

import { showCityRoads, showRoads, showScale } from "./cityroads.js";
import { makeDesk } from "./desk.js";
import { byId, el, fill } from "./elements.js";
import { getJson, getTile, listen, ServerError } from "./http.js";
import { hasWebgl, makeMap } from "./map.js";
import { showCases, showLegend, showSummary } from "./overview.js";
import { readPlace, readQuery } from "./place.js";
import { makeRoads, scaleAt, SECTIONS_FROM, SQUARES_FROM } from "./roads.js";
import { makeSheet } from "./sheet.js";
import { failureText } from "./story.js";
import { COLOURS, makeTiles, MIN_ZOOM, PALETTES } from "./tiles.js";
import { currentLanguage, moment, setLanguage, t } from "./words.js";

const kept = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
const keep = (name, value) => { try { localStorage.setItem(name, value); } catch { /* A browser that stores nothing forgets the choice, no more. */ } };

const darkness = matchMedia("(prefers-color-scheme: dark)");
const now = {
  city: null, summary: null, summaryError: null, cases: null, casesError: null,
  roadsBroken: false,
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
    stage?.dress();
  });
  drawCases();
}

const drawCases = () => showCases(byId("cases"), now.cases, view(), now.casesError, desk.openCase, refreshCases);

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
  const zoom = stage?.map.getZoom();
  const far = Boolean(stage) && zoom < (roads.known() ? SECTIONS_FROM : MIN_ZOOM - 1);
  closer.hidden = !far;
  closer.textContent = far ? t(roads.known() ? "closerRoads" : "closer") : "";
}

/* ---- roads ---- */

const roads = makeRoads({
  ask: getJson,
  changed() {
    now.roadsBroken = false;
    drawRoadsSoon();
  },
  failed() {
    now.roadsBroken = true;
    drawRoadsSoon();
    clearTimeout(askingAgain);
    askingAgain = setTimeout(() => stage && roads.look(view()), 4000);
  },
});
let askingAgain = null;
let roadsTimer = null;

/** Strips come one section after the other: one drawing for those of a tenth of a second. */
function drawRoadsSoon() {
  roadsTimer ??= setTimeout(() => {
    roadsTimer = null;
    drawRoads();
  }, 100);
}

function drawRoads() {
  const seen = view();
  const features = roads.inView(seen);
  // Where no section lies in view, squares are what there is to see.
  const has = roads.known() && (features.length > 0 || seen.zoom < SECTIONS_FROM);
  stage?.roads(roads.drawn(), has ? SQUARES_FROM : 0);
  showScale(byId("scale"), { scale: scaleAt(seen.zoom ?? 0, has), features, known: roads.known(), truncated: roads.truncated(), broken: now.roadsBroken });
  byId("query").placeholder = t(roads.known() ? "searchRoads" : "searchHint");
  showRoads(byId("roads"), { features, known: roads.known() }, (number) => desk.openSection(number, { move: true }));
  drawZoom();
}

const desk = makeDesk({ node: byId("story"), overview: byId("overview"), sheet, stage: () => stage, roads: () => roads, say });

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

const CITY_EVERY_MS = 60000;
let cityMs = performance.now();

/** The city again, for its roads, which are summed up once a minute; names do not change while a page is open. */
async function refreshCity() {
  if (performance.now() - cityMs < CITY_EVERY_MS) return;
  cityMs = performance.now();
  try {
    now.city = await getJson("api/v1/city");
    showCityRoads(byId("city-roads"), now.city.roads);
  } catch {
    // What was shown stays; a lost connection is said elsewhere.
  }
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
    refreshCity();
    roads.look(view());
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
    roads.forget(boxes);
    refreshOverview();
    const open = desk.openBox();
    const meets = (b) => b === null || (open && open[0] <= b[2] && open[2] >= b[0] && open[1] <= b[3] && open[3] >= b[1]);
    if (boxes.some(meets)) desk.refresh();
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
  drawRoads();
  stage?.relabel();
  desk.again();
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
  stage?.dress();
});

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = readQuery(byId("query").value);
  const road = wanted ? undefined : roads.named(byId("query").value);
  const answer = byId("search-answer");
  answer.hidden = Boolean(wanted ?? road);
  answer.textContent = wanted ?? road ? "" : t("searchNone");
  if (road) desk.openSection(road.properties.number, { move: true });
  if (!wanted) return;
  if (wanted.cell) desk.openCell(wanted.cell, { move: true });
  else desk.openAt(wanted.lon, wanted.lat, { move: true });
});

byId("query").addEventListener("input", () => { byId("search-answer").hidden = true; });

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !byId("story").hidden) desk.close();
});

addEventListener("hashchange", () => {
  const { view: wanted, cell, section } = readPlace(location.hash);
  if (wanted && stage) stage.map.jumpTo({ center: wanted.centre, zoom: wanted.zoom });
  if (cell && cell !== desk.open.cell) desk.openCell(cell);
  if (section && section !== desk.open.section) desk.openSection(section);
});

darkness.addEventListener("change", () => {
  stage?.theme();
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
  return { centre: [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], zoom: Math.min(Math.max(fit, 10), roads.known() ? 17.5 : 18.5) };
}

function zoneOf(city) {
  const said = /^(\d{1,2})\s*([A-Z])?/i.exec(String(city.utm_zone));
  const letter = said?.[2]?.toUpperCase();
  return { number: Number(said?.[1] ?? 31), north: letter ? letter >= "N" : city.centre[1] >= 0 };
}

/** Whether there are roads around what was measured, or else around the middle of the city. */
async function firstRoads() {
  const [lon, lat] = now.city.centre;
  try {
    await roads.first(now.summary?.bbox ?? [lon - 0.02, lat - 0.02, lon + 0.02, lat + 0.02]);
  } catch {
    // Asked again with the first view of the map; until then the page is as it is without roads.
  }
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
  await firstRoads();
  drawCity();
  showCityRoads(byId("city-roads"), now.city.roads);
  tiles = makeTiles({ fetchTile: getTile, look, zone: zoneOf(now.city) });
  if (hasWebgl()) {
    stage = makeMap({
      container: byId("map"),
      view: { ...firstView(place), covered: sheet.covers(), codesFrom: roads.known() ? SQUARES_FROM : 0 },
      look,
      load: tiles.load,
      on: {
        moved() {
          desk.write();
          drawRoads();
          drawCases();
          roads.look(view());
        },
        pressed: (lon, lat) => desk.openAt(lon, lat),
        section: (number, chosen) => desk.openSection(number, { chosen }),
        picked(id) {
          const feature = now.cases?.find((f) => String(f.properties.id) === id);
          if (feature) desk.openCase(feature);
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
    drawRoads();
    drawCases();
    roads.look(view());
  } else broken(t("noWebgl"));
  listen({ codes: onCodes, up: onUp, down: onDown });
  if (place.cell) desk.openCell(place.cell, { move: !place.view });
  else if (place.section) desk.openSection(place.section, { move: !place.view });
}

begin();
