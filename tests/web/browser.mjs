// A browser whose every complaint counts: faults of scripts, breaches of the policy, requests to other hosts; and what axe-core finds.

import { createRequire } from "node:module";
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

const require = createRequire(join(process.env.TOOLS, "x.js"));
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const GRAVE = ["serious", "critical"];
// What browsers themselves say when a server is away, which is part of the tests.
const AWAY = /WebSocket connection to .* failed|ERR_CONNECTION_REFUSED|WebSocket is closed/;

export const complaints = [];

export async function launch() {
  const executablePath = process.env.CHROMIUM || undefined;
  // Whoever is root, as in containers, has no sandbox.
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  // What a test answers itself comes from no address, and so may not speak to this host.
  if (process.env.PAGES) args.push("--disable-features=LocalNetworkAccessChecks");
  return chromium.launch({ executablePath, args, timeout: 120_000 });
}

/** A tab of its own: nothing is shared with others. */
export async function tab(browser, web, options = {}) {
  const context = await browser.newContext({ baseURL: `http://${web}`, viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !AWAY.test(message.text())) complaints.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`script: ${error.stack ?? error.message}`));
  page.on("request", (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol.startsWith("http") && host !== web) complaints.push(`a request to ${request.url()}`);
  });
  if (process.env.PAGES) await fromDisk(context, process.env.PAGES);
  return page;
}

async function fromDisk(context, folder) {
  const types = { html: "text/html", css: "text/css", js: "text/javascript", svg: "image/svg+xml" };
  await context.route(({ pathname }) => pathname === "/" || pathname === "/api" || pathname.startsWith("/static/"), async (route) => {
    const { pathname } = new URL(route.request().url());
    const name = { "/": "index.html", "/api": "api.html" }[pathname] ?? basename(pathname);
    const file = join(folder, name);
    if (route.request().method() !== "GET" || !existsSync(file)) return route.continue();
    const headers = (await route.fetch({ url: new URL("/", route.request().url()).href })).headers();
    for (const header of ["content-length", "etag"]) delete headers[header];
    return route.fulfill({ body: readFileSync(file), headers: { ...headers, "content-type": types[name.split(".").pop()] } });
  });
}

/** Keeps a picture. */
export async function picture(page, name) {
  const path = join(process.env.OUTPUT, `${name}.png`);
  await page.screenshot({ path, fullPage: true });
  console.log(`      ${path}`);
}

/** What axe-core finds that is serious or critical. */
export async function faultsOfAccess(page) {
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const minor = violations.filter(({ impact }) => !GRAVE.includes(impact)).map(({ id }) => id);
  if (minor.length) console.log(`      axe, not grave: ${minor.join(", ")}`);
  return violations.filter(({ impact }) => GRAVE.includes(impact))
    .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} (${failureSummary})`).join(" | ")}`);
}

/** What makes the page wider than its window; nothing, if it is not. */
export async function tooWide(page) {
  return page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const wide = Array.from(document.querySelectorAll("body *")).filter((one) => one.getBoundingClientRect().right > width + 1);
    return wide.map(({ tagName, id, className }) => `${tagName}#${id}.${className}`).slice(0, 20);
  });
}
