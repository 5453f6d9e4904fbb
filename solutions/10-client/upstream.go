// Given. The upstream, and a way to it that adds no token.
package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"time"
)

type upstream struct {
	base *url.URL          // its scheme and host
	wire http.RoundTripper // sends a request as it is, once
}

const (
	answerTime = 10 * time.Second // for the answer to a login or a refresh
	maxAnswer  = 1 << 20          // bytes of it
)

// newUpstream takes a base URL that lessons.Config has validated.
func newUpstream(base string) *upstream {
	u, err := url.Parse(base)
	if err != nil {
		panic(err)
	}
	return &upstream{base: u, wire: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DisableCompression:    true, // bodies are passed on as they come
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       time.Minute,
		ResponseHeaderTimeout: 30 * time.Second,
	}}
}

// An answer of the upstream's, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// post sends JSON to a path of the upstream's, with the bearer token unless that
// is empty. It goes past the transport and follows no redirect. It returns an
// error where no answer came in ten seconds, or before ctx ended.
func (u *upstream) post(ctx context.Context, path, bearer string, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := u.wire.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return answer{res.StatusCode, res.Header, text}, err
}
