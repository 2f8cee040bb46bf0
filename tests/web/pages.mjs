// The pages as people use them: each step does one thing in the browser and looks at what became of it, there and at the server.
// Prints a line for each step; ends with 1 if one failed.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { complaints, faultsOfAccess, launch, picture, tab, tooWide } from "./browser.mjs";
import { House, PASSWORD } from "./house.mjs";

const house = new House(process.env.BERTH);
const FAILED_MAX = 4;
let failed = 0;
let passed = 0;

async function step(name, page, act) {
  try {
    await act();
    assert.deepEqual(complaints.splice(0), []);
    passed += 1;
    console.log(`ok    ${name}`);
  } catch (error) {
    failed += 1;
    complaints.length = 0;
    console.log(`FAIL  ${name}: ${error.stack ?? error}`);
    await picture(page, `failed-${failed}`).catch(() => {});
    // What follows would mostly fail for the same reason.
    if (failed >= FAILED_MAX) throw new Error("too much has failed");
  }
}

async function logIn(page, user) {
  await page.getByLabel("User").fill(user);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.locator("#who").waitFor();
}

async function logInAsGuest(page) {
  await page.getByRole("button", { name: "Come in as a guest" }).click();
  await page.locator("#who").waitFor();
}

/** Waits until an element says something; fails with what it says instead. */
async function says(locator, pattern) {
  const handle = locator.first();
  const until = Date.now() + 15_000;
  let text = "";
  while (Date.now() < until) {
    text = (await handle.textContent({ timeout: 1_000 }).catch(() => "(is not there)")) ?? "";
    if (pattern.test(text)) return text;
    await handle.page().waitForTimeout(50);
  }
  throw new Error(`expected ${pattern}, found: ${text}`);
}

/** Waits until a map, a whole machine's, looks otherwise than before. */
async function otherMap(page, before) {
  await page.waitForFunction((was) => document.querySelector("canvas").toDataURL() !== was, before);
}

const mapOf = (page) => page.evaluate(() => document.querySelector("canvas").toDataURL());
const bytesOf = (dump) => Buffer.from(dump.split("\n").map((row) => row.slice(8, 55).replaceAll(" ", "")).join(""), "hex");
const framed = (bytes) => {
  assert.equal(bytes.subarray(-5).toString(), "<EOF>");
  return gunzipSync(bytes.subarray(0, -5)).toString();
};

async function accessible(page, name) {
  assert.deepEqual(await faultsOfAccess(page), [], name);
  assert.deepEqual(await tooWide(page), [], `${name}: as wide as the window`);
}

async function panel(browser) {
  const page = await tab(browser, house.web);
  await step("a wrong password is refused", page, async () => {
    await page.goto("/");
    await page.getByLabel("User").fill("olga");
    await page.getByLabel("Password").fill("wrong");
    await page.getByRole("button", { name: "Log in" }).click();
    await says(page.locator("#refused"), /wrong|password|credential/i);
    await accessible(page, "log-in");
    await picture(page, "login");
  });
  await step("an operator logs in and sees the lab, live", page, async () => {
    await logIn(page, "olga");
    await says(page.locator("#who-name"), /olga \(operator\)/);
    await says(page.locator("#line"), /^Live.*last updated \d/);
    await says(page.locator("#overview"), /free/);
    await page.waitForFunction(() => /23 free/.test(document.querySelector("canvas").getAttribute("aria-label")));
    await accessible(page, "panel");
  });
  let job;
  await step("a job made elsewhere shows on the map, in the list, and in numbers", page, async () => {
    const before = await mapOf(page);
    job = house.berth("create", "1x1", "--keepalive", "never", "--machine", "m", "--note", "from elsewhere");
    await page.waitForFunction(() => /3 lent/.test(document.querySelector("canvas").getAttribute("aria-label")));
    await otherMap(page, before);
    await says(page.locator("#jobs"), /from elsewhere/);
    await says(page.locator("#states"), /lent 3/);
    await picture(page, "panel");
  });
  await step("the details of a job", page, async () => {
    await page.locator("#jobs").getByRole("button", { name: `Job ${job}, details` }).click();
    await says(page.locator("dialog"), /What happened.*granted/s);
    await accessible(page, "job");
    await picture(page, "job");
    await page.keyboard.press("Escape");
  });
  await step("a job is ended with a reason", page, async () => {
    await page.locator("#jobs").getByRole("button", { name: `End job ${job}` }).click();
    await accessible(page, "dialog");
    await page.getByLabel("Reason, if there is one").fill("tidying up");
    await page.getByRole("button", { name: "End it" }).click();
    await page.locator("#jobs").getByText("from elsewhere").waitFor({ state: "detached" });
    assert.match(house.berth("show", job), /tidying up/);
    await page.getByRole("button", { name: "Ended" }).click();
    await says(page.locator("#jobs"), /tidying up/);
    await page.getByRole("button", { name: "Live", exact: true }).click();
  });
  await step("a board is chosen in the table and goes into maintenance with a reason", page, async () => {
    await page.getByRole("button", { name: "Table" }).click();
    await page.getByRole("button", { name: "0,0,0", exact: true }).click();
    await says(page.locator("#board"), /Board 0,0,0 of m.*free.*cabinet 0, frame 0, board 0.*10\.11\.0\.1/s);
    await page.getByRole("button", { name: "Into maintenance" }).click();
    await page.getByLabel("Reason").fill("new fan");
    await page.getByRole("dialog").getByRole("button", { name: "Into maintenance" }).click();
    await says(page.locator("#board-facts"), /maintenance.*new fan/s);
    await says(page.locator("#boards"), /maintenance.*new fan/s);
    assert.match(house.berth("--json", "boards", "--machine", "m"), /new fan/);
    await accessible(page, "table");
    await picture(page, "table");
    await page.getByRole("button", { name: "Bring back" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Bring back" }).click();
    await says(page.locator("#board-facts"), /free/);
  });
  await step("a board's sensors are read", page, async () => {
    await page.getByRole("button", { name: "Read sensors" }).click();
    await says(page.locator("#board-said"), /Measured just now|measures nothing/);
  });
  await step("the keyboard alone: skip link, map by arrows, dialog and back", page, () => keyboard(page));
  await step("who waits is told why", page, async () => {
    const all = house.berth("create", "8", "--keepalive", "never", "--machine", "devices");
    const waits = house.berth("create", "4", "--keepalive", "never", "--machine", "devices");
    await says(page.locator("#queue"), new RegExp(`1.*${waits}.*queued.*4 boards`, "s"));
    const sentence = JSON.parse(house.berth("--json", "explain", waits)).sentence;
    await page.locator("#queue").getByText(sentence).waitFor();
    await accessible(page, "queue");
    await picture(page, "queue");
    house.berth("release", waits);
    house.berth("release", all);
    await page.getByText("Nobody waits.").waitFor();
  });
  await step("one's own job: asked for, switched off and on, ended", page, () => ownJob(page));
  await step("a server that went is told, and everything is fresh when it is back", page, () => restart(page));
  await step("ten thousand boards", page, () => bigLab(page));
  await step("who is logged out elsewhere is told", page, async () => {
    const speak = async (message) => {
      const headers = { "content-type": "application/json" };
      return (await fetch(`http://${house.web}/api`, { method: "POST", headers, body: JSON.stringify({ name: "elsewhere", ...message }) })).json();
    };
    const { session } = await speak({ session: "", data: { user: "olga", password: PASSWORD } });
    // Another password ends all sessions of a user.
    await speak({ session, data: [{ fname: "set_password", password: PASSWORD }] });
    await says(page.locator("#refused"), /You were logged out/);
    assert.equal(await page.locator("#lab").isVisible(), false);
    await logIn(page, "olga");
    await says(page.locator("#line"), /^Live/);
  });
  await step("logged out is logged out", page, async () => {
    await page.getByRole("button", { name: "Log out" }).click();
    await page.locator("#login").waitFor();
    await page.reload();
    await page.locator("#login").waitFor();
    assert.equal(await page.locator("#lab").isVisible(), false);
  });
  await page.context().close();
}

async function keyboard(page) {
  await page.goto("/");
  await page.locator("canvas").waitFor();
  await says(page.locator("#line"), /^Live/);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  const reached = new Set();
  for (let at = 0; at < 60; at++) {
    await page.keyboard.press("Tab");
    const [tag, name, ring] = await page.evaluate(() => {
      const { tagName, textContent } = document.activeElement;
      return [tagName, textContent.trim(), getComputedStyle(document.activeElement).outlineStyle];
    });
    assert.equal(ring, "solid", `the focus is seen at ${tag} ${name}`);
    reached.add(tag === "CANVAS" ? "map" : name);
    if (tag === "CANVAS") break;
  }
  for (const name of ["Ask for boards", "Map", "Table", "map"]) assert.ok(reached.has(name), `Tab comes to ${name}: ${[...reached]}`);
  await page.keyboard.press("ArrowRight");
  await says(page.locator("#board-title"), /Board 0,0,0 of m/);
  await page.keyboard.press("ArrowUp");
  await says(page.locator("#board-title"), /Board 0,0,2 of m/);
  await says(page.locator("#news"), /Board 0,0,2: free/);
  await page.keyboard.press("ArrowRight");
  await says(page.locator("#board-title"), /Board 1,1,0 of m/);
  await page.locator("#board-facts button", { hasText: "Into maintenance" }).waitFor();
  for (let at = 0; at < 12; at++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement.textContent === "Into maintenance")) break;
  }
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.type("by keyboard");
  await page.keyboard.press("Enter");
  await says(page.locator("#board-facts"), /maintenance.*by keyboard/s);
  await page.getByRole("dialog").waitFor({ state: "detached" });
  const after = await page.evaluate(() => document.activeElement.tagName);
  assert.ok(["BUTTON", "MAIN"].includes(after), `the focus is somewhere after the dialog: ${after}`);
  await picture(page, "keyboard");
}

async function ownJob(page) {
  await page.getByRole("button", { name: "Ask for boards" }).click();
  await page.getByLabel("How many boards").fill("2");
  await page.getByLabel("Note").fill("mine");
  await page.getByRole("button", { name: "Ask for them" }).click();
  const text = await says(page.locator("#mine"), /ready.*(keepalive|lease).*mine/s);
  assert.match(text, /(59 min|1 h)/);
  const job = await page.locator("#mine tbody th").first().textContent();
  await page.locator("#mine").getByRole("button", { name: "Power off" }).click();
  await waitFor(() => /"power": *false/.test(house.berth("--json", "show", job)));
  await page.locator("#mine").getByRole("button", { name: "Power on" }).click();
  await waitFor(() => /"power": *true/.test(house.berth("--json", "show", job)));
  await page.locator("#mine").getByRole("button", { name: "Keep alive" }).click();
  await page.locator("#mine").getByRole("button", { name: "Extend" }).click();
  await page.getByLabel("Minutes").fill("90");
  await page.getByRole("dialog").getByRole("button", { name: "Extend" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  const { lease_ends_at: ends } = JSON.parse(house.berth("--json", "show", job)).job;
  assert.ok(Math.abs(ends - Date.now() / 1000 - 90 * 60) < 60, `the lease ends at ${ends}`);
  await page.locator("#mine").getByRole("button", { name: `End job ${job}`, exact: true }).click();
  await page.getByRole("button", { name: "End it" }).click();
  await page.getByText("You have no jobs.").waitFor();
  assert.match(house.berth("show", job), /destroyed|ended/);
}

async function waitFor(holds) {
  const until = Date.now() + 15_000;
  while (!holds()) {
    assert.ok(Date.now() < until, `${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function restart(page) {
  await says(page.locator("#line"), /^Live/);
  await house.stop("SIGKILL");
  await says(page.locator("#line"), /^Reconnecting.*what was true at .* ago/);
  await accessible(page, "reconnecting");
  await picture(page, "reconnecting");
  await house.start();
  const job = house.berth("create", "1", "--keepalive", "never", "--note", "after the restart");
  await says(page.locator("#line"), /^Live.*last updated/);
  await says(page.locator("#jobs"), /after the restart/);
  house.berth("release", job);
}

async function bigLab(page) {
  await page.getByRole("button", { name: /^big: / }).click();
  await says(page.locator("#machine-facts"), /60 by 56 triads/);
  await page.waitForFunction(() => /10080 free/.test(document.querySelector("canvas").getAttribute("aria-label")));
  const nodes = await page.evaluate(() => document.querySelectorAll("*").length);
  assert.ok(nodes < 2_000, `${nodes} elements for ten thousand boards`);
  const drawnMs = await page.evaluate(() => new Promise((resolve) => {
    const began = performance.now();
    document.getElementById("zoom-in").click();
    requestAnimationFrame(() => resolve(performance.now() - began));
  }));
  assert.ok(drawnMs < 2_000, `drawn in ${drawnMs} ms`);
  await page.locator("canvas").click({ position: { x: 100, y: 100 } });
  await says(page.locator("#board-title"), /of big/);
  await picture(page, "big");
  await page.getByRole("button", { name: "Table" }).click();
  await says(page.locator("#boards .pager"), /1 to 50 of 10080/);
  await page.locator("#boards").getByRole("button", { name: "Next" }).click();
  await says(page.locator("#boards .pager"), /51 to 100 of 10080/);
}

/** Changes are heard of, and what they changed to does not come. */
async function slow(browser) {
  const page = await tab(browser, house.web);
  let held = null;
  await page.routeWebSocket(/\/socket$/, (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((message) => (held ? held.push([server, message]) : server.send(message)));
  });
  await step("what is known to have changed is not shown as live", page, async () => {
    await page.goto("/");
    await logIn(page, "olga");
    await says(page.locator("#line"), /^Live/);
    held = [];
    const job = house.berth("create", "1", "--keepalive", "never", "--note", "a slow answer");
    await says(page.locator("#line"), /^Fetching changes.*what was true at/);
    for (const [server, message] of held) server.send(message);
    held = null;
    await says(page.locator("#line"), /^Live/);
    await says(page.locator("#jobs"), /a slow answer/);
    house.berth("release", job);
  });
  await page.context().close();
}

/** A worker from its coming to its end, as the panel tells it. */
async function workers(browser) {
  const page = await tab(browser, house.web);
  const row = page.locator("#workers tbody tr");
  const state = async (sign, word, wanted) => {
    await says(row, new RegExp(`^host-7usb${sign}${word}${wanted}`));
    // The sign is for the eyes; who hears the page hears the word.
    assert.equal(await row.locator(`.worker-${word} .sign[aria-hidden="true"]`).textContent(), sign);
  };
  let worker;
  await step("a worker joins elsewhere, and there it is with its boards", page, async () => {
    await page.goto("/#machine=usb");
    await logIn(page, "olga");
    await says(page.locator("#workers"), /No workers\./);
    worker = await house.worker("host-7", 3);
    await state("●", "connected", "3: sim-1, sim-2, sim-3\\d+ s ago\\d+\\.\\d+.*http://");
    await page.waitForFunction(() => /3 free/.test(document.querySelector("canvas").getAttribute("aria-label")));
    assert.match(await (await fetch(`http://${house.web}/metrics`)).text(), /berth_worker_silence_seconds\{machine="usb",worker="host-7"\} /);
    await accessible(page, "workers");
    await picture(page, "workers");
  });
  await step("it is drained: it stays for who has a board of it", page, async () => {
    house.berth("create", "1", "--machine", "usb", "--kind", "pulsecount", "--keepalive", "never", "--wait");
    worker.kill("SIGTERM");
    await state("◐", "draining", "3: ");
    await says(page.locator("#states"), /maintenance 2/);
    await accessible(page, "draining");
    await picture(page, "workers-draining");
  });
  await step("it goes away, and after its time it is gone with its boards", page, async () => {
    worker.kill("SIGKILL");
    await state("–", "away", "3: ");
    await picture(page, "workers-away");
    await says(page.locator("#workers"), /No workers\./);
    await says(page.locator("#states"), /offline 3/);
  });
  await page.context().close();
}

async function guest(browser) {
  const page = await tab(browser, house.web);
  await step("a guest sees the lab and may not do what operators may", page, async () => {
    await page.goto("/#machine=m&board=0,0,1");
    await logInAsGuest(page);
    await says(page.locator("#board"), /Board 0,0,1 of m.*free/s);
    assert.equal(await page.locator("#board button", { hasText: /maintenance|Declare dead|Power cycle/ }).count(), 0);
    const job = house.berth("create", "--machine", "m", "--keepalive", "never", "1x1");
    await page.locator("#mine").getByRole("button", { name: "3 of m" }).click();
    await page.locator("#board button", { hasText: "Power cycle" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Power cycle" }).click();
    await says(page.locator("#board-said"), /switched off and on/);
    assert.equal(await page.locator("#board button", { hasText: /maintenance|Declare dead/ }).count(), 0);
    house.berth("release", job);
    await page.goto("/api");
    await page.locator("#functions").selectOption("set_board_state");
    await page.getByLabel("serial", { exact: true }).fill("devices-0");
    await page.getByLabel("state", { exact: true }).selectOption("dead");
    await page.getByRole("button", { name: "Send" }).click();
    await says(page.locator("#answer-state"), /Refused: .*\(413\)/);
    assert.match(house.berth("--json", "boards", "--machine", "devices"), /devices-0/);
    assert.doesNotMatch(house.berth("--json", "boards", "--machine", "devices"), /"dead"/);
  });
  await page.context().close();
}

async function playground(browser) {
  const page = await tab(browser, house.web);
  await step("the playground shows the functions of the server", page, async () => {
    await page.goto("/api");
    await logIn(page, "olga");
    await page.getByLabel("Search").fill("sensors read_");
    assert.deepEqual(await page.locator("#functions option").allTextContents(), ["read_board_sensors"]);
    await page.getByLabel("Search").fill("");
    await accessible(page, "playground");
  });
  await step("a call as a frame: the JSON, its bytes, the answer and its bytes agree", page, async () => {
    await page.locator("#functions").selectOption("create_job");
    await page.getByLabel("boards", { exact: true }).fill("two");
    await says(page.locator("#message-fault"), /boards: this is no number/);
    await page.getByLabel("boards", { exact: true }).fill("2");
    await page.getByLabel("keepalive", { exact: true }).fill("120.5");
    await page.getByLabel("require_torus", { exact: true }).selectOption("false");
    await page.getByLabel("tags", { exact: true }).fill('["default"]');
    const message = await page.locator("#message").inputValue();
    assert.deepEqual(JSON.parse(message).data, [{ fname: "create_job", boards: 2, keepalive: 120.5, require_torus: false, tags: ["default"] }]);
    await page.getByLabel("a frame in a binary message").check();
    await page.waitForFunction(() => document.getElementById("frame").textContent.includes("1f 8b"));
    assert.equal(framed(bytesOf(await page.locator("#frame").textContent())), message);
    await page.getByRole("button", { name: "Send" }).click();
    await says(page.locator("#answer-state"), /Answered\. [\d.]+ ms, \d+ bytes as a frame/);
    const answer = JSON.parse(await page.locator("#answer").textContent());
    assert.deepEqual(JSON.parse(framed(bytesOf(await page.locator("#answer-bytes").textContent()))), answer);
    assert.match(house.berth("--json", "show", String(answer.data[0].data)), /"owner": *"olga"/);
    const sent = page.locator("#traffic li", { hasText: "create_job" }).filter({ hasText: "sent" }).first();
    await sent.locator("summary").click();
    assert.equal(framed(bytesOf(await sent.locator("pre.hex").textContent())), message);
    await accessible(page, "answered");
    await picture(page, "playground");
  });
  await step("several calls in one message, and a message edited by hand", page, async () => {
    await page.locator("#functions").selectOption("get_version");
    await page.getByRole("button", { name: "Keep this call and add another" }).click();
    await page.locator("#functions").selectOption("whoami");
    await page.getByRole("button", { name: "Send" }).click();
    await says(page.locator("#answer"), /"fname": "get_version".*"fname": "whoami".*"olga"/s);
    await page.getByLabel("JSON in a text message").check();
    await page.locator("#message").fill('{"__id__": "by hand", "session": "", "name": "x", "data": "requestauth"}');
    await page.getByRole("button", { name: "Send" }).click();
    await says(page.locator("#answer"), /"guest_allowed".*"by hand"/s);
    await page.locator("#message").fill("[1,");
    await page.getByRole("button", { name: "Send" }).click();
    await says(page.locator("#answer-state"), /Refused: .*\(900\)/);
  });
  await step("what is pushed is seen as it comes", page, async () => {
    await page.getByRole("button", { name: "Ask to be told of changes" }).click();
    await says(page.locator("#traffic"), /notify_machine/);
    const job = house.berth("create", "1", "--keepalive", "never");
    await says(page.locator("#traffic"), new RegExp(`pushed.*jobs_changed.*${job}`, "s"));
    house.berth("release", job);
    assert.doesNotMatch(await page.locator("#traffic").textContent(), new RegExp(PASSWORD));
    await picture(page, "traffic");
  });
  await step("what is copied runs elsewhere: curl, and Python over TCP", page, async () => {
    await page.getByRole("button", { name: "Forget the kept calls" }).click();
    await page.locator("#functions").selectOption("set_board_state");
    await page.getByLabel("reason", { exact: true }).fill("it's \"quoted\" \\ and ü");
    await page.locator("#functions").selectOption("whoami");
    for (const [name, program] of [["Copy as curl", ["bash", "-c"]], ["Copy as Python over TCP", ["python3", "-c"]]]) {
      await page.locator("#snippet").evaluate((snippet) => { snippet.textContent = ""; });
      await page.getByRole("button", { name }).click();
      await says(page.locator("#snippet"), /whoami/);
      const text = await page.locator("#snippet").textContent();
      const said = execFileSync(program[0], [program[1], text], { encoding: "utf8" });
      assert.equal(JSON.parse(said).data[0].data.user, "olga");
    }
  });
  await page.context().close();
}

/** Both pages in a narrow window, in both schemes. */
async function narrow(browser) {
  for (const colorScheme of ["light", "dark"]) {
    const page = await tab(browser, house.web, { viewport: { width: 360, height: 740 }, colorScheme, reducedMotion: "reduce" });
    await step(`360 pixels, ${colorScheme}`, page, async () => {
      const job = house.berth("create", "2", "--keepalive", "never", "--note", "a note that is rather long for a narrow window");
      await page.goto("/#machine=m&board=0,1,1");
      await logIn(page, "olga");
      await says(page.locator("#board"), /Board 0,1,1 of m.*Into maintenance/s);
      await says(page.locator("#jobs"), /rather long/);
      await accessible(page, `narrow ${colorScheme}`);
      await picture(page, `narrow-${colorScheme}`);
      await page.getByRole("button", { name: "Table" }).click();
      await accessible(page, `narrow table ${colorScheme}`);
      await page.goto("/api");
      await page.locator("#play").waitFor();
      await page.locator("#functions").selectOption("create_job");
      await page.waitForFunction(() => document.getElementById("frame").textContent.includes("1f 8b"));
      await accessible(page, `narrow playground ${colorScheme}`);
      await picture(page, `narrow-playground-${colorScheme}`);
      house.berth("release", job);
    });
    await page.context().close();
  }
  const page = await tab(browser, house.web, { colorScheme: "dark" });
  await step("dark", page, async () => {
    await page.goto("/");
    await logIn(page, "olga");
    await says(page.locator("#jobs"), /\d/);
    await accessible(page, "dark");
    await picture(page, "panel-dark");
  });
  await page.context().close();
}

async function scriptless(browser) {
  const page = await tab(browser, house.web, { javaScriptEnabled: false });
  await step("without scripts the pages say so, and what to do", page, async () => {
    for (const [path, word] of [["/", "berth machines"], ["/api", "berth call"]]) {
      await page.goto(path);
      await says(page.locator("noscript"), new RegExp(`needs JavaScript.*${word}`, "s"));
    }
    await picture(page, "scriptless");
  });
  await page.context().close();
}

house.user("olga", "operator");
await house.start();
const browser = await launch();
try {
  for (const part of [panel, slow, workers, guest, playground, narrow, scriptless]) await part(browser);
} finally {
  await browser.close();
  await house.stop();
  house.remove();
}
console.log(`${passed} passed, ${failed} failed; pictures in ${process.env.OUTPUT}`);
process.exitCode = failed ? 1 : 0;
writeFileSync(join(process.env.OUTPUT, "result.txt"), `${passed} passed, ${failed} failed\n`);
