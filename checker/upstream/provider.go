package upstream

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"jwtworkshop/checker/subject"
	"jwtworkshop/lessons"
)

// A Provider is an OpenID provider: discovery, authorization code with PKCE,
// rotating refresh tokens, keys, userinfo and revocation (OIDC Core and Discovery,
// RFC 6749, 7009, 7636). Where its endpoints are only discovery says: no path of
// theirs can be guessed from the issuer. It is strict where the standards are, and
// fails or lies where it is told to.
type Provider struct {
	recorder
	Path Paths

	issuer   string
	base     string // the issuer without its path
	clientID string
	secret   string  // "" where the client is public
	redirect string  // the one redirect URI; "" is any of the loopback (RFC 8252 §7.3)
	people   *people // who can sign in with a password; nil where only SignIn is used

	state   sync.Mutex // guards what follows
	now     clock
	manner  Manner
	keys    []Key // the last one signs
	codes   map[string]*code
	access  map[string]*granted
	refresh map[string]*refresh
	issued  []string
	stalled chan struct{} // closed by Resume
}

// Paths are where the endpoints are, for [Provider.Calls], Next, Always and Await.
type Paths struct{ Discovery, Authorize, Token, Keys, Userinfo, Revoke string }

// A Manner is how a provider behaves. The zero value is a good one's, whose access
// tokens live an hour and whose refresh tokens are replaced each time.
type Manner struct {
	Life           time.Duration // of an access token; 0 is an hour
	KeepsRefresh   bool          // a refresh token stays good, and a refresh gives no other
	RefreshIDToken bool          // a refresh gives an ID token, too, without a nonce (OIDC Core §12.2)
	Skew           time.Duration // how far its clock is ahead

	// What is about to be said may be changed: the discovery document, the claims of
	// an ID token, the answer to a grant of that type, what userinfo says.
	Discovery func(document map[string]any)
	Claims    func(claims map[string]any)
	Answer    func(grant string, answer map[string]any)
	Userinfo  func(claims map[string]any)

	// Seal makes the ID token of the claims; nil signs them.
	Seal func(claims map[string]any) string
}

// An Account is somebody who can sign in.
type Account struct {
	Sub      string // who it is, for ever
	Name     string // as people call them
	Username string
	Email    string
}

// A code is what the browser brings back from signing in.
type code struct {
	account   Account
	scopes    []string
	redirect  string
	nonce     string
	challenge string
	method    string
	expires   time.Time
	grant     *grant // of the tokens that it was exchanged for; nil is not yet
}

// A grant is one sign-in: all tokens that come of it end with it.
type grant struct {
	account Account
	scopes  []string
	signed  time.Time
	ended   bool
}

type granted struct {
	grant   *grant
	expires time.Time
	refused bool
}

type refresh struct {
	grant *grant
	used  bool
}

// NewProvider returns a provider that does not listen yet.
func NewProvider() *Provider {
	return &Provider{
		now:   time.Now,
		codes: map[string]*code{}, access: map[string]*granted{}, refresh: map[string]*refresh{},
		keys: []Key{{ID: rand.Text(), private: firstKey()}},
	}
}

// Open listens, at a free port or where the settings' issuer says, and writes into
// the settings how the application is to reach it and what it is called. The clock
// of the application starts now: libraries compare with the real one.
func (p *Provider) Open(s *lessons.Settings) error {
	if s.URL == "" {
		s.URL = "http://localhost:8080" // as [subject.Session] calls a server that it has started
	}
	p.redirect = s.URL + "/callback"
	s.Start = time.Now().UTC()
	if s.Provider.Issuer != "" {
		return p.listen(s.Provider)
	}
	client := lessons.Provider{ClientID: s.Provider.ClientID, ClientSecret: s.Provider.ClientSecret}
	if client.ClientID == "" {
		client = lessons.Provider{ClientID: "app-" + strings.ToLower(rand.Text()[:8]), ClientSecret: rand.Text() + "~" + rand.Text()}
	}
	if err := p.listen(client); err != nil {
		return err
	}
	client.Issuer = p.issuer
	s.Provider = client
	return nil
}

// listen serves the client that it is given: at the host and port of its issuer, or
// at a free port if it names none.
func (p *Provider) listen(client lessons.Provider) error {
	p.clientID, p.secret = client.ClientID, client.ClientSecret
	addr, tenant, hidden := "", strings.ToLower(rand.Text()[:8]), strings.ToLower(rand.Text()[:8])
	if client.Issuer != "" {
		u, err := url.Parse(client.Issuer)
		if err != nil || u.Scheme != "http" || u.Host == "" {
			return fmt.Errorf("a provider cannot listen at %q", client.Issuer)
		}
		// Who has discovered it once is not to look for it elsewhere the next time.
		sum := sha256.Sum256([]byte(client.Issuer + client.ClientID))
		addr, tenant, hidden = u.Host, strings.Trim(u.Path, "/"), hex.EncodeToString(sum[:4])
	} else {
		tenant += "/v2.0" // as in Azure AD v2: the issuer has a path
	}
	issuer := "/" + tenant
	if tenant == "" {
		issuer = ""
	}
	p.Path = Paths{
		Discovery: issuer + "/.well-known/openid-configuration",
		Authorize: "/" + hidden + "/sign-in", Token: "/" + hidden + "/exchange", Keys: "/" + hidden + "/published",
		Userinfo: "/" + hidden + "/who", Revoke: "/" + hidden + "/forget",
	}
	base, err := p.bind(addr)
	if err != nil {
		return err
	}
	if client.Issuer != "" {
		base = "http://" + addr // 127.0.0.1 and localhost are two issuers
	}
	p.base, p.issuer = base, base+issuer

	mux := http.NewServeMux()
	mux.HandleFunc("GET "+p.Path.Discovery, p.serveDiscovery)
	mux.HandleFunc("GET "+p.Path.Keys, p.serveKeys)
	mux.HandleFunc("POST "+p.Path.Token, p.serveToken)
	mux.HandleFunc("POST "+p.Path.Revoke, p.serveRevoke)
	mux.HandleFunc(p.Path.Userinfo, p.serveUserinfo) // GET and POST (OIDC Core §5.3.1)
	mux.HandleFunc(p.Path.Authorize, p.servePage)
	p.start(mux)
	return nil
}

// Meet sets its clock by the session's.
func (p *Provider) Meet(s *subject.Session) {
	p.state.Lock()
	defer p.state.Unlock()
	p.now = s.Now
}

// Behave changes its manner from now on.
func (p *Provider) Behave(change func(*Manner)) {
	p.state.Lock()
	defer p.state.Unlock()
	change(&p.manner)
}

// Fail gives every further request the fault, wherever it goes. The zero value ends
// that.
func (p *Provider) Fail(f Fault) {
	for _, path := range []string{p.Path.Discovery, p.Path.Authorize, p.Path.Token, p.Path.Keys, p.Path.Userinfo, p.Path.Revoke} {
		p.Always(path, f)
	}
}

// Stall lets every further request for the path wait until Resume, and then gives it
// the fault.
func (p *Provider) Stall(path string, then Fault) {
	p.state.Lock()
	if p.stalled == nil {
		p.stalled = make(chan struct{})
	}
	then.Hold = p.stalled
	p.state.Unlock()
	p.Always(path, then)
}

// Resume lets what waits go on, to the fault. What comes later gets that at once, until
// Always says otherwise.
func (p *Provider) Resume() {
	p.state.Lock()
	defer p.state.Unlock()
	if p.stalled != nil {
		close(p.stalled)
		p.stalled = nil
	}
}

// RotateKeys signs with a new key from now on, and publishes no old one.
func (p *Provider) RotateKeys() {
	p.state.Lock()
	defer p.state.Unlock()
	p.keys = []Key{{ID: rand.Text(), private: secondKey()}}
}

// Key is the one that signs.
func (p *Provider) Key() Key {
	p.state.Lock()
	defer p.state.Unlock()
	return p.keys[len(p.keys)-1]
}

// RefuseAccess makes userinfo refuse all access tokens that there are.
func (p *Provider) RefuseAccess() {
	p.state.Lock()
	defer p.state.Unlock()
	for _, a := range p.access {
		a.refused = true
	}
}

// EndGrants ends all sign-ins so far: their refresh tokens are refused.
func (p *Provider) EndGrants() {
	p.state.Lock()
	defer p.state.Unlock()
	for _, r := range p.refresh {
		r.grant.ended = true
	}
}

// Living is how many refresh tokens of the account are good.
func (p *Provider) Living(a Account) int {
	p.state.Lock()
	defer p.state.Unlock()
	n := 0
	for _, r := range p.refresh {
		if r.grant.account.Sub == a.Sub && !r.grant.ended && !r.used {
			n++
		}
	}
	return n
}

// AwaitEnd waits until no refresh token of the account is good, and tells whether that
// came before ctx ended.
func (p *Provider) AwaitEnd(ctx context.Context, a Account) bool {
	return p.awaitThat(ctx, func() bool { return p.Living(a) == 0 })
}

// Issued are all tokens so far: access, refresh and ID tokens.
func (p *Provider) Issued() []string {
	p.state.Lock()
	defer p.state.Unlock()
	return slices.Clone(p.issued)
}

// Issuer is what the application was told.
func (p *Provider) Issuer() string { return p.issuer }

// AuthorizeURL is where it sends browsers.
func (p *Provider) AuthorizeURL() string { return p.base + p.Path.Authorize }

// A Refusal is an authorization request that no browser is sent back from: the
// provider shows the reason to the person (RFC 6749 §4.1.2.1).
type Refusal struct{ Reason string }

func (r *Refusal) Error() string { return r.Reason }

// check wants an authorization request of the client's, with a place to send the
// browser back to. It returns a [*Refusal] otherwise.
func (p *Provider) check(q url.Values) error {
	switch {
	case q.Get("client_id") != p.clientID:
		return &Refusal{fmt.Sprintf("there is no application %q here", q.Get("client_id"))}
	case !p.redirects(q.Get("redirect_uri")):
		return &Refusal{fmt.Sprintf("%q is no redirect URI of this application", q.Get("redirect_uri"))}
	case q.Get("response_type") != "code":
		return &Refusal{fmt.Sprintf("there is no response type %q here", q.Get("response_type"))}
	}
	return nil
}

// redirects compares as strings (RFC 9700 §4.1.3), but for the port where a person
// runs the application (RFC 8252 §7.3).
func (p *Provider) redirects(uri string) bool {
	if p.redirect != "" {
		return uri == p.redirect
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" || u.Path != "/callback" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// SignIn is what somebody does at the sign-in page: they sign in and agree. It
// returns where the browser is sent then, or a [*Refusal].
func (p *Provider) SignIn(authorize *url.URL, who Account) (*url.URL, error) {
	q := authorize.Query()
	if err := p.check(q); err != nil {
		return nil, err
	}
	p.state.Lock()
	defer p.state.Unlock()
	id := rand.Text()
	p.codes[id] = &code{
		account: who, scopes: strings.Fields(q.Get("scope")), redirect: q.Get("redirect_uri"), nonce: q.Get("nonce"),
		challenge: q.Get("code_challenge"), method: q.Get("code_challenge_method"), expires: p.now().Add(time.Minute),
	}
	return p.back(q, url.Values{"code": {id}}), nil
}

// Deny is what somebody does who does not agree.
func (p *Provider) Deny(authorize *url.URL) (*url.URL, error) {
	q := authorize.Query()
	if err := p.check(q); err != nil {
		return nil, err
	}
	return p.back(q, url.Values{"error": {"access_denied"}, "error_description": {"the person has said no"}}), nil
}

// back is the redirect URI with the answer, the state and the issuer (RFC 9207).
func (p *Provider) back(q, answer url.Values) *url.URL {
	u, _ := url.Parse(q.Get("redirect_uri")) // check has parsed it, or knows it
	if state, sent := q["state"]; sent {
		answer["state"] = state
	}
	answer.Set("iss", p.issuer)
	u.RawQuery = answer.Encode()
	return u
}

func (p *Provider) serveDiscovery(w http.ResponseWriter, r *http.Request) {
	document := map[string]any{
		"issuer":                                         p.issuer,
		"authorization_endpoint":                         p.base + p.Path.Authorize,
		"token_endpoint":                                 p.base + p.Path.Token,
		"jwks_uri":                                       p.base + p.Path.Keys,
		"userinfo_endpoint":                              p.base + p.Path.Userinfo,
		"revocation_endpoint":                            p.base + p.Path.Revoke,
		"scopes_supported":                               []string{"openid", "profile", "email", "offline_access"},
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code", "refresh_token"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"RS256"},
		"token_endpoint_auth_methods_supported":          p.methods(),
		"revocation_endpoint_auth_methods_supported":     p.methods(),
		"code_challenge_methods_supported":               []string{"S256"},
		"claims_supported":                               []string{"sub", "name", "preferred_username", "email", "email_verified"},
		"authorization_response_iss_parameter_supported": true,
	}
	p.state.Lock()
	change := p.manner.Discovery
	p.state.Unlock()
	if change != nil {
		change(document)
	}
	reply(w, http.StatusOK, document)
}

// methods is how a client may prove who it is.
func (p *Provider) methods() []string {
	if p.secret == "" {
		return []string{"none"}
	}
	return []string{"client_secret_basic", "client_secret_post"}
}

func (p *Provider) serveKeys(w http.ResponseWriter, r *http.Request) {
	keys := slices.Clone(decoys())
	p.state.Lock()
	for _, k := range p.keys {
		keys = append(keys, k.JWK())
	}
	p.state.Unlock()
	reply(w, http.StatusOK, map[string]any{"keys": keys})
}

// client wants the request to be the client's, proved in one way (RFC 6749 §2.3).
func (p *Provider) client(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil || len(r.PostForm) == 0 {
		refuseGrant(w, http.StatusBadRequest, "invalid_request", "the body is no form")
		return false
	}
	id, secret, basic := r.BasicAuth()
	if basic {
		// Both were encoded before they were put together (§2.3.1).
		if decoded, err := url.QueryUnescape(id); err == nil {
			id = decoded
		}
		if decoded, err := url.QueryUnescape(secret); err == nil {
			secret = decoded
		}
		if r.PostForm.Has("client_secret") {
			refuseGrant(w, http.StatusBadRequest, "invalid_request", "the client proves who it is in two ways")
			return false
		}
	} else {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	if id != p.clientID || subtle.ConstantTimeCompare([]byte(secret), []byte(p.secret)) != 1 {
		w.Header().Set("WWW-Authenticate", `Basic realm="provider"`)
		refuseGrant(w, http.StatusUnauthorized, "invalid_client", "the client or its secret is wrong")
		return false
	}
	return true
}

func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if !p.client(w, r) {
		return
	}
	p.state.Lock()
	defer p.state.Unlock()
	kind := r.PostForm.Get("grant_type")
	var said map[string]any
	var err error
	switch kind {
	case "authorization_code":
		said, err = p.redeem(r.PostForm)
	case "refresh_token":
		said, err = p.renew(r.PostForm.Get("refresh_token"))
	default:
		refuseGrant(w, http.StatusBadRequest, "unsupported_grant_type", "no such grant here: "+kind)
		return
	}
	if err != nil {
		refuseGrant(w, http.StatusBadRequest, "invalid_grant", err.Error())
		return
	}
	if p.manner.Answer != nil {
		p.manner.Answer(kind, said)
	}
	reply(w, http.StatusOK, said)
}

// redeem exchanges a code (RFC 6749 §4.1.3, RFC 7636 §4.6).
func (p *Provider) redeem(form url.Values) (map[string]any, error) {
	c, there := p.codes[form.Get("code")]
	switch {
	case !there:
		return nil, errors.New("there is no such code")
	case c.grant != nil:
		c.grant.ended = true // RFC 6749 §4.1.2: what it was exchanged for ends
		return nil, errors.New("the code was used before")
	case !p.now().Before(c.expires):
		return nil, errors.New("the code has expired")
	case form.Get("redirect_uri") != c.redirect:
		return nil, errors.New("the redirect_uri is another than that of the authorization request")
	case c.challenge != "" && !proves(form.Get("code_verifier"), c.challenge, c.method):
		return nil, errors.New("the code_verifier does not fit the code_challenge")
	case c.challenge == "" && form.Has("code_verifier"):
		return nil, errors.New("a code_verifier, and there was no code_challenge") // RFC 9700 §4.8.2
	}
	c.grant = &grant{account: c.account, scopes: c.scopes, signed: p.now()}
	said := p.tokens(c.grant)
	p.people.tell("a code of %s is exchanged: an access token for %v s", c.account.Username, said["expires_in"])
	if slices.Contains(c.scopes, "offline_access") { // OIDC Core §11
		said["refresh_token"] = p.refreshToken(c.grant)
	}
	if slices.Contains(c.scopes, "openid") {
		claims := map[string]any{}
		if c.nonce != "" {
			claims["nonce"] = c.nonce
		}
		said["id_token"] = p.idToken(c.grant, claims)
	}
	return said, nil
}

func proves(verifier, challenge, method string) bool {
	if method == "S256" {
		sum := sha256.Sum256([]byte(verifier))
		verifier = b64(sum[:])
	}
	return verifier != "" && subtle.ConstantTimeCompare([]byte(verifier), []byte(challenge)) == 1
}

// renew exchanges a refresh token. One that is used twice ends its grant (RFC 9700
// §4.14.2).
func (p *Provider) renew(raw string) (map[string]any, error) {
	r, there := p.refresh[raw]
	switch {
	case !there:
		return nil, errors.New("there is no such refresh token")
	case r.used:
		r.grant.ended = true
		return nil, errors.New("the refresh token was used before")
	case r.grant.ended:
		return nil, errors.New("the refresh token was revoked")
	}
	said := p.tokens(r.grant)
	p.people.tell("a refresh token of %s is exchanged: an access token for %v s", r.grant.account.Username, said["expires_in"])
	if !p.manner.KeepsRefresh {
		r.used = true
		said["refresh_token"] = p.refreshToken(r.grant)
	}
	if p.manner.RefreshIDToken && slices.Contains(r.grant.scopes, "openid") {
		said["id_token"] = p.idToken(r.grant, map[string]any{})
	}
	return said, nil
}

// tokens is the beginning of an answer: a new access token and what goes with it.
func (p *Provider) tokens(g *grant) map[string]any {
	life := p.manner.Life
	if life == 0 {
		life = time.Hour
	}
	raw := "at." + rand.Text()
	p.access[raw] = &granted{grant: g, expires: p.now().Add(life)}
	p.issued = append(p.issued, raw)
	return map[string]any{
		"access_token": raw, "token_type": "Bearer", "expires_in": int(life.Seconds()), "scope": strings.Join(g.scopes, " "),
	}
}

func (p *Provider) refreshToken(g *grant) string {
	raw := "rt." + rand.Text()
	p.refresh[raw] = &refresh{grant: g}
	p.issued = append(p.issued, raw)
	return raw
}

// idToken returns the ID token of a grant, with further claims (OIDC Core §2).
func (p *Provider) idToken(g *grant, claims map[string]any) string {
	now := p.now().Add(p.manner.Skew)
	maps.Copy(claims, map[string]any{
		"iss": p.issuer, "sub": g.account.Sub, "aud": p.clientID,
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "auth_time": g.signed.Add(p.manner.Skew).Unix(),
	})
	p.profile(g, claims)
	if p.manner.Claims != nil {
		p.manner.Claims(claims)
	}
	var raw string
	if p.manner.Seal != nil {
		raw = p.manner.Seal(claims)
	} else {
		raw = p.keys[len(p.keys)-1].Sign(nil, claims)
	}
	p.issued = append(p.issued, raw)
	return raw
}

// profile adds what the scopes open (OIDC Core §5.4).
func (p *Provider) profile(g *grant, claims map[string]any) {
	if slices.Contains(g.scopes, "profile") {
		claims["name"], claims["preferred_username"] = g.account.Name, g.account.Username
	}
	if slices.Contains(g.scopes, "email") {
		claims["email"], claims["email_verified"] = g.account.Email, false
	}
}

func (p *Provider) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	raw := Call{Header: r.Header}.Bearer()
	p.state.Lock()
	a, there := p.access[raw]
	if raw == "" || !there || a.refused || a.grant.ended || !p.now().Before(a.expires) {
		p.state.Unlock()
		challenge := `Bearer realm="provider"`
		if raw != "" {
			challenge += `, error="invalid_token"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
		reply(w, http.StatusUnauthorized, map[string]any{"error": "invalid_token"})
		return
	}
	claims := map[string]any{"sub": a.grant.account.Sub}
	p.profile(a.grant, claims)
	if p.manner.Userinfo != nil {
		p.manner.Userinfo(claims)
	}
	p.state.Unlock()
	reply(w, http.StatusOK, claims)
}

// serveRevoke ends the grant of a token; one that it does not know is no error (RFC
// 7009 §2.1 and §2.2).
func (p *Provider) serveRevoke(w http.ResponseWriter, r *http.Request) {
	if !p.client(w, r) {
		return
	}
	raw := r.PostForm.Get("token")
	p.state.Lock()
	defer p.state.Unlock()
	if raw == "" {
		refuseGrant(w, http.StatusBadRequest, "invalid_request", "no token")
		return
	}
	if token, there := p.refresh[raw]; there {
		token.grant.ended = true
		p.people.tell("a refresh token of %s is revoked", token.grant.account.Username)
	}
	if token, there := p.access[raw]; there {
		token.refused = true
	}
	w.WriteHeader(http.StatusOK)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// refuseGrant answers an error of RFC 6749 §5.2.
func refuseGrant(w http.ResponseWriter, status int, code, description string) {
	reply(w, status, map[string]any{"error": code, "error_description": description})
}
