// The playground: send a list of calls and watch the socket.

import { NativeClient } from "./native.js";

const $ = (id) => document.getElementById(id);
const SHOWN_MAX = 200;
const client = new NativeClient({ name: "playground" });

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

client.addEventListener("traffic", ({ detail }) => {
  const item = document.createElement("li");
  const lines = [detail.direction === "out" ? "sent" : "heard", detail.text];
  if (detail.bytes) lines.push(hex(detail.bytes));
  for (const line of lines) item.appendChild(document.createElement("pre")).textContent = line;
  $("traffic").append(item);
  while ($("traffic").children.length > SHOWN_MAX) $("traffic").firstChild.remove();
});
client.addEventListener("state", ({ detail }) => {
  $("state").textContent = detail;
});

$("call").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  try {
    client.form = form.get("binary") ? "binary" : "text";
    await client.connect();
    if (!client.session) await client.handshake();
    await client.calls(JSON.parse(form.get("calls")));
  } catch (error) {
    $("state").textContent = error.message;
  }
});

client.connect();
