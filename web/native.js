// The native protocol in a page: frames, and a client of /socket. No page of its own; works wherever there are WebSocket,
// CompressionStream and DecompressionStream, which includes Node.
//
// A message travels as JSON text, or as one native frame: a gzip stream and the marker <EOF>. The server answers each message
// in the form it came in, and says what nobody asked for in the form of the last message it heard.

const MARKER = new TextEncoder().encode("<EOF>");

// How long a client waits before it connects again, growing from the first to the last.
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 10_000;

/** The frame of a text. */
export async function encodeFrame(text) {
  const gzip = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  const body = new Uint8Array(await new Response(gzip).arrayBuffer());
  const frame = new Uint8Array(body.length + MARKER.length);
  frame.set(body);
  frame.set(MARKER, body.length);
  return frame;
}

/** The text of a frame; throws where it is none. */
export async function decodeFrame(frame) {
  const bytes = new Uint8Array(frame);
  const end = bytes.length - MARKER.length;
  if (end < 0 || MARKER.some((byte, at) => bytes[end + at] !== byte)) {
    throw new Error("this is no frame: it does not end with <EOF>");
  }
  const text = new Blob([bytes.subarray(0, end)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new TextDecoder("utf-8", { fatal: true }).decode(await new Response(text).arrayBuffer());
}

/** A refusal of the server, by its code. */
export class NativeError extends Error {
  constructor({ code, msg }) {
    super(msg);
    this.name = "NativeError";
    this.code = code;
  }
}

/** The connection was lost before an answer came: whether the call was carried out is not known. */
export class ConnectionLost extends Error {
  constructor() {
    super("the connection was lost before the answer came");
    this.name = "ConnectionLost";
  }
}

/** Something that connects again by itself: it has a state, which it tells, and pauses that grow from one try to the next. */
export class Reconnecting extends EventTarget {
  constructor() {
    super();
    this.state = "closed";
    this._connected();
  }

  /** The next pause is a short one again. */
  _connected() {
    this._retryMs = RETRY_MS_MIN;
  }

  /** Tries again after a pause, which differs from page to page. */
  _later(connect) {
    this._setState("waiting");
    this._retry = setTimeout(connect, this._retryMs * (0.5 + Math.random() / 2));
    this._retryMs = Math.min(this._retryMs * 2, RETRY_MS_MAX);
  }

  _setState(state) {
    if (this.state === state) return;
    this.state = state;
    this._tell("state", state);
  }

  _tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/**
 * A client of /socket.
 *
 * It tells by events: "state" (detail: "connecting", "open", "waiting", "closed"), "greeting" (detail: its data), "notice"
 * (detail: {event, data}), "command" (detail: the word, as serverquit), "traffic" (detail: {direction: "out" or "in", text,
 * bytes, binary}).
 */
export class NativeClient extends Reconnecting {
  /**
   * @param {object} options
   * @param {string} [options.url] where the server is; by default the one this page came from
   * @param {"text"|"binary"} [options.form] how messages travel
   * @param {string} [options.name] what the client calls itself
   * @param {boolean} [options.reconnect] whether to connect again when the connection is lost
   */
  constructor({ url = ownUrl("/socket"), form = "text", name = "web", reconnect = true } = {}) {
    super();
    Object.assign(this, { url, form, clientName: name, reconnect });
    this.session = "";
    this.greeting = null;
    this._next = 1;
    this._waiting = new Map();
    // Making and reading frames takes time; messages keep their order all the same.
    this._outgoing = Promise.resolve();
    this._incoming = Promise.resolve();
  }

  /** Connects; fulfilled with the greeting. */
  connect() {
    if (this._greeted && this.state !== "closed") return this._greeted;
    this._wanted = true;
    this._greeted = new Promise((resolve, reject) => Object.assign(this, { _hello: resolve, _noHello: reject }));
    // Whoever does not wait for the greeting hears of a failure by "state".
    this._greeted.catch(() => {});
    this._open();
    return this._greeted;
  }

  /** Closes the connection for good. */
  close() {
    this._wanted = false;
    clearTimeout(this._retry);
    this._socket?.close();
    this._setState("closed");
  }

  /** Says who one is, or nothing for a guest; fulfilled with the session. */
  async handshake(user, password, capabilities = []) {
    const data = user ? { user, password } : {};
    const more = capabilities.length ? { __caps__: capabilities } : {};
    const answer = await this._ask({ session: "", data, ...more });
    this.session = answer.session;
    return this.session;
  }

  /** Ends the session. */
  async logout() {
    await this._ask({ data: "logout" });
    this.session = "";
  }

  /** Calls one function: its data, or a NativeError. */
  async call(fname, args = {}) {
    const [answer] = await this.calls([{ fname, ...args }]);
    if (answer.error) throw new NativeError(answer.error);
    return answer.data;
  }

  /** Calls several functions in one message: the list of answers, each with `data` or `error`. */
  async calls(list) {
    return (await this._ask({ data: list })).data;
  }

  /** Sends a text as it is, in the form of this client; answers come by "traffic". */
  sendText(text) {
    return this._send(text);
  }

  async _ask(message) {
    const id = this._next++;
    const text = JSON.stringify({ __id__: id, session: this.session, name: this.clientName, data: null, ...message });
    const answer = new Promise((resolve, reject) => this._waiting.set(id, { resolve, reject }));
    try {
      await this._send(text);
    } catch (error) {
      this._waiting.delete(id);
      throw error;
    }
    return answer;
  }

  _send(text) {
    const socket = this._socket;
    const sent = this._outgoing.then(async () => {
      const form = this.form;
      const frame = form === "binary" ? await encodeFrame(text) : null;
      if (!socket || socket !== this._socket || socket.readyState !== WebSocket.OPEN) throw new ConnectionLost();
      socket.send(frame ?? text);
      this._tell("traffic", { direction: "out", text, bytes: frame, binary: frame !== null });
    });
    this._outgoing = sent.catch(() => {});
    return sent;
  }

  _open() {
    this._setState("connecting");
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    this._socket = socket;
    socket.onmessage = ({ data }) => {
      this._incoming = this._incoming.then(() => this._take(socket, data)).catch((error) => this._tell("fault", error));
    };
    socket.onclose = () => {
      // What came before the end is taken first.
      this._incoming = this._incoming.then(() => this._lost(socket));
    };
  }

  async _take(socket, data) {
    if (socket !== this._socket) return;
    const binary = typeof data !== "string";
    const text = binary ? await decodeFrame(data) : data;
    this._tell("traffic", { direction: "in", text, bytes: binary ? new Uint8Array(data) : null, binary });
    this._dispatch(JSON.parse(text));
  }

  _dispatch(message) {
    const waiting = this._waiting.get(message.__id__);
    if (waiting) {
      this._waiting.delete(message.__id__);
      if (message.error) waiting.reject(new NativeError(message.error));
      else waiting.resolve(message);
    } else if (message.__event__) {
      this._tell("notice", { event: message.__event__, data: message.data });
    } else if (typeof message.data === "string") {
      this._tell("command", message.data);
    } else if (message.data?.version && this.state === "connecting") {
      this.greeting = message.data;
      this._connected();
      this._setState("open");
      this._hello(message.data);
      this._tell("greeting", message.data);
    }
  }

  _lost(socket) {
    if (socket !== this._socket) return;
    this._socket = null;
    for (const { reject } of this._waiting.values()) reject(new ConnectionLost());
    this._waiting.clear();
    if (!this._wanted || !this.reconnect) {
      this._noHello?.(new ConnectionLost());
      this._setState("closed");
      return;
    }
    this._later(() => this._open());
  }
}

/** The websocket of this path on the server that this page came from. */
export function ownUrl(path) {
  const { protocol, host } = globalThis.location ?? { protocol: "http:", host: "localhost" };
  return `${protocol === "https:" ? "wss" : "ws"}://${host}${path}`;
}
