// How does a page part come into being? Only from text nodes and named attributes: what the server says is never markup.

export const byId = (id) => document.getElementById(id);

/** An element. attrs: `class`, `on` ({event: handler}), `data` ({name: value}); others as attributes, false and null left out. */
export const el = (tag, attrs, ...children) => furnish(document.createElement(tag), attrs, children);

/** The same for a part of a drawing. */
export const svg = (tag, attrs, ...children) => furnish(document.createElementNS("http://www.w3.org/2000/svg", tag), attrs, children);

function furnish(node, attrs = {}, children = []) {
  for (const [name, value] of Object.entries(attrs)) {
    if (value === false || value === null || value === undefined) continue;
    if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "style") for (const [key, v] of Object.entries(value)) node.style.setProperty(key, v);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(4).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

export function fill(node, ...children) {
  node.replaceChildren(...children.flat(4).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}
