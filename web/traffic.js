// What goes over the socket, in both directions, as it happens.

import { make } from "./elements.js";
import { dump, size } from "./hex.js";

const SHOWN_MAX = 200;
const BRIEF_MAX = 120;
const HIDDEN = "(not shown)";

/** The list of what was sent and heard. */
export class Traffic {
  constructor(client, list, left) {
    Object.assign(this, { list, left, paused: false, missed: 0 });
    client.addEventListener("traffic", ({ detail }) => this._add(detail));
  }

  /** Stops, or goes on. */
  pause(paused) {
    this.paused = paused;
    this._say();
  }

  /** Forgets all. */
  clear() {
    this.list.replaceChildren();
    this.missed = 0;
    this._say();
  }

  _add({ direction, text, bytes, binary }) {
    if (this.paused) {
      this.missed += 1;
      return this._say();
    }
    const [shown, secret] = withoutPassword(text);
    const count = binary ? bytes.length : new TextEncoder().encode(text).length;
    const way = make("span", { class: "way", text: wayOf(direction, text) });
    const what = ` ${new Date().toISOString().slice(11, 23)} · ${binary ? "frame" : "text"}, ${size(count)} `;
    const brief = make("span", { class: "brief", text: shown.slice(0, BRIEF_MAX) + (shown.length > BRIEF_MAX ? "…" : "") });
    const parts = [make("pre", { tabindex: "0", text: pretty(shown) })];
    if (binary) parts.push(make("pre", { class: "hex", tabindex: "0", text: secret ? HIDDEN : dump(bytes) }));
    this.list.prepend(make("li", {}, make("details", {}, make("summary", {}, way, what, brief), ...parts)));
    while (this.list.children.length > SHOWN_MAX) this.list.lastChild.remove();
    return this._say();
  }

  _say() {
    const paused = this.paused ? `Paused; ${this.missed} messages since then are not shown.` : "";
    this.left.textContent = paused || (this.list.children.length ? `The newest is first; at most ${SHOWN_MAX} are shown.` : "Nothing yet.");
  }
}

/** A message's text, indented. */
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function wayOf(direction, text) {
  if (direction === "out") return "→ sent";
  try {
    const message = JSON.parse(text);
    if (message.__event__ || typeof message.data === "string") return message.__id__ === undefined ? "⇐ pushed" : "← answer";
    return message.__id__ === undefined && message.data?.version ? "⇐ greeting" : "← answer";
  } catch {
    return "← heard";
  }
}

/** A text without the password of a hand-shake, and whether it had one. */
function withoutPassword(text) {
  try {
    const message = JSON.parse(text);
    if (typeof message.data?.password !== "string") return [text, false];
    message.data.password = HIDDEN;
    return [JSON.stringify(message), true];
  } catch {
    return [text, false];
  }
}
