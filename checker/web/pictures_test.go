//go:build pictures

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// go test -tags pictures ./checker/web -run Pictures -pictures DIR
var pictures = flag.String("pictures", ".", "the folder that the pictures are written to")

// picture writes what the browser shows into the folder of -pictures.
func (v *visit) picture(name string) {
	v.t.Helper()
	shot, err := chromedp.Run(v.ctx, chromedp.CaptureScreenshot())
	require.NoError(v.t, err)
	require.NoError(v.t, os.WriteFile(filepath.Join(*pictures, name+".png"), shot, 0o644))
}

// TestPictures takes pictures of every view in both themes and on a phone.
func TestPictures(t *testing.T) {
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
	shoot("failing", "/lessons/"+five.ID, func() { v.says(".claim", "opened"); v.says(".phase", "Graded in") })
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
	v.do(chromedp.EmulateViewport(1280, 1500))
	v.run(`document.querySelector("#asking").scrollIntoView()`)
	v.picture("lab-answers-dark")
	v.run(`fetch("/api/server/skip", { method: "POST", body: JSON.stringify({ by: "16m" }) })`)
	v.says("#life-state", "Expired")
	v.run("scrollTo(0, 0)")
	v.picture("lab-expired-dark")
	v.goTo("/pad")
	v.says("#running", "05-refresh")
	v.do(chromedp.SetValue(chromedp.CSS("#lesson"), "08-sliding"), chromedp.SetValue(chromedp.CSS("#side"), "solution"))
	v.press("Start")
	v.says("#running", "08-sliding")
	v.goTo("/lab")
	v.press("Log in as ada")
	v.says("#life", "End of its session")
	v.theme("light")
	v.picture("lab-cap-light")
	for _, theme := range []string{"light", "dark"} {
		v.theme(theme)
		v.goTo("/lessons/06-rotation#what-you-need")
		v.says(".claim", "")
		v.run(`document.querySelector(".prose img").scrollIntoView()`)
		v.picture("svg-" + theme)
	}
	require.Empty(t, v.errs())
}
