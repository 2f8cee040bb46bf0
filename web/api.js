// The playground: choose functions, see the exact message and its frame, send it, see what comes back and all else that goes
// over the socket. The parts are in modules of their own: caller (who), fields (arguments), hex (bytes), snippets, traffic.

import { Caller } from "./caller.js";
import { announce, button, byId, facts, make, refill } from "./elements.js";
import { BadArgument, Fields } from "./fields.js";
import { dump, size } from "./hex.js";
import { openLogin } from "./login.js";
import { encodeFrame } from "./native.js";
import { curl, python } from "./snippets.js";
import { Traffic, pretty } from "./traffic.js";

const caller = new Caller("playground");
const { client } = caller;
const traffic = new Traffic(client, byId("traffic"), byId("traffic-left"));
const FIRST = "list_machines";

let fields = null;
let chosen = null;
let kept = [];
let number = 1;
/** What was sent and waits for its answer: its text and when. */
let asked = null;

openLogin(caller, {
  begin() {
    byId("play").hidden = false;
    listFunctions();
    choose(FIRST);
  },
  end() {
    byId("play").hidden = true;
    kept = [];
    byId("message").value = "";
    byId("answer").textContent = "";
  },
});

// ---- the function and its arguments

function listFunctions() {
  const words = byId("search").value.toLowerCase().split(/\s+/);
  const groups = new Map();
  for (const one of caller.functions.values()) {
    const text = `${one.name} ${one.service} ${one.doc}`.toLowerCase();
    if (!words.every((word) => text.includes(word))) continue;
    if (!groups.has(one.service)) groups.set(one.service, make("optgroup", { label: one.service }));
    groups.get(one.service).append(make("option", { value: one.name, text: caller.may(one.name) ? one.name : `${one.name} (${one.role})` }));
  }
  byId("functions").replaceChildren(...groups.values());
  if (chosen) byId("functions").value = chosen.name;
}

function choose(name) {
  chosen = caller.functions.get(name) ?? [...caller.functions.values()][0];
  byId("functions").value = chosen.name;
  refill(byId("doc"), make("h3", { text: chosen.name }), make("p", { text: chosen.doc }), facts([
    ["Least role", chosen.role],
    ["Errors of its own", chosen.errors?.join(", ")],
    ["Result", make("code", { text: chosen.result })],
  ]));
  fields = new Fields(byId("arguments"), chosen.args, compose);
  compose();
}

/** Writes the message that the form describes. */
function compose() {
  try {
    const calls = [...kept, { fname: chosen.name, ...fields.values() }];
    const message = { __id__: `play_${number}`, session: client.session, name: client.clientName, data: calls };
    byId("message").value = JSON.stringify(message);
    byId("message-fault").textContent = "";
  } catch (error) {
    if (!(error instanceof BadArgument)) throw error;
    byId("message-fault").textContent = error.message;
  }
  showFrame();
  showKept();
}

function showKept() {
  byId("keep-none").hidden = kept.length === 0;
  refill(byId("kept"), ...kept.map((call, at) => make("li", {}, make("code", { text: JSON.stringify(call) }), " ",
    button("Remove", () => {
      kept.splice(at, 1);
      compose();
    }, { "aria-label": `Remove call ${at + 1}` }))));
}

let framed = Promise.resolve();
/** Shows the bytes of the message as it stands, one after the other so that the last one stays. */
function showFrame() {
  const text = byId("message").value;
  framed = framed.then(async () => {
    const bytes = await encodeFrame(text);
    byId("frame").textContent = dump(bytes);
    byId("frame-title").textContent = `Its frame: ${size(bytes.length)} for ${size(new TextEncoder().encode(text).length)} of JSON`;
  });
}

byId("search").addEventListener("input", listFunctions);
byId("functions").addEventListener("change", () => choose(byId("functions").value));
byId("arguments").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
byId("message").addEventListener("input", showFrame);
byId("keep").addEventListener("click", () => {
  try {
    kept.push({ fname: chosen.name, ...fields.values() });
    compose();
    byId("functions").focus();
  } catch (error) {
    byId("message-fault").textContent = error.message;
  }
});
byId("keep-none").addEventListener("click", () => {
  kept = [];
  compose();
  byId("keep").focus();
});

// ---- sending, and what comes back

async function send() {
  const text = byId("message").value;
  client.form = formChosen();
  asked = { id: idOf(text), at: performance.now() };
  byId("answer-state").textContent = "Sent; waiting for the answer.";
  for (const id of ["answer", "answer-bytes"]) byId(id).textContent = "";
  try {
    await client.sendText(text);
  } catch (error) {
    asked = null;
    byId("answer-state").textContent = error.message;
  }
}

function formChosen() {
  return document.querySelector("input[name=form]:checked").value;
}

function idOf(text) {
  try {
    return JSON.parse(text).__id__;
  } catch {
    return undefined;
  }
}

client.addEventListener("traffic", ({ detail: { direction, text, bytes, binary } }) => {
  if (direction !== "in" || !asked) return;
  const message = JSON.parse(text);
  const answers = message.__id__ === asked.id && !message.__event__;
  if (!answers) return;
  const tookMs = performance.now() - asked.at;
  asked = null;
  const raw = bytes ?? new TextEncoder().encode(text);
  const refused = message.error ?? (Array.isArray(message.data) ? message.data.find(({ error }) => error)?.error : null);
  byId("answer-state").textContent = `${refused ? `Refused: ${refused.msg} (${refused.code}).` : "Answered."} ${tookMs.toFixed(1)} ms, ${size(raw.length)} as ${binary ? "a frame" : "text"}.`;
  byId("answer").textContent = pretty(text);
  byId("answer-bytes").textContent = dump(raw);
  byId("answer-bytes-title").textContent = `Its bytes: ${size(raw.length)}`;
  // The next message that is composed is another one.
  if (message.__id__ === `play_${number}`) number += 1;
});

byId("send").addEventListener("click", send);
byId("watch").addEventListener("click", async () => {
  try {
    client.form = formChosen();
    await client.calls([{ fname: "notify_job" }, { fname: "notify_machine" }]);
    announce("Changes of jobs and machines are pushed from now on.");
  } catch (error) {
    announce(error.message);
  }
});
byId("pause").addEventListener("click", () => {
  traffic.pause(!traffic.paused);
  byId("pause").setAttribute("aria-pressed", String(traffic.paused));
});
byId("clear").addEventListener("click", () => traffic.clear());
traffic.clear();

// ---- to be run elsewhere

async function copy(made) {
  try {
    const text = await made();
    byId("snippet").textContent = text;
    byId("snippet-shown").open = true;
    // Only secure origins have a clipboard.
    await navigator.clipboard?.writeText(text);
    byId("copied").textContent = navigator.clipboard ? "Copied. It names your session: treat it as a password until you log out." : "Shown below: it names your session, so treat it as a password.";
  } catch (error) {
    byId("copied").textContent = `Not copied: ${error.message}`;
  }
}

byId("copy-curl").addEventListener("click", () => copy(async () => curl(location.origin, byId("message").value)));
byId("copy-python").addEventListener("click", () => copy(async () => {
  const { listen } = await client.call("get_status");
  if (!listen.native) throw new Error("the native door is closed");
  return python(reached(listen.native), byId("message").value);
}));

/** A door's address as it can be reached from here: one that listens everywhere is where this page came from. */
function reached(address) {
  return address.replace(/^(0\.0\.0\.0|\[::\]):/, `${location.hostname}:`);
}

// ---- the state of the connection

client.addEventListener("state", ({ detail: state }) => {
  const words = { open: "Connected", connecting: "Connecting", waiting: "Reconnecting", closed: "Not connected" };
  byId("line-word").textContent = words[state];
  byId("line").dataset.line = { open: "live", connecting: "connecting", waiting: "reconnecting" }[state] ?? "closed";
  byId("line-time").textContent = state === "open" ? `· since ${new Date().toLocaleTimeString()}` : "";
  if (state !== "open" && asked) {
    asked = null;
    byId("answer-state").textContent = "The connection was lost before the answer came: whether it was carried out is not known.";
  }
});
