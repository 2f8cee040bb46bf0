// Jobs: the caller's own with what can be done with them, the queue and why it waits, and all there are.

import { ask } from "./ask.js";
import { announce, button, byId, make } from "./elements.js";
import { showJob } from "./job.js";
import { JOBS_MAX, queued } from "./lab.js";
import { goTo } from "./place.js";
import { Table } from "./table.js";
import { ago, boardName, jobState, jobWord, moment, until } from "./words.js";

/** The sections of jobs. */
export class JobsView {
  constructor(caller, lab) {
    Object.assign(this, { caller, lab, ended: null, known: new Map() });
    this.mine = new Table("My jobs", [...this._first(), ...this._middle(), { head: "Do", cell: (job) => this._actions(job) }], "You have no jobs.");
    this.queue = new Table("Queue", this._queueColumns(), "Nobody waits.");
    this.all = new Table("Jobs", this._allColumns(), "No jobs.");
    for (const [id, table] of [["mine", this.mine], ["queue", this.queue], ["jobs", this.all]]) byId(id).append(table.element);
    byId("jobs-live").addEventListener("click", () => this._which(false));
    byId("jobs-ended").addEventListener("click", () => this._which(true));
    byId("new-job").addEventListener("click", () => this._create());
    byId("jobs-more").textContent = `There are more; these are the ${JOBS_MAX} oldest.`;
    lab.addEventListener("fetched", ({ detail: parts }) => {
      if (parts.includes("jobs")) this.draw();
    });
  }

  /** Draws everything as it is known. */
  draw() {
    const { jobs, own } = this.lab;
    byId("jobs-more").hidden = jobs.length < JOBS_MAX;
    byId("new-job").hidden = !this.caller.may("create_job");
    this.mine.show(own);
    const ahead = (job) => this.lab.explained.get(job.job_id)?.ahead ?? Infinity;
    this.queue.show(queued(jobs).sort((a, b) => ahead(a) - ahead(b) || 0));
    for (const [id, ended] of [["jobs-live", false], ["jobs-ended", true]]) byId(id).setAttribute("aria-pressed", String((this.ended !== null) === ended));
    this.all.show(this.ended ?? jobs);
    this._news(own);
  }

  /** Says what became of one's own jobs. */
  _news(own) {
    const now = new Map(own.map(({ job_id, state_name }) => [job_id, state_name]));
    const said = [...now].filter(([id, state]) => this.known.get(id) !== state).map(([id, state]) => `job ${id} is ${jobWord(state)}`);
    const over = [...this.known.keys()].filter((id) => !now.has(id)).map((id) => `job ${id} has ended`);
    this.known = now;
    if (said.length + over.length) announce([...said, ...over].slice(0, 3).join(", "));
  }

  /** Shows the jobs that live, or those that ended. */
  async _which(ended) {
    try {
      const jobs = ended ? await this.caller.client.call("list_jobs", { state: "destroyed" }) : null;
      this.ended = jobs?.reverse() ?? null;
      this.draw();
    } catch (error) {
      announce(error.message);
    }
  }

  _first() {
    const open = (job) => button(`${job.job_id}`, () => showJob(this.caller, job.job_id), { class: "link", "data-key": `job ${job.job_id}`, "aria-label": `Job ${job.job_id}, details` });
    return [{ head: "Job", cell: open }, { head: "State", cell: ({ state_name }) => jobState(state_name) }];
  }

  _middle() {
    return [
      { head: "Boards", cell: (job) => boardsOf(job) },
      { head: "Age", cell: ({ start_time }) => ago(start_time) },
      { head: "Time left", cell: (job) => left(job) },
      { head: "Note or reason", cell: ({ reason, note }) => reason || note },
    ];
  }

  _allColumns() {
    return [...this._first(), { head: "Owner", cell: ({ owner }) => owner }, ...this._middle(), { head: "Do", cell: (job) => this._actions(job) }];
  }

  _queueColumns() {
    const told = (job) => this.lab.explained.get(job.job_id);
    return [
      { head: "Place", cell: (job) => (told(job)?.ahead ?? queued(this.lab.jobs).indexOf(job)) + 1 },
      ...this._first(),
      { head: "Owner", cell: ({ owner }) => owner },
      { head: "Wants", cell: ({ want }) => want },
      { head: "Waits for", cell: (job) => told(job)?.sentence ?? "see its details" },
      { head: "Starts by", cell: (job) => moment(told(job)?.starts_by) ?? "not known" },
    ];
  }

  _actions(job) {
    if (job.state_name === "destroyed" || !this.caller.holds(job.owner)) return "";
    const { caller } = this;
    const actions = make("span", { class: "actions" });
    const add = (fname, text, act, danger) => {
      const attributes = { "data-key": `${text} ${job.job_id}`, "aria-label": `${text} job ${job.job_id}`, class: danger ? "danger" : null };
      if (caller.may(fname)) actions.append(button(text, act, attributes));
    };
    const call = (fname, args) => this._call(fname, { job_id: job.job_id, ...args });
    add("destroy_job", "End", () => ask({
      title: `End job ${job.job_id}?`,
      text: "Its boards are switched off and given to others.",
      fields: [{ name: "reason", label: "Reason, if there is one" }],
      yes: "End it",
      act: ({ reason }) => call("destroy_job", reason ? { reason } : {}),
    }), true);
    if (job.lapses_at !== null) add("job_keepalive", "Keep alive", () => this._do(() => call("job_keepalive")));
    if (job.lease_ends_at !== null) add("extend_job", "Extend", () => this._extend(job));
    if (job.boards) {
      add("power_on_job_boards", "Power on", () => this._do(() => call("power_on_job_boards")));
      add("power_off_job_boards", "Power off", () => this._do(() => call("power_off_job_boards")));
    }
    return actions;
  }

  _extend(job) {
    return ask({
      title: `Extend job ${job.job_id}`,
      text: "Its lease lasts so long from now. Left empty: as long as was agreed at first.",
      fields: [{ name: "minutes", label: "Minutes", type: "number" }],
      yes: "Extend",
      act: ({ minutes }) => this._call("extend_job", { job_id: job.job_id, ...(minutes ? { lease: 60 * Number(minutes) } : {}) }),
    });
  }

  _create() {
    return ask({
      title: "Ask for boards",
      text: "You get them as soon as they are free, and give them back after the time at the latest.",
      fields: [
        { name: "boards", label: "How many boards", type: "number", value: "1", required: true },
        { name: "minutes", label: "For how many minutes", type: "number", value: "60", required: true },
        { name: "machine", label: "On the machine (empty: any)" },
        { name: "note", label: "Note" },
      ],
      yes: "Ask for them",
      act: ({ boards, minutes, machine, note }) => {
        const seconds = 60 * Number(minutes);
        const where = machine ? { machine } : {};
        return this._call("create_job", { boards: Number(boards), keepalive: seconds, lease: seconds, note, ...where });
      },
    });
  }

  async _do(act) {
    try {
      await act();
    } catch (error) {
      await ask({ title: "That did not work", text: error.message, yes: "All right", act: async () => {} });
    }
  }

  async _call(fname, args) {
    const answer = await this.caller.client.call(fname, args);
    this.lab.again(["jobs", "status"]);
    return answer;
  }
}

/** What a job has, or else what it wants. */
function boardsOf(job) {
  if (!job.boards) return job.want;
  const [first] = job.boards;
  const text = `${job.boards.length} of ${job.allocated_machine_name}`;
  if (first === undefined) return text;
  return button(text, () => {
    goTo({ machine: job.allocated_machine_name, board: boardName(first), view: null });
    byId("machines-title").scrollIntoView();
  }, { class: "link", "data-key": `boards ${job.job_id}` });
}

/** How long a job has, and by what. */
function left({ lapses_at, lease_ends_at, state_name }) {
  if (state_name === "destroyed") return "";
  const ends = [[lapses_at, "keepalive"], [lease_ends_at, "lease"]].filter(([at]) => at !== null).sort(([a], [b]) => a - b);
  if (ends.length === 0) return "no end";
  const [[at, by]] = ends;
  return make("span", {}, until(at), ` (${by})`);
}
