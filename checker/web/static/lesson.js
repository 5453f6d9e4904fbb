// A lesson: its verdict beside the text, and marks in the text.
import { $, ask, copier, fill, h, problem, prose, reachable, say } from "./dom.js";

const lesson = document.body.dataset.lesson;
const panel = $("verdict");
const bar = $("bar");

const signs = { "passed": "M4 10.500l4 4 8-9", "failed": "M5 5l10 10M15 5L5 15", "error": "M10 4v7.500M10 15v.500", "skipped": "M5 10h10", "not graded": "M5 10h10", "": "M5 10h10" };
const words = { "passed": "passed", "failed": "failed", "error": "could not be graded", "skipped": "skipped", "not graded": "not graded here" };

function sign(status) {
  return h("svg", { class: `sign sign-${status.replace(" ", "-")}`, viewBox: "0 0 20 20", "aria-hidden": "true" }, h("path", { d: signs[status] ?? signs[""] }));
}

const unseen = (text) => h("span", { class: "unseen" }, text);

// line is a row of a failure card.
const line = (label, ...content) => content.flat().some(Boolean) ? [h("dt", {}, label), h("dd", {}, content)] : [];

function card(v, s) {
  const hints = h("div", { class: "hints" });
  let asking = false;
  const showHints = () => {
    const given = s.hints.map((text, i) => h("li", {}, h("span", { class: "hint-level" }, `Hint ${i + 1} of ${s.hintsOf}`), h("p", {}, prose(text))));
    const more = s.hints.length < s.hintsOf && h("button", { type: "button", class: "small", "data-key": `hint ${s.id}`, onclick: async () => {
      if (asking) return; // not disabled: that would take the focus away
      asking = true;
      try {
        const got = await ask("/api/hint", { lesson, step: s.id });
        s.hints = got.hints;
        showHints();
        say(`Hint ${got.hints.length} of ${got.of}: ${got.hints.at(-1)}`);
      } catch (error) {
        fill(hints, problem(error));
      }
      asking = false;
    } }, s.hints.length === 0 ? "Give me a hint" : "The next hint");
    fill(hints, given.length > 0 && h("ol", {}, given), more);
  };
  showHints();
  return h("div", { class: "failure" },
    h("p", { class: "claim" }, s.claim),
    h("dl", { class: "wire" },
      line("sent", s.sent && h("code", { class: "verbatim" }, s.sent)),
      line("token", s.token && h("span", { class: "mono" }, s.token)),
      line("want", s.want && h("span", { class: "mono" }, s.want)),
      line("got", s.got && h("span", { class: "mono got" }, s.got)),
      line("where", s.detail && h("pre", { class: "mono" }, s.detail)),
      line("log", s.printed && h("pre", { class: "mono" }, s.printed)),
      line("why", s.why),
      line("ref", s.ref)),
    s.given && h("p", { class: "note" }, "This held when the lesson began: something that you have changed since has broken it."),
    h("p", { class: "acts" },
      s.curl && copier("Copy the curl command", () => s.curl, `copy ${s.id}`),
      s.raw && h("a", { class: "button small", href: `/lab#${encodeURIComponent(s.raw)}`, "data-key": `lab ${s.id}` }, "Token in the lab"),
      h("a", { class: "button small", href: s.read, "data-key": `read ${s.id}` }, "Read the task")),
    s.hintsOf > 0 && hints);
}

function step(v, s) {
  const name = h("code", {}, s.id);
  switch (s.status) {
    case "passed":
      return h("li", { class: "step" }, h("div", { class: "step-line" }, sign(s.status), unseen("Passed: "), name));
    case "failed":
    case "error":
      return h("li", { class: "step bad-step" }, h("details", { "data-key": s.id, open: s.id === v.first },
        h("summary", { class: "step-line", "data-key": `open ${s.id}` }, sign(s.status), unseen(`${words[s.status]}: `), name), card(v, s)));
    default:
      return h("li", { class: "step" }, h("div", { class: "step-line soft" }, sign(s.status), unseen(`${words[s.status]}: `), h("span", {}, name, " ", h("span", { class: "reason" }, s.claim))));
  }
}

function head(v) {
  const state = v.phase === "building" ? "Building …" : v.phase === "grading" ? `Asking your server … ${v.asked} of ${v.total || "?"}` : v.took ? `Graded in ${(v.took / 1000).toFixed(1)} s · each save grades it again` : "";
  const busy = v.phase !== "graded";
  return h("div", { class: "verdict-head" },
    h("p", { class: "tally" }, h("strong", {}, v.problem ? "No verdict" : v.known ? `${v.done} of ${v.total}` : "…"), v.problem ? "" : "\u00a0steps"),
    h("div", { class: "meter", "aria-hidden": "true" }, meter(v)),
    h("p", { class: `phase${busy ? " busy" : ""}`, "data-took": v.took }, busy && h("span", { class: "pulse", "aria-hidden": "true" }), state || `Watching lessons/${lesson}`));
}

function meter(v) {
  const e = h("span", { class: v.passed ? "full" : "" });
  e.style.width = v.problem || !v.total ? "0" : `${(100 * v.done) / v.total}%`;
  return e;
}

function passed(v) {
  const place = h("div");
  return h("div", { class: "passed" },
    h("h2", {}, `Lesson ${lesson.slice(0, 2)} is done`),
    h("p", {}, v.next ? "Everything that was asked holds. Go on when you like." : "Everything that was asked holds. It was the last one."),
    h("p", { class: "acts" },
      v.next && h("a", { class: "button primary", href: `/lessons/${v.next}`, "data-key": "next" }, "The next lesson"),
      h("button", { type: "button", class: "small", "data-key": "compare", onclick: async () => {
        try {
          const { diff } = await ask(`/api/diff?lesson=${encodeURIComponent(lesson)}`);
          fill(place, difference(diff));
        } catch (error) {
          fill(place, problem(error));
        }
        openDialog(place);
      } }, "Compare with the reference")));
}

// difference is a unified diff in colours.
function difference(text) {
  if (text === "") return h("p", {}, "Your files and the reference are the same.");
  return h("pre", { class: "code diff" }, text.split("\n").map((l) => {
    const kind = /^(\+\+\+|---)/.test(l) ? "diff-file" : l[0] === "+" ? "diff-more" : l[0] === "-" ? "diff-less" : l.startsWith("@@") ? "diff-at" : "";
    return h("span", { class: kind }, l + "\n");
  }));
}

function openDialog(content) {
  const dialog = h("dialog", { class: "sheet", "aria-label": "Your files and the reference" },
    h("div", { class: "sheet-head" }, h("h2", {}, "Yours (−) and the reference (+)"), h("button", { type: "button", class: "small", onclick: () => dialog.close() }, "Close")), content);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  reachable(dialog);
}

// steps of the same kind that wait for others are one line where they are many.
const fewSkipped = 3;

let opened = ""; // the step whose card was opened by itself

function verdict(v) {
  const skipped = v.steps.filter((s) => s.status === "skipped");
  const shown = skipped.length > fewSkipped ? v.steps.filter((s) => s.status !== "skipped") : v.steps;
  if (v.first !== opened) {
    opened = v.first;
    for (const d of panel.querySelectorAll("details[data-key]")) d.dataset.key += " before"; // let the new first card open
  }
  panel.classList.toggle("stale", v.phase !== "graded");
  fill(panel, head(v),
    v.problem && h("div", { class: "problem" }, h("h2", {}, v.problem), v.blocks.map((b) => h("pre", { class: "code" }, b))),
    v.known && v.passed && passed(v),
    v.known && !v.problem && h("ol", { class: "steps" },
      v.given > 0 && h("li", { class: "step" }, h("div", { class: "step-line soft" }, sign("passed"), `${v.given} ${v.given === 1 ? "step" : "steps"} of earlier lessons`)),
      shown.map((s) => step(v, s)),
      shown !== v.steps && h("li", { class: "step" }, h("details", { "data-key": "waiting" }, h("summary", { class: "step-line soft", "data-key": "open waiting" }, sign("skipped"), `${skipped.length} steps wait for what does not pass yet`),
        h("ul", { class: "waiting-steps" }, skipped.map((s) => h("li", {}, h("code", {}, s.id))))))));
  if (v.known && v.phase === "graded") tell(v);
  if (v.known) mark(v);
}

// tell says the verdict to a screen reader, and in the bar of a narrow window.
function tell(v) {
  const first = v.steps.find((s) => s.id === v.first);
  const text = v.problem ? v.problem : v.passed ? "All steps pass" : `${v.done} of ${v.total} steps`;
  say(first && !v.problem ? `${text}. First to mend: ${first.id}: ${first.claim}` : `${text}. ${v.blocks[0] ?? ""}`);
  bar.hidden = false;
  bar.className = `bar ${v.passed ? "bar-good" : "bar-bad"}`;
  fill(bar, sign(v.passed ? "passed" : "failed"), h("span", {}, text), first && h("span", { class: "bar-first" }, first.id));
  document.title = document.title.replace(/^([✓✗] )?/, v.passed ? "✓ " : "✗ ");
}

// mark shows in the text which of its steps pass.
function mark(v) {
  const status = new Map(v.steps.map((s) => [s.id, s.status]));
  const tasks = new Map();
  for (const li of document.querySelectorAll("#text li[data-step]")) {
    const now = v.problem ? "" : status.get(li.dataset.step) ?? "";
    li.dataset.status = now;
    li.querySelector(":scope > .mark-sign")?.remove();
    li.prepend(h("span", { class: "mark-sign" }, sign(now), unseen(now ? `${words[now]}: ` : "")));
    const task = [...document.querySelectorAll("#text [id^='task-']")].filter((a) => a.compareDocumentPosition(li) & Node.DOCUMENT_POSITION_FOLLOWING).at(-1);
    if (task) tasks.set(task.id, [...(tasks.get(task.id) ?? []), now]);
  }
  for (const [id, all] of tasks) {
    const item = document.querySelector(`.parts a[href="#${CSS.escape(id)}"]`)?.parentElement;
    if (item) item.dataset.status = all.every((s) => s === "passed") ? "passed" : "open";
  }
}

// A block of commands can be copied without the prompts and the answers.
for (const pre of document.querySelectorAll("#text pre.code")) {
  const text = pre.textContent;
  const commands = () => {
    const out = [];
    let goesOn = false;
    for (const l of text.split("\n")) {
      if (l.startsWith("$ ") || goesOn) {
        out.push(goesOn ? l : l.slice(2));
        goesOn = l.endsWith("\\");
      }
    }
    return out.join("\n");
  };
  const box = h("div", { class: "code-box" });
  pre.replaceWith(box);
  box.append(pre);
  if (pre.dataset.language === "console") box.append(copier("Copy the commands", commands));
  else if (pre.dataset.language !== "text") box.append(copier("Copy", () => text));
}

export default { verdict };
