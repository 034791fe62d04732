// How do sections and strips look? Layers of the map's style. Besides its colour each has a width and a mark of its own,
// and what is not known is never drawn as a closed line.

import { COLOURS } from "./tiles.js";
import { SECTIONS_FROM, SQUARES_FROM, STRIPS_FROM } from "./roads.js";

const NOTHING = { type: "FeatureCollection", features: [] };
export const roadSources = () => ({
  sections: { type: "geojson", data: NOTHING },
  strips: { type: "geojson", data: NOTHING },
  "chosen-section": { type: "geojson", data: NOTHING },
});

// Pixels at zoom 16 of a line by class, as wide as such a road is beside the others.
const WIDTH = ["match", ["get", "road_class"], "expressway", 9, "trunk", 7.5, "secondary", 6, 4.5];
const EXTRA = { grey: 0.62, green: 0.9, yellow: 1.05, red: 1.3 };
const wide = (by, more = 0) => ["interpolate", ["exponential", 1.35], ["zoom"], 9, ["+", ["*", WIDTH, by * 0.22], more * 0.5], 13, ["+", ["*", WIDTH, by * 0.5], more], 16, ["+", ["*", WIDTH, by], more], 18, ["+", ["*", WIDTH, by * 1.6], more]];

const is = (colour, split) => ["all", ["==", ["get", "colour"], colour], ["!", ["in", ["get", "number"], ["literal", split]]]];
const strip = (colour) => ["==", ["get", "colour"], colour];

/** look: {palette, shown, dark}; split: numbers of the sections whose strips are drawn instead from STRIPS_FROM. */
export function roadLayers({ palette, shown, dark }, split = []) {
  const paper = dark ? "#0b0f13" : "#ffffff";
  const ink = dark ? "#f2f6fa" : "#17212b";
  const drawn = COLOURS.filter((c) => shown.has(c));
  const see = (colour) => (drawn.includes(colour) ? "visible" : "none");
  const layers = [
    { id: "chosen-section", type: "line", source: "chosen-section", layout: { "line-cap": "round", "line-join": "round" }, paint: { "line-color": ink, "line-width": wide(1.3, 7), "line-opacity": 0.85 } },
    { id: "chosen-section-edge", type: "line", source: "chosen-section", layout: { "line-cap": "round", "line-join": "round" }, paint: { "line-color": paper, "line-width": wide(1.3, 3) } },
  ];
  // Twice: up to STRIPS_FROM all sections, beyond it those whose strips are not there (yet).
  for (const [part, minzoom, maxzoom, without] of [["", SECTIONS_FROM, STRIPS_FROM, []], ["-near", STRIPS_FROM, SQUARES_FROM, split]]) {
    const line = (id, colour, layout, paint, more = {}) => ({ id: `${id}${part}`, type: "line", source: "sections", minzoom: more.minzoom ? Math.max(more.minzoom, minzoom) : minzoom, maxzoom, filter: is(colour, without), layout: { visibility: see(colour), "line-join": "round", ...layout }, paint });
    layers.push(
      // Dashes with nothing between them, narrower than any colour: nobody takes it for a healthy road.
      line("section-grey", "grey", { "line-cap": "butt" }, { "line-color": palette.grey, "line-width": wide(EXTRA.grey), "line-dasharray": [1.6, 1.3], "line-opacity": 0.9 }),
    );
    for (const colour of ["green", "yellow", "red"]) {
      layers.push(
        line(`section-${colour}-edge`, colour, { "line-cap": "butt" }, { "line-color": paper, "line-width": wide(EXTRA[colour], 2.5), "line-opacity": 0.9 }),
        line(`section-${colour}`, colour, { "line-cap": "butt" }, { "line-color": palette[colour], "line-width": wide(EXTRA[colour]) }),
      );
    }
    layers.push(
      line("section-yellow-mark", "yellow", { "line-cap": "round" }, { "line-color": "#17212b", "line-width": wide(0.34), "line-dasharray": [0, 3.6] }, { minzoom: 13 }),
      line("section-red-mark", "red", { "line-cap": "butt" }, { "line-color": "#ffffff", "line-width": wide(0.3), "line-dasharray": [3.4, 2.6] }, { minzoom: 13 }),
    );
  }
  const near = { source: "strips", minzoom: STRIPS_FROM, maxzoom: SQUARES_FROM };
  for (const colour of COLOURS) {
    layers.push(
      { ...near, id: `strip-${colour}`, type: "fill", filter: strip(colour), layout: { visibility: see(colour) }, paint: { "fill-color": palette[colour], "fill-opacity": colour === "grey" ? 0.16 : 1, "fill-antialias": false } },
      colour === "grey"
        ? { ...near, id: "strip-grey-edge", type: "line", filter: strip("grey"), layout: { visibility: see("grey") }, paint: { "line-color": palette.grey, "line-width": 1, "line-dasharray": [2.5, 2.5] } }
        : { ...near, id: `strip-${colour}-edge`, type: "line", filter: strip(colour), layout: { visibility: see(colour) }, paint: { "line-color": colour === "red" ? "#17212b" : paper, "line-width": colour === "red" ? 1.4 : 0.8 } },
    );
  }
  for (const [colour, mark] of [["yellow", "mark-dots"], ["red", "mark-bars"]]) {
    layers.push({ ...near, id: `strip-${colour}-mark`, type: "fill", filter: strip(colour), layout: { visibility: see(colour) }, paint: { "fill-pattern": mark } });
  }
  return layers;
}

export const ROAD_HITS = ["strip-red", "strip-yellow", "strip-green", "strip-grey", ...["", "-near"].flatMap((part) => ["red", "yellow", "green", "grey"].map((c) => `section-${c}${part}`))];

/** The pattern `name` as {width, height, data}, or null if it is none of ours. */
export function markImage(name) {
  const [width, height] = [8, 8];
  const inks = {
    "mark-dots": (x, y) => (Math.hypot(x - 3.5, y - 3.5) < 1.6 ? [23, 33, 43, 220] : null),
    "mark-bars": (x, y) => ((x + y) % 8 < 2 ? [255, 255, 255, 235] : null),
  };
  const ink = inks[name];
  if (!ink) return null;
  const data = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) data.set(ink(x, y) ?? [0, 0, 0, 0], (y * width + x) * 4);
  }
  return { width, height, data };
}
