// What changes, from /events: ids with a cursor, so that nothing is missed while the connection is away.

import { ownUrl, Reconnecting } from "./native.js";

// Without a word for so long the connection is taken for lost, though nobody said so. The server says something every
// web.ping_s (20 s by default).
const SILENCE_MS_MAX = 65_000;

/**
 * Tells by events: "changes" (detail: {jobs, machines}), "reset" (all must be listed anew), "state" (detail: "connecting",
 * "live", "waiting", "ended"), "heard" (detail: the time), "refused" (detail: {code, msg}).
 */
export class Events extends Reconnecting {
  /** Looks on with a session. */
  constructor(session, { url = ownUrl("/events") } = {}) {
    super();
    Object.assign(this, { session, url, cursor: null, heardAt: null });
  }

  /** Begins. */
  open() {
    this._wanted = true;
    this._connect();
  }

  /** Ends. */
  close() {
    this._wanted = false;
    clearTimeout(this._retry);
    clearTimeout(this._silence);
    this._socket?.close();
    this._setState("ended");
  }

  _connect() {
    this._setState("connecting");
    const socket = new WebSocket(this.url);
    this._socket = socket;
    socket.onopen = () => socket.send(JSON.stringify({ session: this.session, cursor: this.cursor }));
    socket.onmessage = ({ data }) => this._take(JSON.parse(data));
    socket.onclose = () => this._lost(socket);
    this._watch();
  }

  _take(message) {
    this.heardAt = Date.now();
    this._watch();
    this._tell("heard", this.heardAt);
    if (message.error) {
      this._wanted = false;
      this._tell("refused", message.error);
      return;
    }
    this._connected();
    const first = this.cursor === null;
    this.cursor = message.cursor;
    this._setState("live");
    if (message.reset || first) this._tell("reset");
    else if (message.jobs_changed) {
      this._tell("changes", { jobs: message.jobs_changed, machines: message.machines_changed });
    }
  }

  _watch() {
    clearTimeout(this._silence);
    this._silence = setTimeout(() => {
      const socket = this._socket;
      socket?.close();
      this._lost(socket);
    }, SILENCE_MS_MAX);
  }

  _lost(socket) {
    if (socket !== this._socket) return;
    this._socket = null;
    clearTimeout(this._silence);
    if (!this._wanted) return this._setState("ended");
    this._later(() => this._connect());
  }
}
