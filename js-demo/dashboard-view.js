/** The parts of the dashboard: figures with their history, lists whose rows come, move and leave, and fields of dots. */

import { element, put, write } from "./page.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");
const GLIDE = { duration: 420, easing: "cubic-bezier(0.2, 0.8, 0.2, 1)" };
const LEAVING = 1_300; // milliseconds
const SAMPLES = 90;

/** A figure, what it means, and a line of what it was. */
export class Figure {
  #value = element("span", { class: "value" });
  #note = element("p", { class: "hint" });
  #line;
  #area;
  /** @type {number[]} */
  #samples = [];
  #range;

  /**
   * @param {Element} place
   * @param {string} label
   * @param {string} unit
   * @param {number} range the least distance from the bottom to the top of the line
   */
  constructor(place, label, unit, range) {
    this.#range = range;
    const svg = graphic("svg", { class: "line", viewBox: `0 0 ${SAMPLES - 1} 30`, preserveAspectRatio: "none", "aria-hidden": "true" });
    this.#area = graphic("path", { class: "area" });
    this.#line = graphic("path", { class: "stroke", "vector-effect": "non-scaling-stroke" });
    svg.append(this.#area, this.#line);
    place.append(element("section", { class: "panel figure" },
      element("h2", {}, label), element("p", { class: "number" }, this.#value, element("span", { class: "unit" }, unit)), this.#note, svg));
  }

  /**
   * @param {string} value
   * @param {string} note
   */
  show(value, note) {
    write(this.#value, value);
    write(this.#note, note);
  }

  /** @param {number} value one more point of the line */
  sample(value) {
    this.#samples = [...this.#samples, value].slice(-SAMPLES);
    const [least, most] = [Math.min(...this.#samples), Math.max(...this.#samples)];
    const span = Math.max(most - least, this.#range);
    const bottom = Math.max(0, (least + most - span) / 2);
    const points = this.#samples.map((sample, index) => {
      const x = SAMPLES - this.#samples.length + index;
      return `${x},${(28 - ((sample - bottom) / span) * 26).toFixed(2)}`;
    });
    this.#line.setAttribute("d", `M${points.join("L")}`);
    this.#area.setAttribute("d", `M${SAMPLES - this.#samples.length},30L${points.join("L")}L${SAMPLES - 1},30Z`);
  }
}

/**
 * Rows of things. One that is new comes in, one that stands elsewhere glides there, and one that is not in the result any
 * more says so before it goes.
 *
 * @template {{"#": number}} T
 */
export class Rows {
  /** @type {Map<number, {row: HTMLElement, update: (item: T, index: number) => void}>} */
  #rows = new Map();
  #list;
  #make;
  #leave;
  #first = true;

  /**
   * @param {HTMLElement} list
   * @param {(item: T) => {row: HTMLElement, update: (item: T, index: number) => void}} make
   * @param {(row: HTMLElement) => void} leave marks a row that is not in the result any more
   */
  constructor(list, make, leave = () => {}) {
    this.#list = list;
    this.#make = make;
    this.#leave = leave;
  }

  /** @param {readonly T[]} items */
  render(items) {
    const ids = new Set(items.map((item) => item["#"]));
    const places = new Map([...this.#rows].map(([id, { row }]) => [id, row.offsetTop]));
    for (const [id, { row }] of [...this.#rows]) if (!ids.has(id)) this.#remove(id, row);
    let index = 0;
    for (const item of items) {
      const known = this.#rows.get(item["#"]);
      const entry = known ?? this.#make(item);
      this.#rows.set(item["#"], entry);
      entry.update(item, items.indexOf(item));
      while (this.#list.children[index]?.classList.contains("leaving")) index += 1; // those keep their places
      put(this.#list, entry.row, index);
      index += 1;
    }
    if (!calm.matches && !this.#first) this.#glide(places);
    this.#first = false;
  }

  /** @param {Map<number, number>} places where rows were */
  #glide(places) {
    for (const [id, { row }] of this.#rows) {
      const before = places.get(id);
      if (before === undefined) row.animate([{ opacity: 0 }, { opacity: 1 }], GLIDE);
      else if (Math.abs(before - row.offsetTop) > 1) {
        row.animate([{ transform: `translateY(${before - row.offsetTop}px)` }, { transform: "none" }], GLIDE);
      }
    }
  }

  /**
   * @param {number} id
   * @param {HTMLElement} row
   */
  #remove(id, row) {
    this.#rows.delete(id);
    if (row.contains(document.activeElement)) this.#handOver(row);
    row.classList.add("leaving");
    row.inert = true;
    this.#leave(row);
    setTimeout(() => {
      if (calm.matches) return row.remove();
      const box = row.getBoundingClientRect();
      row.animate([{ height: `${box.height}px`, opacity: 1 }, { height: "0", opacity: 0 }], GLIDE)
        .finished.then(() => row.remove(), () => row.remove());
    }, LEAVING);
  }

  /** @param {HTMLElement} row that is about to go, with the focus in it */
  #handOver(row) {
    for (let next = row.nextElementSibling ?? row.previousElementSibling; next; next = next.nextElementSibling) {
      const control = next.classList.contains("leaving") ? null : next.querySelector("button");
      if (control) return control.focus({ preventScroll: true });
    }
    this.#list.focus({ preventScroll: true });
  }
}

/** A field of dots, one a plant, coloured by a level from 0 to 10. */
export class Field {
  #canvas;
  #across;
  /** @type {readonly number[]} */
  #levels = [];
  /** @type {number[]} what is drawn, which follows */
  #drawn = [];
  #frame = 0;

  /** @param {number} across dots in a row */
  constructor(across) {
    this.#across = across;
    this.#canvas = element("canvas", { "aria-hidden": "true" });
    new ResizeObserver(() => this.#plan()).observe(this.#canvas);
    dark.addEventListener("change", () => this.#plan());
  }

  get canvas() {
    return this.#canvas;
  }

  /** @param {readonly number[]} levels */
  show(levels) {
    if (levels === this.#levels) return;
    if (this.#drawn.length !== levels.length || calm.matches) this.#drawn = [...levels];
    this.#levels = levels;
    this.#plan();
  }

  #plan() {
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    const { clientWidth: width } = this.#canvas;
    const pen = this.#canvas.getContext("2d");
    if (!pen || !width || !this.#levels.length) return;
    const scale = Math.min(devicePixelRatio || 1, 2);
    const step = width / this.#across;
    const height = step * Math.ceil(this.#levels.length / this.#across);
    const [pixelsWide, pixelsHigh] = [Math.round(width * scale), Math.round(height * scale)];
    if (this.#canvas.width !== pixelsWide || this.#canvas.height !== pixelsHigh) {
      Object.assign(this.#canvas, { width: pixelsWide, height: pixelsHigh });
    }
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    let moving = false;
    this.#levels.forEach((level, index) => {
      const distance = level - (this.#drawn[index] ?? level);
      const now = Math.abs(distance) < 0.05 ? level : (this.#drawn[index] ?? level) + distance * 0.12;
      this.#drawn[index] = now;
      moving ||= now !== level;
      const [x, y] = [(index % this.#across) * step + step / 2, Math.floor(index / this.#across) * step + step / 2];
      pen.fillStyle = colour(now);
      pen.beginPath();
      pen.arc(x, y, step * (0.24 + 0.012 * now), 0, 2 * Math.PI);
      pen.fill();
    });
    if (moving) this.#plan();
  }
}

/** Hue, saturation and lightness of dots by their level: dry, neither, moist. */
const COLOURS = {
  light: [[0, 34, 84, 52], [1.5, 38, 76, 56], [4, 100, 30, 66], [9, 158, 44, 40]],
  dark: [[0, 34, 86, 60], [1.5, 38, 76, 58], [4, 118, 16, 40], [9, 157, 44, 52]],
};

/** @param {number} level @returns {string} a colour between those of the levels around it */
function colour(level) {
  const stops = dark.matches ? COLOURS.dark : COLOURS.light;
  const after = Math.max(1, stops.findIndex(([at]) => Number(at) >= Math.min(level, 9)));
  const [low, high] = [stops[after - 1] ?? [], stops[after] ?? []];
  const part = Math.min(Math.max((level - Number(low[0])) / (Number(high[0]) - Number(low[0])), 0), 1);
  const [hue, saturation, lightness] = [1, 2, 3].map((of) => (Number(low[of]) * (1 - part) + Number(high[of]) * part).toFixed(1));
  return `hsl(${hue} ${saturation}% ${lightness}%)`;
}

/**
 * @param {string} tag
 * @param {{[name: string]: string}} [attributes]
 * @returns {SVGElement}
 */
function graphic(tag, attributes = {}) {
  const made = /** @type {SVGElement} */ (document.createElementNS("http://www.w3.org/2000/svg", tag));
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
