// Which sections and strips lie in view, and which of the scales is drawn? Asks for them, and keeps what was answered.

export const SECTIONS_FROM = 9;
export const STRIPS_FROM = 16;
export const SQUARES_FROM = 18;

// More than are asked for in one view would keep a small server busy for longer than a person looks at a place.
const MOST_STRIPS = 150;
const AT_ONCE = 4;
// Some four screens of strips.
const KEPT = 600;
// Between two questions of the same view: figures of sections follow codes by up to a minute anyhow.
const PAUSE_MS = 5000;
// Asked around the view, as a share of its side: small movements ask nothing.
const MARGIN = 0.3;

/** What is drawn at a zoom: "cases" (too far for anything else), "sections", "strips" or "squares". */
export function scaleAt(zoom, hasRoads) {
  if (!hasRoads) return "squares";
  if (zoom < SECTIONS_FROM) return "cases";
  return zoom < STRIPS_FROM ? "sections" : zoom < SQUARES_FROM ? "strips" : "squares";
}

const clamp = (value, most) => Math.min(Math.max(value, -most), most);
const boxOf = (bounds, margin = 0) => {
  const [west, south, east, north] = [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()];
  const [dx, dy] = [(east - west) * margin, (north - south) * margin];
  return [clamp(west - dx, 180), clamp(south - dy, 84), clamp(east + dx, 180), clamp(north + dy, 84)];
};
const within = (a, b) => a[0] >= b[0] && a[1] >= b[1] && a[2] <= b[2] && a[3] <= b[3];
const meet = (a, b) => b === null || (a[0] <= b[2] && a[2] >= b[0] && a[1] <= b[3] && a[3] >= b[1]);

/** West, south, east, north of any geometry. */
export function extent(geometry) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  const walk = (c) => {
    if (typeof c[0] !== "number") return c.forEach(walk);
    box[0] = Math.min(box[0], c[0]);
    box[1] = Math.min(box[1], c[1]);
    box[2] = Math.max(box[2], c[0]);
    box[3] = Math.max(box[3], c[1]);
  };
  walk(geometry.coordinates);
  return box;
}

/** ask(path, signal) gives JSON. changed() hears that there is something else to draw, failed(error) that there is not. */
export function makeRoads({ ask, changed, failed }) {
  let box = null;
  // Changes heard of, and how many of them the sections that are kept have in them.
  let changes = 0;
  let told = 0;
  let latest = null;
  let again = null;
  let askedMs = -Infinity;
  let sections = [];
  let truncated = false;
  let known = null;
  let stop = null;
  let going = null;
  let strips = new Map();
  let asking = 0;

  function take(collection, asked) {
    sections = collection.features.map((f) => ({ ...f, extent: extent(f.geometry) }));
    truncated = Boolean(collection.truncated);
    box = asked;
    known = known || sections.length > 0;
  }

  /** The first question, before there is a map: are there roads around what was measured? */
  async function first(measured) {
    take(await ask(`api/v1/sections?bbox=${measured.join(",")}`), measured);
  }

  /** Ask for what a view lacks. */
  async function look(view) {
    if (!view.bounds || view.zoom < SECTIONS_FROM) return;
    latest = view;
    const seen = boxOf(view.bounds);
    // A question that covers the view is waited for, or a slow answer would never be the last one.
    if (going && within(seen, going)) return;
    const closer = truncated && box && seen[2] - seen[0] < (box[2] - box[0]) / 2;
    const news = told !== changes && performance.now() - askedMs >= PAUSE_MS;
    if (news || !box || !within(seen, box) || closer) {
      const wanted = boxOf(view.bounds, MARGIN);
      stop?.abort();
      stop = new AbortController();
      going = wanted;
      const mine = stop;
      const heard = changes;
      askedMs = performance.now();
      try {
        const collection = await ask(`api/v1/sections?bbox=${wanted.map((v) => v.toFixed(6)).join(",")}`, mine.signal);
        if (mine !== stop) return;
        take(collection, wanted);
        told = heard;
        going = null;
        changed();
      } catch (error) {
        if (mine !== stop || error.name === "AbortError") return;
        going = null;
        failed(error);
        return;
      }
    }
    clearTimeout(again);
    if (told !== changes) again = setTimeout(() => look(latest), PAUSE_MS);
    fillStrips(latest);
  }

  const inView = (view) => {
    if (!view.bounds) return [];
    const seen = boxOf(view.bounds);
    return sections.filter((f) => meet(f.extent, seen));
  };

  function fillStrips(view) {
    if (view.zoom < STRIPS_FROM || view.zoom >= SQUARES_FROM + 0.5) return;
    const away = (f) => Math.hypot((f.extent[0] + f.extent[2]) / 2 - view.centre[0], (f.extent[1] + f.extent[3]) / 2 - view.centre[1]);
    const wanted = inView(view).sort((a, b) => away(a) - away(b)).slice(0, MOST_STRIPS).map((f) => f.properties.number);
    asking += 1;
    const mine = asking;
    // What is not there at all goes first; then what has waited longest, or in a busy city only the nearest are ever fresh.
    const old = [...strips.keys()].filter((n) => strips.get(n).stale && wanted.includes(n));
    const queue = [...wanted.filter((n) => !strips.has(n)), ...old];
    const next = async () => {
      while (queue.length && mine === asking) await stripsOf(queue.shift()).then(changed, () => {});
    };
    for (let i = 0; i < AT_ONCE; i += 1) next();
  }

  /** The strips of one section: those that are kept, else asked for. */
  async function stripsOf(number) {
    const kept = strips.get(number);
    if (kept && !kept.stale) return kept.features;
    const answer = await ask(`api/v1/sections/${number}/strips`);
    const features = answer.features.map((f) => ({ ...f, properties: { ...f.properties, number } }));
    strips.delete(number);
    strips.set(number, { features, stale: false });
    if (strips.size > KEPT) strips.delete(strips.keys().next().value);
    return features;
  }

  /** A change: what lies in one of the boxes is asked for again. What is shown stays until then. */
  function forget(boxes) {
    for (const section of sections) {
      const kept = strips.get(section.properties.number);
      if (kept && boxes.some((b) => meet(section.extent, b))) kept.stale = true;
    }
    if (boxes.some((b) => box === null || meet(box, b))) changes += 1;
    // Strips of sections that are not in the box now: nobody knows where they lie.
    const here = new Set(sections.map((s) => s.properties.number));
    strips = new Map([...strips].filter(([n]) => here.has(n)));
  }

  /** The section on one of whose strips a place lies, of those whose strips are kept; or undefined. */
  function sectionAt(place) {
    const on = (f) => (f.geometry.type === "MultiPolygon" ? f.geometry.coordinates : [f.geometry.coordinates]).some((polygon) => inRing(place, polygon[0]));
    return sections.find((s) => place[0] >= s.extent[0] - 5e-4 && place[0] <= s.extent[2] + 5e-4 && (strips.get(s.properties.number)?.features ?? []).some(on));
  }

  /** The first section in the box last asked for whose name has the text in it; or undefined. */
  function named(text) {
    const wanted = text.trim().toLowerCase();
    return wanted ? sections.find(({ properties: p }) => [p.name, p.name_zh].some((name) => name?.toLowerCase().includes(wanted))) : undefined;
  }

  return {
    first,
    sectionAt,
    named,
    look,
    inView,
    forget,
    stripsOf,
    find: (number) => sections.find((f) => f.properties.number === number),
    drawn: () => ({
      sections: { type: "FeatureCollection", features: sections },
      strips: { type: "FeatureCollection", features: [...strips.values()].flatMap((s) => s.features) },
      split: [...strips].filter(([, s]) => s.features.length).map(([n]) => n),
    }),
    /** Whether any section was ever told of; null before the first answer. */
    known: () => known,
    truncated: () => truncated,
  };
}

/** Whether a place lies within a closed ring: it crosses an odd number of its sides to the east. */
export function inRing([x, y], ring) {
  let inside = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i, i += 1) {
    const [[ax, ay], [bx, by]] = [ring[i], ring[j]];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}
