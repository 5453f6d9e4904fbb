package upstream_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/forge"
	"jwtworkshop/checker/upstream"
	"jwtworkshop/lessons"
)

// A desk calls an API as a client does.
type desk struct {
	*testing.T
	api *upstream.API
}

func opened(t *testing.T) desk {
	api := upstream.NewAPI()
	require.NoError(t, api.Open(&lessons.Settings{}))
	t.Cleanup(api.Close)
	return desk{t, api}
}

func (d desk) send(method, path, bearer, body string) (int, http.Header, map[string]any) {
	d.Helper()
	req, err := http.NewRequestWithContext(d.Context(), method, d.api.URL()+path, strings.NewReader(body))
	require.NoError(d, err)
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(d, err)
	var fields map[string]any
	json.Unmarshal(text, &fields)
	return res.StatusCode, res.Header, fields
}

func (d desk) login() (access, refresh string) {
	d.Helper()
	status, _, got := d.send("POST", "/login", "", `{"username":"ada","password":"analytical-engine-1843"}`)
	require.Equal(d, 200, status)
	return got["access_token"].(string), got["refresh_token"].(string)
}

func (d desk) status(method, path, bearer string) int {
	d.Helper()
	status, _, _ := d.send(method, path, bearer, "")
	return status
}

func TestTheAPIIsWhatTheLessonsBuild(t *testing.T) {
	d := opened(t)
	status, _, body := d.send("POST", "/login", "", `{"username":"ada","password":"wrong"}`)
	assert.Equal(t, 401, status)
	assert.Equal(t, "Bad username or password", body["error"])
	assert.Equal(t, 400, d.status("POST", "/login", ""))

	access, refresh := d.login()
	token, err := forge.Decode(access)
	require.NoError(t, err)
	assert.Equal(t, "ada", token.Text("sub"))
	status, _, body = d.send("GET", "/profile", access, "")
	assert.Equal(t, 200, status)
	assert.Equal(t, "ada", body["username"])
	status, _, body = d.send("POST", "/orders", access, "two corgis")
	assert.Equal(t, 201, status)
	assert.EqualValues(t, 10, body["bytes"])
	assert.Equal(t, 404, d.status("GET", "/nowhere", access))

	for _, bad := range []string{"", refresh, access + "x"} {
		status, header, _ := d.send("GET", "/profile", bad, "")
		assert.Equal(t, 401, status, bad)
		assert.Contains(t, header.Get("WWW-Authenticate"), "Bearer")
	}
	assert.Equal(t, 401, d.status("POST", "/refresh", access))
	assert.Equal(t, 401, d.status("POST", "/refresh", ""))

	d.api.Revoke()
	assert.False(t, d.api.Good(access))
	assert.Equal(t, 401, d.status("GET", "/profile", access))
	_, _, body = d.send("POST", "/refresh", refresh, "")
	access = body["access_token"].(string)
	assert.Equal(t, 204, d.status("POST", "/logout", access))
	assert.Equal(t, 401, d.status("GET", "/profile", access))
	assert.Equal(t, 401, d.status("POST", "/refresh", refresh))
}

func TestTokensExpireByItsClock(t *testing.T) {
	d := opened(t)
	access, _ := d.login()
	d.api.Skew(59 * time.Minute)
	assert.Equal(t, 200, d.status("GET", "/profile", access))
	d.api.Skew(61 * time.Minute)
	assert.Equal(t, 401, d.status("GET", "/profile", access))
}

func TestWhatARefreshGives(t *testing.T) {
	for renewal, want := range map[upstream.Renewal]func(refresh string, got any, there bool) bool{
		upstream.Same:    func(refresh string, got any, there bool) bool { return got == refresh },
		upstream.Rotated: func(refresh string, got any, there bool) bool { return there && got != refresh && got != "" },
		upstream.Omitted: func(refresh string, got any, there bool) bool { return !there },
		upstream.Null:    func(refresh string, got any, there bool) bool { return there && got == nil },
		upstream.Empty:   func(refresh string, got any, there bool) bool { return got == "" },
	} {
		d := opened(t)
		d.api.Gives(renewal)
		_, refresh := d.login()
		_, _, body := d.send("POST", "/refresh", refresh, "")
		got, there := body["refresh_token"]
		assert.True(t, want(refresh, got, there), "%d: %v", renewal, body)
		if renewal != upstream.Rotated {
			assert.Equal(t, 200, d.status("POST", "/refresh", refresh))
			continue
		}
		next := got.(string)
		assert.Equal(t, 401, d.status("POST", "/refresh", refresh), "it was used")
		assert.Equal(t, 401, d.status("POST", "/refresh", next), "and its session is over")
	}
}

func TestFaults(t *testing.T) {
	d := opened(t)
	access, refresh := d.login()
	d.api.Next("/orders", upstream.Fault{Status: 503}, upstream.Fault{}, upstream.Fault{Cut: true})
	var got []int
	for range 4 { // by POST: net/http sends a GET again by itself
		got = append(got, d.status("POST", "/orders", access))
	}
	assert.Equal(t, []int{503, 201, 0, 201}, got)
	d.api.Always("/profile", upstream.Fault{Status: 418})
	assert.Equal(t, 418, d.status("GET", "/profile", access))
	assert.Equal(t, 418, d.status("GET", "/profile", access))
	d.api.Always("/profile", upstream.Fault{})

	// Carried out, and the answer held back.
	d.api.Gives(upstream.Rotated)
	hold := make(chan struct{})
	d.api.Next("/refresh", upstream.Fault{After: true, Hold: hold})
	answered := make(chan int)
	go func() { answered <- d.status("POST", "/refresh", refresh) }()
	require.True(t, d.api.Await(t.Context(), "/refresh", 1))
	close(hold)
	assert.Equal(t, 200, <-answered)
	assert.Equal(t, 401, d.status("POST", "/refresh", refresh), "it was used")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	assert.False(t, d.api.Await(ended, "/nothing", 1))

	port, elsewhere, err := d.api.Elsewhere(http.Header{"X-New-Access-Token": {"x"}})
	require.NoError(t, err)
	res, err := http.Get("http://127.0.0.1:" + port + "/a?b")
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, "x", res.Header.Get("X-New-Access-Token"))
	assert.Len(t, elsewhere(), 1)
}

// Whoever goes round in a circle is stopped.
func TestALoopEnds(t *testing.T) {
	d := opened(t)
	for range 1000 {
		require.Equal(t, 401, d.status("GET", "/profile", "x"))
	}
	assert.Equal(t, 0, d.status("GET", "/profile", "x"))
}

// A hostile client may send as much as it can: what is kept of it is bounded.
func TestAnAPIKeepsNoMoreThanItHasRoomFor(t *testing.T) {
	d := opened(t)
	body := strings.Repeat("x", 4<<20)
	kept, cut := 0, false
	for range 24 {
		res, err := http.Post(d.api.URL()+"/profile", "text/plain", strings.NewReader(body))
		if err != nil {
			cut = true
			continue
		}
		require.False(t, cut, "it does not begin again")
		res.Body.Close()
	}
	for _, c := range d.api.Calls() {
		kept += len(c.Body)
	}
	assert.True(t, cut)
	assert.LessOrEqual(t, kept, 64<<20)
	assert.GreaterOrEqual(t, kept, 56<<20, "the control: there is room for as much")
}

// Each step has a server of its own at an address that is the same for all.
func TestAnAddressThatIsAboutToBeFreeIsWaitedFor(t *testing.T) {
	before, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	at := "http://" + before.Addr().String()
	require.Error(t, upstream.NewAPI().Open(&lessons.Settings{Upstream: at}), "but not for ever")

	time.AfterFunc(50*time.Millisecond, func() { before.Close() })
	api := upstream.NewAPI()
	require.NoError(t, api.Open(&lessons.Settings{Upstream: at}))
	api.Close()
}
