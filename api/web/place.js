// Which view does the address name? #zoom/lat/lon/cell or #zoom/lat/lon/sNUMBER of a section, and what a person typed.

import { cellOfName } from "./metres.js";

export function readPlace(hash) {
  const parts = hash.replace(/^#/, "").split("/");
  const [zoom, lat, lon] = parts.map((part) => (part === "" ? NaN : Number(part)));
  const good = zoom >= 0 && zoom <= 24 && Math.abs(lat) <= 85 && Math.abs(lon) <= 180;
  const [, kind, digits] = /^(s?)(\d{1,16})$/.exec(parts[3] ?? "") ?? [];
  const number = Number.isSafeInteger(Number(digits)) && Number(digits) > 0 ? Number(digits) : null;
  return { view: good ? { centre: [lon, lat], zoom } : null, cell: kind === "" ? number : null, section: kind === "s" ? number : null };
}

/** open: what stands in the panel, {cell} or {section}, each a number or null. */
export function writePlace({ centre, zoom }, { cell, section }) {
  const ending = cell ? `/${cell}` : section ? `/s${section}` : "";
  const text = `#${zoom.toFixed(2)}/${centre[1].toFixed(6)}/${centre[0].toFixed(6)}${ending}`;
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
