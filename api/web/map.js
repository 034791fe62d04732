// Where is what drawn? The map itself: plain ground, codes, sections and strips, what is chosen, the cases.

import * as maplibre from "./vendor/maplibre-gl.mjs";
import { markImage, MARKS, ROAD_HITS, roadLayers, roadSources } from "./roadlayers.js";
import { SQUARES_FROM } from "./roads.js";
import { MAX_ZOOM, MIN_ZOOM } from "./tiles.js";
import { t } from "./words.js";

const GROUND = { light: "#f3f4f1", dark: "#141a20" };
const NOTHING = { type: "FeatureCollection", features: [] };

export function hasWebgl() {
  return Boolean(document.createElement("canvas").getContext("webgl2"));
}

/** look: {palette, shown, dark}; codesFrom: the zoom from which squares are drawn; split: see roadLayers. */
function styleOf(look, codesFrom, split) {
  const { dark } = look;
  return {
    version: 8,
    sources: {
      // A tile of zoom z is 256 pixels wide: the map shows it at its own zoom z - 1.
      codes: { type: "raster", tiles: ["codes://tiles/{z}/{x}/{y}"], tileSize: 256, minzoom: MIN_ZOOM, maxzoom: MAX_ZOOM },
      ...roadSources(),
      chosen: { type: "geojson", data: NOTHING },
      cases: { type: "geojson", data: NOTHING },
    },
    layers: [
      { id: "ground", type: "background", paint: { "background-color": dark ? GROUND.dark : GROUND.light } },
      { id: "codes", type: "raster", source: "codes", minzoom: codesFrom, paint: { "raster-resampling": "nearest", "raster-fade-duration": 0 } },
      ...roadLayers(look, split),
      // Outside the square (of a polygon, a negative offset is an outset): a thick line would bury a small square.
      { id: "chosen-edge", type: "line", source: "chosen", layout: { "line-join": "miter" }, paint: { "line-color": dark ? "#0b0f13" : "#ffffff", "line-width": 7, "line-offset": -3.5 } },
      { id: "chosen", type: "line", source: "chosen", layout: { "line-join": "miter" }, paint: { "line-color": dark ? "#ffffff" : "#111a22", "line-width": 3, "line-offset": -2 } },
      // Rings, so that the square under a case stays visible; small and filled where squares are not drawn.
      {
        id: "cases", type: "circle", source: "cases",
        paint: {
          "circle-radius": ["interpolate", ["linear"], ["zoom"], 10, 5, 16, 8, 20, 15],
          "circle-color": "#dc2f3f",
          "circle-opacity": ["interpolate", ["linear"], ["zoom"], 15, 0.9, 17, 0],
          "circle-stroke-color": "#dc2f3f",
          "circle-stroke-width": 2.5,
        },
      },
      {
        id: "cases-edge", type: "circle", source: "cases",
        paint: {
          "circle-radius": ["interpolate", ["linear"], ["zoom"], 10, 7.5, 16, 10.5, 20, 17.5],
          "circle-opacity": 0,
          "circle-stroke-color": dark ? "#0b0f13" : "#ffffff",
          "circle-stroke-width": 1.5,
        },
      },
    ],
  };
}

const mapLocale = () => ({ "Map.Title": t("mapLabel") });

/** The map in `container`. look() says how; on: {moved, pressed(lon, lat), picked(caseId), section(number, strip or null),
 *  failed(error)}. */
export function makeMap({ container, view, look, load, on }) {
  let codesFrom = view.codesFrom ?? 0;
  maplibre.addProtocol("codes", load);
  const map = new maplibre.Map({
    container,
    style: styleOf(look(), codesFrom, []),
    center: view.centre,
    zoom: view.zoom,
    minZoom: 3,
    maxZoom: 22,
    locale: mapLocale(),
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    maplibreLogo: false,
    // Tiles out of view would keep old paint after a change; raw codes are kept by us, and painting is cheap.
    maxTileCacheSize: 0,
    fadeDuration: 0,
  });
  map.setPadding({ top: 0, left: 0, right: 0, bottom: view.covered ?? 0 });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new maplibre.ScaleControl({ maxWidth: 120, unit: "metric" }), "bottom-left");
  map.on("error", (event) => on.failed(event.error));
  map.on("moveend", on.moved);
  // Before any strip is drawn: an image that comes later is not put on those that are there already.
  map.on("style.load", () => {
    for (const name of MARKS) if (!map.hasImage(name)) map.addImage(name, markImage(name));
  });
  const hits = (point, reach, layers) => {
    const box = [[point.x - reach, point.y - reach], [point.x + reach, point.y + reach]];
    return map.getLayer("cases") ? map.queryRenderedFeatures(box, { layers }) : [];
  };
  /** Whichever of cases, strips, sections and squares a person means by a place. */
  const press = (point, { lng, lat }, reach) => {
    const [mark] = hits(point, 8, ["cases"]);
    // Close up, a ring surrounds squares that a person wants to click one by one.
    if (mark && map.getZoom() < 17) return on.picked(String(mark.properties.id));
    // What lies under the point itself goes before what is only near it.
    const [road] = map.getZoom() >= SQUARES_FROM ? [] : [...hits(point, 0.5, ROAD_HITS), ...hits(point, reach, ROAD_HITS)];
    if (road) return on.section(Number(road.properties.number), road.source === "strips" ? road.properties : null);
    return on.pressed(lng, lat);
  };
  map.on("click", (event) => press(event.point, event.lngLat, 6));
  map.on("mousemove", ({ point }) => {
    const road = map.getZoom() < SQUARES_FROM && hits(point, 3, ROAD_HITS).length;
    map.getCanvas().style.cursor = road || hits(point, 8, ["cases"]).length ? "pointer" : "";
  });
  map.getCanvas().addEventListener("keydown", (event) => {
    if (event.key === "Enter") press(map.project(map.getCenter()), map.getCenter(), 30);
  });

  let chosen = NOTHING;
  let cases = NOTHING;
  let section = NOTHING;
  let roads = { sections: NOTHING, strips: NOTHING, split: [] };
  const whenStyled = (act) => (map.isStyleLoaded() || map.getSource("cases") ? act() : map.once("styledata", act));
  const put = () => {
    map.getSource("chosen")?.setData(chosen);
    map.getSource("cases")?.setData(cases);
    map.getSource("chosen-section")?.setData(section);
    map.getSource("sections")?.setData(roads.sections);
    map.getSource("strips")?.setData(roads.strips);
  };
  const dress = () => {
    for (const { id, layout, paint, filter } of roadLayers(look(), roads.split)) {
      if (!map.getLayer(id)) continue;
      map.setFilter(id, filter ?? null);
      map.setLayoutProperty(id, "visibility", layout.visibility ?? "visible");
      for (const [name, value] of Object.entries(paint)) map.setPaintProperty(id, name, value);
    }
  };
  map.on("styledata", () => map.getCanvas().setAttribute("aria-label", t("mapLabel")));

  return {
    map,
    /** All tiles in view, or those of the addresses. */
    repaint: (addresses) => map.getSource("codes") && map.refreshTiles("codes", addresses),
    theme() {
      map.setStyle(styleOf(look(), codesFrom, roads.split), { diff: true });
      map.once("idle", put);
    },
    /** Other colours, or others of them shown. */
    dress: () => whenStyled(dress),
    /** polygon: ring of the chosen square or strip, or null; road: the chosen section's feature, or null. */
    choose(polygon, road = null) {
      chosen = polygon ? { type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: [polygon] } } : NOTHING;
      section = road ? { type: "Feature", properties: { road_class: road.properties.road_class }, geometry: road.geometry } : NOTHING;
      whenStyled(put);
    },
    /** What `makeRoads` has drawn; from which zoom squares are shown. */
    roads(drawn, from) {
      const more = drawn.split.some((n) => !roads.split.includes(n));
      const fewer = roads.split.some((n) => !drawn.split.includes(n));
      roads = drawn;
      whenStyled(() => {
        map.getSource("sections")?.setData(roads.sections);
        map.getSource("strips")?.setData(roads.strips);
        if (fewer) dress();
        // A section's line goes when its strips are there: at once, and for seconds there is neither.
        else if (more) map.once("idle", dress);
        if (from === codesFrom) return;
        codesFrom = from;
        map.setLayerZoomRange("codes", codesFrom, 24);
      });
    },
    cases(collection) {
      cases = collection;
      whenStyled(put);
    },
    /** Keep the middle of the view above what lies over the map's foot. */
    room(bottom) {
      map.easeTo({ padding: { top: 0, left: 0, right: 0, bottom }, duration: 250 });
    },
    relabel: () => map.getCanvas().setAttribute("aria-label", t("mapLabel")),
    view: () => ({ centre: map.getCenter().toArray(), zoom: map.getZoom(), bounds: map.getBounds() }),
  };
}
