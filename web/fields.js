// A form for the arguments of a function, made of what the server says of them.

import { make } from "./elements.js";

/** What was typed is no value of its argument's type. */
export class BadArgument extends Error {}

/** The fields of a function's arguments. */
export class Fields {
  /** Fills a form; `changed` is called whenever something else is typed. */
  constructor(form, args, changed) {
    this.fields = args.map((arg, at) => new Field(arg, `argument-${at}`));
    form.replaceChildren(...this.fields.map(({ element }) => element));
    form.oninput = changed;
  }

  /** The arguments that were given. */
  values() {
    const given = this.fields.map((field) => [field.arg.name, field.value()]).filter(([, value]) => value !== undefined);
    return Object.fromEntries(given);
  }
}

/** One argument. */
class Field {
  constructor(arg, id) {
    this.arg = arg;
    this.input = inputOf(arg, id);
    this.fault = make("p", { class: "fault", id: `${id}-fault` });
    this.input.setAttribute("aria-describedby", `${id}-type ${id}-fault`);
    const normally = arg.required ? "required" : `left out: ${JSON.stringify(arg.default)}`;
    this.element = make("div", {},
      make("label", { for: id, text: arg.name }), this.input,
      make("span", { class: "type", id: `${id}-type`, text: `${arg.type}; ${normally}. ${arg.doc}` }), this.fault);
  }

  /** The value that was given, or undefined if none was. */
  value() {
    this.fault.textContent = "";
    this.input.removeAttribute("aria-invalid");
    const text = this.input.value;
    if (text === "") return undefined;
    try {
      return read(this.arg.type, text);
    } catch (error) {
      this.fault.textContent = error.message;
      this.input.setAttribute("aria-invalid", "true");
      throw new BadArgument(`${this.arg.name}: ${error.message}`);
    }
  }
}

function inputOf({ type }, id) {
  const choices = choicesOf(type);
  if (choices) return make("select", { id }, make("option", { value: "", text: "" }), ...choices.map((text) => make("option", { value: text, text })));
  if (isJson(type)) return make("textarea", { id, rows: "2", spellcheck: "false", placeholder: "JSON" });
  return make("input", { id, autocomplete: "off", inputmode: isNumber(type) ? "decimal" : null });
}

function choicesOf(type) {
  if (type === "true or false") return ["true", "false"];
  return type.startsWith("one of ") ? Array.from(type.matchAll(/"([^"]*)"/g), ([, word]) => word) : null;
}

function isJson(type) {
  return type.startsWith("a list of ") || type.startsWith("any JSON");
}

function isNumber(type) {
  return /^(an integer|a number|the number)/.test(type);
}

function read(type, text) {
  if (type === "true or false") return text === "true";
  if (isJson(type)) return JSON.parse(text);
  if (!isNumber(type)) return text;
  if (!/^-?\d+(\.\d+)?(e[-+]?\d+)?$/i.test(text.trim())) throw new Error("this is no number");
  return Number(text);
}
