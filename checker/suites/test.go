package suites

import (
	"context"
	"testing"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/subject"
	"jwtworkshop/lessons"
	"jwtworkshop/mockdb"
)

// Test runs the steps of a lesson against newServer in this process, each as a
// subtest of its own name: the front end for go test and for a debugger.
// Run with -timeout 0, as debuggers do, a step may take as long as it likes. A
// lesson with a real database says how it is opened.
func Test(t *testing.T, lesson string, newServer lessons.New, database ...mockdb.OpenSQL) {
	t.Helper()
	var open mockdb.OpenSQL
	if len(database) > 0 {
		open = database[0]
	}
	if served, err := lessons.ServeGrader(newServer, open); served || err != nil {
		if err != nil {
			t.Fatal(err)
		}
		return // this process was the second server of a step
	}
	l, err := lessons.Find(lesson)
	if err != nil {
		t.Fatal(err)
	}
	var o grade.Options
	if _, limited := t.Deadline(); !limited {
		o.Deadline = -1
	}
	suite := For(l)
	sub := subject.InProcess(newServer, open, "-test.run=^"+t.Name()+"$")
	defer sub.Close()
	runner := grade.NewRunner(suite, sub, o)
	for _, step := range suite.Steps {
		t.Run(step.ID, func(t *testing.T) {
			switch r := runner.Run(context.Background(), step); r.Status {
			case grade.Failed:
				t.Errorf("\n%v\nwhy   %s (%s)\nread  lessons/%s/README.md#task-%d", r.Failure, step.Why, step.Ref, step.Lesson, step.Task)
			case grade.Error:
				t.Fatalf("could not be graded: %s\n%s", r.Reason, r.Detail)
			case grade.Skipped, grade.NotGraded:
				t.Skip(r.Reason)
			}
		})
	}
}
