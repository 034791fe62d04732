// Did enough witnesses sign? The policy (C2SP tlog-policy) that the reader gives, against the cosignatures of a checkpoint.

import { verifyAsync } from "./vendor/ed25519.js";

const COSIGNATURE = 4;
const MOST = 32;
const bytes = (text) => new TextEncoder().encode(text);
const unbase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const hex = (data) => Array.from(data, (b) => b.toString(16).padStart(2, "0")).join("");

async function keyId(name, key) {
  const line = bytes(`${name}\n`);
  const all = new Uint8Array(line.length + key.length);
  all.set(line);
  all.set(key, line.length);
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", all)).subarray(0, 4));
}

/** Witnesses, groups and the quorum of a policy's text. Throws with the line where it cannot be read. */
export async function readPolicy(text) {
  const policy = { witnesses: new Map(), groups: new Map(), quorum: undefined };
  const used = new Set();
  const keys = new Set();
  const known = (name) => policy.witnesses.has(name) || policy.groups.has(name);
  for (const [i, line] of text.split("\n").entries()) {
    const words = line.trim().split(/[ \t]+/);
    if (!words[0] || words[0].startsWith("#")) continue;
    const bad = (why) => new Error(`policy, line ${i + 1}: ${why}`);
    const [what, name, ...rest] = words;
    if (what === "log") continue;
    if (what === "witness" && (rest.length === 1 || rest.length === 2)) {
      const [origin, hash, ...encoded] = rest[0].split("+");
      let key;
      try {
        key = unbase64(encoded.join("+"));
      } catch {
        throw bad("the key is not base64");
      }
      if (key.length !== 33 || key[0] !== COSIGNATURE || (await keyId(origin, key)) !== hash) throw bad("the key was mistyped, or is not a witness's");
      if (known(name) || name === "none" || keys.has(hex(key)) || policy.witnesses.size >= MOST) throw bad("a name or key twice, or too many");
      keys.add(hex(key));
      policy.witnesses.set(name, { origin, hash, public: key.subarray(1) });
    } else if (what === "group" && rest.length >= 2) {
      const [count, ...members] = rest;
      const k = count === "any" ? 1 : count === "all" ? members.length : /^[1-9][0-9]{0,3}$/.test(count) ? Number(count) : 0;
      if (known(name) || name === "none" || policy.groups.size >= MOST || k < 1 || k > members.length) throw bad("a group needs a name of its own and a number of its members");
      for (const member of members) {
        if (!known(member) || used.has(member)) throw bad(`${member} is not known, or a member twice`);
        used.add(member);
      }
      policy.groups.set(name, { k, members });
    } else if (what === "quorum" && rest.length === 0 && policy.quorum === undefined) {
      if (name !== "none" && !known(name)) throw bad(`${name} is not known`);
      policy.quorum = name;
    } else throw bad("neither log, witness, group nor quorum");
  }
  if (policy.quorum === undefined) throw new Error("policy: it has no quorum line");
  return policy;
}

/** Names of the policy's witnesses that signed a note, and whether they are enough. Throws where a known one's line does
 * not hold. */
export async function witnessed(policy, note) {
  const split = note.lastIndexOf("\n\n");
  const text = note.slice(0, split + 1);
  const names = new Set();
  for (const line of note.slice(split + 2).split("\n")) {
    const [origin, encoded] = line.replace(/^— /, "").split(" ");
    if (!encoded) continue;
    const data = unbase64(encoded);
    const id = hex(data.subarray(0, 4));
    for (const [name, witness] of policy.witnesses) {
      if (witness.origin !== origin || witness.hash !== id || names.has(name)) continue;
      const time = data.length === 76 ? new DataView(data.buffer, data.byteOffset + 4, 8).getBigUint64(0) : null;
      const message = bytes(`cosignature/v1\ntime ${time}\n${text}`);
      if (time === null || !(await verifyAsync(data.subarray(12), message, witness.public))) throw new Error(`the cosignature of ${name} does not hold`);
      names.add(name);
    }
  }
  const holds = new Map([...policy.witnesses.keys()].map((name) => [name, names.has(name)]));
  for (const [name, { k, members }] of policy.groups) holds.set(name, members.filter((m) => holds.get(m)).length >= k);
  const group = policy.groups.get(policy.quorum);
  const needed = group ? `${group.k} / ${group.members.length}` : policy.quorum;
  return { names: [...names], enough: policy.quorum === "none" || holds.get(policy.quorum), needed };
}
