package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/proof/scratch"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

// patience is how long one thing may take on a busy machine, a build included.
const patience = 90 * time.Second

// chromium finds a browser. Without one the test is skipped, and says so; where the
// workshop itself is verified (.ci/run) that is a failure.
func chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{
		"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium",
		`C:\Program Files\Google\Chrome\Application\chrome.exe`,
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "NO BROWSER: no Chromium and no Chrome was found, so the page is not tested as people see it"
	if os.Getenv("WORKSHOP_PRISTINE") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// A visit is a browser's tab, and the page that it can open.
type visit struct {
	t    testing.TB
	ctx  context.Context
	url  string // of the page, without a slash at the end
	book *workbook.Workbook

	mu         sync.Mutex
	complaints []string // of the page's scripts and of the browser
}

// open serves the page for a copy of the workshop and opens a browser.
func open(t testing.TB) *visit {
	t.Helper()
	browser := chromium(t)
	book := copied(t)
	ctx, stop := context.WithTimeout(context.Background(), 5*patience)
	t.Cleanup(stop)
	url := serving(t, ctx, book)

	options := slices.Clone(chromedp.DefaultExecAllocatorOptions[:])
	options = append(options, chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(patience),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("no-first-run", true))
	allocated, free := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(free)
	tab, shut := chromedp.NewContext(allocated)
	t.Cleanup(shut)
	require.NoError(t, chromedp.Do(tab, chromedp.EmulateViewport(1280, 900)))
	v := &visit{t: t, ctx: tab, url: url, book: book}
	go v.listen()
	v.theme("light") // and nothing moves: a click is to meet what it aimed at
	return v
}

// listen notes what the page's scripts and the browser complain of.
func (v *visit) listen() {
	for m, err := range chromedp.Console(v.ctx) {
		if err != nil {
			return
		}
		if m.IsException() || m.Type == "error" {
			v.mu.Lock()
			v.complaints = append(v.complaints, m.String())
			v.mu.Unlock()
		}
	}
}

// errs are the complaints so far.
func (v *visit) errs() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.complaints
}

// copied is a copy of the workshop as a learner first finds it.
func copied(t testing.TB) *workbook.Workbook {
	t.Helper()
	here, err := workbook.Open(".")
	require.NoError(t, err)
	folder := t.TempDir()
	require.NoError(t, scratch.Copy(here.Root, folder))
	return &workbook.Workbook{Root: folder}
}

// serving serves the page until the test ends and returns its URL.
func serving(t testing.TB, ctx context.Context, book *workbook.Workbook) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- serve(ctx, book, l) }()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return "http://" + l.Addr().String()
}

func (v *visit) do(actions ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	require.NoError(v.t, chromedp.Do(v.ctx, actions...))
}

// goTo opens a path and waits until its scripts run.
func (v *visit) goTo(path string) {
	v.t.Helper()
	v.do(chromedp.Navigate(v.url+path), chromedp.WaitReady(chromedp.CSS("html[data-ready=yes]")))
}

// until waits until an expression is true in the page, or in the one that follows it.
func (v *visit) until(expression string) {
	v.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for {
		is, err := chromedp.Run(v.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err == nil && is {
			return
		}
		select {
		case <-tick.C:
		case <-v.ctx.Done():
			v.t.Fatalf("never true: %s (%v)", expression, err)
		}
		if time.Since(began) > patience {
			text := v.text("body")
			v.t.Fatalf("never true: %s (%v)\n…%s\n%v", expression, err, text[max(0, len(text)-2000):], v.errs())
		}
	}
}

// says waits until an element's text holds the words.
func (v *visit) says(selector, words string) {
	v.t.Helper()
	v.until(fmt.Sprintf("[...document.querySelectorAll(%q)].some((e) => e.innerText.includes(%q))", selector, words))
}

func (v *visit) click(selector string) {
	v.t.Helper()
	v.do(chromedp.Click(chromedp.CSS(selector)))
}

// press clicks the button of that name.
func (v *visit) press(name string) {
	v.t.Helper()
	if name == "Send" {
		v.until(`!document.querySelector("#send").disabled`) // the last answer has been shown
	}
	v.do(chromedp.Click(fmt.Sprintf("//*[self::button or self::a or self::summary][contains(normalize-space(.), %q)]", name)))
}

func (v *visit) text(selector string) string {
	v.t.Helper()
	return evaluate[string](v, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
}

// evaluate returns the value of an expression in the page.
func evaluate[T any](v *visit, expression string) T {
	v.t.Helper()
	value, err := chromedp.Run(v.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(v.t, err)
	return value
}

// run runs a statement in the page.
func (v *visit) run(statement string) {
	v.t.Helper()
	v.do(chromedp.Evaluate[chromedp.Void](statement))
}

// theme makes the system's theme light or dark.
func (v *visit) theme(name string) {
	v.t.Helper()
	_, err := chromedp.Call(v.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"}},
	})
	require.NoError(v.t, err)
}

// write puts a file into a lesson's folder, as an editor saves it.
func (v *visit) write(l lessons.Lesson, name string, text []byte) {
	v.t.Helper()
	require.NoError(v.t, os.WriteFile(filepath.Join(v.book.Folder(l, false), name), text, 0o644))
}

// solve saves the reference's files into a lesson's folder, but for those left out.
func (v *visit) solve(l lessons.Lesson) {
	v.t.Helper()
	require.NoError(v.t, scratch.Solve(v.book.Root, l))
}

func lesson(t testing.TB, name string) lessons.Lesson {
	t.Helper()
	l, err := lessons.Find(name)
	require.NoError(t, err)
	return l
}
