// What the page knows of the lab: fetched whole, then again whatever changed, and never taken for newer than it is.
//
// Changes come as ids by /events; what they changed to is asked for over /socket, not more often than the server and the page
// can bear. Whatever was not fetched because a connection was away stays marked and is fetched when it is back.

import { isOver } from "./caller.js";
import { Events } from "./events.js";
import { NativeError } from "./native.js";

/** Jobs that a page holds, the oldest; and as many of the caller's own. */
export const JOBS_MAX = 2_000;
const BOARDS_PER_CALL = 10_000;
/** Boards of one machine that a page holds; of larger machines only so many are shown, and it says so. */
export const BOARDS_MAX = 200_000;
const EXPLAINED_MAX = 20;
const GAP_MS_MIN = 150;
// After a fetch that took long the page rests for so many times as long.
const GAP_PER_FETCH = 3;
const GAP_MS_MAX = 10_000;
const ANSWER_MS_MAX = 20_000;
// What is known to have changed and was not fetched for so long makes everything less than live.
const BEHIND_MS_MAX = 3_000;
/** Without a word for so long nothing is live, whatever else is said. */
const SILENCE_MS_MAX = 65_000;

/**
 * Tells by events: "fetched" (detail: the parts that were), "line" (how fresh it is may have changed), "over" (detail: why the
 * session is no more).
 */
export class Lab extends EventTarget {
  constructor(caller) {
    super();
    Object.assign(this, { caller, client: caller.client, machine: null, events: null });
    this._empty();
    this.client.addEventListener("state", () => {
      this._tell("line");
      this._soon();
    });
  }

  /** Begins to look. */
  open() {
    this._empty();
    this.events = new Events(this.client.session);
    this.events.addEventListener("reset", () => this.again(["status", "machines", "jobs", "boards", "workers"]));
    this.events.addEventListener("changes", ({ detail }) => this._changed(detail));
    this.events.addEventListener("heard", () => this._beat());
    this.events.addEventListener("state", () => this._tell("line"));
    this.events.addEventListener("refused", ({ detail }) => this._tell("over", detail.msg));
    this.events.open();
  }

  /** Ends looking. */
  close() {
    this.events?.close();
    this.events = null;
    clearTimeout(this._timer);
    this._timer = null;
    this._empty();
  }

  /** Looks at this machine's boards from now on. */
  look(machine) {
    if (machine === this.machine) return;
    this.machine = machine;
    this.boards = [];
    this.again(["boards"]);
  }

  /** Has parts fetched again: "status", "machines", "jobs", "boards", "workers". */
  again(parts) {
    for (const part of parts) this._due.add(part);
    this.behindSince ??= Date.now();
    this._soon();
  }

  /** How fresh everything is: "live", "fetching", "behind" (changes are known and not fetched), "reconnecting" or "closed". */
  get freshness() {
    if (!this.events) return "closed";
    const silent = Date.now() - (this.events.heardAt ?? 0) > SILENCE_MS_MAX;
    if (this.events.state !== "live" || this.client.state !== "open" || silent) return "reconnecting";
    if (this.updatedAt === null || this.boardsOf !== this.machine) return "fetching";
    return this.behindSince !== null && Date.now() - this.behindSince > BEHIND_MS_MAX ? "behind" : "live";
  }

  _empty() {
    Object.assign(this, { status: null, machines: [], jobs: [], own: [], boards: [], boardsOf: null, workers: [], explained: new Map() });
    Object.assign(this, { updatedAt: null, behindSince: null, fault: null, _due: new Set(), _fetching: false, _gapMs: GAP_MS_MIN, _round: Symbol("round") });
  }

  _changed({ jobs, machines }) {
    const due = ["status"];
    if (jobs.length) due.push("jobs");
    if (machines.length) due.push("machines");
    if (machines.includes(this.machine)) due.push("boards");
    this.again(due);
  }

  /** Something was said: nothing else has changed. Signs of life change when jobs lapse, and nobody tells of them. */
  _beat() {
    if (this._due.size === 0 && !this._fetching && this.updatedAt !== null) this.updatedAt = Date.now();
    if (this.updatedAt !== null) this.again(["status", "jobs", "workers"]);
    this._tell("line");
  }

  _soon() {
    if (this._timer || this._fetching || this._due.size === 0 || !this.events || this.client.state !== "open") return;
    this._timer = setTimeout(() => {
      this._timer = null;
      this._fetch();
    }, this._gapMs);
  }

  async _fetch() {
    const [round, began] = [this._round, performance.now()];
    const parts = [...this._due];
    this._due.clear();
    this._fetching = true;
    try {
      const news = await within(ANSWER_MS_MAX, this._ask(parts));
      if (round !== this._round) return;
      // Somebody may look at another machine by now, whose boards are due.
      if (news.boardsOf && news.boardsOf !== this.machine) ["boards", "boardsOf"].forEach((name) => delete news[name]);
      Object.assign(this, news, { updatedAt: Date.now(), fault: null });
      this._gapMs = Math.max(GAP_MS_MIN, GAP_PER_FETCH * (performance.now() - began));
      this.behindSince = this._due.size ? Date.now() : null;
      this._tell("fetched", parts);
    } catch (error) {
      if (round !== this._round) return;
      for (const part of parts) this._due.add(part);
      Object.assign(this, { fault: error.message, _gapMs: Math.min(GAP_MS_MAX, 2 * this._gapMs) });
      if (isOver(error)) this._tell("over", error.message);
      else if (error instanceof Unanswered) this._anew();
    } finally {
      if (round === this._round) {
        this._fetching = false;
        this._tell("line");
        this._soon();
      }
    }
  }

  async _ask(parts) {
    const asked = [];
    if (parts.includes("status")) asked.push(["status", { fname: "get_status" }]);
    if (parts.includes("machines")) asked.push(["machines", { fname: "list_machines" }]);
    if (parts.includes("jobs")) {
      asked.push(["jobs", { fname: "list_jobs", limit: JOBS_MAX }]);
      asked.push(["own", { fname: "list_jobs", limit: JOBS_MAX, owner: this.caller.user }]);
    }
    if (parts.includes("workers") && this.caller.may("list_workers")) asked.push(["workers", { fname: "list_workers" }]);
    const answers = asked.length ? await this.client.calls(asked.map(([, call]) => call)) : [];
    const news = Object.fromEntries(asked.map(([part], at) => [part, data(answers[at])]));
    const machines = news.machines ?? this.machines;
    if (parts.includes("boards") && machines.some(({ name }) => name === this.machine)) {
      const machine = this.machine;
      Object.assign(news, { boards: await this._boards(machine), boardsOf: machine });
    }
    if (news.jobs) news.explained = await this._explained(news.jobs);
    return news;
  }

  async _boards(machine) {
    const boards = [];
    while (boards.length < BOARDS_MAX) {
      const more = await this.client.call("list_boards", { machine, offset: boards.length, limit: BOARDS_PER_CALL });
      boards.push(...more);
      if (more.length < BOARDS_PER_CALL) break;
    }
    return boards;
  }

  /** Why the first of the queue, and the caller's own, wait. */
  async _explained(jobs) {
    const queue = queued(jobs);
    const asked = queue.filter((job, at) => at < EXPLAINED_MAX || job.owner === this.caller.user).slice(0, 2 * EXPLAINED_MAX);
    if (asked.length === 0) return new Map();
    const answers = await this.client.calls(asked.map(({ job_id }) => ({ fname: "explain_job", job_id })));
    // A job may be gone by the time it is asked about.
    return new Map(answers.filter(({ data }) => data).map(({ data }) => [data.job_id, data]));
  }

  /** The connection looks alive and answers nothing: another one is made. */
  _anew() {
    this.client.close();
    this.client.connect();
  }

  _tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** The jobs that wait, the next one first. */
export function queued(jobs) {
  const waiting = jobs.filter(({ state_name }) => state_name === "queued");
  return waiting.sort((a, b) => b.priority - a.priority || a.job_id - b.job_id);
}

/** No answer came in time. */
class Unanswered extends Error {}

function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Unanswered("the server does not answer")), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function data(answer) {
  if (answer.error) throw new NativeError(answer.error);
  return answer.data;
}
