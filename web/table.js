// A table that shows long lists page by page, with a caption, and scrolls by itself where it is too wide.

import { button, make, refill } from "./elements.js";

const PAGE_ROWS = 50;

/** A table of the page. */
export class Table {
  /**
   * @param {string} caption what is listed
   * @param {{head: string, cell: (item: object) => Node|string|null}[]} columns
   * @param {string} empty what to say when there is nothing
   */
  constructor(caption, columns, empty) {
    Object.assign(this, { columns, empty, items: [], page: 0, caption });
    this.body = make("tbody");
    this.pager = make("nav", { class: "pager", "aria-label": `Pages of: ${caption}` });
    this.nothing = make("p", { class: "quiet", text: empty });
    const head = make("tr", {}, ...columns.map(({ head }) => make("th", { scope: "col", text: head })));
    this.scroll = make("div", { class: "scroll", role: "group", "aria-label": `${caption}, as a table`, tabindex: "0" },
      make("table", {}, make("caption", { text: caption }), make("thead", {}, head), this.body));
    this.element = make("div", {}, this.scroll, this.pager, this.nothing);
    this.show([]);
  }

  /** Shows these. */
  show(items) {
    this.items = items;
    this._draw();
  }

  _draw() {
    const pages = Math.max(1, Math.ceil(this.items.length / PAGE_ROWS));
    this.page = Math.min(this.page, pages - 1);
    const from = this.page * PAGE_ROWS;
    const shown = this.items.slice(from, from + PAGE_ROWS);
    refill(this.body, ...shown.map((item) => this._row(item)));
    this.scroll.hidden = this.items.length === 0;
    this.nothing.hidden = this.items.length > 0;
    this.pager.hidden = pages === 1;
    if (pages === 1) return;
    refill(this.pager,
      button("Previous", () => this._turn(-1), { "data-key": `${this.caption} back`, disabled: this.page === 0 }),
      make("span", { text: `${from + 1} to ${from + shown.length} of ${this.items.length}` }),
      button("Next", () => this._turn(1), { "data-key": `${this.caption} on`, disabled: this.page === pages - 1 }));
  }

  _turn(by) {
    this.page += by;
    this._draw();
  }

  _row(item) {
    const cells = this.columns.map(({ cell }, at) => {
      const value = cell(item);
      const attributes = at === 0 ? { scope: "row" } : {};
      return make(at === 0 ? "th" : "td", attributes, value instanceof Node ? value : String(value ?? ""));
    });
    return make("tr", {}, ...cells);
  }
}
