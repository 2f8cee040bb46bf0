// One board: all that is known of it, and what whoever looks may do with it.

import { ask } from "./ask.js";
import { button, byId, facts, make, refill } from "./elements.js";
import { LINKS, Torus } from "./geometry.js";
import { showJob } from "./job.js";
import { ago, boardArguments, boardName, boardState, moment } from "./words.js";

const STATES_SET = [
  ["maintenance", "Into maintenance", "The board is lent to nobody until it is brought back."],
  ["free", "Bring back", "The board may be lent again."],
  ["dead", "Declare dead", "The board counts as if it did not exist until it is brought back."],
  ["retest", "Test now", "The board is tested, and is free again if it does well."],
];

/** So many of what a board offers are named. */
const OFFERS_NAMED_MAX = 8;

/** The board that is shown. */
export class BoardView {
  /** `choose` shows another board of the same machine. */
  constructor(caller, lab, choose) {
    Object.assign(this, { caller, lab, choose, machine: null, board: null, measured: null, nearOpen: false });
  }

  /** Shows a board of a machine, or none. */
  show(machine, board) {
    const other = machine?.name !== this.machine?.name || boardName(board ?? "") !== boardName(this.board ?? "");
    Object.assign(this, { machine, board });
    if (other) Object.assign(this, { measured: null, said: "" });
    return this.again();
  }

  /** Asks for it again. */
  async again() {
    const { machine, board } = this;
    if (!machine || board === null) return this._empty();
    try {
      const record = await this.caller.client.call("get_board", boardArguments(machine.name, board));
      if (board === this.board) this._draw(record);
    } catch (error) {
      if (board === this.board) this._say(error.message);
    }
    return undefined;
  }

  _empty() {
    byId("board-title").textContent = "Board";
    refill(byId("board-facts"), make("p", { class: "quiet", text: "Choose a board on the map or in the table." }));
  }

  _draw(record) {
    byId("board-title").textContent = `Board ${boardName(record.board)} of ${record.machine}`;
    const job = this.lab.jobs.find(({ job_id }) => job_id === record.job_id);
    refill(byId("board-facts"),
      facts([
        ["Called", record.name],
        ["State", boardState(record.state)],
        ["Since", since(record.since)],
        ["Reason", record.reason],
        ["Will be", record.marked],
        ["Held by", record.owner],
        ["Job", record.job_id && button(`${record.job_id}`, () => showJob(this.caller, record.job_id), { class: "link", "data-key": "board job" })],
        ["Power", job && (job.power ? "on" : "off")],
        ["Place", record.physical && placeWords(record.physical)],
        ["Host", record.host],
        ["Tested again", moment(record.retest_at)],
        ["Reports", record.reports || null],
        ["Offers", this._offers(record)],
        ["Jobs done", record.done || null],
        ["Jobs failed", record.failed || null],
      ]),
      this._neighbours(),
      this.measured && facts(Object.entries(this.measured).map(([name, { value, unit }]) => [name, value === null ? "unknown" : `${value} ${unit}`])),
      make("p", { class: "actions" }, ...this._actions(record)),
      make("p", { id: "board-said", class: "quiet", role: "status", text: this.said ?? "" }));
  }

  _offers({ offers }) {
    if (!offers?.length) return null;
    const more = offers.length - OFFERS_NAMED_MAX;
    return offers.slice(0, OFFERS_NAMED_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "");
  }

  _neighbours() {
    if (this.machine.shape !== "triads") return null;
    const near = new Torus(this.machine.width, this.machine.height).neighbours(this.board);
    const dead = new Set(this.machine.dead_links.map((link) => link.join()));
    const ontoggle = ({ target }) => {
      this.nearOpen = target.open;
    };
    const rows = near.map(({ link, name, board, wraps }) => {
      const back = [...board, (link + LINKS.length / 2) % LINKS.length].join();
      const cut = dead.has([...this.board, link].join()) || dead.has(back);
      const how = [wraps ? "over the edge" : "", cut ? "the link is dead" : ""].filter(Boolean).join(", ");
      return make("li", {}, `${name}: `, button(boardName(board), () => this.choose(board), { class: "link" }), how && ` (${how})`);
    });
    const summary = make("summary", { text: "Neighbours", "data-key": "neighbours" });
    return make("details", { open: this.nearOpen, ontoggle }, summary, make("ul", { class: "history" }, ...rows));
  }

  _actions(record) {
    const { caller } = this;
    const named = boardArguments(record.machine, record.board);
    const name = `${boardName(record.board)} of ${record.machine}`;
    const actions = [];
    const add = (fname, text, act, danger) => {
      const attributes = { "data-key": `board ${text}`, class: danger ? "danger" : null };
      if (caller.may(fname)) actions.push(button(text, act, attributes));
    };
    if (caller.operates) {
      for (const [state, text, meaning] of STATES_SET.filter(([state]) => fits(state, record))) {
        const needsReason = state === "dead" || state === "maintenance";
        const act = () => this._ask("set_board_state", `${text}: ${name}`, meaning, text, { ...named, state }, needsReason);
        add("set_board_state", text, act, state === "dead");
      }
    }
    if (caller.holds(record.owner)) {
      add("power_cycle_board", "Power cycle", () => this._confirm(name, named), true);
      add("identify_board", "Blink its LED", () => this._do("identify_board", named, "The LED has changed."));
      add("read_board_sensors", "Read sensors", () => this._measure(named));
      add("report_board", "Report a fault", () => this._ask("report_board", `Report ${name}`, "Operators see it, and boards that several people report are set aside.", "Report", named, true));
    }
    return actions;
  }

  _ask(fname, title, text, yes, args, required) {
    const fields = [{ name: "reason", label: required ? "Reason" : "Reason, if there is one", required }];
    return ask({ title, text, fields, yes, act: ({ reason }) => this._call(fname, { ...args, reason }, "Done.") });
  }

  _confirm(name, named) {
    const text = "It is switched off and on again. What runs on it is lost.";
    return ask({ title: `Power cycle ${name}?`, text, yes: "Power cycle", act: () => this._call("power_cycle_board", named, "It was switched off and on.") });
  }

  async _measure(named) {
    try {
      this.said = "Asking the board";
      this._say(this.said);
      this.measured = await this.caller.client.call("read_board_sensors", named);
      this.said = Object.keys(this.measured).length ? "Measured just now." : "It measures nothing.";
      await this.again();
    } catch (error) {
      this._say(error.message);
    }
  }

  async _do(fname, args, said) {
    try {
      await this._call(fname, args, said);
    } catch (error) {
      this._say(error.message);
    }
  }

  async _call(fname, args, said) {
    await this.caller.client.call(fname, args);
    this.said = said;
    await this.again();
  }

  _say(text) {
    this.said = text;
    if (byId("board-said")) byId("board-said").textContent = text;
    else refill(byId("board-facts"), make("p", { id: "board-said", class: "fault", role: "status", text }));
  }
}

function since(unix) {
  return make("span", {}, moment(unix), " (", ago(unix), " ago)");
}

function placeWords([cabinet, frame, board]) {
  return `cabinet ${cabinet}, frame ${frame}, board ${board}`;
}

/** Whether setting a board to this state could change anything. */
function fits(state, { state: now, marked }) {
  if (state === "retest") return now === "quarantined";
  if (state === "free") return ["quarantined", "maintenance", "dead"].includes(now) || marked !== null;
  return now !== state;
}
