// The token lab: a token field by field, its signature, its life, and what servers
// say to it.
import { $, ask, clock, copier, day, fill, h, hour, problem, relative, say, span } from "./dom.js";

let server = { running: false, tokens: [], secret: "" };
let secretTouched = false;
let explained = null;

const token = $("token");
const secret = $("secret");

let due;
function later() {
  clearTimeout(due);
  due = setTimeout(explain, 150);
}
token.addEventListener("input", later);
secret.addEventListener("input", () => { secretTouched = true; later(); });
$("secret-back").addEventListener("click", () => { secretTouched = false; secret.value = server.secret; explain(); });

let asked = 0;
async function explain() {
  const mine = ++asked;
  $("asking").hidden = token.value.trim() === "";
  $("answers").hidden = true;
  if (token.value.trim() === "") {
    explained = null;
    fill($("result"), h("p", { class: "empty" }, "No token yet."));
    return;
  }
  let got;
  try {
    got = await ask("/api/lab/explain", secretTouched ? { token: token.value, secret: secret.value } : { token: token.value });
  } catch (error) {
    got = null;
    if (mine === asked) fill($("result"), h("section", { class: "card" }, problem(error)));
  }
  if (mine !== asked) return;
  explained = got;
  if (got) show(got);
}

function show(got) {
  const parts = got.parts.flatMap((p, i) => [i > 0 ? h("span", { class: "dot-between" }, ".") : null, h("span", { class: `part part-${p.name}` }, p.raw)]);
  const whole = h("p", { class: "token-whole", "aria-label": "The token in its parts" }, parts);
  if (got.error) {
    fill($("result"), h("section", { class: "card" }, h("h2", {}, "This is no JWT"), whole, h("p", { class: "bad" }, got.error + ".")));
    say(`This is no JWT: ${got.error}`);
    return;
  }
  const fits = { "fits": ["good", `The signature fits the ${got.signature.with}`], "does not fit": ["bad", `The signature does not fit the ${got.signature.with}`], "none": ["bad", "There is no signature"], "unknown": ["warn", "The signature cannot be checked here"] }[got.signature.state];
  fill($("result"),
    h("section", { class: "card" },
      h("h2", {}, "Three parts"), whole,
      h("p", { class: `stamp stamp-${fits[0]}` }, h("strong", {}, fits[1]), " ", got.signature.text)),
    got.life && h("section", { class: "card" }, h("h2", {}, "Its life"), h("div", { id: "life" })),
    h("section", { class: "card" }, h("h2", {}, "What it says"), table("header", "Header", got), table("payload", "Payload", got)));
  live();
  say(`${fits[1]}. ${got.fields.filter((f) => f.warning).length} fields with a warning.`);
}

function table(part, title, got) {
  return h("div", { class: "scroll" }, h("table", { class: `fields fields-${part}` },
    h("caption", {}, title),
    h("thead", {}, h("tr", {}, ["Name", "Value", "What it means"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", {}, got.fields.filter((f) => f.part === part).map((f) => h("tr", { class: f.warning ? "warned" : "" },
      h("th", { scope: "row" }, h("code", {}, f.name)),
      h("td", {}, f.value ? h("code", { class: "value" }, f.value) : h("span", { class: "soft" }, "missing"),
        f.time && h("span", { class: "when" }, `${day(f.time)} · `, h("span", { "data-when": f.time }, relative(Date.parse(f.time), clock.now())))),
      h("td", {}, f.meaning, " ", f.source && h("span", { class: "source" }, f.source), f.warning && h("p", { class: "bad" }, f.warning)))))));
}

// live draws the bar as it is at this moment of the clock.
function live() {
  for (const e of document.querySelectorAll("[data-when]")) e.textContent = relative(Date.parse(e.dataset.when), clock.now());
  const place = $("life");
  if (!place || !explained?.life) return;
  const l = Object.fromEntries(Object.entries(explained.life).map(([k, v]) => [k, k === "capFrom" ? v : Date.parse(v)]));
  const now = clock.now();
  const start = Math.min(l.issued ?? Infinity, l.before ?? Infinity, l.expires ?? Infinity);
  const dead = l.expires !== undefined && now >= l.expires || l.cap !== undefined && now >= l.cap;
  const early = l.before !== undefined && now < l.before;
  const state = dead ? "expired" : early ? "not valid yet" : "alive";
  const lines = [];
  const term = (name, time, what) => { if (time !== undefined) lines.push(h("div", {}, h("dt", {}, h("span", { class: `key key-${name}`, "aria-hidden": "true" }), what), h("dd", {}, relative(time, now), " ", h("span", { class: "soft" }, day(time))))); };
  term("issued", l.issued, "Issued");
  term("before", l.before, "Not before");
  term("half", l.half, "Half of its life");
  term("expires", l.expires, "Expires");
  term("cap", l.cap, "End of its session");
  const head = h("p", { class: "life-head" }, h("strong", { class: dead || early ? "bad" : "good", id: "life-state" }, dead ? "Expired" : early ? "Not valid yet" : "Alive"),
    h("span", {}, l.expires === undefined ? " and it never expires" : dead ? ` since ${span((now - Math.min(l.expires, l.cap ?? Infinity)) / 1000)}` : ` for another ${span((Math.min(l.expires, l.cap ?? Infinity) - now) / 1000)}`),
    h("span", { class: "soft life-clock" }, `${server.running ? "The server’s clock" : "The clock"} says ${hour(now)}`));
  fill(place, head, l.expires !== undefined && Number.isFinite(start) && l.expires > start && bar(l, start, now, state), h("dl", { class: "life-terms" }, lines),
    h("p", { class: "soft" }, l.cap !== undefined ? `The end of its session is known from ${l.capFrom}.` : "Where its session has an absolute end, the server keeps it. The token alone does not tell; of one that your running server gave, from lesson 06 on, the page knows it from the login."));
}

function bar(l, start, now, state) {
  // The bar ends a little after the token does, unless its session ends close by:
  // 15 minutes of 7 days would be nothing to see.
  const life = l.expires - start;
  let end = l.expires + life * 0.12;
  if (l.cap !== undefined && l.cap > start && l.cap < l.expires + life * 3) end = Math.max(l.expires, l.cap) + life * 0.12;
  const at = (t) => Math.min(100, Math.max(0, (100 * (t - start)) / (end - start)));
  const place = (e, left, right) => { e.style.insetInlineStart = `${left}%`; if (right !== undefined) e.style.inlineSize = `${Math.max(0, right - left)}%`; return e; };
  const tick = (name, time) => time !== undefined && time <= end && place(h("span", { class: `tick tick-${name}` }), at(time));
  return h("div", { class: `life life-${state.replaceAll(" ", "-")}`, role: "img", "aria-label": `A bar from its issue to its expiry. ${Math.round(at(now))} percent have passed.` },
    place(h("span", { class: "lived" }), 0, at(Math.min(now, l.expires))),
    place(h("span", { class: "left" }), at(Math.min(now, l.expires)), at(l.expires)),
    tick("half", l.half), tick("expires", l.expires), tick("cap", l.cap),
    l.cap !== undefined && l.cap > end && h("span", { class: "beyond" }, "→"),
    place(h("span", { class: "hand" }), at(now)));
}

setInterval(live, 1000);

// Tokens of the running server.
function from() {
  const take = (raw) => { token.value = raw; explain(); token.focus(); };
  if (!server.running) {
    fill($("from"), h("p", { class: "soft" }, "None is running. ", h("a", { href: "/pad" }, "Start one on the request pad"), "."));
    return;
  }
  const login = (who, password) => h("button", { type: "button", class: "small", "data-key": `login ${who}`, onclick: async () => {
    try {
      const after = await ask("/api/server/send", { from: "own", method: "POST", path: "/login", body: JSON.stringify({ username: who, password }) });
      const got = after.tokens.find((t) => t.kind === "access");
      const last = after.log.at(-1);
      if (got && last?.status === 200) take(got.raw);
      else say(`The login was answered ${last?.status || "nothing"}, with no token.`);
      $("from-said")?.remove();
      if (!got || last?.status !== 200) $("from").append(h("p", { id: "from-said", class: "bad" }, `The login was answered ${last?.status || "nothing"}, with no token.`));
    } catch (error) {
      fill($("from"), problem(error));
    }
  } }, `Log in as ${who}`);
  fill($("from"),
    h("p", { class: "row" }, login("cosmo", "space-corgi"), login("ada", "analytical-engine-1843"), h("span", { class: "soft" }, `at the server of lesson ${server.lesson.slice(0, 2)}`)),
    server.tokens.length > 0 && h("ul", { class: "taken" }, server.tokens.slice(0, 6).map((t) => h("li", {}, h("button", { type: "button", class: "link", "data-key": `take ${t.raw}`, onclick: () => take(t.raw) }, t.what), " ", h("span", { class: "soft" }, hour(t.at))))));
}

// What servers say.
$("ask").addEventListener("click", async () => {
  const button = $("ask");
  button.disabled = true;
  const solution = $("whose").value === "solution";
  const raw = token.value;
  const body = $("answers").querySelector("tbody");
  $("answers").hidden = false;
  fill(body);
  const places = [...$("doors").children].map((d) => ({ lesson: d.dataset.lesson, name: d.textContent }));
  if (server.running) places.unshift({ lesson: "", name: "Your running server" });
  for (const place of places) {
    const waiting = h("tr", {}, h("th", { scope: "row" }, place.name), h("td", { colspan: 3, class: "soft" }, place.lesson ? "building and asking …" : "asking …"));
    body.append(waiting);
    try {
      const got = await ask("/api/lab/ask", { lesson: place.lesson, solution, token: raw });
      waiting.replaceWith(...rows(place.name, got));
    } catch (error) {
      waiting.replaceWith(h("tr", {}, h("th", { scope: "row" }, place.name), h("td", { colspan: 3, class: "bad" }, error.message.split("\n")[0])));
    }
  }
  button.disabled = false;
  say("All servers have answered.");
});

function rows(name, got) {
  if (got.answers.length === 0) return [h("tr", {}, h("th", { scope: "row" }, name), h("td", { colspan: 3, class: "soft" }, got.reason))];
  return got.answers.map((a, i) => h("tr", {},
    i === 0 && h("th", { scope: "row", rowspan: got.answers.length }, name),
    h("td", {}, h("code", {}, a.door)),
    h("td", {}, status(a.status), " ", h("span", { class: "mono small-text" }, a.text)),
    h("td", {}, a.own ? [status(a.own), " ", h("span", { class: "mono small-text soft" }, a.ownText)] : h("span", { class: "soft" }, "not asked"))));
}

const status = (code) => h("span", { class: `status status-${Math.floor(code / 100)}` }, String(code));

// A token may come along in the address, behind the #, which no server sees.
if (location.hash.length > 1) {
  try {
    token.value = decodeURIComponent(location.hash.slice(1));
  } catch {
    token.value = location.hash.slice(1);
  }
  history.replaceState(null, "", location.pathname);
  explain();
}

export default {
  server(s) {
    const clockMoved = s.skipped !== server.skipped || s.running !== server.running;
    server = s;
    if (!secretTouched) secret.value = s.secret;
    from();
    if (explained && clockMoved) explain();
    live();
  },
};
