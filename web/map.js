// A machine's boards drawn on a canvas: as many as can be seen, however many there are, all boards of a state at once.
//
// Reading order: BoardMap (what it is told and what it tells), layouts (what is where, from geometry.js), drawing.

import { make } from "./elements.js";
import { Grid, Torus } from "./geometry.js";
import { BOARD_STATES, boardName } from "./words.js";

const RADIUS_MIN = 3;
const RADIUS_MAX = 40;
const RADIUS_FIT_MAX = 32;
const RADIUS_FIT_MIN = 6;
const ZOOM = 1.3;
const SIGN_RADIUS_MIN = 9;
const NAME_RADIUS_MIN = 20;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/** Tells by events: "select" (detail: the board's name). */
export class BoardMap extends EventTarget {
  constructor() {
    super();
    this.canvas = make("canvas", {
      tabindex: "0", role: "application", "aria-roledescription": "board map", "aria-label": "Board map", "aria-describedby": "map-hint",
    });
    this.space = make("div", { class: "map-space" });
    this.element = make("div", { class: "map" }, this.canvas, this.space);
    Object.assign(this, { layout: null, boards: [], radius: null, selected: null, shownState: null, mine: null });
    this.element.addEventListener("scroll", () => this._later());
    this.canvas.addEventListener("click", (event) => this._click(event));
    this.canvas.addEventListener("mousemove", (event) => this._hover(event));
    this.canvas.addEventListener("keydown", (event) => this._key(event));
    new ResizeObserver(() => this._later()).observe(this.element);
    for (const query of ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"]) {
      matchMedia(query).addEventListener("change", () => this._later());
    }
  }

  /** Shows these boards of a machine. */
  show(machine, boards, mine) {
    const other = machine.name !== this.machine?.name;
    Object.assign(this, { machine, boards, mine });
    if (other) Object.assign(this, { radius: null, layout: null });
    this.canvas.setAttribute("aria-label", label(machine));
    this._later();
  }

  /** Marks a board, and its neighbours. */
  select(board) {
    this.selected = board;
    this._later();
  }

  /** Lets boards of all other states fade; null lets none. */
  filter(state) {
    this.shownState = state;
    this._later();
  }

  /** Draws larger or smaller. */
  zoom(by) {
    const before = this.radius;
    this.radius = clamp(before * ZOOM ** by, RADIUS_MIN, RADIUS_MAX);
    const [x, y] = [this.element.scrollLeft, this.element.scrollTop];
    this._draw();
    this.element.scrollTo((x * this.radius) / before, (y * this.radius) / before);
  }

  /** Scrolls to where a board can be seen. */
  reveal(board) {
    const middle = this.layout?.middleOf(board);
    if (!middle) return;
    const [x, y] = middle.map((value) => value * this.radius);
    const { scrollLeft, scrollTop, clientWidth, clientHeight } = this.element;
    const margin = 2 * this.radius;
    if (x < scrollLeft + margin || x > scrollLeft + clientWidth - margin) this.element.scrollLeft = x - clientWidth / 2;
    if (y < scrollTop + margin || y > scrollTop + clientHeight - margin) this.element.scrollTop = y - clientHeight / 2;
  }

  _later() {
    if (this._waiting) return;
    this._waiting = true;
    requestAnimationFrame(() => {
      this._waiting = false;
      if (this.element.isConnected) this._draw();
    });
  }

  _at(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const x = (event.clientX - left + this.element.scrollLeft) / this.radius;
    const y = (event.clientY - top + this.element.scrollTop) / this.radius;
    return this.layout?.hit(x, y) ?? null;
  }

  _click(event) {
    const board = this._at(event);
    if (board !== null) this._tell(board);
  }

  _hover(event) {
    const board = this.layout?.recordOf(this._at(event));
    const said = board ? `${boardName(board.board)}: ${board.state}${board.owner ? `, ${board.owner}` : ""}` : "";
    if (this.canvas.title !== said) this.canvas.title = said;
  }

  _key(event) {
    if (event.key === "+" || event.key === "-") return this.zoom(event.key === "+" ? 1 : -1);
    const arrow = ARROWS[event.key];
    if (!arrow || !this.layout) return undefined;
    event.preventDefault();
    const board = this.layout.step(this.selected, ...arrow);
    this._tell(board);
    this.reveal(board);
    return undefined;
  }

  _tell(board) {
    this.dispatchEvent(new CustomEvent("select", { detail: board }));
  }

  _draw() {
    const width = this.element.clientWidth;
    if (!this.machine || width === 0) return;
    this._lay(width);
    const [w, h] = this.layout.shape.extent.map((value) => Math.ceil(value * this.radius));
    this.element.style.height = `${Math.min(h + 2, Math.max(240, Math.round(innerHeight * 0.7)))}px`;
    const [seenW, seenH] = [Math.min(this.element.clientWidth, w), Math.min(this.element.clientHeight, h)];
    Object.assign(this.space.style, { width: `${w}px`, height: `${Math.max(0, h - seenH)}px` });
    const scale = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: Math.round(seenW * scale), height: Math.round(seenH * scale) });
    Object.assign(this.canvas.style, { width: `${seenW}px`, height: `${seenH}px` });
    const pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.translate(-this.element.scrollLeft, -this.element.scrollTop);
    const [left, top] = [this.element.scrollLeft / this.radius, this.element.scrollTop / this.radius];
    const cells = this.layout.cells(left, top, left + seenW / this.radius, top + seenH / this.radius);
    paint(pen, this, cells, getComputedStyle(this.element));
  }

  _lay(width) {
    const layout = this.machine.shape === "triads" ? TriadsLayout : PoolLayout;
    if (this.radius === null) {
      this.radius = layout.radius(this.machine, this.boards.length, width);
    }
    this.layout = new layout(this.machine, this.boards, width / this.radius);
  }
}

/** Hexagons on a torus. Boards beyond the edges are shown once more, faintly. */
class TriadsLayout {
  constructor(machine, boards) {
    this.shape = new Torus(machine.width, machine.height);
    this.outline = hexagon;
    this.records = new Map(boards.map((board) => [boardName(board.board), board]));
    this.boards = boards;
  }

  static radius({ width, height }, _count, space) {
    return clamp(space / new Torus(width, height).extent[0], RADIUS_FIT_MIN, RADIUS_FIT_MAX);
  }

  recordOf(board) {
    return board && this.records.get(boardName(board));
  }

  hit(x, y) {
    return this.shape.hit(x, y);
  }

  middleOf(board) {
    return Array.isArray(board) ? this.shape.middle(...this.shape.cell(board)) : null;
  }

  step(board, dx, dy) {
    return Array.isArray(board) ? this.shape.step(board, dx, dy) : [0, 0, 0];
  }

  neighbours(board) {
    return Array.isArray(board) ? this.shape.neighbours(board).map((one) => boardName(one.board)) : [];
  }

  cells(left, top, right, bottom) {
    const [columnMin, columnMax, rowMin, rowMax] = this.shape.seen(left, top, right, bottom);
    const cells = [];
    for (let column = columnMin; column <= columnMax; column++) {
      for (let row = rowMin; row <= rowMax; row++) {
        const board = this.shape.board(column, row);
        const record = this.recordOf(board);
        if (record) cells.push({ record, middle: this.shape.middle(column, row), beyond: this.shape.isBeyond(column, row) });
      }
    }
    return cells;
  }
}

/** Squares in rows. */
class PoolLayout {
  constructor(_machine, boards, room) {
    this.shape = new Grid(boards.length, Math.max(1, Math.min(boards.length, Math.floor(room / 2))));
    this.outline = square;
    this.boards = boards;
    this.places = new Map(boards.map((board, at) => [board.board, at]));
  }

  static radius(_machine, count, space) {
    return clamp(space / (2 * Math.ceil(Math.sqrt(count * 2))), RADIUS_FIT_MIN, RADIUS_FIT_MAX);
  }

  recordOf(board) {
    return this.boards[this.places.get(board)];
  }

  hit(x, y) {
    const at = this.shape.hit(x, y);
    return at === null ? null : this.boards[at].board;
  }

  middleOf(board) {
    const at = this.places.get(board);
    return at === undefined ? null : this.shape.middle(at);
  }

  step(board, dx, dy) {
    const at = this.places.get(board);
    return this.boards[at === undefined ? 0 : this.shape.step(at, dx, dy)]?.board;
  }

  neighbours() {
    return [];
  }

  cells(left, top, right, bottom) {
    const [columnMin, columnMax, rowMin, rowMax] = this.shape.seen(left, top, right, bottom);
    const cells = [];
    for (let row = rowMin; row <= rowMax; row++) {
      for (let column = columnMin; column <= columnMax; column++) {
        const at = row * this.shape.columns + column;
        if (at < this.boards.length) cells.push({ record: this.boards[at], middle: this.shape.middle(at), beyond: false });
      }
    }
    return cells;
  }
}

/** Fills all cells of a look in one go, then draws what stands on them. */
function paint(pen, map, cells, style) {
  const { radius, layout, shownState } = map;
  const colour = (name) => style.getPropertyValue(name).trim();
  const runs = new Map();
  for (const cell of cells) {
    const faint = cell.beyond || (shownState !== null && cell.record.state !== shownState);
    const key = `${cell.record.state} ${faint}`;
    if (!runs.has(key)) runs.set(key, { state: cell.record.state, faint, path: new Path2D() });
    layout.outline(runs.get(key).path, cell.middle, radius, 0.94);
  }
  for (const { state, faint, path } of runs.values()) {
    pen.globalAlpha = faint ? 0.25 : 1;
    pen.fillStyle = colour(`--board-${state}`);
    pen.fill(path);
  }
  if (radius >= SIGN_RADIUS_MIN) signs(pen, map, cells, colour);
  rings(pen, map, cells, colour);
}

function signs(pen, { radius, shownState }, cells, colour) {
  const names = radius >= NAME_RADIUS_MIN;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillStyle = colour("--board-ink");
  for (const { record, middle, beyond } of cells) {
    const [x, y] = middle.map((value) => value * radius);
    pen.globalAlpha = beyond || (shownState !== null && record.state !== shownState) ? 0.25 : 1;
    pen.font = `${Math.round(radius * 0.8)}px system-ui, sans-serif`;
    pen.fillText(BOARD_STATES[record.state] ?? "?", x, y - (names ? radius * 0.22 : 0));
    if (!names) continue;
    pen.font = `${Math.round(radius * 0.42)}px system-ui, sans-serif`;
    pen.fillText(short(boardName(record.board)), x, y + radius * 0.45);
  }
  pen.globalAlpha = 1;
}

/** What is the caller's own, what is selected, and its neighbours. */
function rings(pen, { radius, layout, selected, mine }, cells, colour) {
  const marked = selected === null ? null : boardName(selected);
  const beside = new Set(layout.neighbours(selected));
  const ring = (middle, share, width, stroke, dash) => {
    const path = new Path2D();
    layout.outline(path, middle, radius, share);
    Object.assign(pen, { lineWidth: width, strokeStyle: stroke });
    pen.setLineDash(dash);
    pen.stroke(path);
  };
  for (const { record, middle, beyond } of cells) {
    const name = boardName(record.board);
    pen.globalAlpha = beyond ? 0.6 : 1;
    if (mine !== null && record.owner === mine) ring(middle, 0.8, 2, colour("--board-ink"), []);
    if (beside.has(name)) ring(middle, 0.92, 2, colour("--focus"), [3, 3]);
    if (name === marked) ring(middle, 0.92, 4, colour("--focus"), []);
  }
  pen.globalAlpha = 1;
}

function hexagon(path, [x, y], radius, share) {
  for (let corner = 0; corner < 6; corner++) {
    const [cx, cy] = [Math.cos((corner * Math.PI) / 3), Math.sin((corner * Math.PI) / 3)];
    const [px, py] = [(x + cx * share) * radius, (y + cy * share) * radius];
    if (corner === 0) path.moveTo(px, py);
    else path.lineTo(px, py);
  }
  path.closePath();
}

function square(path, [x, y], radius, share) {
  const side = 2 * radius * share;
  path.rect(x * radius - side / 2, y * radius - side / 2, side, side);
}

function label({ name, boards }) {
  const counts = Object.entries(boards).filter(([state, count]) => state !== "total" && count > 0);
  return `Board map of ${name}: ${counts.map(([state, count]) => `${count} ${state}`).join(", ")}`;
}

function short(name) {
  return name.length > 9 ? `…${name.slice(-8)}` : name;
}

function clamp(value, min, max) {
  return Math.min(Math.max(value, min), max);
}
