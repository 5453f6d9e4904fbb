// Package page_test looks at the page of lesson 10 in a real browser. It stands by
// itself, for nobody else wants a browser's protocol compiled.
package page_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/upstream"
	"jwtworkshop/lessons"
)

const (
	root     = "../../.."
	lesson   = "10-client"
	patience = 30 * time.Second // for what a browser does on a busy machine
)

// browser returns the path of a Chromium or Chrome, "" if there is none.
func browser() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// open starts the reference solution with that upstream, and a tab at its page.
func open(t *testing.T, api *upstream.API) *page {
	path := browser()
	if path == "" {
		t.Skip("NOT LOOKED AT: the page of lesson 10 wants a Chromium or Chrome, and none was found")
	}
	settings := lessons.Settings{}
	require.NoError(t, api.Open(&settings))
	t.Cleanup(api.Close)
	folder, err := filepath.Abs(root)
	require.NoError(t, err)
	program := filepath.Join(t.TempDir(), "server.exe")
	require.NoError(t, subject.Build(t.Context(), folder, "./solutions/"+lesson, program))
	server := exec.Command(program, "-addr", "127.0.0.1:0", "-upstream", settings.Upstream)
	printed, err := server.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	lines := bufio.NewReader(printed)
	first, err := lines.ReadString('\n')
	require.NoError(t, err)
	address := regexp.MustCompile(`http://[^\s,]+`).FindString(first)
	require.NotEmpty(t, address)
	go io.Copy(io.Discard, lines)

	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(900, 1000),
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-component-update", true))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx)) // the browser's own start does not count
	ctx, cancel = context.WithTimeout(ctx, patience)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
		if e, ok := event.(*runtime.EventExceptionThrown); ok {
			t.Errorf("an exception in the page: %s %v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
		}
	}))
	p := &page{t, ctx}
	p.do(chromedp.Navigate(address + "/app/"))
	return p
}

// A page is a tab of the browser, and what a test does there.
type page struct {
	t   *testing.T
	ctx context.Context
}

func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	require.NoError(p.t, chromedp.Do(p.ctx, steps...))
}

func (p *page) click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(selector))
}

func (p *page) logIn() {
	p.t.Helper()
	p.do(
		chromedp.SetValue("#username", "ada"),
		chromedp.SendKeys("#password", "analytical-engine-1843\n"),
		chromedp.WaitVisible("#session"))
	assert.Equal(p.t, "ada", eval[string](p, text("#who")))
}

// text is JavaScript for what stands in an element.
func text(selector string) string {
	return fmt.Sprintf("document.querySelector(%q).textContent", selector)
}

// count is JavaScript for: it is the nth access token of the session.
func count(n int) string { return fmt.Sprintf("%s == %q", text("#count"), strconv.Itoa(n)) }

func eval[T any](p *page, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	require.NoError(p.t, err, expression)
	return v
}

// until waits for a JavaScript condition.
func (p *page) until(condition string) {
	p.t.Helper()
	_, err := chromedp.Run(p.ctx, chromedp.Poll[chromedp.Void](condition, chromedp.WithPollingInterval(10*time.Millisecond), chromedp.WithPollingTimeout(patience)))
	require.NoError(p.t, err, condition)
}

// prefers emulates a preference of the person's.
func (p *page) prefers(name, value string) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: name, Value: value}}})
	require.NoError(p.t, err)
}

// drawn is how much of the bar is left, from 0 to 1.
const drawn = `new DOMMatrix(getComputedStyle(document.querySelector("#life div")).transform).a`

func TestThePageRefreshesBeforeItsTokenExpires(t *testing.T) {
	api := upstream.NewAPI()
	api.Gives(upstream.Rotated)
	api.Lives(4 * time.Second)
	p := open(t, api)
	p.logIn()

	p.until(drawn + " < 0.7") // it moves
	p.until(count(2))
	p.until(drawn + " > 0.8") // and is full again
	p.until(count(3))
	assert.NotEmpty(t, api.Calls("/refresh"))
	for _, c := range api.Calls() {
		assert.Equal(t, 200, c.Status, "%s %s", c.Method, c.Path)
	}
	assert.Zero(t, eval[int](p, "localStorage.length + sessionStorage.length + document.cookie.length"), "the tokens are in memory only")

	p.click("#early") // nothing is refreshed any more
	p.until(text("#left") + ` == "expired"`)
	p.click("#profile")
	p.until(`document.querySelectorAll("#log .code.refused").length == 1`)
	p.until(text("#status") + `.includes('200 {"id":2,"username":"ada"}')`)
}

func TestThePageFallsBackOnA401(t *testing.T) {
	api := upstream.NewAPI()
	api.Gives(upstream.Rotated)
	p := open(t, api)
	p.logIn()
	for n, spoil := range []func(){api.Revoke, func() { p.click("#spoil") }} {
		spoil()
		p.click("#profile")
		p.until(count(n + 2))
		p.until(text("#status") + `.includes('200 {"id":2,"username":"ada"}')`)
		var statuses []int
		for _, c := range api.Calls("/profile", "/refresh") {
			statuses = append(statuses, c.Status)
		}
		assert.Equal(t, []int{401, 200, 200}, statuses[3*n:], "refused, refreshed, once more")
	}

	// Five at once share one refresh: a second one would end the session.
	api.Revoke()
	eval[chromedp.Void](p, `for (let i = 0; i < 5; i++) document.querySelector("#profile").click()`)
	p.until(`document.querySelectorAll("#log .code.refused").length == 7`)
	p.until(count(4))
	assert.Len(t, api.Calls("/refresh"), 3)

	api.Next("/refresh", upstream.Fault{Status: 503})
	api.Revoke()
	p.click("#profile")
	p.until(text("#status") + `.includes("The session goes on")`)
	api.End()
	p.click("#profile")
	p.until(text("#status") + `.includes("Please log in")`)
	p.do(chromedp.WaitVisible("#login"), chromedp.WaitNotVisible("#session"))
}

// setTimeout counts to 2^31 milliseconds, and fires at once where it is asked for
// more. A page that does not know refreshes a token of a month without end.
func TestThePageWaitsForAMonth(t *testing.T) {
	api := upstream.NewAPI()
	api.Lives(31 * 24 * time.Hour)
	p := open(t, api)
	p.logIn()
	for n := range 3 {
		p.click("#profile")
		p.until(fmt.Sprintf(`document.querySelectorAll("#log li").length >= %d`, n+2))
	}
	assert.Empty(t, api.Calls("/refresh"))

	// A 400 that is not about the refresh token is a fault of the request's.
	api.Next("/refresh", upstream.Fault{Status: 400, Body: `{"error":"invalid_request"}`})
	api.Revoke()
	p.click("#profile")
	p.until(text("#status") + `.includes("The session goes on")`)
	api.Next("/refresh", upstream.Fault{Status: 400, Body: `{"error":"invalid_grant"}`})
	p.click("#profile")
	p.until(text("#status") + `.includes("Please log in")`)
}

// Whoever does not see the bar is told of it, and whoever wants no motion has none.
func TestThePageIsAccessible(t *testing.T) {
	api := upstream.NewAPI()
	api.Lives(30 * time.Second)
	p := open(t, api)
	p.prefers("prefers-reduced-motion", "reduce")
	p.logIn()
	for selector, attributes := range map[string][]string{
		"#life":   {"role", "aria-label", "aria-valuenow", "aria-valuetext", "aria-valuemax"},
		"#status": {"role"},
	} {
		for _, name := range attributes {
			value, err := chromedp.Run(p.ctx, chromedp.AttributeValue(selector, name))
			require.NoError(t, err)
			assert.NotEmpty(t, value.Value, "%s has no %s", selector, name)
		}
	}
	assert.Empty(t, eval[[]string](p, `[...document.querySelectorAll("input")].filter((i) => !i.labels.length).map((i) => i.id)`), "inputs without a label")
	p.until(`Math.abs(document.querySelector("#life").ariaValueNow - parseInt(` + text("#left") + `)) <= 1`)

	// For authors: what the page looks like, in light and in dark.
	folder := os.Getenv("WORKSHOP_SCREENSHOTS")
	if folder == "" {
		return
	}
	p.click("#spoil")
	p.click("#profile")
	p.until(count(2))
	for _, scheme := range []string{"light", "dark"} {
		p.prefers("prefers-color-scheme", scheme)
		picture, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, scheme+".png"), picture, 0o644))
	}
}
