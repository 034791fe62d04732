// How do codes become pixels? Raw tiles are kept, so that palette, theme and filters repaint without asking the server.

import { tileCorners, tileMeets } from "./metres.js";

export const COLOURS = ["grey", "green", "yellow", "red"];
export const PALETTES = {
  plain: { grey: "#8d97a3", green: "#2fa866", yellow: "#f0b400", red: "#dc2f3f" },
  blind: { grey: "#999999", green: "#0072b2", yellow: "#f0e442", red: "#d55e00" },
};
export const MIN_ZOOM = 14;
export const MAX_ZOOM = 21;
export const HATCH_ZOOM = 19;

const SIDE = 256;
// 512 raw tiles are 32 MB: some four screens at each of three zooms.
const KEPT = 512;
// The finest grid line by zoom, as a level (0: 1 m, 1: 4 m, 2: 16 m, 3: 64 m, 4: none): lines closer than 15 pixels become
// a grey film, and between whole zooms some of them vanish.
const GRID = { 14: 4, 15: 4, 16: 3, 17: 3, 18: 2, 19: 2, 20: 1, 21: 0 };
// From which zoom a square of each level has an outline.
const OUTLINE = [20, 18, 16];
// A phone's 4 or 16 m square must not look like a square metre.
const FILL = [1, 0.5, 0.3];

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
const pixel = ([r, g, b], alpha) => ((Math.round(alpha * 255) << 24) | (b << 16) | (g << 8) | r) >>> 0;
const darker = ([r, g, b], by) => [r * by, g * by, b * by].map(Math.round);

const levelOf = (code) => Math.min((code >> 4) & 3, 2);
// Works are crossed both ways, suspected squares striped one way; expired ones carry dots, as nothing else that is grey.
const WORKS = 64;
const EXPIRED = 128;

/** Colours of every code as little-endian RGBA: fill, stripe (every other band of a suspected one), mark (of works and of
 *  what expired) and outline. */
function lookOf({ palette, shown, dark }, z) {
  const table = { fill: new Uint32Array(256), stripe: new Uint32Array(256), mark: new Uint32Array(256), outline: new Uint32Array(256) };
  const ink = dark ? [255, 255, 255] : [20, 32, 44];
  for (let code = 0; code < 256; code += 1) {
    const name = COLOURS[(code & 7) - 1];
    const level = levelOf(code);
    table.mark[code] = pixel(ink, code & WORKS ? 0.62 : 0.7);
    if (!name || !shown.has(name)) {
      table.outline[code] = pixel(ink, dark ? 0.06 : 0.065);
      continue;
    }
    const base = rgb(palette[name]);
    if (name === "grey") {
      table.fill[code] = table.stripe[code] = pixel(base, [0.3, 0.22, 0.16][level]);
      table.outline[code] = pixel(base, [0.42, 0.34, 0.28][level]);
      continue;
    }
    const suspected = (code & 8) !== 0;
    const faint = suspected && z < HATCH_ZOOM ? 0.8 : 1;
    table.fill[code] = pixel(base, FILL[level] * faint);
    table.stripe[code] = suspected ? pixel(base, FILL[level] * 0.32) : table.fill[code];
    table.outline[code] = level === 0 ? pixel(darker(base, 0.72), 1) : pixel(base, 0.95);
  }
  return table;
}

// One pixel of frame on each side, so that a tile's edge knows what lies beyond.
const FRAMED = SIDE + 2;
const columns = new Int32Array(FRAMED * FRAMED);
const rows = new Int32Array(FRAMED * FRAMED);

/** Easting and northing numbers of the square metre under every pixel, interpolated between the tile's corners. */
function numberSquares(nw, ne, sw, se) {
  for (let j = 0; j < FRAMED; j += 1) {
    const v = (j - 0.5) / SIDE;
    const e0 = nw[0] + (sw[0] - nw[0]) * v;
    const n0 = nw[1] + (sw[1] - nw[1]) * v;
    const de = (ne[0] + (se[0] - ne[0]) * v - e0) / SIDE;
    const dn = (ne[1] + (se[1] - ne[1]) * v - n0) / SIDE;
    for (let i = 0; i < FRAMED; i += 1) {
      columns[j * FRAMED + i] = Math.floor(e0 + de * (i - 0.5));
      rows[j * FRAMED + i] = Math.floor(n0 + dn * (i - 0.5));
    }
  }
}

/** An ImageData of 256 or, where suspected squares are hatched, 512 pixels a side. */
export function paintTile(raw, z, x, y, look, zone) {
  const table = lookOf(look, z);
  const twice = z >= HATCH_ZOOM ? 2 : 1;
  const side = SIDE * twice;
  const image = new ImageData(side, side);
  const out = new Uint32Array(image.data.buffer);
  const [nw, ne, sw, se] = tileCorners(z, x, y, zone);
  const gridLevel = GRID[z];
  const period = z >= 20 ? 15 : 7;
  const half = (period + 1) / 2;
  // A mark every so many pixels, and how many of them it is wide.
  const [apart, wide] = z >= 20 ? [16, 3] : z >= HATCH_ZOOM ? [8, 2] : [6, 1];
  const thin = Math.max(wide - 1, 1);
  const marked = (code, px, py) => {
    if (code & WORKS) return (px - py + side) % apart < thin || (px + py) % apart < thin;
    return (code & EXPIRED) !== 0 && px % apart < wide && py % apart < wide;
  };
  numberSquares(nw, ne, sw, se);
  for (let j = 0; j < SIDE; j += 1) {
    for (let i = 0; i < SIDE; i += 1) {
      const code = raw ? raw[j * SIDE + i] : 0;
      const level = levelOf(code);
      const at = (j + 1) * FRAMED + i + 1;
      // Which squares does a border run between? The highest bit in which two numbers differ says the widest.
      let crossed = (columns[at] ^ columns[at - 1]) | (rows[at] ^ rows[at - FRAMED]);
      const known = (code & 7) > 1;
      if (known && level > 0) crossed |= (columns[at] ^ columns[at + 1]) | (rows[at] ^ rows[at + FRAMED]);
      const line = crossed >= 64 ? 3 : crossed >= 16 ? 2 : crossed >= 4 ? 1 : crossed >= 1 ? 0 : -1;
      const outlined = known ? line >= level && z >= OUTLINE[level] : line >= gridLevel;
      if (twice === 1) {
        out[j * SIDE + i] = outlined ? table.outline[code] : code >= WORKS && marked(code, i, j) ? table.mark[code] : table.fill[code];
        continue;
      }
      for (let k = 0; k < 4; k += 1) {
        const px = 2 * i + (k & 1);
        const py = 2 * j + (k >> 1);
        const striped = ((px + py) & period) >= half;
        out[py * side + px] = outlined ? table.outline[code] : code >= WORKS && marked(code, px, py) ? table.mark[code] : striped ? table.stripe[code] : table.fill[code];
      }
    }
  }
  return image;
}

/** The tiles of one page. fetchTile(z, x, y, signal) gives bytes or null; look() what to paint with now. */
export function makeTiles({ fetchTile, look, zone }) {
  const kept = new Map();
  let changes = [];
  let change = 0;

  const keep = (key, raw) => {
    kept.delete(key);
    kept.set(key, raw);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  };

  async function read(z, x, y, signal) {
    const key = `${z}/${x}/${y}`;
    if (kept.has(key)) return kept.get(key);
    const before = change;
    const raw = await fetchTile(z, x, y, signal);
    // What changed while the answer was under way may be missing from it: shown, but not kept, and asked again.
    if (changes.some((c) => c.number > before && tileMeets(z, x, y, c.bbox))) return fetchTile(z, x, y, signal);
    keep(key, raw);
    return raw;
  }

  /** For maplibre's addProtocol: codes://tiles/{z}/{x}/{y}. */
  async function load({ url }, abort) {
    const [z, x, y] = url.split("/").slice(-3).map(Number);
    const raw = await read(z, x, y, abort.signal);
    return { data: await createImageBitmap(paintTile(raw, z, x, y, look(), zone)) };
  }

  /** Forget the tiles that a change touches; their addresses. */
  function forget(bbox) {
    const touched = [];
    change += 1;
    changes = [...changes.slice(-31), { number: change, bbox }];
    for (const key of [...kept.keys()]) {
      const [z, x, y] = key.split("/").map(Number);
      if (!tileMeets(z, x, y, bbox)) continue;
      kept.delete(key);
      touched.push({ z, x, y });
    }
    return touched;
  }

  return { load, forget };
}
