/** The dashboard page: what the live queries say, shown, and what a person can do about it. */

import { Garden, QUERIES, SPEEDS } from "./dashboard-data.js";
import { Field, Figure, Rows } from "./dashboard-view.js";
import { announce, byId, complain, element, notice, openPage, write } from "./page.js";
import { showPresence } from "./presence-view.js";

/** @typedef {import("./dashboard-data.js").House} House */
/** @typedef {import("./dashboard-data.js").Plant} Plant */
/** @typedef {import("./dashboard-data.js").Totals} Totals */
/** @typedef {import("./livethings.js").LiveQuery} LiveQuery */
/** @typedef {import("./livethings.js").Mirror} Mirror */
/** @typedef {import("./livethings.js").Present} Present */

const DOTS_ACROSS = 21;
const GONE_WITHIN = 1_000; // milliseconds; a query that fails earlier does so since the garden was removed
const WINDOW = 5; // seconds that a rate is taken over
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

openPage(async (db) => {
  const garden = new Garden(db);
  const places = { loading: byId("loading"), empty: byId("empty"), garden: byId("garden") };
  /** @param {keyof typeof places} shown */
  const show = (shown) => {
    for (const [name, place] of Object.entries(places)) place.hidden = name !== shown;
  };
  /** @type {Totals | undefined} */
  let totals;
  let received = 0;
  db.on("live.update", (params) => (received += JSON.stringify(params).length));

  // What is on the page -----------------------------------------------------------------------------------------------

  const figures = {
    moisture: new Figure(byId("figures"), "Moisture", "%", 4),
    thirsty: new Figure(byId("figures"), "Thirsty", "plants", 12),
    changes: new Figure(byId("figures"), "Changes", "a second", 60),
    received: new Figure(byId("figures"), "Received", "kB/s", 4),
  };
  /** @type {Rows<Plant>} */
  const thirsty = new Rows(byId("thirsty"), (plant) => {
    const [name, moisture] = [element("span", { class: "name" }), element("span", { class: "amount" })];
    const drop = element("span", { class: "level", "aria-hidden": "true" });
    const water = element("button", { type: "button", class: "water", "aria-label": `Water ${plant.name}`, on: { click: () => garden.water(plant["#"]).catch(complain) } }, "Water");
    const update = (/** @type {Plant} */ now) => {
      write(name, now.name);
      write(moisture, `${now.moisture} %`);
      drop.style.setProperty("--part", String(now.moisture / 20));
    };
    return { row: element("li", {}, drop, name, moisture, water), update };
  }, (row) => row.querySelector("button")?.replaceWith(element("span", { class: "done" }, "✓ Watered")));
  /** @type {Rows<Plant>} */
  const bees = new Rows(byId("bees"), () => {
    const [rank, name, amount] = ["rank", "name", "amount"].map((part) => element("span", { class: part }));
    const bar = element("span", { class: "bar-line", "aria-hidden": "true" });
    const update = (/** @type {Plant} */ now, /** @type {number} */ index) => {
      write(rank, String(index + 1));
      write(name, now.name);
      write(amount, String(now.bees));
      bar.style.setProperty("--part", String(Math.min(now.bees / 120, 1)));
    };
    return { row: element("li", {}, rank, name, bar, amount), update };
  });
  /** @type {{name: HTMLElement, amount: HTMLElement, thirsty: HTMLElement, field: Field}[]} */
  let houses = [];
  for (const [id, query] of Object.entries(QUERIES)) {
    const place = document.querySelector(`[data-query="${id}"]`);
    place?.append(element("details", { class: "query" }, element("summary", {}, "The query"), element("pre", { tabIndex: 0 }, element("code", {}, query))));
  }

  /** @param {readonly House[]} now */
  function showHouses(now) {
    if (houses.length !== now.length) {
      houses = now.map(() => ({ name: element("h3"), amount: element("span", { class: "amount" }), thirsty: element("span", { class: "count" }), field: new Field(DOTS_ACROSS) }));
      byId("houses").replaceChildren(...houses.map((house) => element("li", {}, element("header", {}, house.name, house.thirsty, house.amount), house.field.canvas)));
      showLevels(garden.levels.getSnapshot() ?? []);
    }
    now.forEach(({ name, moisture, thirsty }, index) => {
      const house = houses[index];
      if (!house) return;
      write(house.name, name);
      write(house.amount, `${whole.format(moisture)} %`);
      write(house.thirsty, thirsty ? `${thirsty} thirsty` : "");
    });
  }

  /** @param {readonly number[][]} levels by house */
  function showLevels(levels) {
    levels.forEach((of, index) => houses[index]?.field.show(of));
  }

  function showTotals() {
    if (!totals) return;
    figures.moisture.show(tenth.format(totals.moisture), `average of ${whole.format(totals.plants)}`);
    figures.thirsty.show(whole.format(totals.thirsty), `${whole.format(totals.watered)} watered so far`);
  }

  // One garden, for as long as it is there and looked at ------------------------------------------------------------------

  /** @param {number} id */
  function open(id) {
    let closed = false;
    /** @type {Mirror | null} */
    let mirror = null;
    /** @type {readonly Present[] | undefined} */
    let present;
    const presence = garden.presence(id);
    /** @type {{at: number, changed: number, received: number}[]} */
    let samples = [];

    const rate = () => (mirror?.value.growing && present?.[0]?.own ? Reflect.get(SPEEDS, mirror.value.speed) ?? SPEEDS.steady : 0);

    function showControls() {
      if (!mirror) return;
      const { growing, speed } = mirror.value;
      write(byId("pause"), growing ? "Pause" : "Resume");
      byId("pause").classList.toggle("primary", !growing);
      for (const choice of byId("speed").querySelectorAll("input")) choice.checked = choice.value === speed;
      const first = present?.[0];
      const whose = !first ? "" : first.own ? "This window moves the garden along." : `A window of ${first.user} moves the garden along.`;
      write(byId("who"), growing ? whose : "Paused for everybody.");
    }

    function sample() {
      samples = [...samples, { at: performance.now(), changed: totals?.changed ?? 0, received }].slice(-WINDOW - 1);
      const [first, last] = [samples[0], samples.at(-1)];
      if (!totals || !first || !last || last.at === first.at) return;
      const seconds = (last.at - first.at) / 1000;
      const changes = first.changed ? Math.max(0, last.changed - first.changed) / seconds : 0;
      const bytes = (last.received - first.received) / seconds;
      figures.changes.show(whole.format(changes), `${whole.format(totals.changed)} so far`);
      figures.received.show(tenth.format(bytes / 1000), "only what differs");
      figures.moisture.sample(totals.moisture);
      figures.thirsty.sample(totals.thirsty);
      figures.changes.sample(changes);
      figures.received.sample(bytes / 1000);
    }

    const timer = setInterval(sample, 1_000);
    const stops = [
      () => clearInterval(timer),
      garden.tend(rate),
      showPresence(presence),
      presence.subscribe((now) => {
        present = now;
        showControls();
      }),
      follow(garden.totals, "figures", (now) => {
        totals = now;
        showTotals();
      }),
      follow(garden.thirsty, "thirsty-panel", (now) => {
        thirsty.render(now);
        byId("nobody").hidden = now.length > 0;
      }),
      follow(garden.bees, "bees-panel", (now) => bees.render(now)),
      follow(garden.houses, "houses-panel", showHouses),
      follow(garden.levels, "houses-panel", showLevels),
    ];
    garden.mirror(id).then((opened) => {
      if (closed) return opened.close();
      mirror = opened;
      stops.push(opened.subscribe(showControls), () => opened.close());
    }, () => {}); // it is gone again already, which `garden.id` says too
    return () => {
      closed = true;
      for (const stop of stops) stop();
    };
  }

  /** @type {(() => void) | null} */
  let close = null;
  /** @type {(() => void) | null} */
  let leave = null;
  /** A page that nobody sees asks for nothing, and leaves the gardening to others. */
  function look() {
    if (document.hidden) {
      leave?.();
      close?.();
      leave = close = null;
    } else {
      leave ??= garden.id.subscribe((id) => {
        close?.();
        close = typeof id === "number" ? open(id) : null;
        show(id === undefined ? "loading" : id === null ? "empty" : "garden");
      });
    }
  }
  document.addEventListener("visibilitychange", look);
  garden.id.status.subscribe(({ error }) => error && complain(error));
  look();

  // What a person does --------------------------------------------------------------------------------------------------

  byId("plant").addEventListener("click", () => garden.plant().catch(complain));
  byId("remove").addEventListener("click", () => {
    const run = () => void garden.remove().then(() => byId("plant").focus(), complain);
    notice("Remove the garden, for everybody?", { action: { label: "Remove", run } });
  });
  byId("pause").addEventListener("click", () => {
    const growing = byId("pause").textContent === "Resume";
    garden.grow(growing).then(() => announce(growing ? "The garden grows again." : "The garden is paused."), complain);
  });
  byId("speed").addEventListener("change", (/** @type {Event} */ event) => {
    garden.setSpeed(/** @type {HTMLInputElement} */ (event.target).value).catch(complain);
  });
});

/**
 * Follows a live query, and shows on a panel whether it is up to date.
 *
 * @param {LiveQuery} live
 * @param {string} panel
 * @param {(value: any) => void} render
 * @returns {() => void} ends that
 */
function follow(live, panel, render) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let telling;
  const stops = [
    live.subscribe((value) => value !== undefined && render(value)),
    live.status.subscribe(({ state, error }) => {
      byId(panel).dataset.state = state;
      if (error) telling = setTimeout(() => complain(error), GONE_WITHIN);
    }),
    () => clearTimeout(telling),
  ];
  return () => stops.forEach((stop) => stop());
}
