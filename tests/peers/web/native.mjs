// The pages' own modules against a server that runs: frames both ways, calls in both forms, notices, changes with a cursor.
// Usage: node --experimental-websocket native.mjs HOST:PORT

globalThis.CustomEvent ??= class extends Event {
  constructor(name, options) {
    super(name);
    this.detail = options?.detail;
  }
};
const web = (name) => import(new URL(`../../../web/${name}`, import.meta.url));
const { NativeClient, NativeError, decodeFrame, encodeFrame } = await web("native.js");
const { Events } = await web("events.js");
const server = process.argv[2];

function check(good, what) {
  if (!good) throw new Error(what);
}

const told = (target, name) => new Promise((resolve) => target.addEventListener(name, ({ detail }) => resolve(detail), { once: true }));

for (const text of ["", "x", "\u00e9\u{1f600}", "<EOF>".repeat(1000), "a".repeat(1_000_000)]) {
  check((await decodeFrame(await encodeFrame(text))) === text, `a text of ${text.length} comes back`);
}
for (const damaged of [new Uint8Array(), new TextEncoder().encode("junk<EOF>"), (await encodeFrame("x")).subarray(0, 10)]) {
  check(await decodeFrame(damaged).then(() => false, () => true), "what is no frame is refused");
}

for (const form of ["text", "binary"]) {
  const client = new NativeClient({ url: `ws://${server}/socket`, form });
  const traffic = [];
  client.addEventListener("traffic", ({ detail }) => traffic.push(detail));
  check((await client.connect()).version, "a greeting");
  await client.handshake();
  await client.call("notify_job");
  const events = new Events(client.session, { url: `ws://${server}/events` });
  const listed = told(events, "reset");
  events.open();
  await listed;
  const [notice, changes] = [told(client, "notice"), told(events, "changes")];
  const jobs = await Promise.all([1, 2, 3].map(() => client.call("create_job", { boards: 1 })));
  check((await notice).event === "jobs_changed" && (await changes).jobs.length > 0, "changes are told");
  const [held] = await Promise.all(jobs.map((job_id) => client.call("wait_job", { job_id, timeout: 60 })));
  check(held.state_name === "ready", "a job is ready");
  await client.calls(jobs.map((job_id) => ({ fname: "destroy_job", job_id })));
  const refusal = await client.call("get_job", { job_id: 1_000_000 }).catch((error) => error);
  check(refusal instanceof NativeError && refusal.code === 1001, "a refusal has its code");
  const answers = traffic.filter(({ direction }) => direction === "in").slice(1);
  check(answers.length > 5 && answers.every(({ binary }) => binary === (form === "binary")), `all travels as ${form}`);
  events.close();
  await client.logout();
  client.close();
}
console.log("ok");
process.exit(0);
