// Where is what drawn? The map itself: plain ground, codes, the chosen square, the cases.

import * as maplibre from "./vendor/maplibre-gl.mjs";
import { MAX_ZOOM, MIN_ZOOM } from "./tiles.js";
import { t } from "./words.js";

const GROUND = { light: "#f3f4f1", dark: "#141a20" };
const NOTHING = { type: "FeatureCollection", features: [] };

export function hasWebgl() {
  return Boolean(document.createElement("canvas").getContext("webgl2"));
}

function styleOf(dark) {
  return {
    version: 8,
    sources: {
      // A tile of zoom z is 256 pixels wide: the map shows it at its own zoom z - 1.
      codes: { type: "raster", tiles: ["codes://tiles/{z}/{x}/{y}"], tileSize: 256, minzoom: MIN_ZOOM, maxzoom: MAX_ZOOM },
      chosen: { type: "geojson", data: NOTHING },
      cases: { type: "geojson", data: NOTHING },
    },
    layers: [
      { id: "ground", type: "background", paint: { "background-color": dark ? GROUND.dark : GROUND.light } },
      { id: "codes", type: "raster", source: "codes", paint: { "raster-resampling": "nearest", "raster-fade-duration": 0 } },
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

/** The map in `container`. on: {moved, pressed(lon, lat), picked(caseId), failed(error)}. */
export function makeMap({ container, view, dark, load, on }) {
  maplibre.addProtocol("codes", load);
  const map = new maplibre.Map({
    container,
    style: styleOf(dark),
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
  map.on("click", (event) => {
    const reach = 8;
    const box = [[event.point.x - reach, event.point.y - reach], [event.point.x + reach, event.point.y + reach]];
    const [hit] = map.getLayer("cases") ? map.queryRenderedFeatures(box, { layers: ["cases"] }) : [];
    // Close up, a ring surrounds squares that a person wants to click one by one.
    if (hit && map.getZoom() < 17) on.picked(String(hit.properties.id));
    else on.pressed(event.lngLat.lng, event.lngLat.lat);
  });
  map.on("mouseenter", "cases", () => { map.getCanvas().style.cursor = "pointer"; });
  map.on("mouseleave", "cases", () => { map.getCanvas().style.cursor = ""; });
  map.getCanvas().addEventListener("keydown", (event) => {
    if (event.key === "Enter") on.pressed(map.getCenter().lng, map.getCenter().lat);
  });

  let chosen = NOTHING;
  let cases = NOTHING;
  const whenStyled = (act) => (map.isStyleLoaded() || map.getSource("cases") ? act() : map.once("styledata", act));
  const put = () => {
    map.getSource("chosen")?.setData(chosen);
    map.getSource("cases")?.setData(cases);
  };
  map.on("styledata", () => map.getCanvas().setAttribute("aria-label", t("mapLabel")));

  return {
    map,
    /** All tiles in view, or those of the addresses. */
    repaint: (addresses) => map.getSource("codes") && map.refreshTiles("codes", addresses),
    theme(isDark) {
      map.setStyle(styleOf(isDark), { diff: true });
      map.once("idle", put);
    },
    choose(polygon) {
      chosen = polygon ? { type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: [polygon] } } : NOTHING;
      whenStyled(put);
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
