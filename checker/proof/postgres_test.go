package proof_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/proof"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
	"jwtworkshop/mockdb/sqldb/postgres"
)

// onPostgres is the cases of lesson 13 that are graded on PostgreSQL, too: what is
// written in the SQL that both take, and is as wrong there.
var onPostgres = []string{
	"right/13-generation-counter", "right/13-net-http-alone", "right/13-selector-and-verifier", "right/13-timestamps-in-utc", "right/13-tries-again",
	"wrong/000-no-transaction", "wrong/000-sessions-by-username", "wrong/172-stored-readable", "wrong/173-name-in-the-statement",
	"wrong/175-a-lock-in-the-process", "wrong/176-times-of-the-driver", "wrong/178-tokens-stay",
}

// Lesson 13 is the same lesson on PostgreSQL: the same steps, the same verdicts.
func TestPostgresGivesTheSameVerdicts(t *testing.T) {
	t.Parallel()
	server, err := postgres.Start(t.Context())
	if errors.Is(err, postgres.ErrNone) && os.Getenv("WORKSHOP_PRISTINE") == "" {
		t.Skip("left out: ", err)
	}
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	l, err := lessons.Find("13")
	require.NoError(t, err)
	cases := []proof.Case{{Name: "solutions/" + l.ID, Right: true, Title: "the reference solution", Lesson: l}}
	for _, c := range append(load(t, true), load(t, false)...) {
		if slices.Contains(onPostgres, c.Name) {
			cases = append(cases, c)
		}
	}
	require.Len(t, cases, 1+len(onPostgres), "a case of the list above is not in the corpus")
	for _, c := range cases {
		t.Run(strings.ReplaceAll(c.Name, "/", "-"), func(t *testing.T) {
			t.Parallel()
			sub := subject.OnDatabase(subject.Program(build(t, c), 1), server.URL)
			defer sub.Close()
			v := grade.Run(t.Context(), suites.For(l), sub, grade.Options{})
			requireDue(t, c, suites.For(c.Lesson), v)
			assert.Equal(t, c.Right, v.Passed())
		})
	}
}
