// What does the platform say to this phone? Its name and password go with each request and lie in this tab alone.

const KEEP = "roadcode.me";
let credential = null;

try {
  credential = JSON.parse(sessionStorage.getItem(KEEP));
} catch {
  // A tab that may store nothing asks again after each reload.
}

export class Refused extends Error {
  constructor(name, detail, status) {
    super(detail);
    this.name = name;
    this.status = status;
  }
}

export const signedIn = () => credential !== null;

export function signIn(name, password) {
  credential = { name, password };
}

/** Kept only once it has proven right. */
export function keep() {
  try {
    sessionStorage.setItem(KEEP, JSON.stringify(credential));
  } catch {
    // As above.
  }
}

export function signOut() {
  credential = null;
  try {
    sessionStorage.removeItem(KEEP);
  } catch {
    // As above.
  }
}

const header = () => {
  const bytes = new TextEncoder().encode(`${credential.name}:${credential.password}`);
  return `Basic ${btoa(String.fromCharCode(...bytes))}`;
};

async function ask(method, path, body, type) {
  const headers = credential ? { Authorization: header() } : {};
  if (type) headers["Content-Type"] = type;
  let response;
  try {
    response = await fetch(path, { method, headers, body, credentials: "omit", cache: "no-store", redirect: "error" });
  } catch {
    throw new Refused("unreachable", "", 0);
  }
  const said = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(String(said.error ?? "http"), String(said.detail ?? response.statusText), response.status);
  return said;
}

export const consent = () => ask("GET", "api/v1/consent");
export const get = (path) => ask("GET", `api/v1/me/${path}`);
export const post = (path, body) => ask("POST", `api/v1/me/${path}`, JSON.stringify(body), "application/json");
export const remove = (path) => ask("DELETE", `api/v1/me/${path}`);
export const put = (path, blob) => ask("PUT", `api/v1/me/${path}`, blob, blob.type);

const SIDE = 1600;

/** A photo as it is sent: drawn anew, so that place and time that the camera wrote into it stay on this phone. */
export async function redrawn(file) {
  const image = await createImageBitmap(file);
  const scale = Math.min(1, SIDE / Math.max(image.width, image.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.85));
  if (!blob) throw new Refused("bad_photo", "", 0);
  return blob;
}
