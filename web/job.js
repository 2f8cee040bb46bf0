// All about one job, in a dialog: what it is, why it waits, what happened to it.

import { tell } from "./ask.js";
import { facts, make } from "./elements.js";
import { boardName, clock, jobState, moment, span } from "./words.js";

const BOARDS_NAMED_MAX = 48;

/** Shows a job. */
export async function showJob(caller, job_id) {
  try {
    const [job, explained, history] = await caller.client.calls([
      { fname: "get_job", job_id }, { fname: "explain_job", job_id }, { fname: "job_history", job_id },
    ]);
    if (job.error) throw new Error(job.error.msg);
    await tell(`Job ${job_id}`, about(job.data), ...why(job.data, explained.data), ...past(history));
  } catch (error) {
    await tell(`Job ${job_id}`, make("p", { class: "fault", text: error.message }));
  }
}

function about(job) {
  const boards = job.boards ?? [];
  const more = boards.length > BOARDS_NAMED_MAX ? ` and ${boards.length - BOARDS_NAMED_MAX} more` : "";
  return facts([
    ["State", jobState(job.state_name)],
    ["Owner", job.owner],
    ["Wants", job.want],
    ["Since", moment(job.start_time)],
    ["Power", job.power === null ? null : job.power ? "on" : "off"],
    ["Machine", job.allocated_machine_name ?? job.machine],
    ["Boards", boards.slice(0, BOARDS_NAMED_MAX).map(boardName).join("  ") + more],
    ["Grant", job.grant],
    ["Keepalive", job.keepalive === null ? "never lapses" : `${span(job.keepalive)}, until ${clock(new Date(job.lapses_at * 1000))}`],
    ["Lease ends", moment(job.lease_ends_at)],
    ["Priority", job.priority],
    ["Kind", job.kind],
    ["Tags", job.tags.join(", ")],
    ["Ended", moment(job.ended_at)],
    ["Reason", job.reason],
    ["Note", job.note],
  ]);
}

function why(job, explained) {
  if (job.state_name !== "queued" || !explained) return [];
  const machines = explained.machines.map(({ machine, free_by, waits_for, obstacle }) => {
    const boards = waits_for.slice(0, BOARDS_NAMED_MAX).map(({ board, owner, state }) => `${boardName(board)} (${owner ?? state})`);
    const text = obstacle ?? (boards.length ? `waits for ${boards.join(", ")}` : "nothing is in the way");
    return make("li", {}, `${machine}: ${text}`, free_by === null ? "" : "; free by ", moment(free_by));
  });
  return [make("h3", { text: "Why it waits" }), make("p", { text: explained.sentence }), make("ul", { class: "history" }, ...machines)];
}

function past({ data, error }) {
  const rows = (data ?? []).map(({ at, detail, by }) => make("li", {}, moment(at), ` ${detail}${by ? `, by ${by}` : ""}`));
  return [make("h3", { text: "What happened" }), error ? make("p", { text: error.msg }) : make("ol", { class: "history" }, ...rows)];
}
