/** Who is here, in the page's header: a mark for each, and their names on request. */

import { announce, element } from "./page.js";

/** @typedef {import("./livethings.js").Presence} Presence */
/** @typedef {import("./livethings.js").Present} Present */

const MARKS = 4;

/**
 * @param {Presence} presence
 * @returns {() => void} takes it away again
 */
export function showPresence(presence) {
  const marks = element("span", { class: "marks", "aria-hidden": "true" });
  const count = element("span", { class: "unseen" });
  const names = element("ul", { role: "list" });
  const box = element("details", { class: "present popup", hidden: true },
    element("summary", {}, marks, count),
    element("div", { class: "menu" }, element("p", { class: "hint" }, "Here now"), names));
  const header = document.querySelector("header.bar");
  header?.querySelector(".present")?.remove();
  header?.insertBefore(box, header.querySelector(".connection"));

  /** @type {readonly Present[] | undefined} */
  let before;
  const stop = presence.subscribe((present) => {
    if (!present) return;
    box.hidden = present.length === 0;
    const others = present.filter(({ own }) => !own);
    const shown = [...present.filter(({ own }) => own), ...others];
    const more = shown.length > MARKS ? shown.length - MARKS + 1 : 0;
    marks.replaceChildren(...shown.slice(0, shown.length - more).map(mark));
    if (more) marks.append(element("span", { class: "mark more" }, `+${more}`));
    count.textContent = present.length === 1 ? "Only you are here" : `${present.length} are here`;
    names.replaceChildren(...shown.map((one) => element("li", {}, mark(one), one.own ? `${one.user} (you)` : one.user)));
    if (before) tell(before, present);
    before = present;
  });
  const unfollow = presence.status.subscribe(({ state }) => {
    if (state === "ended") box.hidden = true; // what we are at is gone
  });
  return () => {
    stop();
    unfollow();
    box.remove();
  };
}

/** @param {Present} present */
function mark({ user, connection, own }) {
  const made = element("span", { class: own ? "mark own" : "mark", "aria-hidden": "true" }, [...user][0]?.toUpperCase() ?? "?");
  made.style.setProperty("--hue", String((connection * 137.5) % 360)); // neighbours get colours that are far apart
  return made;
}

/**
 * @param {readonly Present[]} before
 * @param {readonly Present[]} now
 */
function tell(before, now) {
  const missing = (/** @type {readonly Present[]} */ from, /** @type {readonly Present[]} */ than) =>
    from.filter(({ connection, own }) => !own && !than.some((other) => other.connection === connection)).map(({ user }) => user);
  const [come, gone] = [missing(now, before), missing(before, now)];
  if (come.length) announce(`${come.join(", ")} ${come.length > 1 ? "have" : "has"} come.`);
  else if (gone.length) announce(`${gone.join(", ")} ${gone.length > 1 ? "have" : "has"} left.`);
}
