// What does the server say? JSON or codes, and every failure as one kind of error with words for people.

export class ServerError extends Error {
  constructor(name, detail, status) {
    super(detail);
    this.name = name;
    this.status = status;
  }
}

async function answer(path, signal) {
  let response;
  try {
    response = await fetch(path, { signal, cache: "no-cache" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("unreachable", "", 0);
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  throw new ServerError(String(said.error ?? "http"), String(said.detail ?? response.statusText), response.status);
}

export async function getJson(path, signal) {
  const response = await answer(path, signal);
  return response.json().catch(() => {
    throw new ServerError("not_json", "", response.status);
  });
}

/** The codes of a tile, 65,536 bytes; null where nothing was ever measured. */
export async function getTile(z, x, y, signal) {
  const response = await answer(`tiles/${z}/${x}/${y}`, signal);
  if (response.status === 204) return null;
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes.length !== 65536) throw new ServerError("tile_length", `${bytes.length}`, response.status);
  return bytes;
}

/** When the server counts changes: `codes(bbox)`, `up()`, `down()`. Reconnects by itself, also after an HTTP error. */
export function listen({ codes, up, down }) {
  let source = null;
  let again = null;
  let wait = 1000;
  const open = () => {
    source = new EventSource("events");
    source.addEventListener("open", () => {
      wait = 1000;
      up();
    });
    source.addEventListener("codes", (event) => {
      let said = {};
      try {
        said = JSON.parse(event.data);
      } catch {
        // A message that cannot be read still says that something changed: refresh all.
      }
      codes(Array.isArray(said.bbox) && said.bbox.length === 4 ? said.bbox.map(Number) : null);
    });
    source.addEventListener("error", () => {
      down();
      if (source.readyState === EventSource.CLOSED) {
        // The browser gives up on HTTP errors: a restarting server answers 502 for a while.
        clearTimeout(again);
        again = setTimeout(open, wait);
        wait = Math.min(wait * 2, 15000);
      }
    });
  };
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (event) => event.persisted && open());
  open();
}
