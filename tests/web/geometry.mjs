// The map's geometry: each board has a cell of its own, and neighbours are those the links of real boards lead to.

import assert from "node:assert/strict";
import { Grid, LINKS, Torus } from "../../web/geometry.js";

// Where each link (column) of each board of a triad (row) leads: triads to the east, to the north, board in the triad.
const STEPS = [
  [[0, -1, 2], [0, 0, 1], [0, 0, 2], [-1, 0, 1], [-1, -1, 2], [-1, -1, 1]],
  [[1, 0, 0], [1, 0, 2], [1, 1, 0], [0, 0, 2], [0, 0, 0], [0, -1, 2]],
  [[0, 0, 1], [1, 1, 0], [0, 1, 1], [0, 1, 0], [-1, 0, 1], [0, 0, 0]],
];

const modulo = (a, b) => ((a % b) + b) % b;

for (const [width, height] of [[1, 1], [1, 3], [2, 1], [4, 2], [3, 5], [7, 6]]) {
  const torus = new Torus(width, height);
  const cells = new Set();
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      for (let z = 0; z < 3; z++) {
        const board = [x, y, z];
        const [column, row] = torus.cell(board);
        assert.ok(column >= 0 && column < torus.columns && row >= 0 && row < torus.rows);
        cells.add(`${column},${row}`);
        assert.deepEqual(torus.board(column, row), board);
        assert.deepEqual(torus.board(column + torus.columns, row), board, "round the east");
        assert.deepEqual(torus.hit(...torus.middle(column, row)), board);
        for (const { link, board: to } of torus.neighbours(board)) {
          const [dx, dy, there] = STEPS[z][link];
          assert.deepEqual(to, [modulo(x + dx, width), modulo(y + dy, height), there], `${LINKS[link][0]} of ${board} in ${width}x${height}`);
        }
      }
    }
  }
  assert.equal(cells.size, 3 * width * height);
}

const grid = new Grid(8, 3);
for (let index = 0; index < 8; index++) assert.equal(grid.hit(...grid.middle(index)), index);
assert.equal(grid.hit(...grid.middle(8)), null);
assert.equal(grid.step(0, 0, -1), 3);
assert.equal(grid.step(0, -1, 0), 0);
console.log("ok    the geometry of the map");
