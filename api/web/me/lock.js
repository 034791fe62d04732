// Does this phone move too fast for somebody to look at it? Works on the phone's own position, which goes nowhere.

/** 10 km/h: faster than walking, slower than any traffic that moves. */
export const LIMIT_MPS = 10 / 3.6;
// Two fixes a moment apart differ by noise; after a minute nobody knows what was between them.
const SHORTEST_S = 0.5;
const BASE_S = 4;
const LONGEST_S = 60;
const RADIUS_M = 6371000;

/** Metres between two fixes {lat, lon}, degrees. */
export function metres(a, b) {
  const rad = Math.PI / 180;
  const x = (b.lon - a.lon) * rad * Math.cos(((a.lat + b.lat) / 2) * rad);
  return Math.hypot(x, (b.lat - a.lat) * rad) * RADIUS_M;
}

/** Whether a fix {lat, lon, accuracy, speed, s} says that we move; null where it cannot tell. before: an earlier fix. */
export function moves(before, fix) {
  if (Number.isFinite(fix.speed) && fix.speed >= 0) return fix.speed > LIMIT_MPS;
  if (!before) return null;
  const dt = fix.s - before.s;
  if (dt > LONGEST_S) return null;
  // Only what is beyond the error of both counts as moved: a phone that lies still wanders within it.
  const error = Math.hypot(before.accuracy || 0, fix.accuracy || 0);
  if ((metres(before, fix) - error) / Math.max(dt, SHORTEST_S) > LIMIT_MPS) return true;
  // That it stands is said only of a time in which slow driving would have shown: the rougher the fixes, the longer.
  return dt >= Math.max(BASE_S, (2 * error) / LIMIT_MPS) ? false : null;
}

/** Calls told({locked, known, fix}) whenever something changes. A lock ends only when a fix says that we stand or walk. */
export function watch(told, geolocation = navigator.geolocation) {
  let before = null;
  let locked = false;
  let known = false;
  if (!geolocation) {
    told({ locked, known: false, fix: null });
    return;
  }
  geolocation.watchPosition(
    ({ coords, timestamp }) => {
      const fix = { lat: coords.latitude, lon: coords.longitude, accuracy: coords.accuracy, speed: coords.speed, s: timestamp / 1000 };
      const says = moves(before, fix);
      if (says !== null) locked = says;
      known = says !== null || (known && fix.s - (before?.s ?? fix.s) <= LONGEST_S);
      // The next fixes are held against one of some seconds ago: between neighbours slow driving drowns in their error.
      if (!before || says === false || fix.s - before.s > LONGEST_S || (says && fix.s - before.s >= BASE_S)) before = fix;
      told({ locked, known, fix });
    },
    () => told({ locked, known: false, fix: null }),
    { enableHighAccuracy: true, maximumAge: 1000, timeout: 30000 },
  );
}
