package proof_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/upstream"
	"jwtworkshop/lessons"
)

// browserNames are what Chromium is called here and there.
var browserNames = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"}

// browser starts a headless Chromium of its own, and skips the test where there is
// none.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range browserNames {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("LEFT OUT: there is no Chromium or Chrome here, so nobody has signed in with a real browser")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-sync", true))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// Somebody signs in at the provider's page with a real browser, is refreshed past the
// end of their access token, and signs out. With WORKSHOP_SHOTS=folder it leaves
// pictures of the pages there.
func TestSomebodySignsInWithARealBrowser(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	l, err := lessons.Find("11-oauth-client")
	require.NoError(t, err)
	p, err := upstream.ForPeople(time.Second, io.Discard) // expired when the next page is asked for
	require.NoError(t, err)
	client, err := p.Serve()
	require.NoError(t, err)
	t.Cleanup(p.Close)
	host := serveSolution(ctx, t, builder(textsRoot(t), t.TempDir()), consoleBlock{solution: l.ID, flags: []string{
		"-issuer-url", client.Issuer, "-client-id", client.ClientID, "-client-secret", client.ClientSecret,
	}})
	app := "http://" + host.host

	text := func(selector chromedp.CSS) string {
		s, err := chromedp.Run(ctx, chromedp.Text(selector))
		require.NoError(t, err, selector)
		return s
	}
	where := func() string {
		u, err := chromedp.Run(ctx, chromedp.Location())
		require.NoError(t, err)
		return u
	}

	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(app+"/home?tab=2"), chromedp.WaitVisible(chromedp.CSS("input[name=username]"))))
	assert.Contains(t, where(), client.Issuer[:strings.Index(client.Issuer[7:], "/")+7], "who is not signed in is at the provider")
	assert.Contains(t, text("main"), "stay signed in while you are away")
	shoot(ctx, t, "sign-in")

	require.NoError(t, chromedp.Do(ctx,
		chromedp.SendKeys(chromedp.CSS("input[name=username]"), "cosmo"),
		chromedp.SendKeys(chromedp.CSS("input[name=password]"), "not this one\r"),
		chromedp.WaitVisible(chromedp.CSS("[role=alert]"))))
	assert.Equal(t, "Wrong name or password.", text("[role=alert]"))
	shoot(ctx, t, "sign-in-refused")

	require.NoError(t, chromedp.Do(ctx,
		chromedp.SendKeys(chromedp.CSS("input[name=password]"), "space-corgi\r"),
		chromedp.WaitVisible(chromedp.CSS("#refreshed"))))
	assert.Equal(t, app+"/home?tab=2", where(), "back to where they were going")
	assert.Equal(t, "Hello, Cosmo", text("h1"))
	shoot(ctx, t, "home")

	before := text("#refreshed")
	require.NoError(t, chromedp.Do(ctx, chromedp.Reload(), chromedp.WaitVisible(chromedp.CSS("#refreshed"))))
	assert.NotEqual(t, before, text("#refreshed"), "the access token lives a second, and the page has got another one")
	assert.Equal(t, app+"/home?tab=2", where(), "with no visit to the provider")

	kept, err := chromedp.Call(ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{app}})
	require.NoError(t, err)
	require.Len(t, kept.Cookies, 1)
	assert.True(t, kept.Cookies[0].HTTPOnly && kept.Cookies[0].Secure)
	assert.Equal(t, network.CookieSameSiteLax, kept.Cookies[0].SameSite)

	require.NoError(t, chromedp.Do(ctx, chromedp.Click(chromedp.CSS("form button")), chromedp.WaitVisible(chromedp.CSS(`a[href="/login"]`))))
	assert.Equal(t, app+"/", where())
	shoot(ctx, t, "front")
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(app+"/home"), chromedp.WaitVisible(chromedp.CSS("input[name=username]"))))
	require.NoError(t, chromedp.Do(ctx, chromedp.Click(chromedp.CSS("button.no")), chromedp.WaitVisible(chromedp.CSS(`a[href="/login"]`))))
	assert.Contains(t, text("main"), "has not signed you in")
	shoot(ctx, t, "denied")
}

// shoot leaves pictures of the page, light, dark and narrow, if somebody wants them.
func shoot(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	folder := os.Getenv("WORKSHOP_SHOTS")
	if folder == "" {
		return
	}
	for _, how := range []struct {
		name, scheme string
		width        int64
	}{{"light", "light", 900}, {"dark", "dark", 900}, {"narrow", "light", 340}} {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: how.scheme}}})
		require.NoError(t, err)
		require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(how.width, 700)))
		picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, name+"-"+how.name+".png"), picture, 0o644))
	}
}
