// The list of lessons: how far each is.
import { $ } from "./dom.js";

export default {
  progress(rows) {
    for (const r of rows) {
      const li = document.querySelector(`.lessons [data-lesson="${CSS.escape(r.lesson)}"]`);
      if (!li) continue;
      if (li.dataset.state !== r.state || r.state === "begun") {
        const words = { done: "Done", broken: "Does not compile", begun: `${r.passed} of ${r.total} steps` };
        if (words[r.state]) li.querySelector(".lesson-state").textContent = words[r.state];
      }
      li.dataset.state = r.state;
      li.toggleAttribute("data-current", r.current);
      const bar = li.querySelector("progress");
      bar.max = r.total || 1;
      bar.value = r.passed;
    }
    $("tally").textContent = `${rows.filter((r) => r.state === "done").length} of ${rows.length} done`;
  },
};
