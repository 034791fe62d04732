// A square's or a section's certificate in the map's panel: made when somebody asks, not for everybody who looks.

import { el, fill } from "./elements.js";
import { getJson } from "./http.js";
import { failureText, part } from "./story.js";
import { moment, t } from "./words.js";

/** path: of the square or section, as `api/v1/cells/4538783999459390`. */
export function certificatePart(path) {
  const box = el("div", { class: "certificate", "aria-live": "polite" });
  const make = el("button", { type: "button", class: "plain", on: { click: () => ask() } }, t("certificateMake"));
  const link = (name, href) => el("a", { class: "plain", href, target: "_blank", rel: "noopener" }, t(name));

  async function ask() {
    make.disabled = true;
    try {
      const said = await getJson(`${path}/certificate`);
      fill(
        box,
        el("img", { class: "qr", src: `${path}/certificate.svg`, alt: t("certificateAlt"), width: 220, height: 220 }),
        el("p", {}, t("certificateSays")(moment(new Date(said.expires * 1000).toISOString()))),
        el("p", { class: "fine" }, `${said.zh} / ${said.en}${said.banner ? ` · ${said.banner}` : ""}`),
        el("p", {}, link("certificateSheet", `${path}/certificate.html`), " ", link("certificateScan", `scan.html#${encodeURIComponent(said.text)}`)),
        el("details", {}, el("summary", {}, t("certificateText")), el("pre", { tabindex: "0" }, said.text)),
      );
    } catch (error) {
      make.disabled = false;
      fill(box, el("p", { class: "empty" }, failureText(error)), make);
    }
  }

  fill(box, make);
  return part(t("certificate"), box);
}
