// A server of one's own, on data of its own, that can be stopped and started again at the same address; and its command line.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const PASSWORD = "correct horse";
const BIG = `
[[machine]]
name = "big"
shape = "triads"
width = 60
height = 56
tags = ["big"]
controller = "simulated"
[[machine]]
name = "usb"
shape = "pool"
tags = ["usb"]
kinds = ["pulsecount"]
controller = "agent"
[machine.agent]
token = "0123456789abcdef"
timeout_s = 6
`;

export class House {
  constructor(program) {
    this.program = program;
    this.workers = [];
    this.work = mkdtempSync(join(tmpdir(), "berth-web-"));
    this.config = join(this.work, "config.toml");
    this.passwordFile = join(this.work, "password");
    // An address of its own, so that several of these may run at once and ports may be taken again.
    this.host = `127.${(process.pid >> 8) & 127}.${process.pid & 255}.7`;
    writeFileSync(this.passwordFile, `${PASSWORD}\n`);
    this.listen({ native: `${this.host}:0`, web: `${this.host}:0` });
  }

  /** Writes the configuration: the shipped one, with a large machine beside, and a pool whose boards workers bring. */
  listen({ native, web }) {
    const data = join(this.work, "data");
    const text = readFileSync("config.toml", "utf8")
      .replace(/^data_dir = .*/m, `data_dir = "${data}"`)
      .replace(/^listen = "127.0.0.1:7007"/m, `listen = "${native}"`)
      .replace(/^listen = "127.0.0.1:8080"/m, `listen = "${web}"`)
      .replace(/^listen = "127.0.0.1:(22244|1337)"/gm, 'listen = ""')
      .replace(/^ping_s = .*/m, "ping_s = 2");
    writeFileSync(this.config, text + BIG);
  }

  user(name, role) {
    execFileSync(this.program, ["user", "add", name, "--role", role, "--password-file", this.passwordFile, "--config", this.config]);
  }

  /** Starts it; fulfilled when all doors are open. */
  async start() {
    this.process = spawn(this.program, ["serve", "--config", this.config], { stdio: ["ignore", "pipe", "pipe"] });
    this.log = "";
    this.process.stderr.on("data", (data) => { this.log += data; });
    const said = await new Promise((resolve, reject) => {
      let text = "";
      this.process.stdout.on("data", (data) => {
        text += data;
        if (/^native:/m.test(text) && /^web:.*\n/m.test(text)) resolve(text);
      });
      this.process.once("exit", (code) => reject(new Error(`the server ended with ${code}: ${this.log}`)));
    });
    this.native = /^native: .*? (\S+:\d+)$/m.exec(said)[1];
    this.web = /^web: .*http:\/\/(\S+:\d+)\/?$/m.exec(said)[1];
    this.listen(this);
  }

  /** Stops it and waits for its end. */
  async stop(signal = "SIGTERM") {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill(signal);
    await ended;
  }

  /** Starts a worker with simulated boards; fulfilled when it is registered. Ends by signals, or with the house. */
  async worker(name, boards) {
    const token = join(this.work, "token");
    writeFileSync(token, "0123456789abcdef\n", { mode: 0o600 });
    const args = ["--machine", "usb", "--name", name, "--simulate", boards, "--token-file", token, "--listen", `${this.host}:0`];
    const worker = spawn(this.program, ["--server", this.native, "worker", ...args], { stdio: ["ignore", "ignore", "pipe"] });
    this.workers.push(worker);
    await new Promise((resolve, reject) => {
      let text = "";
      worker.stderr.on("data", (data) => {
        text += data;
        if (text.includes(`registered as ${name}`)) resolve();
      });
      worker.once("exit", (code) => reject(new Error(`the worker ended with ${code}: ${text}`)));
    });
    return worker;
  }

  /** What a command prints. */
  berth(...args) {
    return execFileSync(this.program, ["--server", this.native, "--quiet", ...args], { encoding: "utf8" }).trim();
  }

  remove() {
    for (const process of [this.process, ...this.workers]) process?.kill("SIGKILL");
    rmSync(this.work, { recursive: true, force: true });
  }
}
