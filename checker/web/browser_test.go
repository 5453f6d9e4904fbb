package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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

var pictures = flag.String("pictures", "", "write pictures of the views into this folder, for people to look at")

// patience is how long a whole visit may take on a busy machine.
const patience = time.Minute

// chromium finds a browser. Without one the test is skipped, and says so; where the
// workshop itself is verified (.ci/run) that is a failure.
func chromium(t *testing.T) string {
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
	t    *testing.T
	ctx  context.Context
	url  string // of the page, without a slash at the end
	book *workbook.Workbook

	began time.Time

	mu         sync.Mutex
	complaints []string // of the page's scripts and of the browser
}

// open serves the page for a copy of the workshop and opens a browser.
func open(t *testing.T) *visit {
	t.Helper()
	browser := chromium(t)
	book := copied(t)
	ctx, stop := context.WithTimeout(context.Background(), 2*patience)
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
	v := &visit{t: t, ctx: tab, url: url, book: book, began: time.Now()}
	go v.listen()
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
func copied(t *testing.T) *workbook.Workbook {
	t.Helper()
	here, err := workbook.Open(".")
	require.NoError(t, err)
	folder := t.TempDir()
	require.NoError(t, scratch.Copy(here.Root, folder))
	return &workbook.Workbook{Root: folder}
}

// serving serves the page until the test ends and returns its URL.
func serving(t *testing.T, ctx context.Context, book *workbook.Workbook) string {
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
		if time.Since(v.began) > patience {
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
	v.do(chromedp.Click(fmt.Sprintf("//*[self::button or self::a or self::summary][contains(normalize-space(.), %q)]", name)))
}

func (v *visit) text(selector string) string {
	v.t.Helper()
	return evaluate[string](v, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
}

// evaluate returns the value of an expression in the page.
func evaluate[T any](v *visit, expression string) T {
	v.t.Helper()
	value, err := chromedp.Run(v.ctx, chromedp.Evaluate[T](expression))
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

func lesson(t *testing.T, name string) lessons.Lesson {
	t.Helper()
	l, err := lessons.Find(name)
	require.NoError(t, err)
	return l
}

// picture writes what the browser shows into the folder of -pictures.
func (v *visit) picture(name string) {
	v.t.Helper()
	shot, err := chromedp.Run(v.ctx, chromedp.CaptureScreenshot())
	require.NoError(v.t, err)
	require.NoError(v.t, os.WriteFile(filepath.Join(*pictures, name+".png"), shot, 0o644))
}

// TestPictures takes pictures of every view in both themes and on a phone.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("no -pictures: nobody wants to look")
	}
	require.NoError(t, os.MkdirAll(*pictures, 0o755))
	v := open(t)
	for _, name := range []string{"01", "02", "03"} {
		v.solve(lesson(t, name))
	}
	five := lesson(t, "05")
	v.solve(five)
	source, err := os.ReadFile(filepath.Join(v.book.Folder(five, false), "token.go"))
	require.NoError(t, err)
	wrong := strings.Replace(string(source), `if token.Header["typ"] != typ {`, `if false && token.Header["typ"] != typ {`, 1)
	require.NotEqual(t, string(source), wrong)

	for _, name := range []string{"01", "02", "03"} {
		v.goTo("/lessons/" + lesson(t, name).ID)
		v.says(".verdict", "is done")
	}
	v.write(five, "token.go", []byte(wrong))
	shoot := func(name, path string, ready func()) {
		for _, theme := range []string{"light", "dark"} {
			for _, size := range [][2]int64{{1280, 860}, {390, 844}} {
				v.theme(theme)
				v.do(chromedp.EmulateViewport(size[0], size[1]))
				if path != "" {
					v.goTo(path)
				}
				ready()
				v.picture(fmt.Sprintf("%s-%s-%d", name, theme, size[0]))
			}
		}
	}
	shoot("list", "/", func() {})
	shoot("failing", "/lessons/"+five.ID, func() { v.says(".claim", "opened"); v.says(".phase", "after your last save") })
	v.do(chromedp.EmulateViewport(390, 844))
	v.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#verdict").scrollIntoView()`))
	v.picture("card-dark-390")
	v.press("Give me a hint")
	v.says(".hints", "Hint 1 of 3")
	v.do(chromedp.EmulateViewport(1280, 860), chromedp.Evaluate[chromedp.Void](`document.querySelector("#task-2").scrollIntoView()`))
	v.picture("hint-dark-1280")
	v.write(five, "token.go", source)
	shoot("passed", "", func() { v.says(".verdict", "is done") })

	v.do(chromedp.EmulateViewport(1280, 860))
	v.goTo("/pad")
	v.do(chromedp.SetValue(chromedp.CSS("#lesson"), five.ID))
	v.press("Start")
	v.says("#running", "http://127.0.0.1")
	for _, press := range []string{"Log in as ada", "Profile", "+", "Profile", "Refresh"} {
		if press == "+" {
			v.press("15 min")
			v.says(".pause-label", "15 min pass")
			continue
		}
		before := v.text("#wire")
		v.press(press)
		v.press("Send")
		v.until(fmt.Sprintf("document.querySelector('#wire').innerText !== %q && !document.querySelector('#send').disabled", before))
	}
	shoot("pad", "", func() { v.do(chromedp.Evaluate[chromedp.Void]("scrollTo(0,0)")) })
	v.do(chromedp.EmulateViewport(1280, 1900))
	v.picture("pad-dark-tall")
	v.do(chromedp.EmulateViewport(390, 2000))
	v.picture("pad-dark-390-tall")
	v.do(chromedp.EmulateViewport(1280, 860))
	v.goTo("/lab")
	v.press("Log in as ada")
	v.says("#result", "fits the secret")
	v.press("Ask them all")
	v.until("document.querySelectorAll('#answers tbody tr').length > 8 && !document.querySelector('#ask').disabled")
	for _, theme := range []string{"light", "dark"} {
		v.theme(theme)
		v.run("scrollTo(0, 0)")
		v.do(chromedp.EmulateViewport(1280, 1500))
		v.picture("lab-" + theme + "-tall")
		v.do(chromedp.EmulateViewport(390, 2400))
		v.picture("lab-" + theme + "-390-tall")
	}
	require.Empty(t, v.errs())
}
