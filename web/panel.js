// The panel: who looks, what the lab is like, and how fresh that is. The parts are in modules of their own:
// caller (who), lab (what is known), overview, machines, board, map, jobs, job (what is shown), place (which view).

import { Caller } from "./caller.js";
import { byId } from "./elements.js";
import { JobsView } from "./jobs.js";
import { Lab } from "./lab.js";
import { openLogin } from "./login.js";
import { MachinesView } from "./machines.js";
import { Overview } from "./overview.js";
import { clock, span, tick } from "./words.js";

const TICK_MS = 1_000;

const caller = new Caller("panel");
const lab = new Lab(caller);
new Overview(caller, lab);
const machines = new MachinesView(caller, lab);
const jobs = new JobsView(caller, lab);

const leave = openLogin(caller, {
  begin() {
    byId("lab").hidden = false;
    jobs.known.clear();
    lab.open();
    machines.draw();
  },
  end() {
    byId("lab").hidden = true;
    lab.close();
    showLine();
  },
});
lab.addEventListener("over", ({ detail }) => leave(`You were logged out: ${detail}`));
lab.addEventListener("line", showLine);

/** Says how fresh everything is, and never that it is fresher. */
function showLine() {
  const freshness = caller.role ? lab.freshness : "out";
  const connected = caller.client.state === "open";
  const words = {
    live: "Live",
    fetching: "Fetching",
    behind: lab.fault ? `Changes could not be fetched: ${lab.fault}` : "Fetching changes",
    reconnecting: "Reconnecting",
    closed: "Not connected",
    out: connected ? "Connected; nobody is logged in" : "Connecting",
  };
  set(byId("line-word"), words[freshness]);
  byId("line").dataset.line = freshness;
  const at = lab.updatedAt;
  const age = at === null ? "" : span((Date.now() - at) / 1000);
  if (at === null) set(byId("line-time"), "");
  else if (freshness === "live") set(byId("line-time"), `· last updated ${clock(new Date(at))}`);
  else set(byId("line-time"), `· shown is what was true at ${clock(new Date(at))}, ${age} ago`);
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

setInterval(() => {
  tick();
  showLine();
}, TICK_MS);
showLine();
