// The lab in numbers, how the server does, and who works for it.

import { button, byId, facts, make, refill } from "./elements.js";
import { goTo, placed } from "./place.js";
import { Table } from "./table.js";
import { BOARD_STATES, boardState, moment, span } from "./words.js";

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

  /** Workers have whatever columns this server tells of them. */
  _drawWorkers() {
    byId("workers-section").hidden = !this.caller.may("list_workers");
    const { workers } = this.lab;
    if (!workers.length && !this.workers) return byId("workers").replaceChildren(make("p", { class: "quiet", text: "No workers." }));
    if (!this.workers) {
      this.workers = new Table("Workers", Object.keys(workers[0]).map((name) => ({ head: heading(name), cell: (worker) => said(name, worker[name]) })), "No workers.");
      byId("workers").replaceChildren(this.workers.element);
    }
    return this.workers.show(workers);
  }
}

function heading(name) {
  return name.replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase());
}

function said(name, value) {
  if (typeof value === "number" && /(_at|since)$/.test(name)) return moment(value);
  if (Array.isArray(value)) return value.join(", ");
  return value === null || typeof value !== "object" ? String(value ?? "") : JSON.stringify(value);
}
