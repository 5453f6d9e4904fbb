package upstream_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/forge"
	"jwtworkshop/checker/upstream"
	"jwtworkshop/lessons"
)

// A client is what a right application does at the provider, by hand.
type client struct {
	t *testing.T
	p *upstream.Provider
	s lessons.Settings
}

func openedProvider(t *testing.T) client {
	c := client{t: t, p: upstream.NewProvider()}
	require.NoError(t, c.p.Open(&c.s))
	t.Cleanup(c.p.Close)
	return c
}

const verifier = "a-verifier-of-more-than-forty-three-characters-0"

var ada = upstream.Account{Sub: "1", Name: "Ada", Username: "ada"}

// request is an authorization request; change spoils it.
func (c client) request(change func(url.Values)) *url.URL {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"client_id": {c.s.Provider.ClientID}, "redirect_uri": {c.s.URL + "/callback"}, "response_type": {"code"}, "scope": {"openid offline_access"},
		"state": {"s"}, "nonce": {"n"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	if change != nil {
		change(q)
	}
	u, err := url.Parse(c.p.AuthorizeURL() + "?" + q.Encode())
	require.NoError(c.t, err)
	return u
}

// code signs ada in and returns the code.
func (c client) code(change func(url.Values)) string {
	back, err := c.p.SignIn(c.request(change), ada)
	require.NoError(c.t, err)
	return back.Query().Get("code")
}

// post sends a form as the client and returns the status and the answer.
func (c client) post(path string, form url.Values) (int, map[string]any) {
	base, err := url.Parse(c.p.AuthorizeURL())
	require.NoError(c.t, err)
	req, err := http.NewRequest(http.MethodPost, "http://"+base.Host+path, strings.NewReader(form.Encode()))
	require.NoError(c.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(c.s.Provider.ClientID, c.s.Provider.ClientSecret)
	res, err := http.DefaultClient.Do(req)
	require.NoError(c.t, err)
	defer res.Body.Close()
	var said map[string]any
	json.NewDecoder(res.Body).Decode(&said) // a revocation says nothing
	return res.StatusCode, said
}

func (c client) exchange(code string, change func(url.Values)) (int, map[string]any) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.s.URL + "/callback"}, "code_verifier": {verifier}}
	if change != nil {
		change(form)
	}
	return c.post(c.p.Path.Token, form)
}

func (c client) refresh(token any) (int, map[string]any) {
	raw, _ := token.(string)
	return c.post(c.p.Path.Token, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {raw}})
}

func set(name, value string) func(url.Values) {
	return func(v url.Values) { v.Set(name, value) }
}

func TestTheProviderGivesWhatWasAskedFor(t *testing.T) {
	c := openedProvider(t)
	status, said := c.exchange(c.code(nil), nil)
	require.Equal(t, http.StatusOK, status, said)
	id, err := forge.Decode(said["id_token"].(string))
	require.NoError(t, err)
	assert.Equal(t, "1", id.Text("sub"))
	assert.Equal(t, "n", id.Text("nonce"))
	assert.Equal(t, c.s.Provider.Issuer, id.Text("iss"))
	assert.Equal(t, []string{c.s.Provider.ClientID}, id.Audience())
	assert.NotEmpty(t, said["refresh_token"])

	_, said = c.exchange(c.code(set("scope", "openid")), nil)
	assert.NotContains(t, said, "refresh_token", "only for offline_access")
	_, said = c.exchange(c.code(set("scope", "offline_access")), nil)
	assert.NotContains(t, said, "id_token", "only for openid")
}

func TestTheProviderIsStrict(t *testing.T) {
	c := openedProvider(t)
	for _, change := range []func(url.Values){
		set("client_id", "another"), set("response_type", "token"),
		set("redirect_uri", c.s.URL+"/callback/"), set("redirect_uri", c.s.URL+"/callback?x=1"), set("redirect_uri", "https://evil.example/callback"),
	} {
		_, err := c.p.SignIn(c.request(change), ada)
		var refusal *upstream.Refusal
		assert.ErrorAs(t, err, &refusal)
	}
	for _, change := range []func(url.Values){
		set("code", "another"), set("redirect_uri", c.s.URL+"/"), set("code_verifier", "another"), func(f url.Values) { f.Del("code_verifier") },
	} {
		status, said := c.exchange(c.code(nil), change)
		assert.Equal(t, http.StatusBadRequest, status)
		assert.Equal(t, "invalid_grant", said["error"])
	}
	c.s.Provider.ClientSecret += "x"
	status, said := c.exchange(c.code(nil), nil)
	assert.Equal(t, http.StatusUnauthorized, status)
	assert.Equal(t, "invalid_client", said["error"])
}

// What is used twice ends what came of it.
func TestTheProviderNoticesAReplay(t *testing.T) {
	c := openedProvider(t)
	code := c.code(nil)
	_, said := c.exchange(code, nil)
	status, _ := c.exchange(code, nil)
	assert.Equal(t, http.StatusBadRequest, status, "a code works once")
	status, _ = c.refresh(said["refresh_token"])
	assert.Equal(t, http.StatusBadRequest, status, "and what came of it ends")

	_, said = c.exchange(c.code(nil), nil)
	first := said["refresh_token"]
	status, said = c.refresh(first)
	require.Equal(t, http.StatusOK, status)
	second := said["refresh_token"]
	assert.NotEqual(t, first, second)
	assert.Equal(t, 1, c.p.Living(ada))
	status, _ = c.refresh(first)
	assert.Equal(t, http.StatusBadRequest, status)
	status, _ = c.refresh(second)
	assert.Equal(t, http.StatusBadRequest, status, "a replay ends the sign-in")
	assert.Zero(t, c.p.Living(ada))
}

func TestTheProviderRevokes(t *testing.T) {
	c := openedProvider(t)
	_, said := c.exchange(c.code(nil), nil)
	status, _ := c.post(c.p.Path.Revoke, url.Values{"token": {said["refresh_token"].(string)}})
	assert.Equal(t, http.StatusOK, status)
	status, _ = c.refresh(said["refresh_token"])
	assert.Equal(t, http.StatusBadRequest, status)
	status, _ = c.post(c.p.Path.Revoke, url.Values{"token": {"nobody knows it"}})
	assert.Equal(t, http.StatusOK, status, "RFC 7009 §2.2")
}
