// Does a road certificate hold? The same rules as ledger/certificate.py and ledger/certificate_check.py, in the browser, offline.

import { CborError, decode, toBeSigned } from "./cbor.js";
import { FIELDS } from "./certificatefields.js";
import { verifyAsync } from "./vendor/ed25519.js";

const PREFIX = "RHC1:";
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const MOST_TEXT = 1200;
const [ISS, EXP, IAT, CODE] = [1, 4, 6, -65537];
const EDDSA = -8;
const CRITICAL = 64;
const MOST_OTHER = 64;
const LONGEST_S = 26 * 3600;
const SKEW_S = 300;
const DAY_S = 86400;
const [FIRST_S, LAST_S] = [1577836800, 4102444800];

/** A text is no road certificate; `rule` names what it breaks, for people who look into it. */
export class CertificateError extends Error {}

const hex = (bytes) => [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
export { hex };

/** The bytes of base45 (RFC 9285). Throws CertificateError. */
export function base45(text) {
  const out = [];
  for (let i = 0; i < text.length; i += 3) {
    const [c, d, e] = [...text.slice(i, i + 3)].map((sign) => ALPHABET.indexOf(sign));
    if (d === undefined || c < 0 || d < 0 || e < 0) throw new CertificateError("it is not base45: was it copied whole?");
    const value = c + 45 * d + 2025 * (e ?? 0);
    if (value > (e === undefined ? 0xff : 0xffff)) throw new CertificateError("it is not base45: was it copied whole?");
    if (e !== undefined) out.push(value >> 8);
    out.push(value & 255);
  }
  return Uint8Array.from(out);
}

/** Parts of a COSE_Sign1, without a look at the signature. Throws CborError. */
export function readSigned(bytes) {
  const document = decode(bytes);
  const parts = document?.tag === 18 ? document.value : null;
  if (!Array.isArray(parts) || parts.length !== 4) throw new CborError("not a COSE_Sign1");
  const [guarded, open, payload, signature] = parts;
  if (!(guarded instanceof Uint8Array && payload instanceof Uint8Array && signature instanceof Uint8Array) || !(open instanceof Map) || open.size) throw new CborError("not a COSE_Sign1 as this platform writes it");
  const header = decode(guarded);
  const [alg, kid] = header instanceof Map ? [header.get(1), header.get(4)] : [];
  if (!(header instanceof Map) || header.size !== 2 || !Number.isInteger(alg) || !(kid instanceof Uint8Array) || !kid.length || kid.length > 32) throw new CborError("the protected header names algorithm and key, nothing else");
  return { alg, kid: hex(kid), guarded, payload, signature };
}

/** Whether the signature is of the key (Uint8Array of 32). */
export async function holds(signed, key) {
  if (signed.signature.length !== 64) return false;
  try {
    // RFC 8032 as the platform's other reader takes it, not the looser ZIP 215.
    return await verifyAsync(signed.signature, toBeSigned(signed.guarded, signed.payload), key, { zip215: false });
  } catch {
    return false;
  }
}

const whole = (value, low, high) => Number.isInteger(value) && value >= low && value <= high;

function readCode(code) {
  if (!(code instanceof Map)) throw new CertificateError("its code is a map");
  if (code.get(1) !== 1) throw new CertificateError("the version of its content is unknown: update the reader");
  const said = {};
  const byKey = new Map(FIELDS.map((f) => [f.key, f]));
  for (const [key, value] of code) {
    if (!whole(key, 1, Number.MAX_SAFE_INTEGER)) throw new CertificateError("keys of the code are numbers from 1 on");
    const field = byKey.get(key);
    if (!field) {
      if (key < CRITICAL) throw new CertificateError(`entry ${key} is unknown, and may change what the rest means: update the reader`);
      const size = typeof value === "string" ? [...value].length : value instanceof Uint8Array ? value.length : Number.isSafeInteger(value) || typeof value === "boolean" ? 0 : Infinity;
      if (size > MOST_OTHER) throw new CertificateError(`entry ${key} is no number, short text or short bytes`);
      continue;
    }
    if (!field.always && value === field.absent) throw new CertificateError(`${field.name} is written though it says nothing`);
    said[field.name] = value;
  }
  const about = said.cell !== undefined ? "square" : "section";
  if ((said.cell === undefined) === (said.section === undefined)) throw new CertificateError("it is about one square or one section");
  for (const f of FIELDS) {
    const value = said[f.name];
    const its = f.of === "both" || f.of === about;
    if (value === undefined) {
      if (f.always && its) throw new CertificateError(`${f.name} is missing`);
      if (its) said[f.name] = f.absent;
      continue;
    }
    if (!its) throw new CertificateError(`${f.name} is not said of a ${about}`);
    if (f.type === "text" ? typeof value !== "string" || !whole(new TextEncoder().encode(value).length, f.low, f.high) || /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u.test(value) : !whole(value, f.low, f.high)) throw new CertificateError(`${f.name} is outside its range`);
  }
  return { ...said, about };
}

/** {signed, said}: what a text says, without a look at the signature. Throws CertificateError. */
export function readCertificate(given) {
  const text = given.trim();
  if (!text.startsWith(PREFIX)) throw new CertificateError(`a road certificate begins with ${PREFIX}`);
  if (text.length > MOST_TEXT) throw new CertificateError("it is too long for a road certificate");
  let signed;
  let claims;
  try {
    signed = readSigned(base45(text.slice(PREFIX.length)));
    claims = decode(signed.payload);
  } catch (error) {
    if (error instanceof CborError) throw new CertificateError(error.message);
    throw error;
  }
  if (!(claims instanceof Map) || claims.size !== 4 || ![ISS, EXP, IAT, CODE].every((key) => claims.has(key))) throw new CertificateError("its claims are issuer, end, moment of issue and the code, nothing else");
  const [issuer, expires, issued] = [claims.get(ISS), claims.get(EXP), claims.get(IAT)];
  if (typeof issuer !== "string" || !/^[0-9]{6}$/.test(issuer)) throw new CertificateError("the issuer is the six digits of a GB/T 2260 code");
  if (!whole(issued, FIRST_S, LAST_S) || !whole(expires, FIRST_S, LAST_S)) throw new CertificateError("moments are from 2020 to 2100");
  if (expires <= issued || expires - issued > LONGEST_S) throw new CertificateError("it ends after it is issued, and within 26 h");
  const code = readCode(claims.get(CODE));
  const bad = code.colour >= 2;
  if (code.about === "square") {
    if (code.extent_m !== 4 ** Math.floor(code.cell / 2 ** 51)) throw new CertificateError("extent_m is not the side of the square");
    if (bad !== (code.state !== 0)) throw new CertificateError("yellow and red are suspected or confirmed, grey and green neither");
    if (!bad && (code.kind !== null || code.severity)) throw new CertificateError("grey and green have no kind and no severity");
    if (code.log_index !== null && (code.log_size === null || code.log_index >= code.log_size)) throw new CertificateError("log_index lies below log_size");
  }
  if (Math.abs(code.day * DAY_S - issued) > 2 * DAY_S) throw new CertificateError("the day is not the one on which it was issued");
  return { signed, said: { ...code, issuer, issued, expires } };
}

/** {ok, steps: [{name, ok, reason, detail}], said}. list: of trust.js, or null where there is none. Never throws. */
export async function verifyCertificate(text, list, nowS) {
  const steps = [];
  const step = (name, ok, reason = "", detail = "") => steps.push({ name, ok, reason, detail });
  let signed;
  let said;
  try {
    ({ signed, said } = readCertificate(text));
  } catch (error) {
    step("readable", false, "readable", error.message);
    return { ok: false, steps, said: null };
  }
  step("readable", true);
  const known = signed.alg === EDDSA;
  step("algorithm", known, known ? "" : "algorithm", String(signed.alg));
  const { key, reason } = list ? list.find(signed.kid, said.issuer, nowS) : { key: null, reason: "no_list" };
  const ofList = ["no_list", "list_expired", "clock_behind"].includes(reason);
  step("trust list", !ofList, ofList ? reason : "");
  if (!ofList) step("known key", !reason || reason === "revoked", reason === "revoked" ? "" : reason);
  if (!ofList && (!reason || reason === "revoked")) step("not revoked", !reason, reason);
  if (key && known) {
    const good = await holds(signed, key);
    step("signature", good, good ? "" : "signature");
  }
  const ended = nowS >= said.expires;
  const early = nowS < said.issued - SKEW_S;
  step("in time", !ended && !early, ended ? "expired" : early ? "not_yet_issued" : "");
  const ok = steps.length === 7 && steps.every((s) => s.ok);
  return { ok, steps, said };
}
