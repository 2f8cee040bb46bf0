// The unmodified js-client 2.2.0 against a running Berth: HOST PORT SPAN_S, users admin/s3cret and alice/wonder.
// The same story as py_client.py, and pipelining. Prints one line for each step and "N passed, N failed".
const assert = require("node:assert");
const { Client, log } = require("happypandax-client");

log.enabled = false;
const [host, port, span] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
let passed = 0;
let failed = 0;

async function connected(login, session_id = "") {
  const client = new Client({ name: "js", host, port, session_id, timeout: 20000 });
  await client.connect();
  if (!session_id) assert(await client.handshake(login ?? { user: null, password: null }), "not authenticated");
  return client;
}

async function entry(client, fname, args = {}) {
  const answer = await client.send([{ fname, ...args }]);
  assert(!answer.error, JSON.stringify(answer));
  assert.equal(answer.data[0].fname, fname);
  return answer.data[0];
}

async function data(client, fname, args) {
  const answer = await entry(client, fname, args);
  assert(!answer.error, JSON.stringify(answer));
  return answer.data;
}

const alice = { user: "alice", password: "wonder" };

const steps = {
  async "greets and lets guests in"() {
    const client = await connected();
    assert.equal(client.guest_allowed, true);
    assert.deepEqual(await data(client, "get_version"), client.version);
  },
  async "lends boards to a user"() {
    const client = await connected(alice);
    const job_id = await data(client, "create_job", { boards: 3 });
    assert.equal((await data(client, "wait_job", { job_id, timeout: 10 })).state_name, "ready");
    assert.equal((await data(client, "get_job_machine_info", { job_id })).boards.length, 3);
    assert.equal(await data(client, "job_keepalive", { job_id }), null);
    await data(client, "power_off_job_boards", { job_id });
    await data(client, "power_on_job_boards", { job_id });
    assert.equal((await data(client, "wait_job", { job_id })).power, true);
    await data(client, "destroy_job", { job_id });
    assert.equal((await entry(client, "destroy_job", { job_id })).error.code, 1002);
  },
  async "shares a session over sockets"() {
    const first = await connected(alice);
    const second = await connected(null, first.session);
    const job_id = await data(first, "create_job", { boards: 1 });
    assert.equal((await data(second, "whoami")).session, first.session);
    await data(second, "destroy_job", { job_id });
  },
  async "answers many requests in flight"() {
    const client = await connected();
    const names = Array.from({ length: 40 }, (_, n) => (n % 2 ? "get_version" : `nope_${n}`));
    const answers = await Promise.all(names.map((fname) => client.send([{ fname }])));
    answers.forEach((answer, n) => assert.equal(answer.data[0].fname, names[n]));
  },
  async "refuses a wrong password"() {
    const client = new Client({ name: "js", host, port });
    await client.connect();
    await assert.rejects(client.handshake({ user: "alice", password: "wrong" }));
    assert(await client.handshake(alice));
  },
  async "tells that a session expired"() {
    const client = await connected();
    await new Promise((resolve) => setTimeout(resolve, span * 1200)); // nothing but time to wait for
    const answer = await client.send([{ fname: "get_version" }]).catch((error) => ({ error: { code: 408, text: String(error) } }));
    assert.equal(answer.error.code, 408, JSON.stringify(answer));
  },
  async "quits"() {
    const guest = await connected();
    const refused = await guest.send("serverquit").catch((error) => ({ error: { code: 413, text: String(error) } }));
    assert.equal(refused.error.code, 413, JSON.stringify(refused));
    const admin = await connected({ user: "admin", password: "s3cret" });
    assert.equal((await admin.send("serverquit")).data, "serverquit");
  },
};

(async () => {
  for (const [name, step] of Object.entries(steps)) {
    try {
      await step();
      passed += 1;
      console.log("ok   ", name);
    } catch (error) {
      failed += 1;
      console.log("FAIL ", name, "-", error.stack ?? error);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
})();
