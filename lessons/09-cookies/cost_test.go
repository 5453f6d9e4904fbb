// Given. Counts what renewal costs, whatever you have made of it so far:
//
//	go test -run TestCost -v ./lessons/08-sliding
package main

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jwtworkshop/lessons"
)

func TestCost(t *testing.T) {
	for _, use := range []struct {
		name     string
		requests int
		every    time.Duration
	}{
		{"an hour", 360, 10 * time.Second},
		{"a day", 23 * 60, time.Minute},
	} {
		tokens, bytes := renewals(t, use.requests, use.every)
		t.Logf("%d requests in %s: %d new tokens, %d bytes of them", use.requests, use.name, tokens, bytes)
	}
}

// renewals logs cosmo in, sends requests to /profile, and counts the new tokens.
// Like a client it goes on with the newest.
func renewals(t *testing.T, requests int, every time.Duration) (tokens, bytes int) {
	l, err := lessons.Find("08-sliding")
	require.NoError(t, err)
	settings := l.Settings()
	settings.Start = time.Date(2030, time.January, 1, 9, 0, 0, 0, time.UTC)
	settings.Secret = []byte(rand.Text() + rand.Text())

	bench := &lessons.Bench{New: New} // a server of yours on a clock of ours
	defer bench.Close()
	opened := bench.Do(lessons.Command{Op: lessons.OpOpen, Settings: settings})
	require.Empty(t, opened.Error)
	base := "http://" + opened.Addr

	answer, err := http.Post(base+"/login", "application/json", strings.NewReader(`{"username":"cosmo","password":"space-corgi"}`))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	var login struct {
		Token string `json:"access_token"`
	}
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&login))
	answer.Body.Close()
	token := login.Token
	for _, cookie := range answer.Cookies() {
		if cookie.Name == "access_token" {
			token = cookie.Value // since lesson 09
		}
	}

	for range requests {
		bench.Do(lessons.Command{Op: lessons.OpAdvance, By: every})
		request, err := http.NewRequest(http.MethodGet, base+"/profile", nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		request.AddCookie(&http.Cookie{Name: "access_token", Value: token})
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		answer.Body.Close()
		require.Equal(t, http.StatusOK, answer.StatusCode, "your server refuses cosmo's newest token")
		if renewed := answer.Header.Get("X-New-Access-Token"); renewed != "" {
			token = renewed
			tokens++
			bytes += len(renewed)
		}
		for _, cookie := range answer.Cookies() {
			if cookie.Name == "access_token" {
				token = cookie.Value
				tokens++
				bytes += len(token)
			}
		}
	}
	return tokens, bytes
}
