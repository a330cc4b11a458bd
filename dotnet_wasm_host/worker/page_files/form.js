// The fields that a call is made of: bytes, or the parameters of a method as its signature has them.

import { element } from "./texts.js";

export class WrongInput extends Error {
  constructor(message, name) {
    super(message);
    this.field = name;
  }
}

// One field: what is on the page, what it says, and where its faults are shown.
class Field {
  constructor(name, control, { type = "", help = "", optional = false } = {}) {
    this.name = name;
    this.control = control;
    control.id = `field-${Field.next++}`;
    this.fault = element("p", { className: "fault", id: `${control.id}-fault`, hidden: true });
    const label = element("label", { htmlFor: control.id }, element("span", { textContent: name }));
    if (type) label.append(" ", element("code", { textContent: type }));
    if (optional) label.append(" ", element("span", { className: "muted", textContent: "optional" }));
    const parts = [label, control];
    const described = [this.fault.id];
    if (help) {
      const text = element("p", { className: "help", id: `${control.id}-help`, textContent: help });
      parts.push(text);
      described.push(text.id);
    }
    control.setAttribute("aria-describedby", described.join(" "));
    this.node = element("div", { className: "field" }, ...parts, this.fault);
    control.addEventListener("input", () => this.show(""));
  }

  static next = 1;

  show(fault) {
    this.fault.textContent = fault;
    this.fault.hidden = !fault;
    if (fault) this.control.setAttribute("aria-invalid", "true");
    else this.control.removeAttribute("aria-invalid");
  }
}

// Bytes, as text or in hex.
export class BytesForm {
  constructor() {
    const area = element("textarea", { rows: 4, spellcheck: false, value: "Ada" });
    area.dataset.name = "payload";
    this.field = new Field("Payload", area);
    const group = `encoding-${Field.next++}`;
    this.hex = element("input", { type: "radio", name: group, value: "hex" });
    const text = element("input", { type: "radio", name: group, value: "text", checked: true });
    const choice = element(
      "fieldset", {},
      element("legend", { textContent: "Payload as" }),
      element("label", { className: "check" }, text, " text"),
      element("label", { className: "check" }, this.hex, " hex bytes"),
    );
    for (const radio of [text, this.hex]) radio.addEventListener("change", () => this.field.show(""));
    this.nodes = [this.field.node, choice];
  }

  read() {
    const text = this.field.control.value;
    const headers = { "Content-Type": "application/octet-stream" };
    if (!this.hex.checked) return { headers, body: new TextEncoder().encode(text) };
    const digits = text.replace(/\s/g, "");
    if (digits.length % 2 || !/^[0-9a-f]*$/i.test(digits)) {
      throw new WrongInput("This is not hex: give pairs of digits, as in 00 ff 7a.", "Payload");
    }
    const body = Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
    return { headers, body };
  }

  showFault(_, fault) {
    this.field.show(fault);
    this.field.control.focus();
    return true;
  }
}

// The parameters of a method.
export class MethodForm {
  constructor(method, definitions) {
    this.parameters = method.parameters.map((parameter) => {
      const schema = resolved(parameter.schema ?? {}, definitions);
      const control = controlFor(schema, parameter, definitions);
      control.dataset.name = parameter.name;
      const field = new Field(parameter.name, control, {
        type: parameter.csharp, help: parameter.description, optional: !parameter.required,
      });
      return { ...parameter, schema, field };
    });
    const nothing = element("p", { className: "muted", textContent: "It takes no arguments." });
    this.nodes = this.parameters.length ? this.parameters.map(({ field }) => field.node) : [nothing];
  }

  read() {
    const values = Object.create(null); // "__proto__" is a name, too
    for (const { name, required, schema, field } of this.parameters) {
      const value = valueOf(field.control, schema, required, name);
      if (value !== undefined) values[name] = value;
    }
    return { headers: { "Content-Type": "application/json" }, body: JSON.stringify(values) };
  }

  // `path` is a parameter, or a place in it: "p.X[2]".
  showFault(path, fault) {
    const name = /^[^.[]*/.exec(path)[0];
    const found = this.parameters.find((parameter) => parameter.name === name);
    found?.field.show(fault);
    found?.field.control.focus();
    return Boolean(found);
  }
}

// A schema without references and without "or null", which is noted instead.
function resolved(schema, definitions, depth = 0) {
  const name = /^#\/definitions\/(.*)$/.exec(schema.$ref ?? "");
  if (name && Object.hasOwn(definitions, name[1]) && depth < 10) {
    return resolved(definitions[name[1]], definitions, depth + 1);
  }
  if (Array.isArray(schema.type)) {
    // Numbers may come as texts, too, for what JSON's have no room for.
    const kinds = schema.type.filter((kind) => kind !== "null");
    const kind = schema.format !== "decimal" && kinds.includes("number") ? "number" : kinds[0];
    return { ...schema, type: kind, nullable: kinds.length < schema.type.length };
  }
  const others = (schema.anyOf ?? []).filter((each) => each.type !== "null");
  if (others.length === 1 && depth < 10) {
    return { ...resolved(others[0], definitions, depth + 1), nullable: true };
  }
  return schema;
}

function controlFor(schema, parameter, definitions) {
  const preset = parameter.default === undefined ? "" : String(JSON.stringify(parameter.default));
  if (Array.isArray(schema.enum) || schema.type === "boolean") {
    const values = schema.enum ?? [true, false];
    const nothing = parameter.required ? [] : [new Option(preset ? `${preset} (default)` : "not given", "")];
    const options = values.map((value) => new Option(String(value), JSON.stringify(value)));
    const select = element("select", {}, ...nothing, ...options);
    if (schema.type === "boolean" && parameter.required) select.value = "false";
    return select;
  }
  if (schema.type === "integer" || schema.type === "number") {
    const inputMode = schema.type === "integer" && schema.minimum >= 0 ? "numeric" : "text";
    return element("input", { type: "text", inputMode, autocomplete: "off", placeholder: preset });
  }
  if (hintOf(schema)) {
    return element("input", { type: "text", autocomplete: "off", placeholder: preset || hintOf(schema) });
  }
  const isText = schema.type === "string";
  const rows = isText ? 1 : 3;
  const encoded = schema.contentEncoding === "base64" ? "base64" : "";
  const hint = preset || (isText ? encoded : JSON.stringify(example(schema, definitions)));
  return element("textarea", { rows, spellcheck: false, placeholder: hint ?? "" });
}

function hintOf(schema) {
  const hints = {
    "date-time": "2026-01-31T12:00:00Z", date: "2026-01-31", time: "12:00:00", duration: "PT1H30M",
    uuid: "00000000-0000-0000-0000-000000000000", decimal: "1.25",
  };
  return hints[schema.format] ?? "";
}

// What a value may look like.
function example(schema, definitions, depth = 0) {
  const plain = resolved(schema, definitions);
  if (depth > 4) return null;
  if (plain.enum) return plain.enum[0];
  if (plain.prefixItems) return plain.prefixItems.map((item) => example(item, definitions, depth + 1));
  if (plain.type === "array") return [example(plain.items ?? {}, definitions, depth + 1)];
  if (plain.type === "object") {
    const fields = Object.entries(plain.properties ?? {});
    return Object.fromEntries(fields.map(([name, field]) => [name, example(field, definitions, depth + 1)]));
  }
  return { boolean: false, integer: 0, number: 0.5, string: hintOf(plain) ?? "" }[plain.type] ?? null;
}

// What a control says; undefined for an optional one that says nothing.
function valueOf(control, schema, required, name) {
  const text = control.value;
  const isText = schema.type === "string" && !schema.enum && !hintOf(schema);
  if (text === "" && !required) return undefined;
  if (control.tagName === "SELECT") return JSON.parse(text);
  if (isText) return text;
  if (text.trim() === "") {
    if (schema.nullable) return null;
    throw new WrongInput("Give a value.", name);
  }
  if (schema.type === "string") return text.trim();
  if (schema.type === "integer") return integer(text.trim(), name);
  if (schema.type === "number") return number(text.trim(), name);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new WrongInput(`This is not JSON: ${error.message}`, name);
  }
}

function integer(text, name) {
  if (!/^[+-]?\d+$/.test(text)) throw new WrongInput("Give a whole number.", name);
  const value = Number(text);
  // JavaScript's numbers end at 2^53; the worker takes the digits, too.
  return Number.isSafeInteger(value) ? value : text.replace(/^\+/, "");
}

function number(text, name) {
  if (["NaN", "Infinity", "-Infinity"].includes(text)) return text;
  const value = Number(text);
  if (!Number.isFinite(value)) throw new WrongInput("Give a number.", name);
  return value;
}
