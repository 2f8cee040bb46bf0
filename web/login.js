// The form to log in by, the same on both pages, and the way out again.

import { byId } from "./elements.js";

/**
 * Logs in with what the tab remembers or the form says, and calls `begin` whenever somebody came in, `end` whenever they went.
 * Answers a function that sends people back to the form and says why.
 */
export function openLogin(caller, { begin, end }) {
  const form = byId("login");
  const refused = byId("refused");

  function enter() {
    form.hidden = true;
    form.reset();
    byId("who").hidden = false;
    byId("who-name").textContent = `${caller.user} (${caller.role})`;
    begin();
  }

  function leave(why) {
    caller.forget();
    form.hidden = false;
    byId("who").hidden = true;
    refused.textContent = why;
    end();
    byId("login-user").focus();
  }

  async function tryIn(user, password) {
    refused.textContent = "";
    try {
      await caller.logIn(user, password);
      enter();
      byId("main").focus();
    } catch (error) {
      refused.textContent = error.message;
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter?.value === "guest") return tryIn("", "");
    const given = new FormData(form);
    if (!given.get("user")) {
      refused.textContent = "Give a user and a password, or come in as a guest.";
      return undefined;
    }
    return tryIn(given.get("user"), given.get("password"));
  });
  byId("logout").addEventListener("click", async () => {
    await caller.logOut();
    leave("");
  });
  caller.client.addEventListener("greeting", ({ detail }) => {
    byId("as-guest").hidden = !detail.guest_allowed;
  });
  caller.client.connect();
  caller.resume().then((known) => {
    if (known) enter();
    else form.hidden = false;
  }, (error) => leave(error.message));
  return leave;
}
