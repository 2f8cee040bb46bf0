// What is shown, kept in the address behind "#", so that every view can be kept, sent and gone back to.

/** Tells "change" when somebody goes to another view. */
export const place = new EventTarget();

const read = () => new URLSearchParams(location.hash.slice(1));

/** What an address says of something, or null. */
export function placed(name) {
  return read().get(name);
}

/** Goes to another view: null leaves something out. */
export function goTo(parts) {
  const search = read();
  for (const [name, value] of Object.entries(parts)) {
    if (value === null || value === undefined) search.delete(name);
    else search.set(name, value);
  }
  const hash = search.toString();
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname);
  place.dispatchEvent(new CustomEvent("change"));
}

globalThis.addEventListener("hashchange", () => place.dispatchEvent(new CustomEvent("change")));
