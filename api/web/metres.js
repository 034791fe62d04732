// Where is a place in metres? The same projection as the server's (Krüger series to n^4, Karney 2011), so that grid lines
// and outlines stand where the squares are. Tile addresses are Web Mercator.

const F = 1 / 298.257223563;
const N = F / (2 - F);
const RADIUS = (6378137 / (1 + N)) * (1 + N ** 2 / 4 + N ** 4 / 64);
const ALPHA = [
  N / 2 - (2 / 3) * N ** 2 + (5 / 16) * N ** 3 + (41 / 180) * N ** 4,
  (13 / 48) * N ** 2 - (3 / 5) * N ** 3 + (557 / 1440) * N ** 4,
  (61 / 240) * N ** 3 - (103 / 140) * N ** 4,
  (49561 / 161280) * N ** 4,
];
const E2N = (2 * Math.sqrt(N)) / (1 + N);
const RAD = Math.PI / 180;

/** [easting, northing] in metres of UTM zone {number, north}. */
export function project(lon, lat, zone) {
  const sin = Math.sin(lat * RAD);
  const lam = (lon - (zone.number * 6 - 183)) * RAD;
  const t = Math.sinh(Math.atanh(sin) - E2N * Math.atanh(E2N * sin));
  const xi = Math.atan2(t, Math.cos(lam));
  const eta = Math.atanh(Math.sin(lam) / Math.sqrt(1 + t * t));
  let x = eta;
  let y = xi;
  ALPHA.forEach((a, i) => {
    const k = 2 * (i + 1);
    x += a * Math.cos(k * xi) * Math.sinh(k * eta);
    y += a * Math.sin(k * xi) * Math.cosh(k * eta);
  });
  return [500000 + 0.9996 * RADIUS * x, 0.9996 * RADIUS * y + (zone.north ? 0 : 10000000)];
}

const tileLon = (x, z) => (x / 2 ** z) * 360 - 180;
const tileLat = (y, z) => Math.atan(Math.sinh(Math.PI * (1 - (2 * y) / 2 ** z))) / RAD;
const lonTile = (lon, z) => ((lon + 180) / 360) * 2 ** z;
const latTile = (lat, z) => ((1 - Math.asinh(Math.tan(lat * RAD)) / Math.PI) / 2) * 2 ** z;

/** Metres of a tile's corners: north-west, north-east, south-west, south-east. */
export function tileCorners(z, x, y, zone) {
  const at = (dx, dy) => project(tileLon(x + dx, z), tileLat(y + dy, z), zone);
  return [at(0, 0), at(1, 0), at(0, 1), at(1, 1)];
}

/** Whether a tile and a box [west, south, east, north] in degrees meet; a null box meets all. */
export function tileMeets(z, x, y, bbox) {
  if (bbox === null) return true;
  const [west, south, east, north] = bbox;
  return x + 1 >= lonTile(west, z) && x <= lonTile(east, z) && y + 1 >= latTile(north, z) && y <= latTile(south, z);
}

/** The number of a 1 m square from its name, as in "51R 228345 3354678"; null if it is none. */
export function cellOfName(text) {
  const found = /^(\d{1,2})([C-HJ-NP-X])\s+(\d{4,7})\s+(\d{1,8})$/i.exec(text.trim());
  if (!found) return null;
  const [zone, easting, northing] = [found[1], found[3], found[4]].map(BigInt);
  const north = found[2].toUpperCase() >= "N" ? 1n : 0n;
  if (zone < 1n || zone > 60n || easting >> 20n || northing >> 24n) return null;
  return Number((north << 50n) | (zone << 44n) | (northing << 20n) | easting);
}
