// Whose signatures count? The trust list: fetched, checked with its publisher's key, kept in this browser, and used offline.

import { decode } from "./cbor.js";
import { hex, holds, readSigned } from "./certificate.js";

const CLAIM = -70001;
const SKEW_S = 300;
const PLACE = "road-trust";
const MOST_BYTES = 1 << 20;

export const bytesOfHex = (text) => Uint8Array.from(text.match(/../g) ?? [], (two) => parseInt(two, 16));
const toBase64 = (bytes) => btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
const fromBase64 = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
const isTime = (value) => Number.isInteger(value) && value >= 0 && value < 2 ** 40;

/** What a list that `key` (32 bytes) signed says. Throws. */
export async function readTrustList(bytes, key) {
  if (bytes.length > MOST_BYTES) throw new Error("too long");
  const signed = readSigned(bytes);
  if (signed.alg !== -8 || !(await holds(signed, key))) throw new Error("signature");
  const claims = decode(signed.payload);
  const said = claims instanceof Map ? claims.get(CLAIM) : null;
  if (!(said instanceof Map) || claims.size !== 4 || said.get("type") !== "trust-list" || said.get("v") !== 1) throw new Error("kind");
  const [publisher, expires, issued, number] = [claims.get(1), claims.get(4), claims.get(6), said.get("number")];
  if (typeof publisher !== "string" || !isTime(expires) || !isTime(issued) || issued >= expires || !Number.isInteger(number) || number < 1 || !Array.isArray(said.get("keys"))) throw new Error("content");
  const keys = new Map();
  for (const entry of said.get("keys")) {
    const [kid, publicHalf, uses] = [entry.get("kid"), entry.get("public"), entry.get("uses")];
    if (!(kid instanceof Uint8Array) || !(publicHalf instanceof Uint8Array) || publicHalf.length !== 32 || entry.get("alg") !== -8 || !isTime(entry.get("from_s")) || !isTime(entry.get("to_s")) || !Array.isArray(uses)) throw new Error("content");
    keys.set(hex(kid), { key: publicHalf, issuer: entry.get("issuer"), name: String(entry.get("name")), from: entry.get("from_s"), to: entry.get("to_s"), revoked: entry.has("revoked_s"), uses });
  }
  const next = said.get("next_key");
  const nextKey = next instanceof Map && next.get("alg") === -8 && next.get("public") instanceof Uint8Array ? hex(next.get("public")) : null;
  return { publisher, number, issued, expires, keys, nextKey, find: (kid, issuer, nowS) => find({ issued, expires, keys }, kid, issuer, nowS), nameOf: (kid) => keys.get(kid)?.name ?? null };
}

/** {key, reason}: reason is "" where the key counts; the key is given of a revoked one too. As `TrustList.find`. */
function find({ issued, expires, keys }, kid, issuer, nowS) {
  const no = (reason, key = null) => ({ key, reason });
  if (nowS >= expires) return no("list_expired");
  if (nowS < issued - SKEW_S) return no("clock_behind");
  const known = keys.get(kid);
  if (!known) return no("unknown_key");
  if (known.issuer !== issuer) return no("other_issuer");
  if (!known.uses.includes("certificate")) return no("other_use");
  if (known.revoked) return no("revoked");
  if (nowS < known.from - SKEW_S) return no("not_yet");
  if (nowS >= known.to) return no("ended");
  return { key: known.key, reason: "" };
}

function kept() {
  try {
    const said = JSON.parse(localStorage.getItem(PLACE) ?? "null");
    return said && /^[0-9a-f]{64}$/.test(said.key) ? said : null;
  } catch {
    return null;
  }
}

function keep(said) {
  try {
    localStorage.setItem(PLACE, JSON.stringify(said));
  } catch {
    // A browser that stores nothing works as long as it is online.
  }
}

/** Forget publisher and list: what a person does who has compared the new publisher's fingerprint. */
export const forget = () => {
  try {
    localStorage.removeItem(PLACE);
  } catch {
    // Nothing was kept.
  }
};

/** {list, key, fetchedS, trouble}: the newest list that may be believed, asked for and else as kept. trouble: "" , "offline", or
 *  "refused" where the server offered one that may not follow the one here. */
export async function trustInForce(nowS) {
  const held = kept();
  let before = null;
  if (held) {
    try {
      before = await readTrustList(fromBase64(held.list), bytesOfHex(held.key));
    } catch {
      before = null;
    }
  }
  const asHeld = (trouble) => ({ list: before, key: held?.key ?? null, fetchedS: before ? held.fetchedS : null, trouble });
  let offered;
  let key = held?.key;
  try {
    const answer = await fetch("api/v1/trust-list", { cache: "no-store" });
    if (!answer.ok) return asHeld("offline");
    offered = new Uint8Array(await answer.arrayBuffer());
    // Whoever answers first is believed, once; from then on only that publisher, and whom it names as the next.
    if (!key) key = await publisherKey();
  } catch {
    return asHeld("offline");
  }
  for (const candidate of [key, before?.nextKey].filter(Boolean)) {
    try {
      const list = await readTrustList(offered, bytesOfHex(candidate));
      const same = before && list.number === before.number && toBase64(offered) === held.list;
      if (before && !same && list.number <= before.number) return asHeld("refused");
      for (const [kid, old] of before?.keys ?? []) if (old.revoked && list.keys.get(kid)?.revoked === false) return asHeld("refused");
      keep({ key: candidate, list: toBase64(offered), fetchedS: nowS });
      return { list, key: candidate, fetchedS: nowS, trouble: "" };
    } catch {
      // Perhaps the next key's.
    }
  }
  return asHeld("refused");
}

async function publisherKey() {
  const answer = await fetch("api/v1/trust-list/key", { cache: "no-store" });
  const said = answer.ok ? await answer.json() : {};
  if (typeof said.public !== "string" || !/^[0-9a-f]{64}$/.test(said.public)) throw new Error("key");
  return said.public;
}
