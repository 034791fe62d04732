// Which view does the address name? #zoom/lat/lon/cell, and what a person typed into the search.

import { cellOfName } from "./metres.js";

export function readPlace(hash) {
  const [zoom, lat, lon, cell] = hash.replace(/^#/, "").split("/").map((part) => (part === "" || part === undefined ? NaN : Number(part)));
  const good = zoom >= 0 && zoom <= 24 && Math.abs(lat) <= 85 && Math.abs(lon) <= 180;
  return { view: good ? { centre: [lon, lat], zoom } : null, cell: Number.isSafeInteger(cell) && cell > 0 ? cell : null };
}

export function writePlace({ centre, zoom }, cell) {
  const text = `#${zoom.toFixed(2)}/${centre[1].toFixed(6)}/${centre[0].toFixed(6)}${cell ? `/${cell}` : ""}`;
  // Not pushed: a pan of the map is no page to go back to.
  history.replaceState(null, "", text);
}

/** What was meant: {cell} or {lon, lat}; null if neither. */
export function readQuery(text) {
  const said = text.trim();
  const named = cellOfName(said);
  if (named) return { cell: named };
  if (/^\d{10,16}$/.test(said) && Number.isSafeInteger(Number(said))) return { cell: Number(said) };
  const pair = /^\(?\s*(-?\d+(?:\.\d+)?)\s*[,，;\s]\s*(-?\d+(?:\.\d+)?)\s*\)?$/.exec(said);
  if (!pair) return null;
  const [lon, lat] = [Number(pair[1]), Number(pair[2])];
  return Math.abs(lon) <= 180 && Math.abs(lat) <= 85 ? { lon, lat } : null;
}
