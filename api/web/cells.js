// Which block holds a square? Addresses as the server has them (docs/architecture.md, grid/cells.py), below 2^53.

const EASTING_BITS = 20n;
const NORTHING_BITS = 24n;
const BLOCK_BITS = 5n;

const low = (bits) => (1n << bits) - 1n;

/** The block of 32 x 32 squares of the same level that holds a square. */
export function blockOf(cell) {
  const n = BigInt(cell);
  const easting = n & low(EASTING_BITS);
  const northing = (n >> EASTING_BITS) & low(NORTHING_BITS);
  const prefix = n >> (EASTING_BITS + NORTHING_BITS);
  return Number((prefix << (EASTING_BITS + NORTHING_BITS)) | ((northing >> BLOCK_BITS) << EASTING_BITS) | (easting >> BLOCK_BITS));
}

/** Place of a square in its block, 0 to 1023. */
export function indexInBlock(cell) {
  const n = BigInt(cell);
  const side = low(BLOCK_BITS);
  return Number((((n >> EASTING_BITS) & side) << BLOCK_BITS) | (n & side));
}
