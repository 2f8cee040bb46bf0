// Asking in a dialog before something is done.

import { byId, make } from "./elements.js";

/**
 * Asks; fulfilled with what was filled in by name, or null if it was not to be done. `act` is run with it before the dialog
 * closes: what it throws is shown, and may be mended.
 *
 * @param {object} question
 * @param {string} question.title what is about to be done
 * @param {string} [question.text] what that means
 * @param {{name: string, label: string, value?: string, required?: boolean, type?: string}[]} [question.fields]
 * @param {string} question.yes what doing it is called
 * @param {(values: object) => Promise<unknown>} question.act does it
 */
export function ask({ title, text, fields = [], yes, act }) {
  const before = document.activeElement;
  const fault = make("p", { class: "fault", role: "alert" });
  const form = make("form", { method: "dialog" },
    make("h2", { id: "ask-title", text: title }),
    text ? make("p", { text }) : null,
    ...fields.map(({ name, label, value = "", required = false, type = "text" }) =>
      make("label", {}, label, make("input", { name, value, required, type, autocomplete: "off" }))),
    fault,
    make("p", { class: "actions" }, make("button", { text: yes, class: "main" }), make("button", { type: "button", text: "Cancel", onclick: () => dialog.close() })));
  const dialog = make("dialog", { "aria-labelledby": "ask-title" }, form);
  let done = null;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(form));
    form.querySelector(".main").disabled = true;
    fault.textContent = "";
    try {
      await act(values);
      done = values;
      dialog.close();
    } catch (error) {
      fault.textContent = error.message;
      form.querySelector(".main").disabled = false;
    }
  });
  return shown(dialog, before).then(() => done);
}

/** Shows what there is to read. */
export function tell(title, ...children) {
  const before = document.activeElement;
  const dialog = make("dialog", { "aria-labelledby": "tell-title", class: "wide" },
    make("h2", { id: "tell-title", text: title, tabindex: "-1" }), ...children,
    make("p", { class: "actions" }, make("button", { type: "button", text: "Close", onclick: () => dialog.close() })));
  return shown(dialog, before);
}

function shown(dialog, before) {
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      // What had the focus may be gone by now: what stands for it has the same key.
      const key = before?.dataset?.key;
      const again = before?.isConnected ? before : key && document.querySelector(`[data-key="${CSS.escape(key)}"]`);
      (again || byId("main")).focus();
      resolve();
    });
    dialog.showModal();
  });
}
