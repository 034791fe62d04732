// Does a proof hold? Everything is reckoned here, from the file and what the reader trusts: no server is asked.

import { verifyAsync } from "./vendor/ed25519.js";
import { decode } from "./cbor.js";
import { blockOf, indexInBlock } from "./cells.js";
import { witnessed } from "./witnesses.js";

const CODE_BYTES = 12;
export const COLOURS = ["grey", "green", "yellow", "red"];
export const STATES = ["none", "suspected", "confirmed"];
const NO_KIND = 255;
const MOST_HASHES = 64;

export const unhex = (text) => {
  if (typeof text !== "string" || !/^([0-9a-f]{2})*$/.test(text)) throw new Error("not hex digits");
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
};
export const unbase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
export const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
const same = (a, b) => a.length === b.length && a.every((v, i) => v === b[i]);
const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", join(...parts)));
const leafHash = (body) => sha256(new Uint8Array([0]), body);
const nodeHash = (left, right) => sha256(new Uint8Array([1]), left, right);

function join(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Root of leaf hashes (RFC 9162 2.1.1). */
async function rootOf(leaves) {
  if (!leaves.length) return sha256(new Uint8Array());
  let row = leaves;
  while (row.length > 1) {
    const above = [];
    for (let i = 0; i + 1 < row.length; i += 2) above.push(await nodeHash(row[i], row[i + 1]));
    if (row.length % 2) above.push(row.at(-1));
    row = above;
  }
  return row[0];
}

/** The root to which an inclusion proof leads (RFC 9162 2.1.3.2); null where its shape cannot be. */
async function inclusionRoot(index, size, leaf, path) {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return null;
  if (path.length > MOST_HASHES) return null;
  let fn = BigInt(index);
  let sn = BigInt(size - 1);
  let value = leaf;
  for (const step of path) {
    if (sn === 0n || step.length !== 32) return null;
    if (fn & 1n || fn === sn) {
      value = await nodeHash(step, value);
      while (!(fn & 1n) && fn) {
        fn >>= 1n;
        sn >>= 1n;
      }
    } else {
      value = await nodeHash(value, step);
    }
    fn >>= 1n;
    sn >>= 1n;
  }
  return sn === 0n ? value : null;
}

/** Whether the tree of `first` leaves is a prefix of the tree of `second` (RFC 9162 2.1.4.2). */
async function consistent(first, second, root1, root2, path) {
  if (first <= 0 || first > second || path.length > MOST_HASHES || path.some((p) => p.length !== 32)) return false;
  if (first === second) return path.length === 0 && same(root1, root2);
  const steps = [...path];
  let fn = BigInt(first - 1);
  let sn = BigInt(second - 1);
  if ((BigInt(first) & fn) === 0n) steps.unshift(root1);
  if (!steps.length) return false;
  while (fn & 1n) {
    fn >>= 1n;
    sn >>= 1n;
  }
  let fr = steps[0];
  let sr = steps[0];
  for (const one of steps.slice(1)) {
    if (sn === 0n) return false;
    if (fn & 1n || fn === sn) {
      fr = await nodeHash(one, fr);
      sr = await nodeHash(one, sr);
      while (!(fn & 1n) && fn) {
        fn >>= 1n;
        sn >>= 1n;
      }
    } else {
      sr = await nodeHash(sr, one);
    }
    fn >>= 1n;
    sn >>= 1n;
  }
  return sn === 0n && same(fr, root1) && same(sr, root2);
}

const step = (name, ok, detail, more = {}) => ({ name, ok, detail, ...more });

/** Name, key id and public key of a verifier text `name+hash+base64` (C2SP signed-note, Ed25519). */
async function readKey(text) {
  const [name, hash, ...rest] = text.trim().split("+");
  const encoded = rest.join("+");
  if (!name || !hash || !encoded) throw new Error("a key reads name+hash+base64");
  const key = unbase64(encoded);
  const id = (await sha256(new TextEncoder().encode(`${name}\n`), key)).subarray(0, 4);
  if (key.length !== 33 || key[0] !== 1 || hex(id) !== hash) throw new Error("the key was mistyped, or is not Ed25519");
  return { name, id, public: key.subarray(1) };
}

/** Origin, size and root of a checkpoint, once the key's signature holds. */
async function readNote(note, keyText) {
  const key = await readKey(keyText);
  const split = note.lastIndexOf("\n\n");
  if (split < 0 || note.length > 16384) throw new Error("not a signed note");
  const text = note.slice(0, split + 1);
  const [origin, size, root, ...more] = text.split("\n");
  if (origin !== key.name) throw new Error(`the checkpoint is of ${origin}, the key of ${key.name}`);
  for (const line of note.slice(split + 2).split("\n")) {
    const [name, encoded] = line.replace(/^— /, "").split(" ");
    if (name !== key.name || !encoded) continue;
    const signature = unbase64(encoded);
    if (signature.length !== 68 || !same(signature.subarray(0, 4), key.id)) continue;
    if (!(await verifyAsync(signature.subarray(4), new TextEncoder().encode(text), key.public))) break;
    if (!/^(0|[1-9][0-9]{0,15})$/.test(size)) throw new Error("the size is not a plain number");
    const head = unbase64(root);
    if (more.length !== 1 || more[0] !== "" || head.length !== 32) throw new Error("not three lines: name, size and root");
    return { origin, size: Number(size), root: head };
  }
  throw new Error("its signature by this key does not hold");
}

/** A record and the steps that prove it. */
async function proven(proof, trust, kind, name) {
  const steps = [];
  const bytes = unbase64(proof.body);
  if (proof.v !== 1) return [null, [step(`${name}: record`, false, `version ${proof.v} of its proof is unknown`)]];
  const body = decode(bytes, { wide: true });
  if (!(body instanceof Map) || body.get("v") !== 1 || body.get("alg") !== "sha256" || body.get("kind") !== kind) return [null, [step(`${name}: record`, false, `is no ${kind} record`)]];
  let note;
  try {
    note = await readNote(proof.checkpoint, trust.key);
  } catch (error) {
    return [body, [step(`${name}: signature`, false, error.message)]];
  }
  const root = await inclusionRoot(proof.leaf_index, proof.tree_size, await leafHash(bytes), proof.inclusion.map(unbase64));
  const within = note.size === proof.tree_size && root !== null && same(root, note.root);
  steps.push(step(`${name}: inclusion`, within, `leaf ${proof.leaf_index} of ${proof.tree_size}`));
  steps.push(step(`${name}: signature`, true, `${note.origin}, ${note.size}`));
  if (trust.policy) steps.push(await witnesses(proof, note, trust, name));
  const anchor = proof.anchor ?? {};
  const where = anchor.status === "anchored" ? `seq ${anchor.seq}, block ${anchor.block}, ${new Date(anchor.time * 1000).toISOString()}` : "";
  steps.push(step(`${name}: anchor`, null, where, { anchor: anchor.status ?? "pending" }));
  return [body, steps];
}

/** Whether enough witnesses signed the proof's checkpoint, or another one of the same history that holds the record. */
async function witnesses(proof, note, trust, name) {
  const told = (found, ok) => step(`${name}: witnesses`, ok, `${found.names.join(", ") || "–"} (${found.needed})`);
  try {
    const found = await witnessed(trust.policy, proof.checkpoint);
    const other = proof.witnessed;
    if (found.enough || !other) return told(found, found.enough || null);
    const beside = await readNote(other.checkpoint, trust.key);
    const [older, newer] = beside.size < note.size ? [beside, note] : [note, beside];
    const goesOn = beside.size > proof.leaf_index && (await consistent(older.size, newer.size, older.root, newer.root, other.consistency.map(unbase64)));
    if (!goesOn) return step(`${name}: witnesses`, false, "the witnessed checkpoint is of another history");
    const there = await witnessed(trust.policy, other.checkpoint);
    return told(there, there.enough || null);
  } catch (error) {
    return step(`${name}: witnesses`, false, String(error.message ?? error));
  }
}

/** What a square's twelve bytes say, as the server's answers say it; the type by its number. */
export function readCode(bytes) {
  const [colour, state, kind] = bytes;
  return { colour: COLOURS[colour], state: STATES[state], kind: kind === NO_KIND ? null : kind };
}

/** Every step of a document. trust: {key, policy}, policy of `readPolicy` or null. Never throws: what cannot be read is a step that does not hold. */
export async function checkDocument(document_, trust, kinds) {
  try {
    if (document_.v !== 1) throw new Error(`version ${document_.v} is unknown`);
    if (document_.what === "road proof") return await checkRoad(document_, trust, kinds);
    if (document_.what === "chunk proof") return await checkChunk(document_, trust);
    throw new Error("neither a road proof nor a chunk proof");
  } catch (error) {
    return [step("document", false, String(error.message ?? error))];
  }
}

async function checkRoad(doc, trust, kinds) {
  const codes = unbase64(doc.codes);
  const steps = [];
  if (codes.length !== 1024 * CODE_BYTES) throw new Error("a block has 1,024 codes");
  if (!Number.isSafeInteger(doc.cell) || doc.cell < 0) throw new Error("a square is named by one whole number");
  const [body, proofSteps] = await proven(doc.block, trust, "block", "block");
  if (!body) return proofSteps;
  const index = indexInBlock(doc.cell);
  const code = readCode(codes.subarray(index * CODE_BYTES, (index + 1) * CODE_BYTES));
  const ours = blockOf(doc.cell) === body.get("block");
  const agrees = ours && code.colour === doc.code.colour && code.state === doc.code.state && (code.kind === null ? doc.code.kind === null : kinds[code.kind] === doc.code.kind);
  steps.push(step("code", agrees, `${doc.code.state} ${doc.code.colour} ${doc.code.kind ?? ""}`));
  // A true proof of last month says nothing of today: the record's day is told, since the file's own time is nobody's word.
  steps.push(step("codes", same(await sha256(codes), body.get("codes_sha256")), `${body.get("day")} · ${hex(body.get("codes_sha256"))}`));
  steps.push(...proofSteps);
  if (["yellow", "red"].includes(doc.code.colour)) steps.push(...(await own(doc, trust)));
  steps.push(...(await context(doc, trust, body)));
  for (const day of doc.days) steps.push(...(await chunksOf(day, trust, body)));
  return steps;
}

async function own(doc, trust) {
  if (!doc.own) return [step("own record", null, "")];
  const [body, steps] = await proven(doc.own, trust, "code", "own record");
  if (!body) return steps;
  const after = body.get("after");
  const agrees = String(body.get("cell")) === String(doc.cell) && ["colour", "state", "kind"].every((name) => after.get(name) === doc.code[name]);
  return [step("own record", agrees, `${after.get("state")} ${after.get("colour")} ${after.get("kind") ?? ""}`), ...steps];
}

async function context(doc, trust, block) {
  if (!doc.context) return [step("context", block.get("context").every((b) => b === 0) ? true : null, "")];
  const [body, steps] = await proven(doc.context, trust, "context", "context");
  if (!body) return steps;
  return [step("context", same(await sha256(unbase64(doc.context.body)), block.get("context")), body.get("day")), ...steps];
}

function packNode(block, count, root) {
  const head = new DataView(new ArrayBuffer(12));
  head.setBigInt64(0, BigInt(block));
  head.setUint32(8, count);
  return join(new Uint8Array(head.buffer), root);
}

async function chunksOf(day, trust, block) {
  const leaves = day.chunks.map(unhex);
  const name = `chunks of ${day.day}`;
  const rising = day.chunks.every((leaf, i) => leaf.length === 64 && (i === 0 || day.chunks[i - 1] <= leaf));
  if (!rising) return [step(name, false, "not hashes in rising order")];
  const root = await rootOf(await Promise.all(leaves.map(leafHash)));
  const steps = [];
  const inRecord = day.day === block.get("day") && leaves.length === block.get("chunks_count");
  if (inRecord) steps.push(step(name, same(root, block.get("chunks_root")), `${leaves.length}`, { count: leaves.length }));
  if (!day.seal) {
    if (!inRecord) steps.push(step(name, null, `${leaves.length}`, { count: leaves.length }));
    return steps;
  }
  const [sealed, proofSteps] = await proven(day.seal, trust, "seal", `seal of ${day.day}`);
  steps.push(...proofSteps);
  if (!sealed) return steps;
  const node = await leafHash(packNode(block.get("block"), leaves.length, root));
  const top = await inclusionRoot(day.place.nth, day.place.blocks, node, day.place.day_path.map(unbase64));
  const holds = sealed.get("day") === day.day && top !== null && same(top, sealed.get("chunks_root"));
  steps.push(step(name, holds, `${leaves.length}`, { count: leaves.length }));
  return steps;
}

async function checkChunk(doc, trust) {
  const leaf = unhex(doc.leaf);
  const steps = [];
  if (doc.raw_sha256 && doc.salt) steps.push(step("hash", same(await sha256(unhex(doc.salt), unhex(doc.raw_sha256)), leaf), doc.leaf));
  if (!doc.seal) return [...steps, step("seal", null, doc.day)];
  const [sealed, proofSteps] = await proven(doc.seal, trust, "seal", "seal");
  steps.push(...proofSteps);
  if (!sealed) return steps;
  // A seal proves itself alone: without a way to it, the hash in the file is anybody's.
  if (!doc.places.length) steps.push(step("chunk", false, "", { count: 0 }));
  for (const { place } of doc.places) {
    const within = await inclusionRoot(place.index, place.count, await leafHash(leaf), place.path.map(unbase64));
    const node = within && (await leafHash(packNode(place.block, place.count, within)));
    const top = node && (await inclusionRoot(place.nth, place.blocks, node, place.day_path.map(unbase64)));
    const holds = Boolean(top) && sealed.get("day") === doc.day && same(top, sealed.get("chunks_root"));
    steps.push(step("chunk", holds, `${place.block}`, { count: place.count }));
  }
  return steps;
}
