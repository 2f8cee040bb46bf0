// Who is logged in, and what this server lets them do. Both pages share it: a tab stays logged in from one page to the other.

import { ConnectionLost, NativeClient, NativeError } from "./native.js";

const KEPT = "berth.session";
const ROLES = ["guest", "user", "operator", "admin"];
const OVER = [407, 408];

/** Whether a refusal means that the session is no more. */
export function isOver(error) {
  return error instanceof NativeError && OVER.includes(error.code);
}

/** Somebody at this page. */
export class Caller {
  constructor(name) {
    this.client = new NativeClient({ name });
    this.user = null;
    this.role = null;
    this.functions = new Map();
  }

  /** Logs in: without a name as a guest. */
  async logIn(user, password) {
    await this.client.connect();
    await this.client.handshake(user, password);
    await this._learn();
    sessionStorage.setItem(KEPT, this.client.session);
  }

  /** Takes up the session this tab had before; whether there was one that still lives. */
  async resume() {
    const session = sessionStorage.getItem(KEPT);
    if (!session) return false;
    await this.client.connect();
    this.client.session = session;
    try {
      await this._learn();
      return true;
    } catch (error) {
      if (error instanceof ConnectionLost) return this._opened().then(() => this.resume());
      if (!isOver(error)) throw error;
      this.forget();
      return false;
    }
  }

  /** Logs out, as far as the server can be told. */
  async logOut() {
    try {
      await this.client.logout();
    } catch {
      // Without a connection it is forgotten here at least, and lapses there.
    }
    this.forget();
  }

  /** Forgets who it was. */
  forget() {
    sessionStorage.removeItem(KEPT);
    Object.assign(this, { user: null, role: null });
    this.client.session = "";
  }

  /** Whether the server has a function and this role may call it. */
  may(fname) {
    const known = this.functions.get(fname);
    return Boolean(known) && ROLES.indexOf(this.role) >= ROLES.indexOf(known.role);
  }

  /** Whether this is an operator or more. */
  get operates() {
    return ROLES.indexOf(this.role) >= ROLES.indexOf("operator");
  }

  /** Whether something of this owner may be acted on. */
  holds(owner) {
    return this.operates || (owner !== null && owner === this.user);
  }

  /** Fulfilled when the connection is there again. */
  _opened() {
    return new Promise((resolve) => this.client.addEventListener("greeting", resolve, { once: true }));
  }

  async _learn() {
    const [who, functions] = await this.client.calls([{ fname: "whoami" }, { fname: "list_functions" }]);
    for (const { error } of [who, functions]) if (error) throw new NativeError(error);
    Object.assign(this, { user: who.data.user, role: who.data.role });
    this.functions = new Map(functions.data.map((one) => [one.name, one]));
  }
}
