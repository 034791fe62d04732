// What do the bytes say? Deterministic CBOR, as records and certificates are written: nothing else is read.

const TEXT = new TextDecoder("utf-8", { fatal: true });

/** The value of bytes: numbers (BigInt beyond 2^53), Uint8Array, string, array, Map, boolean, null. Throws on any other
 * spelling: long integers, unsorted or repeated keys, tags but `tag`, floats, bytes behind the end. */
export function decode(bytes, tag = null) {
  const reader = { bytes, at: 0, tag };
  const value = read(reader, 0);
  if (reader.at !== bytes.length) throw new Error("bytes behind the end");
  return value;
}

function head(reader) {
  if (reader.at >= reader.bytes.length) throw new Error("ends too early");
  const first = reader.bytes[reader.at++];
  const kind = first >> 5;
  const short = first & 31;
  if (short < 24) return [kind, short];
  if (short > 27) throw new Error("an indefinite length");
  const length = 1 << (short - 24);
  let value = 0n;
  for (let i = 0; i < length; i++) {
    if (reader.at >= reader.bytes.length) throw new Error("ends too early");
    value = (value << 8n) | BigInt(reader.bytes[reader.at++]);
  }
  if (kind !== 7 && value < (length === 1 ? 24n : 1n << BigInt(4 * length))) throw new Error("a number in a longer spelling");
  return [kind, value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value, length];
}

function slice(reader, length) {
  if (typeof length !== "number" || reader.at + length > reader.bytes.length) throw new Error("ends too early");
  reader.at += length;
  return reader.bytes.subarray(reader.at - length, reader.at);
}

function read(reader, depth) {
  if (depth > 16) throw new Error("nested too deep");
  const [kind, n, length] = head(reader);
  switch (kind) {
    case 0: return n;
    case 1: return typeof n === "number" ? -1 - n : -1n - n;
    case 2: return slice(reader, n);
    case 3: return TEXT.decode(slice(reader, n));
    case 4: {
      const list = [];
      for (let i = 0; i < n; i++) list.push(read(reader, depth + 1));
      return list;
    }
    case 5: return readMap(reader, n, depth);
    case 6:
      if (n !== reader.tag || depth) throw new Error(`tag ${n} has no place here`);
      return read(reader, depth + 1);
    default:
      if (length !== undefined || ![20, 21, 22].includes(n)) throw new Error("a float or an unknown simple value");
      return n === 22 ? null : n === 21;
  }
}

function readMap(reader, n, depth) {
  const map = new Map();
  let before = null;
  for (let i = 0; i < n; i++) {
    const from = reader.at;
    const key = read(reader, depth + 1);
    const spelled = reader.bytes.subarray(from, reader.at);
    if (before && compare(before, spelled) >= 0) throw new Error("keys out of order");
    before = spelled;
    map.set(key, read(reader, depth + 1));
  }
  return map;
}

function compare(a, b) {
  for (let i = 0; i < Math.min(a.length, b.length); i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}
