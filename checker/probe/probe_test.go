package probe_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/forge"
	"jwtworkshop/checker/probe"
)

// seen is a server that remembers the last request as it arrived.
func seen(t *testing.T) (client *probe.Client, url string, last func() (*http.Request, string)) {
	var mu sync.Mutex
	var request *http.Request
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		mu.Lock()
		request, body = r, string(text)
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		io.WriteString(w, `{"a":{"b":1},"c":"d"} and more`)
	}))
	t.Cleanup(server.Close)
	return probe.NewClient("", "", server.URL), server.URL, func() (*http.Request, string) {
		mu.Lock()
		defer mu.Unlock()
		return request, body
	}
}

func request(method, path, body string, header ...string) probe.Request {
	r := probe.Request{Method: method, Path: path, Header: http.Header{}}
	if body != "" {
		r.Body = []byte(body)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// What is printed as curl is what was sent: curl sends the same.
func TestCurlSendsTheSame(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the commands are for a POSIX shell")
	}
	for _, tool := range []string{"bash", "curl"} {
		_, err := exec.LookPath(tool)
		require.NoError(t, err, "this test needs %s", tool)
	}
	client, _, last := seen(t)
	for _, r := range []probe.Request{
		request("GET", "/profile?a=b&c=%20d", "", "Authorization", "Bearer x.y.z"),
		request("POST", "/login", `{"password":"it's \"quoted\" $HOME \\ \u0000 é","username":"cosmo"}`, "Content-Type", "application/json"),
		request("DELETE", "/", "", "X-Odd", "a'b\"c", "X-Odd", "second"),
		request("GET", "/", "", "Authorization", ""),
		request("GET", "/", "", "Authorization", "Bearer \xff\xfe"),
		request("PUT", "/", "line one\nline two\n", "Content-Type", "text/plain"),
	} {
		e, err := client.Do(context.Background(), r, time.Time{})
		require.NoError(t, err)
		sent, sentBody := last()
		output, err := exec.Command("bash", "-c", e.Curl()+" -s").CombinedOutput()
		require.NoError(t, err, "%s\n%s", e.Curl(), output)
		curled, curledBody := last()
		assert.Equal(t, sent.Method, curled.Method, e.Curl())
		assert.Equal(t, sent.RequestURI, curled.RequestURI, e.Curl())
		assert.Equal(t, sentBody, curledBody, e.Curl())
		for name := range r.Header {
			assert.Equal(t, sent.Header[name], curled.Header[name], e.Curl())
		}
	}
}

func TestAnswersAreReadWithCare(t *testing.T) {
	client, _, _ := seen(t)
	e, err := client.Do(context.Background(), request("GET", "/", ""), time.Time{})
	require.NoError(t, err)
	assert.Equal(t, "d", e.Text("c"), "the first JSON value counts")
	_, err = e.JSON()
	assert.Error(t, err, "but it is not all")
	assert.True(t, e.IsJSON())
	assert.Nil(t, e.Field("b"))
	assert.Equal(t, "", e.Text("a"), "an object is no text")
	assert.Len(t, client.Log(), 1)

	huge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 5 << 10 {
			w.Write(make([]byte, 1<<10))
		}
	}))
	defer huge.Close()
	_, err = probe.NewClient("", "", huge.URL).Do(context.Background(), request("GET", "/", ""), time.Time{})
	assert.ErrorContains(t, err, "longer than")

	away := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound))
	defer away.Close()
	e, err = probe.NewClient("", "", away.URL).Do(context.Background(), request("GET", "/", ""), time.Time{})
	require.NoError(t, err)
	assert.Equal(t, http.StatusFound, e.Status, "no redirect is followed")
}

func TestCardsFoldWhatIsLongAndKeepTheTerminalClean(t *testing.T) {
	raw := forge.Sign(map[string]any{"typ": "at+jwt"}, []byte(`{"sub":"ada","exp":3600,"jti":"x"}`), "HS256", []byte("k"))
	e := &probe.Exchange{
		Request: request("GET", "/profile", "", "Authorization", "Bearer "+raw), Base: "http://localhost:8080",
		Status: 200, ReplyBody: []byte("\x1b[2J{\"token\":\"" + raw + "\"}"),
	}
	e.Token = probe.Token{Raw: raw, What: "the token of ada"}
	assert.Contains(t, e.Curl(), raw)
	assert.NotContains(t, e.ShortCurl(), raw)
	assert.Contains(t, e.ShortCurl(), "Bearer eyJ")
	assert.NotContains(t, e.Summary(), "\x1b")
	assert.NotContains(t, e.Summary(), raw)
	e.At = time.Unix(0, 0)
	assert.Equal(t, `{"typ":"at+jwt","sub":"ada","exp":"in 1h0m0s",…}, the token of ada`, e.DescribeToken())
	assert.Equal(t, "no answer", (&probe.Exchange{}).Summary())
	e.Body = []byte(`{"password":"` + strings.Repeat("a", 1<<20) + `"}`)
	assert.Less(t, len(e.ShortCurl()), 1000)
}

func FuzzDescribe(f *testing.F) {
	f.Add("Bearer x", `{"a":1}`, "e30.e30.")
	f.Fuzz(func(t *testing.T, header, body, token string) {
		e := &probe.Exchange{Request: request("POST", "/", body, "Authorization", header), Status: 200, ReplyBody: []byte(body)}
		e.Token.Raw = token
		for _, text := range []string{e.Summary(), e.DescribeToken()} {
			if strings.ContainsAny(text, "\x00\x1b\r") {
				t.Fatalf("a control character reaches the terminal: %q", text)
			}
		}
		e.Curl()
		e.ShortCurl()
		e.Text("a")
	})
}

// A server that refuses a long body unread and hangs up has answered.
func TestAnAnswerBeforeTheBodyIsReadCounts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReaderSize(conn, 16)); err == nil {
				io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\n{}")
			}
			conn.Close()
		}
	}()
	for what, c := range map[string]*probe.Client{
		"ours":     probe.NewClient("tcp", l.Addr().String(), ""),
		"at a URL": probe.NewClient("", "", "http://"+l.Addr().String()),
	} {
		defer c.Close()
		for _, stream := range []bool{false, true} {
			for range 10 {
				e, err := c.Do(t.Context(), longRequest(stream), time.Time{})
				require.NoError(t, err, what)
				assert.Equal(t, http.StatusRequestEntityTooLarge, e.Status)
				assert.Equal(t, "{}", string(e.ReplyBody))
			}
		}
	}
}

func longRequest(stream bool) probe.Request {
	return probe.Request{Method: http.MethodPost, Path: "/login", Header: http.Header{}, Body: make([]byte, 5<<20), Stream: stream}
}

// Where nothing comes, a long body is as any other: an error, and the context's where
// that has ended.
func TestALongBodyWithoutAnAnswerIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c := probe.NewClient("tcp", l.Addr().String(), "")
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = c.Do(ctx, longRequest(false), time.Time{}) // nobody accepts it
	require.ErrorIs(t, err, context.DeadlineExceeded)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	_, err = c.Do(t.Context(), longRequest(false), time.Time{})
	require.Error(t, err)
}
