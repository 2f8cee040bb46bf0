// Making pieces of a page. Whatever the lab says becomes text, never markup.

/** An element of the page by its id. */
export const byId = (id) => document.getElementById(id);

/**
 * Makes an element: attributes by name, "on" plus an event's name listens, `text` is its text; then its children, elements or
 * texts. Attributes that are null, undefined or false are left out.
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...present(children));
  return element;
}

/** Children that are there: null stands for one that is not. */
function present(children) {
  return children.filter((child) => child !== null && child !== undefined);
}

/** A button that does something. */
export function button(text, onclick, attributes = {}) {
  return make("button", { type: "button", text, onclick, ...attributes });
}

/** A list of terms and what they are; pairs whose second is null are left out. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return make("dl", { class: "facts" }, ...shown.map(([term, value]) =>
    make("div", {}, make("dt", { text: term }), make("dd", {}, value instanceof Node ? value : String(value)))));
}

/** Puts children in place of those an element has, and keeps the focus where it was if what had it is there again. */
export function refill(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  element.replaceChildren(...present(children));
  if (focused) element.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

let newsAt = 0;
let newsLater = null;
const NEWS_GAP_MS = 1_500;

/** Says something to those who hear the page: not more often than they can listen to; the newest wins. */
export function announce(text) {
  clearTimeout(newsLater);
  newsLater = setTimeout(() => {
    newsAt = Date.now();
    byId("news").textContent = text;
  }, Math.max(0, newsAt + NEWS_GAP_MS - Date.now()));
}
