// The request pad: the learner's server, requests to it, and the exchange as a
// picture.
import { $, ask, clock, copier, day, fill, fold, h, hour, problem, relative, say } from "./dom.js";

let server = { running: false, tokens: [], cookies: [], log: [] };
let known = false;

// What a lesson's server understands, by the lesson's number. Lesson 10's keeps the
// tokens to itself, lesson 11's gets them elsewhere, and 12 and 13 go on from 06.
const json = (v) => JSON.stringify(v);
const ada = { username: "ada", password: "analytical-engine-1843" };
const ready = [
  { name: "Log in as ada", at: (n) => n !== 11, method: "POST", path: "/login", body: json(ada) },
  { name: "Wrong password", at: (n) => n !== 11, method: "POST", path: "/login", body: json({ ...ada, password: "guess" }) },
  { name: "Profile", at: (n) => n >= 3 && n !== 11, method: "GET", path: "/profile", token: "access" },
  { name: "Dashboard", at: (n) => n >= 3 && n !== 11, method: "GET", path: "/dashboard", token: "access" },
  { name: "Refresh", at: (n) => n >= 5 && n !== 10 && n !== 11, method: "POST", path: "/refresh", token: "refresh" },
  { name: "Start page", at: (n) => n === 11, method: "GET", path: "/" },
  { name: "Home", at: (n) => n === 11, method: "GET", path: "/home" },
  { name: "Log in", at: (n) => n === 11, method: "GET", path: "/login?next=/home" },
  { name: "Log out", at: (n) => n >= 6 && n !== 10, method: "POST", path: "/logout", token: "access" },
  { name: "Log out everywhere", at: (n) => n >= 6 && n !== 10 && n !== 11, method: "POST", path: "/logout-all", token: "access" },
  { name: "Confirm the password", at: (n) => n >= 7 && n <= 9, method: "POST", path: "/reauth", token: "access", body: json({ password: ada.password }) },
  { name: "Change the password", at: (n) => n >= 7 && n <= 9, method: "POST", path: "/password", token: "access", body: json({ current: ada.password, new: "difference-engine-1822" }) },
  { name: "Public keys", at: (n) => n === 12, method: "GET", path: "/.well-known/jwks.json" },
];
const cookieLessons = new Set(["09-cookies", "11-oauth-client"]);

const number = () => Number((server.running ? server.lesson : $("lesson").value).slice(0, 2));
const byCookies = () => cookieLessons.has(server.running ? server.lesson : $("lesson").value);

function presets() {
  fill($("presets"), ready.filter((r) => r.at(number())).map((r) => h("button", { type: "button", class: "small", "data-key": r.name, onclick: () => {
    $("method").value = r.method;
    $("path").value = r.path;
    $("body").value = r.body ?? "";
    $("bearer").value = r.token && !byCookies() ? server.tokens.find((t) => t.kind === r.token)?.raw ?? "" : "";
  } }, r.name)));
}

// The server.
async function act(path, body) {
  fill($("problem"));
  try {
    update(await ask(path, body));
    return true;
  } catch (error) {
    fill($("problem"), problem(error));
    return false;
  }
}

$("starting").addEventListener("submit", async (e) => {
  e.preventDefault();
  $("start").disabled = true;
  $("start").textContent = "Building …";
  if (await act("/api/server/start", { lesson: $("lesson").value, solution: $("side").value === "solution" })) say(`The server of lesson ${server.lesson} is running.`);
  $("start").disabled = false;
  update(server);
});
$("stop").addEventListener("click", async () => { await act("/api/server/stop", {}); say("The server is stopped."); });
$("lesson").addEventListener("change", () => { presets(); update(server); });
$("side").addEventListener("change", () => update(server));

const skips = [["30 s", "30s"], ["5 min", "5m"], ["15 min", "15m"], ["1 h", "1h"], ["1 day", "24h"], ["1 week", "168h"]];
const skip = async (by) => { if (await act("/api/server/skip", { by })) say(`The server's clock says ${hour(clock.now())}.`); };

function running(s) {
  if (!s.running) {
    fill($("running"), s.ended && h("p", { class: "bad" }, `It is no longer running: ${s.ended}`), h("p", { class: "soft" }, "No server is running. It gets a new database, a clock that begins now, and the page’s secret. Its users are cosmo (space-corgi), ada (analytical-engine-1843) and six more."));
    return;
  }
  const t = s.settings;
  fill($("running"),
    h("p", { class: "running-line" }, h("span", { class: "dot", "aria-hidden": "true" }), h("strong", {}, `${s.lesson} `), s.solution ? "the reference" : "your code", " at ", h("code", {}, s.url)),
    s.lesson === "11-oauth-client" && h("p", { class: "soft" }, "People sign in on a page of the provider’s, in a browser. The pad goes as far as the way there; ", h("code", {}, "make run LESSON=11"), " goes all the way."),
    s.stale && h("p", { class: "note" }, "You have changed the code since. Start it again to have the new one."),
    h("div", { class: "clock" },
      h("p", { class: "clock-face" }, h("span", { class: "soft" }, "Its clock"), h("time", { id: "time" }, day(clock.now())), h("span", { class: "soft", id: "ahead" }, s.skipped > 0 ? `${relative(s.skipped * 1000, 0).replace("in ", "")} ahead` : "the real time")),
      h("div", { class: "row skips", role: "group", "aria-label": "Let time pass" }, h("span", { class: "soft" }, "Let pass"), skips.map(([label, by]) => h("button", { type: "button", class: "small", "data-key": `skip ${by}`, onclick: () => skip(by) }, label)),
        h("form", { class: "with-button", "data-key": "own-skip", onsubmit: (e) => { e.preventDefault(); skip($("by").value); } }, h("label", { class: "unseen", for: "by" }, "Another time, as Go writes it"), h("input", { id: "by", size: 8, placeholder: "2h45m", "data-key": "by", value: $("by")?.value ?? "" }), h("button", { type: "submit", class: "small", "data-key": "go" }, "Go")))),
    h("details", { class: "more", "data-key": "settings" }, h("summary", { "data-key": "open settings" }, "What it was given"),
      h("dl", { class: "settings" }, [["Access token lives", t.accessTTL], ["Refresh token lives", t.refreshTTL], ["Fresh for", t.freshFor], ["Session ends after", t.sessionTTL], ["Issuer", t.issuer], ["Audience", t.audience], ["Secret", s.secret]].map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, h("code", {}, value)))))));
}

setInterval(() => { if (server.running && $("time")) $("time").textContent = day(clock.now()); }, 1000);

// The request.
const who = () => document.querySelector("input[name=who]:checked").value;

$("sending").addEventListener("submit", async (e) => {
  e.preventDefault();
  $("refused").textContent = "";
  const headers = [];
  for (const line of $("headers").value.split("\n").filter((l) => l.trim() !== "")) {
    const colon = line.indexOf(":");
    if (colon < 1) {
      $("refused").textContent = `“${fold(line)}” is no header: Name: value`;
      return;
    }
    headers.push({ name: line.slice(0, colon), value: line.slice(colon + 1) });
  }
  $("send").disabled = true;
  try {
    update(await ask("/api/server/send", { from: who(), method: $("method").value, path: $("path").value, bearer: $("bearer").value.trim(), headers, body: $("body").value }));
    const last = server.log.at(-1);
    say(last.status ? `Answered ${last.status}.` : `No answer: ${last.problem}`);
    const wire = document.querySelector("#wire .sequence");
    wire?.lastElementChild?.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  } catch (error) {
    $("refused").textContent = error.message;
  }
  $("send").disabled = !server.running;
});

function tokens(s) {
  fill($("known"), s.tokens.length > 0 && h("ul", { class: "taken" }, s.tokens.slice(0, 6).map((t) => h("li", {},
    h("button", { type: "button", class: "link", "data-key": `use ${t.raw}`, onclick: () => { $("bearer").value = t.raw; } }, t.what), " ",
    h("span", { class: "soft" }, hour(t.at)), " ",
    h("a", { href: `/lab#${encodeURIComponent(t.raw)}`, "aria-label": `${t.what}, in the lab`, "data-key": `lab ${t.raw}` }, "lab")))));
}

function cookies(s) {
  if (!s.running) {
    fill($("cookies"));
    return;
  }
  fill($("cookies"), h("p", { class: "label" }, `Cookies that the browser keeps: ${s.cookies.length === 0 ? "none" : ""}`),
    s.cookies.length > 0 && [h("ul", { class: "cookies" }, s.cookies.map((c) => h("li", {}, h("code", {}, c.name), " ", h("span", { class: "mono small-text" }, fold(c.value, 24)), " ",
      h("span", { class: "soft" }, [`Path=${c.path}`, c.httpOnly && "HttpOnly", c.secure && "Secure", c.sameSite && `SameSite=${c.sameSite}`, c.ends ? `ends ${relative(Date.parse(c.ends), clock.now())}` : "until it is closed"].filter(Boolean).join(" · "))))),
    h("button", { type: "button", class: "small", "data-key": "forget", onclick: () => act("/api/server/forget", {}) }, "Forget them")]);
}

// The picture.
const left = 12, right = 88; // where the two lifelines stand, in percent

const lifelines = () => [left, right].map((x) => h("line", { class: "lifeline", x1: `${x}%`, x2: `${x}%`, y1: 0, y2: "100%" }));

// arrow is a line across with its head, drawn so that it stays sharp at any width.
function arrow(y, toRight, className, label) {
  const tip = toRight ? right : left;
  const nested = h("svg", { x: `${tip}%`, y: y - 5, width: 1, height: 10, overflow: "visible" }, h("path", { class: `arrow-head ${className}`, d: toRight ? "M-10 0L0 5L-10 10" : "M10 0L0 5L10 10" }));
  return [h("line", { class: `arrow ${className}`, x1: `${left}%`, x2: `${right}%`, y1: y, y2: y }), nested, h("text", { class: `arrow-label ${className}`, x: "50%", y: y - 7, "text-anchor": "middle" }, label)];
}

const names = { curl: "curl", own: "its own page", others: "another site’s page" };

function actors(s) {
  return h("div", { class: "actors", "aria-hidden": "true" }, h("span", {}, "You"), h("span", {}, s.running ? `Server ${s.lesson.slice(0, 2)}` : "Server"));
}

const list = (title, headers) => h("div", {}, h("h4", {}, title), h("dl", { class: "headers" }, (headers ?? []).map((x) => h("div", {}, h("dt", {}, x.name), h("dd", {}, x.value)))));

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function exchange(e, last) {
  const kind = e.status ? `status-${Math.floor(e.status / 100)}` : "status-5";
  const answer = e.status ? `${e.status} ${reasons[e.status] ?? ""}`.trim() : "no answer";
  const picture = h("svg", { class: "exchange", "aria-hidden": "true", width: "100%", height: 84 }, lifelines(),
    arrow(32, true, "request", fold(`${e.method} ${e.path}`, 34)), arrow(66, false, `answer ${kind}`, e.status ? `${answer} · ${e.took < 10 ? e.took.toFixed(1) : Math.round(e.took)} ms` : answer));
  return h("li", {}, h("details", { "data-key": `exchange ${e.n}`, open: last },
    h("summary", { "data-key": `open ${e.n}` }, h("span", { class: "unseen" }, `${e.method} ${e.path}, sent by ${names[e.from] ?? "curl"}, was answered ${answer}`), h("span", { class: "at" }, hour(e.at)), picture),
    h("div", { class: "wire-box" },
      e.problem && h("div", { class: "problem" }, e.problem.split("\n").map((l) => h("p", {}, l))),
      h("div", { class: "sides" },
        h("div", { class: "side side-sent" }, h("h3", {}, "Sent ", h("span", { class: "soft" }, `by ${names[e.from] ?? "curl"}`)), h("p", { class: "first-line" }, `${e.method} ${e.path}`), list("Headers", e.headers), e.token && h("div", {}, h("h4", {}, "Token"), h("p", { class: "mono" }, e.token)), e.body && h("div", {}, h("h4", {}, "Body"), h("pre", { class: "code" }, pretty(e.body)))),
        e.status > 0 && h("div", { class: "side side-answer" }, h("h3", {}, "Answered"), h("p", { class: `first-line ${kind}` }, answer), list("Headers", e.answer), h("div", {}, h("h4", {}, "Body"), e.reply ? h("pre", { class: "code" }, pretty(e.reply)) : h("p", { class: "soft" }, "empty"), e.cut > 0 && h("p", { class: "soft" }, `Shown is the beginning of ${e.cut} bytes.`)))),
      e.curl && h("p", { class: "acts" }, copier("Copy as curl", () => e.curl, `curl ${e.n}`)))));
}

const reasons = { 200: "OK", 201: "Created", 204: "No Content", 301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified", 307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 413: "Content Too Large", 415: "Unsupported Media Type", 422: "Unprocessable Content", 429: "Too Many Requests", 500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable" };

function wait(e) {
  return h("li", { class: "passing" }, h("span", { class: "at" }, hour(e.at)), h("svg", { class: "exchange", "aria-hidden": "true", width: "100%", height: 44 }, lifelines(), h("line", { class: "pause", x1: "0", x2: "100%", y1: 22, y2: 22 })), h("span", { class: "pause-label" }, `${e.skip} pass`));
}

let drawn = "";
function wire(s) {
  const now = `${s.lesson} ${s.log.at(-1)?.n} ${s.log.length}`;
  if (now === drawn) return;
  drawn = now;
  if (s.log.length === 0) {
    fill($("wire"), h("p", { class: "empty" }, s.running ? "Nothing was sent yet." : "Start a server, then send it something."));
    return;
  }
  for (const d of $("wire").querySelectorAll("details[data-key]")) if (d.dataset.key !== `exchange ${s.log.at(-1).n}`) d.open = d.dataset.kept === "yes";
  fill($("wire"), actors(s), h("ol", { class: "sequence" }, s.log.map((e, i) => e.skip ? wait(e) : exchange(e, i === s.log.length - 1))));
  for (const summary of $("wire").querySelectorAll("summary")) summary.addEventListener("click", () => { const d = summary.parentElement; d.dataset.kept = d.open ? "" : "yes"; });
}

function update(s) {
  const begun = s.running && (!server.running || !known);
  server = s;
  clock.set(s.clock);
  if (begun) {
    $("lesson").value = s.lesson;
    $("side").value = s.solution ? "solution" : "mine";
    if (byCookies() && who() === "curl") document.querySelector("input[name=who][value=own]").checked = true;
  }
  known = true;
  const same = s.running && $("lesson").value === s.lesson && ($("side").value === "solution") === s.solution;
  if (!$("start").disabled) $("start").textContent = same ? "Start again" : "Start";
  $("stop").hidden = !s.running;
  $("send").disabled = !s.running;
  running(s);
  presets();
  tokens(s);
  cookies(s);
  wire(s);
}

export default { server: update };
