package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/proof/scratch"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

//go:embed testdata/axe-core/axe.min.js
var axe string

// A learner's way through a lesson: the list, a failing card, hints, a file that does
// not compile, a solution, and on to the next.
func TestALessonIsLearnedOnThePage(t *testing.T) {
	v := open(t)
	one := lesson(t, "01")
	v.goTo("/")
	v.says(".go", "Begin with")
	v.says("#tally", fmt.Sprintf("0 of %d done", len(lessons.All())))
	v.click(`.lessons a[href="/lessons/` + one.ID + `"]`)
	v.says(".claim", "not written yet")
	v.says("#said", "First to mend")
	v.until(`document.querySelector(".verdict details[open] summary code").innerText === "login-accepts-the-right-password"`)

	v.press("Give me a hint")
	v.says(".hints", "Hint 1 of 3")
	v.press("The next hint")
	v.says(".hints", "Hint 2 of 3")
	given, _, err := v.book.GivenHints(one, "login-accepts-the-right-password")
	require.NoError(t, err)
	assert.Len(t, given, 2, "the terminal knows what the page gave")
	level, _, text, err := v.book.NextHint(one, "login-accepts-the-right-password")
	require.NoError(t, err)
	require.Equal(t, 3, level)
	v.goTo("/lessons/" + one.ID)
	v.says(".hints", "Hint 3 of 3") // and the page what the terminal gave
	v.says(".hints", strings.Split(text, "`")[0])
	v.until(`!document.querySelector(".verdict").innerText.includes("The next hint")`)

	solved := v.text(".tally")
	v.write(one, "login.go", []byte("package main\n\nfunc broken() { return 1 }\n"))
	v.says(".problem", "does not compile")
	v.says(".problem pre", "lessons/01-login/login.go:3")
	v.solve(one)
	v.says(".passed", "Lesson 01 is done")
	assert.NotEqual(t, solved, v.text(".tally"))
	v.until(`[...document.querySelectorAll("#text li[data-step]")].every((e) => e.dataset.status === "passed")`)
	v.until(`document.title.startsWith("✓")`)
	v.press("Compare with the reference")
	v.says("dialog", "are the same")
	v.press("Close")

	v.write(one, "login.go", workbook.Originals(one)["login.go"])
	v.says(".claim", "not written yet")
	v.solve(one)
	v.says(".passed", "Lesson 01 is done")
	v.press("The next lesson")
	v.says(".eyebrow", "Lesson 02")
	v.says(".claim", "") // it is being graded, and fails
	v.goTo("/")
	v.says("#tally", "1 of")
	v.says(`[data-lesson="01-login"] .lesson-state`, "Done")
	assert.Empty(t, v.errs())
}

// A token is decoded, and dies as the server's clock is moved, before one's eyes.
func TestATokenExpiresInTheLab(t *testing.T) {
	v := open(t)
	v.goTo("/pad")
	v.says("#running", "No server is running")
	v.do(chromedp.SetValue(chromedp.CSS("#lesson"), "06-rotation"), chromedp.SetValue(chromedp.CSS("#side"), "solution"))
	v.press("Start")
	v.says("#running", "http://127.0.0.1:")
	send := func(ready string, status int) {
		v.until(`!document.querySelector("#send").disabled`)
		n := evaluate[int](v, `document.querySelectorAll(".sequence details").length`)
		v.press(ready)
		v.press("Send")
		v.until(fmt.Sprintf(`document.querySelectorAll(".sequence details").length === %d`, n+1))
		v.says(".sequence li:last-child .unseen", fmt.Sprintf("was answered %d", status))
	}
	send("Log in as ada", 200)
	send("Profile", 200)
	v.says(".side-sent", "Authorization")
	v.says(".side-answer", `"username": "ada"`)

	v.click(".taken a")
	v.says(".stamp", "The signature fits the secret")
	v.says(".fields-payload", "RFC 7519 §4.1.4")
	v.says("#life-state", "Alive")
	v.says("#life", "End of its session")
	v.run(`document.querySelector("#secret").value = "another"; document.querySelector("#secret").dispatchEvent(new Event("input"))`)
	v.says(".stamp", "does not fit")
	v.press("Back to the server")
	v.says(".stamp", "The signature fits the secret")
	v.press("Ask them all")
	v.until(`document.querySelectorAll("#answers tbody th").length > 3 && !document.querySelector("#ask").disabled`)
	v.says("#answers tr:first-child", `200 {"id":2,"username":"ada"}`)

	// Another page of the same server lets time pass: this one sees it at once.
	v.run(`fetch("/api/server/skip", { method: "POST", body: JSON.stringify({ by: "16m" }) })`)
	v.says("#life-state", "Expired")
	v.says("#chip", "by its clock")
	v.goTo("/pad")
	v.says(".pause-label", "16 min pass")
	send("Profile", 401)
	v.says(".side-answer", "Token has expired")
	send("Refresh", 200)
	send("Profile", 200)
	v.press("1 week")
	v.says(".sequence li:last-child", "7 days pass")
	send("Refresh", 401)
	v.press("Stop")
	v.says("#running", "No server is running")
	assert.Empty(t, v.errs())
}

// What a learner's server answers is text, whatever it is.
func TestHostileAnswersStayText(t *testing.T) {
	v := open(t)
	one := lesson(t, "01")
	spoil(t, v.book.Folder(one, false))
	v.goTo("/pad")
	v.press("Start")
	v.says("#running", "http://127.0.0.1:")
	v.press("Log in as ada")
	v.press("Send")
	v.says(".side-answer", "</pre><img src=x onerror=pwned()>")
	v.says(".side-answer", "<img src=x onerror=pwned()>")
	v.run(`document.querySelector("#path").value = "/bytes?<script>pwned()</script>"`)
	v.press("Send")
	v.says(".sequence li:last-child .unseen", "was answered 200")
	v.says(".taken", "access token, /login")
	v.goTo("/lessons/" + one.ID)
	v.says(".got", "onerror=pwned()")
	v.write(one, "server.go", []byte(strings.Replace(badServer, `{"access_token"`, `<img src=x onerror=pwned()>{"access_token"`, 1)))
	v.says(".got", "200 <img src=x onerror=pwned()>")
	v.goTo("/lab#" + "%3Cscript%3Epwned()%3C%2Fscript%3E")
	v.says("#result", "This is no JWT")
	for _, e := range []string{"main script", "main img[src=x]", "aside script", "aside img"} {
		assert.Zero(t, evaluate[int](v, fmt.Sprintf("document.querySelectorAll(%q).length", e)), e)
	}
	// Control: the browser does refuse what would be script.
	assert.Contains(t, evaluate[string](v, `(() => { try { document.body.insertAdjacentHTML("beforeend", "<b>x</b>"); return "taken" } catch (e) { return String(e) } })()`), "TrustedHTML")
}

func TestItIsUsedByKeyboard(t *testing.T) {
	v := open(t)
	v.goTo("/lessons/05-refresh")
	v.do(chromedp.KeyEvent(kb.Tab))
	assert.Equal(t, "Skip to the content", evaluate[string](v, "document.activeElement.innerText"))
	v.do(chromedp.KeyEvent(kb.Enter))
	v.until(`location.hash === "#main"`)
	// On from there, the next stop is in the content.
	v.do(chromedp.KeyEvent(kb.Tab))
	assert.True(t, evaluate[bool](v, `document.querySelector("#main").contains(document.activeElement)`))

	// A hint is given without a mouse, and the focus stays where it was.
	v.says(".claim", "")
	v.run(`[...document.querySelectorAll("button")].find((b) => b.innerText === "Give me a hint").focus()`)
	v.do(chromedp.KeyEvent(kb.Enter))
	v.says(".hints", "Hint 1 of 3")
	v.until(`document.activeElement.innerText === "The next hint"`)
	assert.NotEqual(t, "none", evaluate[string](v, `getComputedStyle(document.activeElement).outlineStyle`))

	// The theme is chosen, and stays chosen.
	v.theme("light")
	paper := `getComputedStyle(document.documentElement).backgroundColor`
	before := evaluate[string](v, paper)
	v.run(`document.querySelector("#theme").focus()`)
	v.do(chromedp.KeyEvent(kb.Enter))
	assert.NotEqual(t, before, evaluate[string](v, paper))
	v.goTo("/lab")
	assert.NotEqual(t, before, evaluate[string](v, paper))
	assert.Equal(t, "Use the light theme", evaluate[string](v, `document.querySelector("#theme").ariaLabel`))
}

// No view shuts anybody out: axe finds no fault, in either theme, on a desk or on a
// phone, and nothing sticks out at 360 pixels.
func TestNobodyIsShutOut(t *testing.T) {
	v := open(t)
	five := lesson(t, "05")
	look := func(name string) {
		t.Helper()
		for _, theme := range []string{"light", "dark"} {
			v.theme(theme)
			for _, size := range [][2]int64{{1280, 900}, {360, 740}} {
				v.do(chromedp.EmulateViewport(size[0], size[1]))
				where := fmt.Sprintf("%s, %s, %d pixels wide", name, theme, size[0])
				for _, found := range violations(v) {
					t.Errorf("%s: %s", where, found)
				}
				wide := evaluate[int](v, "document.documentElement.scrollWidth")
				assert.LessOrEqual(t, wide, int(size[0]), where)
			}
		}
	}
	// Control: a fault is found.
	v.goTo("/")
	v.run(`document.querySelector("#theme").removeAttribute("aria-label")`)
	require.NotEmpty(t, violations(v))

	v.goTo("/")
	look("the list")
	v.goTo("/lessons/" + five.ID)
	v.says(".claim", "")
	v.press("Give me a hint")
	v.says(".hints", "Hint 1 of 3")
	look("a failing lesson")
	v.write(five, "token.go", []byte("package main\n\nfunc broken() { return 1 }\n"))
	v.says(".problem", "does not compile")
	look("a lesson that does not compile")
	v.solve(five)
	v.says(".passed", "is done")
	look("a lesson that passed")
	v.press("Compare with the reference")
	v.says("dialog", "are the same")
	look("the comparison")
	v.goTo("/lab")
	look("the empty lab")
	v.goTo("/pad")
	look("the empty pad")
	v.do(chromedp.SetValue(chromedp.CSS("#lesson"), "09-cookies"), chromedp.SetValue(chromedp.CSS("#side"), "solution"))
	v.press("Start")
	v.says("#running", "http://127.0.0.1:")
	v.press("Log in as ada")
	v.press("Send")
	v.says(".side-answer", "Set-Cookie")
	v.press("More headers")
	v.press("What it was given")
	v.press("15 min")
	v.says(".pause-label", "15 min pass")
	look("the pad")
	v.goTo("/lab")
	v.press("access token")
	v.says(".stamp", "fits")
	v.press("Ask them all")
	v.until(`document.querySelectorAll("#answers tbody th").length > 3 && !document.querySelector("#ask").disabled`)
	look("the lab")
	v.goTo("/nowhere")
	look("what is not there")
}

// violations are the faults that axe finds, whatever their weight.
func violations(v *visit) []string {
	v.t.Helper()
	v.run(axe)
	text := evaluate[string](v, `axe.run(document, { resultTypes: ["violations"] }).then((r) => JSON.stringify(r.violations.map((f) => f.id + ": " + f.help + ": " + f.nodes.map((n) => n.html).join(" | "))))`)
	var found []string
	require.NoError(v.t, json.Unmarshal([]byte(text), &found))
	return found
}

// BenchmarkVerdict times from a save to the verdict of lesson 05 on the page, and the
// checker's command for the same, in turn. Beside the medians it reports how much
// later than the verdict itself, which the terminal's watch shows, the page shows it.
//
//	go test ./checker/web -run '^$' -bench Verdict -benchtime 15x
func BenchmarkVerdict(b *testing.B) {
	v := open(b)
	five := lesson(b, "05")
	v.solve(five)
	checker := filepath.Join(b.TempDir(), "checker.exe")
	build := exec.Command("go", "build", "-o", checker, "./checker")
	build.Dir = v.book.Root
	require.NoError(b, build.Run())
	quiet := copied(b) // where nobody watches
	require.NoError(b, scratch.Solve(quiet.Root, five))
	edits := 0
	edit := func(book *workbook.Workbook) {
		edits++
		text := fmt.Appendf(nil, "package main\n\nfunc edit%d() int { return %[1]d }\n\nvar _ = edit%[1]d()\n", edits)
		require.NoError(b, os.WriteFile(filepath.Join(book.Folder(five, false), "edit.go"), text, 0o644))
	}
	var page, later, terminal []time.Duration
	for b.Loop() {
		v.goTo("/lessons/" + five.ID)
		v.says(".phase", "Graded in")
		v.run(`window.shown = new Promise((done) => {
			const panel = document.querySelector("#verdict");
			let begun = false;
			const observer = new MutationObserver(() => {
				const busy = panel.classList.contains("stale");
				begun ||= busy;
				if (!begun || busy) return;
				observer.disconnect();
				done([Date.now(), Number(document.querySelector(".phase").dataset.took)]);
			});
			observer.observe(panel, { subtree: true, childList: true, attributes: true });
		}); 0`)
		saved := time.Now()
		edit(v.book)
		shown := evaluate[[2]int64](v, "window.shown")
		took := time.UnixMilli(shown[0]).Sub(saved)
		page = append(page, took)
		later = append(later, took-time.Duration(shown[1])*time.Millisecond)

		edit(quiet)
		check := exec.Command(checker, "check", "05")
		check.Dir = quiet.Root
		start := time.Now()
		require.NoError(b, check.Run())
		terminal = append(terminal, time.Since(start))
	}
	report := func(d []time.Duration, name string) {
		b.ReportMetric(float64(slices.Sorted(slices.Values(d))[len(d)/2].Milliseconds()), name)
	}
	b.ReportMetric(0, "ns/op")
	report(page, "ms-page")
	report(terminal, "ms-check")
	report(later, "ms-page-after-verdict")
}
