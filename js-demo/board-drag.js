/**
 * Dragging a card by mouse, pen or finger. With a mouse it begins after a few pixels; with a finger after holding
 * still for a moment, so that swiping still scrolls.
 */

const THRESHOLD = 5; // pixels
const HOLD = 250; // milliseconds
const EDGE = 48; // pixels from an edge in which the board scrolls by itself

/**
 * @typedef {object} Drag
 * @property {(card: HTMLElement) => void} begin
 * @property {(point: {x: number, y: number}) => void} over where the pointer is from left to right, and the middle of
 *     the carried card from top to bottom
 * @property {(ghost: HTMLElement) => void} drop
 * @property {(ghost: HTMLElement) => void} cancel
 */

/**
 * @param {HTMLElement} board
 * @param {Drag} drag
 */
export function makeDraggable(board, drag) {
  /** @type {{pointer: number, card: HTMLElement, x: number, y: number, hold?: ReturnType<typeof setTimeout>} | null} */
  let pressed = null;
  /** @type {{pointer: number, ghost: HTMLElement, dx: number, dy: number, x: number, y: number, frame: number} | null} */
  let carried = null;

  const begin = () => {
    if (!pressed) return;
    const { pointer, card, x, y } = pressed;
    release();
    const box = card.getBoundingClientRect();
    const ghost = ghostOf(card, box);
    ghost.classList.add("carried");
    carried = { pointer, ghost, dx: x - box.left, dy: y - box.top, x, y, frame: 0 };
    board.setPointerCapture(pointer); // not the card's, which changes its place in the document
    board.classList.add("dragging");
    drag.begin(card);
    follow();
    scroll();
  };

  const follow = () => {
    if (!carried) return;
    const { ghost, x, y, dx, dy } = carried;
    ghost.style.transform = `translate(${x - dx}px, ${y - dy}px) rotate(1.5deg)`;
    drag.over({ x, y: y - dy + ghost.offsetHeight / 2 });
  };

  /** Near an edge the board, or the column under the pointer, scrolls. */
  const scroll = () => {
    if (!carried) return;
    const { x, y } = carried;
    const list = document.elementsFromPoint(x, y).map((found) => found.closest(".cards")).find(Boolean);
    const moved = nudge(board, "scrollLeft", x, board.getBoundingClientRect(), "left", "right")
      + (list ? nudge(list, "scrollTop", y, list.getBoundingClientRect(), "top", "bottom") : 0);
    if (moved) follow();
    carried.frame = requestAnimationFrame(scroll);
  };

  const release = () => {
    clearTimeout(pressed?.hold);
    pressed = null;
  };

  const end = (/** @type {"drop" | "cancel"} */ how) => {
    release();
    if (!carried) return;
    const { ghost, frame, pointer } = carried;
    carried = null;
    cancelAnimationFrame(frame);
    if (board.hasPointerCapture(pointer)) board.releasePointerCapture(pointer);
    board.classList.remove("dragging");
    // The click that follows a drag is none.
    const swallow = (/** @type {Event} */ event) => event.stopPropagation();
    board.addEventListener("click", swallow, { capture: true });
    setTimeout(() => board.removeEventListener("click", swallow, { capture: true }));
    drag[how](ghost);
  };

  board.addEventListener("pointerdown", (event) => {
    const card = /** @type {HTMLElement} */ (event.target).closest(".card");
    if (!card || event.button !== 0 || pressed || carried) return;
    pressed = { pointer: event.pointerId, card: /** @type {HTMLElement} */ (card), x: event.clientX, y: event.clientY };
    if (event.pointerType !== "mouse") pressed.hold = setTimeout(begin, HOLD);
  });
  addEventListener("pointermove", (event) => {
    if (carried?.pointer === event.pointerId) {
      Object.assign(carried, { x: event.clientX, y: event.clientY });
      follow();
    } else if (pressed?.pointer === event.pointerId) {
      if (Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) < THRESHOLD) return;
      if (event.pointerType !== "mouse") return release(); // it scrolls
      begin();
      Object.assign(carried ?? {}, { x: event.clientX, y: event.clientY });
      follow();
    }
  });
  addEventListener("pointerup", (event) => {
    if ((carried ?? pressed)?.pointer === event.pointerId) end("drop");
  });
  addEventListener("pointercancel", (event) => {
    if ((carried ?? pressed)?.pointer === event.pointerId) end("cancel");
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && carried) end("cancel");
  });
  // Once a finger carries a card, it neither scrolls nor selects. Not passive, and there from the start: a browser asks
  // at the first touch whether anybody may want to prevent scrolling.
  board.addEventListener("touchmove", (event) => carried && event.preventDefault(), { passive: false });
  board.addEventListener("contextmenu", (event) => (carried || pressed?.hold) && event.preventDefault());
  board.addEventListener("dragstart", (event) => event.preventDefault());
}

/**
 * A copy of a card above everything, where the card is.
 *
 * @param {HTMLElement} card
 * @param {DOMRect} box
 * @returns {HTMLElement}
 */
export function ghostOf(card, box) {
  const ghost = /** @type {HTMLElement} */ (card.cloneNode(true));
  ghost.classList.remove("held", "touched");
  ghost.classList.add("ghost");
  ghost.removeAttribute("data-id");
  ghost.setAttribute("aria-hidden", "true");
  ghost.inert = true;
  ghost.style.width = `${box.width}px`;
  ghost.style.height = `${box.height}px`;
  ghost.style.transform = `translate(${box.left}px, ${box.top}px)`;
  document.body.append(ghost);
  return ghost;
}

/**
 * @param {any} scroller
 * @param {"scrollLeft" | "scrollTop"} property
 * @param {number} at
 * @param {any} box
 * @param {string} start
 * @param {string} end
 * @returns {number} by how much it has scrolled
 */
function nudge(scroller, property, at, box, start, end) {
  const before = scroller[property];
  if (at < box[start] + EDGE) scroller[property] -= (box[start] + EDGE - at) / 4;
  else if (at > box[end] - EDGE) scroller[property] += (at - box[end] + EDGE) / 4;
  return Math.abs(scroller[property] - before);
}
