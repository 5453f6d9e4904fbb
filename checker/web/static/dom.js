// The few words that all views use: elements, requests to the page's own server,
// times, and what a screen reader is told. Nothing here turns a string into HTML.

const svgNames = new Set(["svg", "line", "path", "text", "rect", "circle", "g", "marker", "defs", "title"]);

// h makes an element. Of the properties, "on…" are listeners, "class" and "data-…"
// attributes, and true, false, null what one expects of an attribute.
export function h(name, properties = {}, ...children) {
  const e = svgNames.has(name) ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
    else if (value === true) e.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) e.setAttribute(key, value);
  }
  e.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false && c !== ""));
  return e;
}

export const $ = (id) => document.getElementById(id);

// fill replaces what is in an element. The focus stays on what has the same
// data-key, and details stay open.
export function fill(parent, ...children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement.closest("[data-key]")?.dataset.key : null;
  const before = new Map([...parent.querySelectorAll("details[data-key]")].map((d) => [d.dataset.key, d.open]));
  parent.replaceChildren(...children.flat(Infinity).filter(Boolean));
  for (const d of parent.querySelectorAll("details[data-key]")) {
    if (before.has(d.dataset.key)) d.open = before.get(d.dataset.key);
  }
  if (focused) parent.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  reachable(parent);
}

// reachable lets a box that scrolls sideways be scrolled by keys.
export function reachable(parent) {
  for (const box of parent.querySelectorAll("pre, .scroll")) {
    if (box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1) {
      box.tabIndex = 0;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", box.tagName === "PRE" ? "Code" : "Table");
    }
    else if (box.hasAttribute("tabindex")) for (const a of ["tabindex", "role", "aria-label"]) box.removeAttribute(a);
  }
}

// say tells a screen reader.
export function say(text) {
  if ($("said").textContent !== text) $("said").textContent = text;
}

// ask asks the page's server. It throws an error with .blocks where that says no.
export async function ask(path, body) {
  let response;
  try {
    response = await fetch(path, body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    throw new Error("The page's server does not answer.");
  }
  let value = null;
  try {
    value = await response.json();
  } catch {
    // an answer of the guard's: its status has to do
  }
  if (!response.ok) throw Object.assign(new Error(value?.error ?? `The page's server says ${response.status}.`), { blocks: value?.blocks ?? [] });
  return value;
}

// copier is a button that copies what text() returns.
export function copier(label, text, key) {
  const button = h("button", { type: "button", class: "small", "data-key": key, onclick: async () => {
    let done = "Copied";
    try {
      await navigator.clipboard.writeText(text());
    } catch {
      done = "Not copied: the browser forbids it";
    }
    button.textContent = done;
    say(done);
    setTimeout(() => { button.textContent = label; }, 1600);
  } }, label);
  return button;
}

// problem shows why something could not be done, with the compiler's words.
export function problem(error) {
  return h("div", { class: "problem" }, h("p", {}, error.message), (error.blocks ?? []).map((b) => h("pre", { class: "code" }, b)));
}

// prose is a text with `code` and [links](https://…) in it.
export function prose(text) {
  return text.split(/(`[^`]+`|\[[^\]]+\]\(https?:[^)\s]+\))/).map((piece) => {
    if (/^`.+`$/.test(piece)) return h("code", {}, piece.slice(1, -1));
    const link = /^\[([^\]]+)\]\((https?:[^)\s]+)\)$/.exec(piece);
    return link ? h("a", { href: link[2], rel: "noopener noreferrer" }, link[1]) : piece;
  });
}

const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

// span is a number of seconds in the two largest units that it has: "2 d 3 h".
export function span(seconds) {
  let left = Math.round(Math.abs(seconds));
  if (left > 86400 * 365 * 3) return `${Math.round(left / 86400 / 365)} years`;
  const words = [];
  for (const [unit, name] of units) {
    const n = Math.floor(left / unit);
    left -= n * unit;
    if (n > 0 || words.length > 0) words.push(n > 0 ? `${n} ${name}` : "");
    if (words.length === 2) break;
  }
  return words.filter(Boolean).join(" ") || "0 s";
}

// relative says when something is, as seen from now; both in milliseconds.
export function relative(when, now) {
  const seconds = Math.round((when - now) / 1000);
  if (seconds === 0) return "now";
  return seconds > 0 ? `in ${span(seconds)}` : `${span(seconds)} ago`;
}

const two = (n) => String(n).padStart(2, "0");

// hour is the time of day of a moment, here.
export function hour(when) {
  const d = new Date(when);
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

// day is the whole of it.
export function day(when) {
  const d = new Date(when);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${hour(when)}`;
}

// A clock that runs from what it was when it was read.
export class Clock {
  constructor() { this.ahead = 0; }
  set(time) { this.ahead = Date.parse(time) - Date.now(); }
  now() { return Date.now() + this.ahead; }
}

export const clock = new Clock();

// fold shortens what is long, a token say.
export function fold(text, most = 40) {
  return text.length > most ? `${text.slice(0, most - 8)}…${text.slice(-7)}` : text;
}
