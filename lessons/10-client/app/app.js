// Given. The browser's version of this lesson: the same rules as in session.go and
// transport.go, for a page that calls the API itself.
//
// The tokens are in this module's memory and nowhere else. localStorage is open to
// every script of the page, now and years later, and so to whoever smuggles one in
// (OWASP HTML5 Security Cheat Sheet, "Local Storage"). Memory is not safe from such a
// script either, but it ends with the tab. The price is a login after each reload.

const api = "/api";
let session = null; // {access, refresh, count, issued, expires, life, flight, timer}; a login makes another

// claims decodes the middle part of a JWT: split at the dots, base64url, JSON. It
// verifies nothing, for the token is not for us. null is no JWT.
function claims(token) {
  try {
    const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(part), (c) => c.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}

// lifetime is how many milliseconds the token is good from now on; 0 is not known.
// exp is a time of the server's clock. The time from iat to exp is the same by ours.
function lifetime(token) {
  const { exp, iat } = claims(token) ?? {};
  const life = (exp - (iat ?? Date.now() / 1000)) * 1000;
  return life > 0 && life < 1e12 ? life : 0;
}

// keep takes the tokens of a login or a refresh.
function keep(s, got) {
  s.access = got.access_token;
  s.refresh = got.refresh_token || s.refresh; // none came: the old one goes on
  s.count++;
  s.life = lifetime(s.access);
  s.issued = Date.now();
  s.expires = s.life ? s.issued + s.life : Infinity;
  plan(s);
}

// setTimeout counts up to 2^31 ms, not quite 25 days, and fires at once beyond that:
// a token of a month would be refreshed without end.
const longest = 2 ** 31 - 1;

// plan sets the alarm for the next refresh: a tenth of the life before its end, and
// half a minute at most.
function plan(s) {
  clearTimeout(s.timer);
  if (s !== session || !s.life || !early.checked) return;
  const wait = s.expires - Math.min(s.life / 10, 30_000) - Date.now();
  if (wait > longest) s.timer = setTimeout(() => plan(s), longest);
  else alarm(s, wait, "before it expired");
}

// alarm refreshes in so many milliseconds, and again later where that fails.
function alarm(s, wait, why) {
  s.timer = setTimeout(() => refresh(s, why).catch((error) => {
    told(error);
    if (s === session) alarm(s, 5_000, "another try");
  }), Math.max(0, wait));
}

// refresh gets new tokens. All who ask while it is under way wait for the same
// answer: a second one would send a refresh token that has been used.
function refresh(s, why) {
  s.flight ??= ask(s, why).finally(() => { s.flight = null; });
  return s.flight;
}

async function ask(s, why) {
  const answer = await send("POST", "/refresh", s.refresh, why);
  const got = await answer.json().catch(() => null) ?? {};
  if (answer.status === 401 || (answer.status === 400 && got.error === "invalid_grant")) {
    if (s === session) leave();
    throw new Error("The session has ended. Please log in.");
  }
  if (!answer.ok || !got.access_token) throw new Error(`The API cannot refresh now (${answer.status}). The session goes on.`);
  keep(s, got);
  tell(`A new access token, no. ${s.count}: ${why}.`);
}

// call sends a request with the access token. After a 401 it refreshes once and
// sends it once more.
async function call(method, path) {
  const s = session;
  if (Date.now() >= s.expires && early.checked) await refresh(s, "it had expired");
  const used = s.access;
  const answer = await send(method, path, used);
  if (answer.status !== 401) return answer;
  if (s.access === used) await refresh(s, "after a 401"); // else another call was faster
  return send(method, path, s.access, "once more");
}

// send sends one request and writes it down.
async function send(method, path, token, note = "", body) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(api + path, { method, headers, body, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch {
    write(method, path, 0, note);
    throw new Error("The API cannot be reached. The session goes on.");
  }
  write(method, path, answer.status, note);
  const slid = answer.headers.get("X-New-Access-Token");
  if (slid && session?.access === token) {
    keep(session, { access_token: slid });
    tell(`A new access token, no. ${session.count}: it slid in with an answer.`);
  }
  return answer;
}

// leave forgets the session.
function leave() {
  clearTimeout(session?.timer);
  session = null;
  show();
}

// From here on: what is seen.

const $ = (id) => document.getElementById(id);
const early = $("early");
const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const calm = matchMedia("(prefers-reduced-motion: reduce)");

function tell(text) { $("status").textContent = text; }
function told(error) { tell(error.message); }

function write(method, path, status, note) {
  const row = document.createElement("li");
  for (const [tag, text, kind] of [
    ["time", clock(Date.now()), ""],
    ["span", `${method} ${path}`, "what"],
    ["span", status || "—", "code" + (status >= 500 || !status ? " failed" : status >= 400 ? " refused" : "")],
    ["span", note, "note"],
  ]) {
    const cell = document.createElement(tag);
    cell.textContent = text;
    cell.className = kind;
    row.append(cell);
  }
  $("log").prepend(row);
  while ($("log").children.length > 50) $("log").lastChild.remove();
  $("calls").hidden = false;
}

// show draws the session as it is now.
function show() {
  $("login").hidden = session !== null;
  $("session").hidden = session === null;
  if (!session) return;
  const left = Math.max(0, session.expires - Date.now());
  const seconds = Math.ceil(left / 1000);
  const part = session.life ? left / session.life : 1;
  const drawn = calm.matches && session.life ? Math.min(1, (seconds * 1000) / session.life) : part;
  const life = $("life");
  life.firstElementChild.style.transform = `scaleX(${drawn})`;
  life.classList.toggle("short", part < 0.25);
  life.classList.toggle("over", left === 0);
  const text = !session.life ? "it does not say how long it lives" : left ? `${seconds} s left` : "expired";
  set($("left"), text);
  life.setAttribute("aria-valuemax", Math.round(session.life / 1000) || 1);
  life.setAttribute("aria-valuenow", session.life ? seconds : 1);
  life.setAttribute("aria-valuetext", text);
  const said = claims(session.access);
  set($("who"), said?.sub ?? "logged in");
  set($("count"), String(session.count));
  set($("issued"), clock(session.issued));
  set($("expires"), session.life ? clock(session.expires) : "—");
  set($("claims"), said ? JSON.stringify(said, null, 2) : "no JWT: nothing in it is for us to read");
}

// set writes a text only where it has changed: a screen reader would read it anew.
function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

(function frame() {
  if (session) show();
  if (calm.matches) setTimeout(frame, 1000);
  else requestAnimationFrame(frame);
})();

$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const { username, password } = Object.fromEntries(new FormData(event.target));
    const answer = await send("POST", "/login", "", "", JSON.stringify({ username, password }));
    const got = await answer.json().catch(() => ({}));
    if (!got.access_token) throw new Error(typeof got.error === "string" ? got.error : `The API answers ${answer.status}.`);
    $("password").value = "";
    session = { count: 0, flight: null };
    keep(session, got);
    show();
    tell("Logged in.");
  } catch (error) {
    told(error);
  }
});

$("profile").addEventListener("click", async () => {
  try {
    const answer = await call("GET", "/profile");
    tell(`GET /profile: ${answer.status} ${await answer.text()}`);
  } catch (error) {
    told(error);
  }
});

$("spoil").addEventListener("click", () => {
  // As if the API had revoked it. The signature is changed, exp is not.
  const at = session.access.lastIndexOf(".") + 1;
  session.access = session.access.slice(0, at) + (session.access[at] === "A" ? "B" : "A") + session.access.slice(at + 1);
  tell("The access token is spoilt. The page does not know; the API will.");
});

$("logout").addEventListener("click", async () => {
  try {
    await call("POST", "/logout"); // to forget the tokens is not to end the session
    leave();
    tell("Logged out.");
  } catch (error) {
    if (session) leave();
    told(error);
  }
});

early.addEventListener("change", () => session && plan(session));
