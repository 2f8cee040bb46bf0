// The lab in numbers, how the server does, and who works for it.

import { button, byId, facts, make, refill } from "./elements.js";
import { goTo, placed } from "./place.js";
import { Table } from "./table.js";
import { ago, BOARD_STATES, boardState, span, workerState } from "./words.js";

/** Boards of one worker that are named in its row. */
const BOARDS_NAMED_MAX = 8;

/** The first section, and that of the workers. */
export class Overview {
  constructor(caller, lab) {
    Object.assign(this, { caller, lab, workers: null });
    lab.addEventListener("fetched", ({ detail: parts }) => {
      if (parts.includes("status")) this._draw();
      if (parts.includes("workers")) this._drawWorkers();
    });
  }

  _draw() {
    const { status } = this.lab;
    byId("lab-name").textContent = status.name === "berth" ? "" : status.name;
    const counts = Object.keys(BOARD_STATES).map((state) => this._count(state, status.boards[state]));
    refill(byId("overview"),
      make("div", { class: "choices", role: "group", "aria-label": "Boards of all machines" }, ...counts),
      status.accept ? null : make("p", { class: "notice", text: `No new jobs are taken${status.reason ? `: ${status.reason}` : "."}` }),
      facts([
        ["Jobs", `${status.jobs.queued} queued, ${status.jobs.power} powering, ${status.jobs.ready} ready`],
        ["Machines", status.machines],
        ["Orders to boards", status.orders_open],
        ["Sessions, connections", `${status.sessions}, ${status.connections}`],
        ["Server", `${status.version}, up ${span(status.uptime)}`],
        ["Doors", Object.entries(status.listen).map(([door, at]) => `${door} ${at}`).join(", ")],
      ].filter(([, value]) => value !== null)));
  }

  _count(state, count) {
    const now = placed("state");
    const act = () => {
      goTo({ state: state === now ? null : state });
      byId("machines-title").scrollIntoView();
    };
    const made = button("", act, { "data-key": `lab ${state}`, disabled: count === 0 });
    made.append(boardState(state), ` ${count}`);
    return made;
  }

  _drawWorkers() {
    byId("workers-section").hidden = !this.caller.may("list_workers");
    if (!this.workers) {
      this.workers = new Table("Workers", WORKER_COLUMNS, "No workers.");
      byId("workers").replaceChildren(this.workers.element);
    }
    this.workers.show(this.lab.workers);
  }
}

const WORKER_COLUMNS = [
  { head: "Worker", cell: ({ worker }) => worker },
  { head: "Machine", cell: ({ machine }) => machine },
  { head: "State", cell: workerState },
  { head: "Boards", cell: ({ boards }) => boardsOf(boards) },
  { head: "Last heard", cell: ({ seen }) => make("span", {}, ago(seen), " ago") },
  { head: "Version", cell: ({ version }) => version },
  { head: "Where holders find it", cell: ({ url }) => url },
];

/** How many boards, and which as far as they fit. */
function boardsOf(boards) {
  const serials = boards.slice(0, BOARDS_NAMED_MAX).map(({ serial }) => serial);
  if (boards.length > BOARDS_NAMED_MAX) serials.push(`and ${boards.length - BOARDS_NAMED_MAX} more`);
  return boards.length ? `${boards.length}: ${serials.join(", ")}` : "0";
}
