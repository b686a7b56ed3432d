/**
 * The garden as it is stored, a thing at the property `garden` of a collection's root:
 *
 *     garden {houses: [house, …], plants: [plant, …], growing: bool, speed: str, watered: int, changed: int}
 *     house  {name: str, plants: [plant, …]}
 *     plant  {name: str, moisture: int (percent), bees: int}
 *
 * Everything that the page shows is a live query on it. `TICK` moves it along; of the pages that are open, the one that
 * has been so for the longest calls it.
 */

/** @typedef {import("./livethings.js").Livethings} Livethings */

/** @typedef {{"#": number, name: string, moisture: number, bees: number}} Plant */
/** @typedef {{plants: number, moisture: number, thirsty: number, watered: number, changed: number}} Totals */
/** @typedef {{name: string, moisture: number, thirsty: number}} House */

const SCOPE = "//stuff";
const KINDS = ["Fern", "Palm", "Orchid", "Cactus", "Tomato", "Citrus", "Herb", "Lily", "Ivy", "Moss", "Rose", "Bamboo"];
const EACH = 252;
const TICK_EVERY = 250; // milliseconds

/** Plants that change in a second. */
export const SPEEDS = { slow: 40, steady: 200, fast: 800 };

const PLANT = `
if (!.has("garden")) {
  houses = kinds.map(|kind| {
    name: kind,
    plants: range(each).map(|number| {
      name: \`{kind} {number + 1}\`, moisture: randint(22, 95), bees: 0
    }),
  });
  .garden = {
    growing: true, speed: "steady", watered: 0, changed: 0,
    houses: houses, plants: houses.map(|house| house.plants).flat(1),
  };
};
nil;`;

// Some plants dry, and half of their bees leave; others are found by bees. When many are thirsty, some are watered.
const TICK = `
plants = .garden.plants;
range(count).each(|| {
  plant = plants.choice();
  if (plant.moisture > 3) plant.moisture -= randint(1, 4);
  if (plant.bees) plant.bees = int(plant.bees / 2);
});
range(int(count / 16.0 + rand())).each(|| {
  plant = plants.choice();
  plant.bees += randint(3, 12) * randint(1, 9);
});
thirsty = plants.filter(|plant| plant.moisture < 20);
range(int((thirsty.len() - 8) / 8.0 + rand())).each(|| {
  plant = thirsty.choice();
  if (plant.moisture < 20) {
    plant.moisture = randint(70, 100);
    .garden.watered += 1;
  };
});
.garden.changed += count;
nil;`;

const WATER = `
plant = thing(id);
if (plant.moisture < 70) {
  plant.moisture = randint(70, 100);
  .garden.watered += 1;
};
nil;`;

/** The live queries, as the page shows them. */
export const QUERIES = {
  garden: `.has("garden") ? .garden.id() : nil`,
  totals: `plants = .garden.plants;
{
  plants: plants.len(),
  moisture: round(plants.reduce(|sum, plant| sum + plant.moisture, 0) / float(plants.len()), 1),
  thirsty: plants.filter(|plant| plant.moisture < 20).len(),
  watered: .garden.watered,
  changed: .garden.changed,
}`,
  thirsty: `.garden.plants.filter(|plant| plant.moisture < 20)`,
  bees: `.garden.plants.sort(|plant| plant.bees, true)[0:8]`,
  houses: `.garden.houses.map(|house| {
  moisture = house.plants.reduce(|sum, plant| sum + plant.moisture, 0);
  {
    name: house.name,
    moisture: round(moisture / float(house.plants.len()), 0),
    thirsty: house.plants.filter(|plant| plant.moisture < 20).len(),
  }
})`,
  levels: `.garden.houses.map(|house| house.plants.map(|plant| int(plant.moisture / 10)))`,
};

export class Garden {
  #db;

  /** @param {Livethings} db */
  constructor(db) {
    this.#db = db;
    /** the garden's id; null when there is none */
    this.id = db.live(SCOPE, QUERIES.garden);
    this.totals = db.live(SCOPE, QUERIES.totals, undefined, { interval: 500 });
    this.thirsty = db.live(SCOPE, QUERIES.thirsty, undefined, { interval: 300 });
    this.bees = db.live(SCOPE, QUERIES.bees, undefined, { interval: 700 });
    this.houses = db.live(SCOPE, QUERIES.houses, undefined, { interval: 500 });
    this.levels = db.live(SCOPE, QUERIES.levels, undefined, { interval: 500 });
  }

  plant() {
    return this.#db.query(SCOPE, PLANT, { kinds: KINDS, each: EACH });
  }

  remove() {
    return this.#db.query(SCOPE, `if (.has("garden")) .del("garden"); nil;`);
  }

  /** @param {number} id of a plant */
  water(id) {
    return this.#db.query(SCOPE, WATER, { id });
  }

  /** @param {boolean} growing */
  grow(growing) {
    return this.#db.query(SCOPE, ".garden.growing = growing; nil;", { growing });
  }

  /** @param {string} speed one of `SPEEDS` */
  setSpeed(speed) {
    return this.#db.query(SCOPE, ".garden.speed = speed; nil;", { speed });
  }

  /**
   * Mirrors the garden itself: whether it grows, and how fast.
   *
   * @param {number} id
   */
  mirror(id) {
    return this.#db.mirror(SCOPE, id);
  }

  /**
   * Who looks at the garden.
   *
   * @param {number} id
   */
  presence(id) {
    return this.#db.presence(SCOPE, { thing: id });
  }

  /**
   * Moves the garden along, for as long as `rate` gives a number.
   *
   * @param {() => number} rate plants that change in a second
   * @returns {() => void} ends that
   */
  tend(rate) {
    let before = performance.now();
    let busy = false;
    const timer = setInterval(async () => {
      const now = performance.now();
      // What could not be done in time is left out: a browser that slept must not catch up.
      const count = Math.round((rate() * Math.min(now - before, 1_000)) / 1_000);
      before = now;
      if (busy || !count || this.#db.state !== "ready") return;
      busy = true;
      await this.#db.query(SCOPE, TICK, { count }).catch(() => {}); // the garden is gone, or the connection: both show
      busy = false;
    }, TICK_EVERY);
    return () => clearInterval(timer);
  }
}
