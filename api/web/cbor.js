// What do these bytes say? CBOR in its one deterministic spelling (RFC 8949 4.2.1), and nothing else: what was signed is what is shown.

export class CborError extends Error {}

const DEEPEST = 16;
const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Numbers, texts, Uint8Arrays, booleans, null, arrays, Maps and {tag, value}. Throws CborError for any other spelling.
 *  wide: integers that a number does not hold exactly come as BigInt (records of the log have 64 bits), else they are refused. */
export function decode(bytes, { wide = false } = {}) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;

  const need = (many) => {
    if (at + many > bytes.length) throw new CborError("it ends too early");
    at += many;
    return at - many;
  };

  const length = (info, whole = false) => {
    if (info < 24) return info;
    if (info > 27) throw new CborError("a length that is not told beforehand");
    const size = 1 << (info - 24);
    const from = need(size);
    const value = size === 1 ? view.getUint8(from) : size === 2 ? view.getUint16(from) : size === 4 ? view.getUint32(from) : Number(view.getBigUint64(from));
    if (!Number.isSafeInteger(value) && whole) return view.getBigUint64(from);
    if (!Number.isSafeInteger(value)) throw new CborError("a number above 2^53");
    if (value < (size === 1 ? 24 : 2 ** (4 * size))) throw new CborError("a number that is longer than it must be");
    return value;
  };

  const take = (many) => {
    const from = need(many);
    return bytes.subarray(from, from + many);
  };

  const map = (many, depth) => {
    const found = new Map();
    let before = null;
    for (let i = 0; i < many; i += 1) {
      const from = at;
      const key = item(depth + 1);
      if (typeof key !== "number" && typeof key !== "string") throw new CborError("a key that is neither number nor text");
      const spelt = bytes.subarray(from, at);
      if (before && compare(before, spelt) >= 0) throw new CborError("keys out of order, or twice");
      before = spelt;
      found.set(key, item(depth + 1));
    }
    return found;
  };

  const item = (depth) => {
    if (depth > DEEPEST) throw new CborError("nested too deep");
    const head = bytes[need(1)];
    const [major, info] = [head >> 5, head & 31];
    if (major === 7) {
      if (info === 20 || info === 21) return info === 21;
      if (info === 22) return null;
      throw new CborError("a float, or a value that has no place here");
    }
    const many = length(info, wide && major < 2);
    if (major === 0) return many;
    if (major === 1) return typeof many === "bigint" ? -1n - many : -1 - many;
    if (major === 2) return take(many);
    if (major === 3) {
      try {
        return text.decode(take(many));
      } catch (error) {
        throw error instanceof CborError ? error : new CborError("text that is not UTF-8");
      }
    }
    if (many > bytes.length) throw new CborError("it ends too early");
    if (major === 4) return Array.from({ length: many }, () => item(depth + 1));
    if (major === 5) return map(many, depth);
    return { tag: many, value: item(depth + 1) };
  };

  const value = item(0);
  if (at !== bytes.length) throw new CborError("something stands behind it");
  return value;
}

function compare(a, b) {
  for (let i = 0; i < Math.min(a.length, b.length); i += 1) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

const start = (major, many) => (many < 24 ? [(major << 5) | many] : many < 256 ? [(major << 5) | 24, many] : many < 65536 ? [(major << 5) | 25, many >> 8, many & 255] : [(major << 5) | 26, (many >>> 24) & 255, (many >> 16) & 255, (many >> 8) & 255, many & 255]);

/** What a COSE_Sign1 signs: ["Signature1", protected, h'', payload] (RFC 9052, 4.4). */
export function toBeSigned(guarded, payload) {
  const word = new TextEncoder().encode("Signature1");
  return Uint8Array.from([0x84, ...start(3, word.length), ...word, ...start(2, guarded.length), ...guarded, 0x40, ...start(2, payload.length), ...payload]);
}
