// What every view has: the theme, the news from the page's server, and the chip that
// says which server runs. Each view is a module of its own.
import { $, clock, h, hour, reachable } from "./dom.js";

const { view, lesson } = document.body.dataset;

// The theme.
const root = document.documentElement;
const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
const label = () => $("theme").setAttribute("aria-label", dark() ? "Use the light theme" : "Use the dark theme");
$("theme").addEventListener("click", () => {
  root.dataset.theme = dark() ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch {
    // it holds until the page is left
  }
  label();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
label();

// The news.
const show = {};
const modules = { lessons: "./lessons.js", lesson: "./lesson.js", lab: "./lab.js", pad: "./pad.js" };
if (modules[view]) Object.assign(show, (await import(modules[view])).default);

let chipped = null;
function chip(server) {
  chipped = server;
  const c = $("chip");
  c.hidden = !server.running;
  if (!server.running) return;
  const ahead = server.skipped > 0 ? `${hour(clock.now())} by its clock` : "running";
  c.replaceChildren(h("span", { class: "dot", "aria-hidden": "true" }), h("span", {}, h("span", { class: "wide" }, "Server "), server.lesson.slice(0, 2), h("span", { class: "wide" }, ` · ${ahead}`)));
}
setInterval(() => { if (chipped?.running && chipped.skipped > 0) chip(chipped); }, 1000);

// A browser has six connections to one server, and each open page takes one. So a page
// that nobody sees lets go of its own, and takes up the news when it is seen again.
const on = {
  server(server) { clock.set(server.clock); chip(server); show.server?.(server); },
  progress(rows) { show.progress?.(rows); },
  verdict(verdict) { show.verdict?.(verdict); },
};
let news = null;
function listen() {
  if (news) return;
  news = new EventSource("/events" + (lesson ? `?lesson=${encodeURIComponent(lesson)}` : ""));
  news.onopen = () => { $("lost").hidden = true; };
  news.onerror = () => { $("lost").hidden = false; };
  for (const [kind, f] of Object.entries(on)) news.addEventListener(kind, (e) => f(JSON.parse(e.data)));
}
function leave() {
  news?.close();
  news = null;
}
const unseenFor = 30_000; // milliseconds
let leaving;
document.addEventListener("visibilitychange", () => {
  clearTimeout(leaving);
  if (document.hidden) leaving = setTimeout(leave, unseenFor);
  else listen();
});
addEventListener("pagehide", leave);
listen();
addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });

reachable(document);
addEventListener("resize", () => reachable(document));
document.documentElement.dataset.ready = "yes";
