// The panel: log in, then machines and jobs as tables that keep themselves up to date.

import { Events } from "./events.js";
import { NativeClient } from "./native.js";

const $ = (id) => document.getElementById(id);
const client = new NativeClient({ name: "panel" });
let events = null;

/** A row of a table. Text only: nothing of the lab is taken for markup. */
function row(...cells) {
  const tr = document.createElement("tr");
  for (const cell of cells) tr.appendChild(document.createElement("td")).textContent = cell;
  return tr;
}

async function refresh() {
  const [machines, jobs] = await client.calls([{ fname: "list_machines" }, { fname: "list_jobs" }]);
  $("machines").replaceChildren(...(machines.data ?? []).map(machineRow));
  $("jobs").replaceChildren(...(jobs.data ?? []).map(jobRow));
}

function machineRow(machine) {
  const boards = Object.entries(machine.boards ?? {}).filter(([, count]) => count > 0);
  return row(machine.name, machine.shape, boards.map(([state, count]) => `${count} ${state}`).join(", "));
}

function jobRow(job) {
  return row(job.job_id, job.owner, job.state_name, (job.boards ?? []).length);
}

function showState() {
  const heard = events?.heardAt ? `, last heard ${new Date(events.heardAt).toLocaleTimeString()}` : "";
  const words = { live: "live", waiting: "reconnecting", connecting: "connecting", ended: "not connected" };
  $("state").textContent = (words[events?.state] ?? "not connected") + heard;
}

/** Whatever changed, what is shown is fetched again, one time after the other. */
let fetching = Promise.resolve();
function refreshSoon() {
  fetching = fetching.then(refresh).catch(() => {});
}

async function logIn(user, password) {
  await client.connect();
  await client.handshake(user, password);
  events?.close();
  events = new Events(client.session);
  for (const name of ["changes", "reset"]) events.addEventListener(name, refreshSoon);
  for (const name of ["state", "heard"]) events.addEventListener(name, showState);
  events.addEventListener("refused", ({ detail }) => logOut(detail.msg));
  events.open();
  $("login").hidden = true;
  $("lab").hidden = false;
}

function logOut(why) {
  events?.close();
  $("login").hidden = false;
  $("lab").hidden = true;
  $("refused").textContent = why;
}

$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  $("refused").textContent = "";
  try {
    await logIn(form.get("user"), form.get("password"));
  } catch (error) {
    $("refused").textContent = error.message;
  }
});
