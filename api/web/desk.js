// What stands in the panel: a square, a section, or neither? Asks for it, shows it, and marks it on the map.

import { byId } from "./elements.js";
import { getJson } from "./http.js";
import { writePlace } from "./place.js";
import { extent, inRing } from "./roads.js";
import { roadNames, showSection } from "./section.js";
import { showFailure, showLoading, showNowhere, showStory } from "./story.js";
import { kindName, t } from "./words.js";

const WORST = 6;
const ORDER = { red: 0, yellow: 1 };

/** What answers may lack without harm: an older server, or a history that is not to be had just now. */
const orNull = (promise) => promise.catch(() => null);

/** stage() and roads() as in app.js; say(text) is read aloud. */
export function makeDesk({ node, overview, sheet, stage, roads, say }) {
  // cell, section: numbers; told: what was shown last, so that it can be shown again in another language.
  const open = { cell: null, section: null, told: null };
  let asked = 0;
  const write = () => stage() && writePlace(stage().view(), open);
  const clear = () => { open.cell = open.section = open.told = null; };

  function showPanel(wanted) {
    node.hidden = !wanted;
    overview.hidden = wanted;
    byId("panel-body").scrollTop = 0;
    if (wanted) sheet.atLeast("half");
  }

  function close() {
    asked += 1;
    clear();
    stage()?.choose(null);
    showPanel(false);
    sheet.set("peek");
    write();
    byId("map").querySelector("canvas")?.focus({ preventScroll: true });
  }

  /** Run `ask` for the panel; a later question makes an earlier answer void. */
  async function tell(ask, quiet, again) {
    // A quiet refresh gives way to whatever a person asks; it does not make that answer void.
    if (!quiet) asked += 1;
    const mine = asked;
    if (!quiet) {
      clear();
      showPanel(true);
      showLoading(node, close);
    }
    try {
      const show = await ask();
      if (mine !== asked) return;
      if (quiet) asBefore(show);
      else show();
      if (!quiet) byId("story-title")?.focus({ preventScroll: true });
    } catch (error) {
      if (mine !== asked || quiet) return;
      showFailure(node, error, again, close);
    }
  }

  /** Show anew what a person reads: where they are in it, what they opened and what has the keyboard stay. */
  function asBefore(show) {
    const scroll = byId("panel-body").scrollTop;
    const stops = () => [...node.querySelectorAll("button, a, summary, [tabindex]")];
    const details = () => [...node.querySelectorAll("details")];
    const held = stops().indexOf(document.activeElement);
    const opened = details().map((d) => d.open);
    show();
    details().forEach((d, i) => { d.open = opened[i] ?? d.open; });
    if (held >= 0) stops()[held]?.focus({ preventScroll: true });
    byId("panel-body").scrollTop = scroll;
  }

  /** Bring a place into what the sheet leaves of the map. */
  function bring(centre, zoom, duration = 500) {
    const padding = { top: 0, left: 0, right: 0, bottom: sheet.covers() };
    stage()?.map.easeTo({ center: centre, zoom: zoom ?? stage().map.getZoom(), padding, duration });
  }

  function presentCell(cell, { move, quiet }) {
    open.cell = cell.cell;
    open.told = cell;
    tellCell(cell);
    if (!quiet) say(`${t("opensAt")(cell.name)}. ${t("found")(t("colour", cell.colour))}`);
    if (!stage()) return;
    stage().choose(cell.polygon);
    const middle = [0, 1].map((i) => (cell.polygon[0][i] + cell.polygon[2][i]) / 2);
    if (move) bring(middle, Math.max(stage().map.getZoom(), 19.5));
    else if (!quiet && sheet.covers()) bring(middle, null, 300);
    write();
  }

  /** The story, with a way to the section that the square lies on. */
  function tellCell(cell) {
    const middle = [0, 1].map((i) => (cell.polygon[0][i] + cell.polygon[2][i]) / 2);
    const road = roads().sectionAt(middle)?.properties;
    showStory(node, cell, close, road && { name: roadNames(road)[0], go: () => openSection(road.number) });
  }

  /** A square with its past, of which many passes are looked at again: a refresh asks for it only if something is new. */
  async function readCell(id, before = null) {
    const past = () => orNull(getJson(`api/v1/cells/${id}/history`));
    if (!before) {
      const [cell, its] = await Promise.all([getJson(`api/v1/cells/${id}`), past()]);
      return { ...cell, past: its };
    }
    const cell = await getJson(`api/v1/cells/${id}`);
    const same = JSON.stringify([cell.history, cell.flags]) === JSON.stringify([before.history, before.flags]);
    return { ...cell, past: same ? before.past : await past() };
  }

  function openCell(id, { move = false, quiet = false } = {}) {
    return tell(async () => {
      const cell = await readCell(id, quiet && open.told?.cell === id ? open.told : null);
      return () => presentCell(cell, { move, quiet });
    }, quiet, () => openCell(id, { move }));
  }

  function openAt(lon, lat, { move = false } = {}) {
    return tell(async () => {
      const { cell: id } = await getJson(`api/v1/at?lon=${lon}&lat=${lat}`);
      if (id === null) {
        return () => {
          clear();
          stage()?.choose(null);
          if (move) bring([lon, lat], Math.max(stage()?.map.getZoom() ?? 0, 18));
          write();
          showNowhere(node, `${lon.toFixed(6)}, ${lat.toFixed(6)}`, close);
          say(t("nowhere"));
        };
      }
      const cell = await readCell(id);
      return () => presentCell(cell, { move, quiet: false });
    }, false, () => openAt(lon, lat, { move }));
  }

  function openCase(feature) {
    const { cells } = feature.properties;
    const [lon, lat] = feature.geometry.coordinates;
    return Array.isArray(cells) && cells.length ? openCell(cells[0], { move: true }) : openAt(lon, lat, { move: true });
  }

  /** The worst squares of a section: those whose middle lies on one of its strips. */
  async function worstOf(strips) {
    if (!strips.some((f) => f.properties.red_m2 || f.properties.yellow_m2)) return [];
    const box = strips.map((f) => extent(f.geometry)).reduce((a, b) => [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])]);
    const found = await orNull(getJson(`api/v1/cells?bbox=${box.join(",")}&colour=red,yellow`));
    const rings = strips.flatMap((f) => (f.geometry.type === "MultiPolygon" ? f.geometry.coordinates.map((p) => p[0]) : [f.geometry.coordinates[0]]));
    const on = (f) => {
      const ring = f.geometry.coordinates[0];
      return rings.some((r) => inRing([(ring[0][0] + ring[2][0]) / 2, (ring[0][1] + ring[2][1]) / 2], r));
    };
    const rank = ({ properties: p }) => ORDER[p.colour] * 2 + (p.state === "confirmed" ? 0 : 1) - Math.min(p.severity ?? 0, 9) / 10;
    return (found?.features ?? []).filter((f) => f.properties.level === 0 && on(f)).sort((a, b) => rank(a) - rank(b)).slice(0, WORST).map((f) => ({ ...f, kindName: kindName(f.properties.kind) }));
  }

  function presentSection(told, { move, quiet }) {
    const { section, strips, chosen } = told;
    open.section = section.number;
    open.told = told;
    showSection(node, told, { close, cell: (id) => openCell(id, { move: true }), strip: (f) => markStrip(told, f, true) });
    if (!quiet) say(`${t("opensSection")(roadNames(section)[0])}. ${t("found")(t("colour", section.colour))}`);
    const strip = chosen && strips.find((f) => f.properties.lane === chosen.lane && f.properties.index === chosen.index);
    markStrip(told, strip, false);
    if (stage() && told.line) {
      const box = extent(told.line.geometry);
      const middle = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
      if (move) bring(middle, Math.max(stage().map.getZoom(), 16.6));
      else if (!quiet && sheet.covers()) bring(middle, null, 300);
    }
    write();
  }

  function markStrip(told, strip, go) {
    if (strip) told.chosen = strip.properties;
    const ring = strip?.geometry.type === "Polygon" ? strip.geometry.coordinates[0] : null;
    stage()?.choose(ring, told.line ?? null);
    if (!go || !strip) return;
    const box = extent(strip.geometry);
    bring([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], Math.max(stage()?.map.getZoom() ?? 0, 17.2), 300);
  }

  function openSection(number, { chosen = null, move = false, quiet = false } = {}) {
    return tell(async () => {
      const [answer, strips] = await Promise.all([getJson(`api/v1/sections/${number}`), roads().stripsOf(number)]);
      // A feature or the plain properties: both say the same.
      const section = answer.properties ? { ...answer, ...answer.properties } : answer;
      const kept = quiet && open.told?.section?.number === number ? open.told.chosen : chosen;
      const told = { section, strips, worst: await worstOf(strips), chosen: kept, line: answer.geometry ? { type: "Feature", properties: section, geometry: answer.geometry } : roads().find(number) };
      return () => presentSection(told, { move, quiet });
    }, quiet, () => openSection(number, { chosen, move }));
  }

  /** The box [west, south, east, north] of what is open, or null. */
  function openBox() {
    if (open.told?.polygon) return extent({ coordinates: [open.told.polygon] });
    return open.told?.line ? extent(open.told.line.geometry) : null;
  }

  function refresh() {
    if (open.cell) openCell(open.cell, { quiet: true });
    else if (open.section) openSection(open.section, { quiet: true });
  }

  function again() {
    if (open.cell && open.told) tellCell(open.told);
    else if (open.section && open.told) presentSection(open.told, { move: false, quiet: true });
  }

  return { open, close, write, openCell, openAt, openCase, openSection, openBox, refresh, again };
}
