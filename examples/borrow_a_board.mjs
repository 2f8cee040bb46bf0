// A complete frontend in JavaScript, Node's standard library only: borrow boards, hear of changes, give them back.
//
//     node examples/borrow_a_board.mjs [HOST:PORT] [BOARDS]
import net from "node:net";
import { gzipSync, gunzipSync } from "node:zlib";

const MARKER = Buffer.from("<EOF>");

class Frontend {
  constructor(host, port, name, session = "") {
    Object.assign(this, { name, session, buffer: Buffer.alloc(0), waiting: new Map(), events: [], next: 1 });
    this.greeted = new Promise((resolve, reject) => {
      this.socket = net.connect({ host, port, noDelay: true });
      this.socket.on("error", reject);
      this.socket.on("data", (piece) => this.take(piece, resolve));
    });
  }

  // A frame ends at the marker; answers carry the id of their request, events carry none.
  take(piece, greeted) {
    this.buffer = Buffer.concat([this.buffer, piece]);
    for (let end; (end = this.buffer.indexOf(MARKER)) >= 0; ) {
      const message = JSON.parse(gunzipSync(this.buffer.subarray(0, end)));
      this.buffer = this.buffer.subarray(end + MARKER.length);
      if (message.__event__) this.events.push(message);
      else if (message.__id__ === undefined) greeted(message.data);
      else this.waiting.get(message.__id__)(message);
    }
  }

  async ask(data) {
    await this.greeted;
    const id = this.next++;
    const text = JSON.stringify({ session: this.session, name: this.name, data, __id__: id });
    const answer = await new Promise((resolve) => {
      this.waiting.set(id, resolve);
      this.socket.write(Buffer.concat([gzipSync(text), MARKER]));
    });
    this.waiting.delete(id);
    if (answer.error) throw new Error(`[${answer.error.code}] ${answer.error.msg}`);
    this.session = answer.session;
    return answer.data;
  }

  async call(fname, args = {}) {
    const [entry] = await this.ask([{ fname, ...args }]);
    if (entry.error) throw new Error(`${fname}: [${entry.error.code}] ${entry.error.msg}`);
    return entry.data;
  }
}

const [host, port] = (process.argv[2] ?? "127.0.0.1:7007").split(":");
const boards = Number(process.argv[3] ?? 3);
const first = new Frontend(host, port, "borrow-a-board");
await first.ask({}); // a guest; {user, password} for a user
const second = new Frontend(host, port, "borrow-a-board", first.session);
await second.call("notify_job");
const job = await first.call("create_job", { boards, keepalive: 30 });
const held = await first.call("wait_job", { job_id: job, timeout: 60 });
console.log(`job ${job} is ${held.state_name} with ${JSON.stringify(held.boards)} of ${held.allocated_machine_name}`);
await second.call("destroy_job", { job_id: job, reason: "the example is over" });
console.log(`job ${job} was given back: ${(await first.call("get_job", { job_id: job })).reason}`);
console.log(`${second.events.length} events told of it`);
first.socket.end();
second.socket.end();
