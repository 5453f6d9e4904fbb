package proof_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

// The peers keep the contract of these lessons.
var peerLessons = []string{"01-login", "02-access-token", "03-protect", "04-expiry", "05-refresh", "08-sliding"}

// A server that shares nothing with the references, in another language, is graded
// by URL, and passes all that a URL can show.
func TestPeersPass(t *testing.T) {
	t.Parallel()
	goPeer := filepath.Join(t.TempDir(), "peer.exe")
	require.NoError(t, subject.Build(t.Context(), root, "./checker/proof/peers/nethttp", goPeer))
	// The settings are the same, said in the words of each.
	stacks := []struct {
		name    string
		missing string // what this machine lacks for it
		command func(number int, s lessons.Settings) *exec.Cmd
	}{
		{"nethttp", "", func(number int, s lessons.Settings) *exec.Cmd {
			return exec.Command(goPeer, "-lesson", fmt.Sprint(number), "-secret", string(s.Secret), "-issuer", s.Issuer, "-audience", s.Audience,
				"-access-ttl", s.AccessTTL.String(), "-refresh-ttl", s.RefreshTTL.String())
		}},
		{"node", lacksNode(), func(number int, s lessons.Settings) *exec.Cmd {
			return exec.Command("node", filepath.Join(nodePeer, "server.mjs"), "--lesson", fmt.Sprint(number),
				"--secret", string(s.Secret), "--issuer", s.Issuer, "--audience", s.Audience,
				"--access-ttl", seconds(s.AccessTTL), "--refresh-ttl", seconds(s.RefreshTTL))
		}},
	}
	for _, stack := range stacks {
		for _, id := range peerLessons {
			t.Run(stack.name+"/"+id, func(t *testing.T) {
				t.Parallel()
				if stack.missing != "" {
					t.Skip("NOT GRADED: " + stack.missing)
				}
				l, err := lessons.Find(id)
				require.NoError(t, err)
				s := remoteSettings(l)
				address := start(t, stack.command(l.Number(), s))
				sub, err := subject.URL(subject.Target{URL: address, Settings: s, Patience: patience(), Users: remoteUsers})
				require.NoError(t, err)
				v := grade.Run(t.Context(), suites.For(l), sub, grade.Options{})
				for _, r := range v.Results {
					assert.Contains(t, []grade.Status{grade.Passed, grade.NotGraded}, r.Status, "%s\n%s", r.Step.ID, reason(r))
				}
				assert.Greater(t, v.Count(grade.Passed), len(v.Results)*2/3, "most of it can be graded at a URL")
			})
		}
	}
}

const nodePeer = "peers/node"

func lacksNode() string {
	if _, err := exec.LookPath("node"); err != nil {
		return "there is no node on this machine"
	}
	if _, err := os.Stat(filepath.Join(nodePeer, "node_modules", "express")); err != nil {
		return "run npm ci in checker/proof/peers/node"
	}
	return ""
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.0f", d.Seconds()) }

// start starts a server and returns the first URL that it prints.
func start(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait()
		w.Close()
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
	})
	printed := bufio.NewReader(r)
	first, err := printed.ReadString('\n')
	require.NoError(t, err)
	go io.Copy(io.Discard, printed) // a pipe that nobody reads stops the server
	address := regexp.MustCompile(`http://[^\s,]+`).FindString(first)
	require.NotEmpty(t, address, "the address of the server, in %q", first)
	return address
}

// What the page about other languages says of steps is about steps that there are.
func TestThePeersPageNamesSteps(t *testing.T) {
	text, err := os.ReadFile("peers/README.md")
	require.NoError(t, err)
	known := map[string]bool{}
	for _, l := range lessons.All() {
		for _, s := range suites.Own(l) {
			known[s.ID] = true
		}
	}
	named := regexp.MustCompile("`([a-z]+(?:-[a-z]+){2,})`").FindAllStringSubmatch(string(text), -1)
	require.NotEmpty(t, named)
	for _, m := range named {
		assert.True(t, known[m[1]], "there is no step %s", m[1])
	}
}
