// Keeps the page that scans, so that it opens without a network: its own files only, never what a server says of places or keys.

const KEPT = "road-scan-1";
const FILES = ["scan.html", "scan.js", "scan.css", "scanwords.js", "certificate.js", "certificatefields.js", "cbor.js", "trust.js", "elements.js", "words.js", "roadwords.js", "icon.svg", "vendor/ed25519.js", "vendor/jsqr.js"];
const ours = new Set(FILES.map((name) => new URL(name, self.location).pathname));

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(KEPT).then((kept) => kept.addAll(FILES.map((name) => new Request(name, { cache: "reload" })))).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(caches.keys().then((names) => Promise.all(names.filter((n) => n.startsWith("road-scan-") && n !== KEPT).map((n) => caches.delete(n)))).then(() => self.clients.claim()));
});

// The network first: a mended reader must reach people at once. What is kept is for when there is none.
self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== self.location.origin || !ours.has(url.pathname)) return;
  const fresh = async () => {
    const kept = await caches.open(KEPT);
    try {
      const answer = await fetch(event.request);
      if (answer.ok) await kept.put(url.pathname, answer.clone());
      return answer;
    } catch {
      return (await kept.match(url.pathname)) ?? Response.error();
    }
  };
  event.respondWith(fresh());
});
