// How much of a phone's screen does the panel take? Peek, half or full; beside the map on wide screens it is always open.

import { t } from "./words.js";

const SIZES = ["peek", "half", "full"];

/** onChange(covered) hears how many pixels of the map the sheet now covers. */
export function makeSheet(panel, handle, onChange) {
  const narrow = matchMedia("(max-width: 800px)");
  const set = (size) => {
    panel.dataset.size = size;
    panel.style.removeProperty("height");
    relabel();
    onChange(covers());
  };
  // A full sheet counts as half: the map under it is not looked at.
  const SHARE = { peek: 0.2, half: 0.58, full: 0.58 };
  const covers = () => (narrow.matches ? Math.round(panel.parentElement.clientHeight * SHARE[panel.dataset.size]) : 0);
  const relabel = () => {
    const open = panel.dataset.size !== "peek";
    handle.setAttribute("aria-expanded", String(open));
    handle.setAttribute("aria-label", t(open ? "panelLess" : "panelMore"));
  };

  narrow.addEventListener("change", () => onChange(covers()));

  let drag = null;
  handle.addEventListener("pointerdown", (event) => {
    drag = { y: event.clientY, height: panel.offsetHeight, moved: false };
    handle.setPointerCapture(event.pointerId);
  });
  handle.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const height = drag.height + drag.y - event.clientY;
    drag.moved ||= Math.abs(event.clientY - drag.y) > 6;
    if (drag.moved) panel.style.height = `${height}px`;
  });
  handle.addEventListener("pointerup", () => {
    if (!drag?.moved) return;
    const share = panel.offsetHeight / panel.parentElement.clientHeight;
    set(share < 0.32 ? "peek" : share < 0.75 ? "half" : "full");
  });
  handle.addEventListener("click", () => {
    const dragged = drag?.moved;
    drag = null;
    if (!dragged) set(panel.dataset.size === "peek" ? "half" : "peek");
  });

  return {
    set,
    relabel,
    atLeast: (size) => SIZES.indexOf(panel.dataset.size) < SIZES.indexOf(size) && set(size),
    covers,
  };
}
