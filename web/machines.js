// The machines: which one is looked at, its boards as a map or as a table, and by state.

import { announce, button, byId, refill } from "./elements.js";
import { BoardMap } from "./map.js";
import { BoardView } from "./board.js";
import { BOARDS_MAX } from "./lab.js";
import { goTo, place, placed } from "./place.js";
import { Table } from "./table.js";
import { BOARD_STATES, ago, boardName, boardState } from "./words.js";

/** The section of the machines. */
export class MachinesView {
  constructor(caller, lab) {
    Object.assign(this, { caller, lab });
    this.map = new BoardMap();
    this.map.addEventListener("select", ({ detail }) => this._choose(detail));
    this.table = new Table("Boards", this._columns(), "No boards.");
    this.board = new BoardView(caller, lab, (board) => this._choose(board));
    byId("boards").append(this.map.element, this.table.element);
    byId("as-map").addEventListener("click", () => goTo({ view: null }));
    byId("as-table").addEventListener("click", () => goTo({ view: "table" }));
    byId("zoom-in").addEventListener("click", () => this.map.zoom(1));
    byId("zoom-out").addEventListener("click", () => this.map.zoom(-1));
    place.addEventListener("change", () => this.draw());
    lab.addEventListener("fetched", ({ detail: parts }) => {
      if (!parts.includes("machines") && !parts.includes("boards")) return;
      this.draw();
      this.board.again();
    });
  }

  /** The machine that is looked at: the one the address names, or the first. */
  get machine() {
    const named = placed("machine");
    return this.lab.machines.find(({ name }) => name === named) ?? this.lab.machines[0] ?? null;
  }

  /** Draws everything as it is known. */
  draw() {
    const machine = this.machine;
    refill(byId("machines"), ...this.lab.machines.map((one) => this._choice(one, one === machine)));
    if (!machine) return;
    this.lab.look(machine.name);
    byId("machine-facts").textContent = words(machine);
    this._drawStates(machine);
    this._drawBoards(machine);
    this._drawBoard(machine);
  }

  _choice(machine, chosen) {
    const text = `${machine.name}: ${machine.boards.free} of ${machine.boards.total} free`;
    const act = () => goTo({ machine: machine.name, board: null });
    return button(text, act, { "aria-pressed": String(chosen), "data-key": `machine ${machine.name}` });
  }

  _drawStates(machine) {
    const now = placed("state");
    const states = Object.keys(BOARD_STATES).filter((state) => machine.boards[state] > 0 || state === now);
    refill(byId("states"), ...states.map((state) => {
      const made = button("", () => goTo({ state: state === now ? null : state }), { "aria-pressed": String(state === now), "data-key": `state ${state}` });
      made.append(boardState(state), ` ${machine.boards[state]}`);
      return made;
    }));
  }

  _drawBoards(machine) {
    const [state, asTable] = [placed("state"), placed("view") === "table"];
    byId("as-map").setAttribute("aria-pressed", String(!asTable));
    byId("as-table").setAttribute("aria-pressed", String(asTable));
    byId("zoom").hidden = asTable;
    this.map.element.hidden = asTable;
    this.table.element.hidden = !asTable;
    const boards = this.lab.boards;
    this.map.filter(state);
    if (asTable) this.table.show(state ? boards.filter((board) => board.state === state) : boards);
    else this.map.show(machine, boards, this.caller.user);
  }

  _drawBoard(machine) {
    const board = boardOf(machine, placed("board"));
    const [shown, now] = [boardName(this.map.selected ?? ""), boardName(board ?? "")];
    this.map.select(board);
    if (shown !== now || this.board.machine?.name !== machine.name) this.board.show(machine, board);
    else this.board.machine = machine;
  }

  _choose(board) {
    const record = this.lab.boards.find((one) => boardName(one.board) === boardName(board));
    if (record) announce(`Board ${boardName(board)}: ${record.state}${record.owner ? `, held by ${record.owner}` : ""}`);
    goTo({ machine: this.machine.name, board: boardName(board) });
  }

  _columns() {
    const choose = ({ board }) => button(boardName(board), () => this._choose(board), { class: "link", "data-key": `row ${boardName(board)}` });
    return [
      { head: "Board", cell: choose },
      { head: "State", cell: ({ state }) => boardState(state) },
      { head: "For", cell: ({ since }) => ago(since) },
      { head: "Held by", cell: ({ owner }) => owner },
      { head: "Job", cell: ({ job_id }) => job_id },
      { head: "Reason", cell: ({ reason }) => reason },
      { head: "Place", cell: ({ physical }) => physical?.join(", ") },
      { head: "Host", cell: ({ host }) => host },
    ];
  }
}

function words(machine) {
  const size = machine.shape === "triads"
    ? `${machine.width} by ${machine.height} triads of three boards. On a torus opposite edges meet: the faint boards beyond an edge are those of the other side`
    : `a pool of ${machine.boards.total} boards`;
  const more = machine.boards.total > BOARDS_MAX ? ` Only the first ${BOARDS_MAX} boards are shown.` : "";
  return `${machine.name}: ${size}. Kinds: ${machine.kinds.join(", ")}. Tags: ${machine.tags.join(", ") || "none"}.${more}`;
}

/** The board an address names. */
function boardOf(machine, text) {
  if (!text) return null;
  if (machine.shape !== "triads") return text;
  const parts = text.split(",").map(Number);
  const fits = parts.length === 3 && parts.every((part) => Number.isInteger(part) && part >= 0);
  return fits && parts[0] < machine.width && parts[1] < machine.height && parts[2] < 3 ? parts : null;
}
