/**
 * Values as a tree on the page. A thing that is opened is watched until it is closed again, and so are the things in
 * it; what changes is shown for a moment.
 */

import { properties, show } from "./inspector-values.js";
import { describe, element } from "./page.js";

/** @typedef {import("./livethings.js").Mirror} Mirror */

/**
 * @typedef {object} Source where the tree gets things from
 * @property {(id: number) => Promise<Mirror>} mirror
 * @property {(id: number, fresh: boolean) => Promise<string>} typeName of a thing; fresh: asked for again
 * @property {() => {enums: any[], types: any[]} | null} definitions of the collection, so far as they are known
 */

const PAGE = 100; // rows inside one value that are shown at once

export class Tree {
  /** @type {Node} */
  root;
  #list;

  /**
   * @param {HTMLElement} place emptied first
   * @param {string} label
   * @param {string} name of the outermost value
   * @param {any} value
   * @param {Source} source
   */
  constructor(place, label, name, value, source) {
    this.#list = element("ul", { class: "tree", role: "tree", "aria-label": label });
    place.replaceChildren(this.#list);
    this.root = new Node(source, null, name, value);
    this.#list.append(this.root.item);
    this.root.item.tabIndex = 0;
    this.#list.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    this.#list.addEventListener("focusin", (/** @type {FocusEvent} */ event) => {
      const item = /** @type {HTMLElement} */ (event.target).closest('[role="treeitem"]');
      for (const other of this.#list.querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
      if (item) /** @type {HTMLElement} */ (item).tabIndex = 0;
    });
  }

  /** Ends all its watches. */
  close() {
    this.root.dispose();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const items = /** @type {HTMLElement[]} */ ([...this.#list.querySelectorAll('[role="treeitem"], .more')]);
    const at = items.indexOf(/** @type {HTMLElement} */ (event.target));
    const node = Node.of.get(items[at]);
    if (at < 0) return;
    if (event.key === "ArrowDown") items[at + 1]?.focus();
    else if (event.key === "ArrowUp") items[at - 1]?.focus();
    else if (event.key === "Home") items[0].focus();
    else if (event.key === "End") items.at(-1)?.focus();
    else if (!node) return;
    else if (event.key === "ArrowRight") node.expanded ? items[at + 1]?.focus() : node.expand();
    else if (event.key === "ArrowLeft") node.expanded ? node.collapse() : node.parent?.item.focus();
    else if (event.key === "Enter" || event.key === " ") node.activate();
    else return;
    event.preventDefault();
  }
}

/** One row, with the rows of what is inside below it. */
class Node {
  /** @type {WeakMap<Element, Node>} by the row's element */
  static of = new WeakMap();

  expanded = false;
  /** @type {Node[]} */
  #children = [];
  /** @type {Mirror | null} */
  #mirror = null;
  /** @type {(() => void)[]} */
  #ending = [];
  #opening = 0;
  #limit = PAGE;
  /** @type {import("./inspector-values.js").Shown} */
  #shown;
  #source;
  #name;
  #text;
  #badge;
  #twisty;
  #group;
  #row;

  /**
   * @param {Source} source
   * @param {Node | null} parent
   * @param {string} name
   * @param {any} value
   */
  constructor(source, parent, name, value) {
    this.#source = source;
    this.parent = parent;
    this.name = name;
    this.value = value;
    this.#twisty = element("span", { class: "twisty", "aria-hidden": "true" });
    this.#name = element("span", { class: "name" }, name);
    this.#badge = element("span", { class: "badge", hidden: true });
    this.#text = element("span", { class: "value" });
    this.#row = element("div", { class: "line", on: { click: () => (this.item.focus(), this.activate()) } },
      this.#twisty, this.#name, this.#badge, this.#text);
    this.#group = element("ul", { role: "group", hidden: true });
    this.item = element("li", { role: "treeitem", tabIndex: -1 }, this.#row, this.#group);
    Node.of.set(this.item, this);
    this.#shown = show(value, source.definitions());
    this.#draw();
  }

  /** @returns {number | null} the id of the thing that this row stands for */
  get id() {
    return this.#shown.id;
  }

  /** @returns {Node | null} a row above that stands for the same thing */
  get #above() {
    for (let node = this.id === null ? null : this.parent; node; node = node.parent) if (node.id === this.id) return node;
    return null;
  }

  get #expandable() {
    const { id, inside } = this.#shown;
    return inside ? inside.length > 0 : id !== null && !this.#above;
  }

  /** What a click does: opens or closes, or leads to where the thing is open already. */
  activate() {
    const above = this.#above;
    if (above && !this.#shown.inside) {
      above.item.focus();
      above.#flash("found");
    } else if (this.expanded) this.collapse();
    else this.expand();
  }

  async expand() {
    if (this.expanded || !this.#expandable) return;
    this.expanded = true;
    this.#draw();
    const { id, inside } = this.#shown;
    if (inside) return this.#fill(inside, false);
    if (id === null) return;
    const opening = ++this.#opening; // closed and opened again meanwhile, it is not this one's business any more
    try {
      const mirror = await this.#source.mirror(id);
      if (opening !== this.#opening) return mirror.close();
      this.#mirror = mirror;
      const nameType = (/** @type {boolean} */ fresh) => {
        this.#source.typeName(id, fresh).then((name) => this.#type(name), () => {}); // no right to query: no name
      };
      this.#ending.push(mirror.subscribe((thing, change) => {
        this.#fill(properties(thing), change !== null);
        if (change?.kind === "update" && change.jobs.some((job) => "to_type" in job)) nameType(true);
      }));
      this.#ending.push(mirror.on("event", (name, args) => this.#rang(name, args)));
      this.#ending.push(mirror.on("end", (reason) => this.#ended(reason === "gone" ? "gone" : "not watched any more")));
      nameType(false);
    } catch (error) {
      if (opening === this.#opening) this.#ended(describe(error));
    }
  }

  collapse() {
    if (!this.expanded) return;
    this.dispose();
    this.expanded = false;
    this.#limit = PAGE;
    this.#draw();
  }

  /** Lets go of the rows below and of the watch. */
  dispose() {
    this.#opening += 1;
    for (const child of this.#children) child.dispose();
    this.#children = [];
    this.#group.replaceChildren();
    for (const end of this.#ending.splice(0)) end();
    if (this.#mirror && !this.#mirror.ended) this.#mirror.close();
    this.#mirror = null;
  }

  /**
   * @param {string} name
   * @param {any} value
   */
  set(name, value) {
    if (this.name !== name) this.#name.textContent = this.name = name;
    const changed = !same(this.value, value);
    const before = this.#shown;
    this.value = value;
    this.#shown = show(value, this.#source.definitions());
    if (!changed && this.#shown.text === before.text) return;
    if (this.expanded && (this.#shown.id !== before.id || !this.#expandable)) this.collapse();
    if (this.#shown.id !== before.id) this.#badge.hidden = true;
    this.#draw();
    if (changed) this.#flash("changed");
    if (this.expanded && this.#shown.inside) this.#fill(this.#shown.inside, true);
  }

  /**
   * Brings the rows below to what is inside now. Those that stay keep their element, and what is open in them.
   *
   * @param {[string, any][]} inside
   * @param {boolean} live whether new rows are news
   */
  #fill(inside, live) {
    const shown = inside.slice(0, this.#limit);
    const kept = this.#shown.kind === "list" ? pairByPlace(this.#children, shown) : pairByName(this.#children, shown);
    for (const child of this.#children) {
      if (kept.includes(child)) continue;
      if (child.item.contains(document.activeElement)) this.item.focus();
      child.dispose();
      child.item.remove();
    }
    this.#children = shown.map(([name, value], index) => {
      const old = kept[index];
      if (old) {
        old.set(name, value);
        return old;
      }
      const child = new Node(this.#source, this, name, value);
      if (live) child.#flash("changed");
      return child;
    });
    this.#children.forEach((child, index) => {
      if (this.#group.children[index] !== child.item) this.#group.insertBefore(child.item, this.#group.children[index] ?? null);
    });
    while (this.#group.children.length > shown.length) this.#group.lastElementChild.remove();
    if (inside.length > shown.length) {
      const more = () => {
        this.#limit += PAGE * 5;
        this.#fill(inside, false);
        this.#children[shown.length]?.item.focus();
      };
      const text = `Show more (${inside.length - shown.length} left)`;
      this.#group.append(element("li", { role: "none" }, element("button", { type: "button", class: "link more", on: { click: more } }, text)));
    } else if (!inside.length) {
      this.#group.append(element("li", { class: "nothing", role: "none" }, "no properties"));
    }
  }

  #draw() {
    const { kind, text, inside } = this.#shown;
    const above = this.#above;
    const cycle = above && !inside;
    this.#row.dataset.kind = kind;
    this.#twisty.className = `twisty ${cycle ? "cycle" : this.#expandable ? "arrow" : ""}`;
    this.#text.textContent = cycle ? `${text}, open above` : text;
    if (this.#expandable) this.item.setAttribute("aria-expanded", String(this.expanded));
    else this.item.removeAttribute("aria-expanded");
    this.#group.hidden = !this.expanded;
  }

  /** @param {string} name */
  #type(name) {
    this.#badge.hidden = false;
    this.#badge.textContent = name;
  }

  /** @param {string} text */
  #ended(text) {
    this.dispose();
    this.#group.replaceChildren(element("li", { class: "nothing", role: "none" }, text));
  }

  /**
   * @param {string} name
   * @param {any[]} args
   */
  #rang(name, args) {
    const chip = element("span", { class: "event" }, `${name}(${args.map((arg) => JSON.stringify(arg)).join(", ")})`);
    this.#row.append(chip);
    setTimeout(() => chip.remove(), 4_000);
  }

  /** @param {"changed" | "found"} how */
  #flash(how) {
    this.#row.classList.remove(how);
    void this.#row.offsetWidth; // lets the browser notice that the class was gone, so that it runs from the start
    this.#row.classList.add(how);
  }
}

/**
 * Which row each value keeps, by name.
 *
 * @param {Node[]} rows
 * @param {[string, any][]} inside
 * @returns {(Node | undefined)[]}
 */
function pairByName(rows, inside) {
  const byName = new Map(rows.map((row) => [row.name, row]));
  return inside.map(([name]) => byName.get(name));
}

/**
 * Which row each item of a list keeps: those before and after the place that has changed keep theirs.
 *
 * @param {Node[]} rows
 * @param {[string, any][]} inside
 * @returns {(Node | undefined)[]}
 */
function pairByPlace(rows, inside) {
  const shorter = Math.min(rows.length, inside.length);
  let head = 0;
  while (head < shorter && same(rows[head].value, inside[head][1])) head += 1;
  let tail = 0;
  while (tail < shorter - head && same(rows[rows.length - 1 - tail].value, inside[inside.length - 1 - tail][1])) tail += 1;
  return inside.map((_, index) => {
    if (index < inside.length - tail) return index < rows.length - tail ? rows[index] : undefined;
    return rows[rows.length - inside.length + index];
  });
}

/**
 * @param {any} one
 * @param {any} other
 */
function same(one, other) {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}
