// How states, times and places are said: always by a word, and by a sign beside it.

import { make } from "./elements.js";

/** The states of boards with their signs, in the order in which they are told. */
export const BOARD_STATES = {
  free: "○",
  lent: "●",
  cleaning: "↻",
  quarantined: "▲",
  maintenance: "◆",
  dead: "✕",
  offline: "–",
};

const JOB_STATES = {
  queued: ["◔", "queued"],
  power: ["↯", "powering"],
  ready: ["●", "ready"],
  destroyed: ["■", "ended"],
};

const WORKER_STATES = {
  connected: "●",
  draining: "◐",
  away: "–",
};

/** A worker's state as sign and word: whoever is away does nothing else. */
export function workerState({ connected, draining }) {
  const state = !connected ? "away" : draining ? "draining" : "connected";
  return signed(WORKER_STATES[state], state, `worker-${state}`);
}

/** A board's state as sign and word. */
export function boardState(state) {
  return signed(BOARD_STATES[state] ?? "?", state, `board-${state}`);
}

/** A job's state as sign and word. */
export function jobState(name) {
  const [sign, word] = JOB_STATES[name] ?? ["?", name];
  return signed(sign, word, `job-${name}`);
}

/** The word for a job's state. */
export function jobWord(name) {
  return JOB_STATES[name]?.[1] ?? name;
}

/** A word with its sign; the sign is not read out. */
export function signed(sign, word, kind) {
  return make("span", { class: `state ${kind}` }, make("span", { "aria-hidden": "true", class: "sign", text: sign }), word);
}

/** A board inside its machine, as people write it. */
export function boardName(board) {
  return Array.isArray(board) ? board.join(",") : board;
}

/** What names a board in calls. */
export function boardArguments(machine, board) {
  if (!Array.isArray(board)) return { machine, serial: board };
  const [x, y, z] = board;
  return { machine, x, y, z };
}

/** A span of seconds, two units of it. */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  let left = whole;
  const said = [];
  for (const [unit, word] of parts) {
    const count = Math.floor(left / unit);
    left -= count * unit;
    if (count > 0) said.push(`${count} ${word}`);
  }
  return said.slice(0, 2).join(" ") || "0 s";
}

/** The time of a day, with the day where it is not today. */
export function clock(date) {
  const today = new Date().toDateString() === date.toDateString();
  return today ? date.toLocaleTimeString() : date.toLocaleString();
}

/** A moment in Unix seconds, for people and for programs. */
export function moment(unix) {
  if (unix === null || unix === undefined) return null;
  const date = new Date(unix * 1000);
  return make("time", { datetime: date.toISOString(), title: date.toISOString(), text: clock(date) });
}

/** How long ago a moment was, kept up to date by `tick`. */
export function ago(unix) {
  return moving(unix, "ago");
}

/** How long it is until a moment, kept up to date by `tick`. */
export function until(unix) {
  return moving(unix, "until");
}

function moving(unix, sense) {
  if (unix === null || unix === undefined) return null;
  const date = new Date(unix * 1000);
  const time = make("time", { datetime: date.toISOString(), title: date.toISOString(), "data-sense": sense, "data-unix": unix });
  say(time);
  return time;
}

function say(time) {
  const away = Number(time.dataset.unix) - Date.now() / 1000;
  const text = time.dataset.sense === "ago" ? span(-away) : away > 0 ? span(away) : "any moment";
  if (time.textContent !== text) time.textContent = text;
}

/** Says all times that move anew. */
export function tick() {
  for (const time of document.querySelectorAll("time[data-sense]")) say(time);
}
