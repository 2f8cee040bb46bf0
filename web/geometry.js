// Where boards stand on a map. No page of its own; nothing here draws.
//
// A triad's three boards are hexagons that touch, as their chips do: seen from one board the six others are north, south, and
// to both sides half a board up and down. Every board gets a cell (column, row), neighbours being (0, +-2) and (+-1, +-1) away.
// A row of triads begins half a triad further west than the one below it; what sticks out in the west is drawn in the east,
// where it belongs too, since a machine is a torus.

/** The links of a board by number: their names, and the way to the neighbour's cell. */
export const LINKS = [
  ["east", 1, -1],
  ["north-east", 1, 1],
  ["north", 0, 2],
  ["west", -1, 1],
  ["south-west", -1, -1],
  ["south", 0, -2],
];

// What is shown again beyond each edge.
const EDGE_COLUMNS = 1;
const EDGE_ROWS = 2;

const modulo = (a, b) => ((a % b) + b) % b;

/** Boards in a torus of `width` x `height` triads. */
export class Torus {
  constructor(width, height) {
    Object.assign(this, { width, height, columns: 2 * width, rows: 3 * height });
  }

  /** The cell of a board. Rows count from the south. */
  cell([x, y, z]) {
    return [modulo(2 * x - y + (z === 1 ? 1 : 0), this.columns), 3 * y + z];
  }

  /** The board of a cell, also of one beyond an edge; null where no hexagon is. */
  board(column, row) {
    if (modulo(column + row, 2) !== 0) return null;
    // Over the northern edge triads go on as they began in the south.
    const y = Math.floor(row / 3);
    const z = row - 3 * y;
    const x = (column + y - (z === 1 ? 1 : 0)) / 2;
    return Number.isInteger(x) ? [modulo(x, this.width), modulo(y, this.height), z] : null;
  }

  /** The six neighbours of a board: by which link, and whether the way leads over an edge of the map. */
  neighbours(board) {
    const [column, row] = this.cell(board);
    return LINKS.map(([name, across, up], link) => {
      const [to, at] = [column + across, row + up];
      const wraps = to < 0 || to >= this.columns || at < 0 || at >= this.rows;
      return { link, name, board: this.board(to, at), wraps };
    });
  }

  /** Whether a cell lies beyond the edge: its board stands elsewhere on the map too. */
  isBeyond(column, row) {
    return column < 0 || column >= this.columns || row < 0 || row >= this.rows;
  }

  /** Where the middle of a cell is, in radii of a hexagon. Heights count from the north; the edges have room around them. */
  middle(column, row) {
    return [1.5 * (column + EDGE_COLUMNS) + 1, (this.rows - 1 + EDGE_ROWS - row) * HALF + HALF];
  }

  /** How large the map is, in radii. */
  get extent() {
    return [1.5 * (this.columns + 2 * EDGE_COLUMNS) + 0.5, (this.rows + 2 * EDGE_ROWS + 1) * HALF];
  }

  /** The cells that may be seen in a part of the map: first and last column and row. */
  seen(left, top, right, bottom) {
    const row = (y) => this.rows - 1 + EDGE_ROWS - (y - HALF) / HALF;
    const column = (x) => (x - 1) / 1.5 - EDGE_COLUMNS;
    const across = [column(left) - 1, column(right) + 1].map(between(-EDGE_COLUMNS, this.columns - 1 + EDGE_COLUMNS));
    return [...across, ...[row(bottom) - 1, row(top) + 1].map(between(-EDGE_ROWS, this.rows - 1 + EDGE_ROWS))];
  }

  /** The cell under a point: the one with the nearest middle. */
  hit(x, y) {
    const [columnMin, columnMax, rowMin, rowMax] = this.seen(x - 1, y - 1, x + 1, y + 1);
    let best = null;
    for (let column = columnMin; column <= columnMax; column++) {
      for (let row = rowMin; row <= rowMax; row++) {
        if (!this.board(column, row)) continue;
        const [mx, my] = this.middle(column, row);
        const far = Math.hypot(x - mx, y - my);
        if (far <= 1 && (!best || far < best.far)) best = { far, column, row };
      }
    }
    return best && this.board(best.column, best.row);
  }

  /** The board one step away, for arrow keys. */
  step(board, dx, dy) {
    const [column, row] = this.cell(board);
    if (dy !== 0) return this.board(column, row + 2 * dy);
    // Sideways there is no straight neighbour: one step up, the next one down.
    return this.board(column + dx, row + (modulo(column, 2) === 0 ? 1 : -1));
  }
}

/** Half the height of a hexagon of radius 1. */
export const HALF = Math.sqrt(3) / 2;

/** A pool's boards in rows, as they are listed. */
export class Grid {
  constructor(count, columns) {
    Object.assign(this, { count, columns: Math.max(1, columns), rows: Math.ceil(count / Math.max(1, columns)) });
  }

  get extent() {
    return [2 * this.columns, 2 * this.rows];
  }

  /** The middle of a place in the list. */
  middle(index) {
    return [2 * (index % this.columns) + 1, 2 * Math.floor(index / this.columns) + 1];
  }

  /** First and last column and row that may be seen. */
  seen(left, top, right, bottom) {
    const within = (max) => (value) => between(0, max - 1)(value / 2);
    return [...[left, right].map(within(this.columns)), ...[top, bottom].map(within(this.rows))];
  }

  /** The place under a point. */
  hit(x, y) {
    const index = Math.floor(y / 2) * this.columns + Math.floor(x / 2);
    return x >= 0 && x < 2 * this.columns && index >= 0 && index < this.count ? index : null;
  }

  /** The place one step away. */
  step(index, dx, dy) {
    const to = index + dx - dy * this.columns;
    return to >= 0 && to < this.count ? to : index;
  }
}

function between(min, max) {
  return (value) => Math.min(Math.max(Math.floor(value), min), Math.max(min, max));
}
