package suites

import (
	"context"
	"testing"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/subject"
	"jwtworkshop/lessons"
)

// Test runs the steps of a lesson against newServer in this process, each as a
// subtest of its own name: the front end for go test and for a debugger.
// Run with -timeout 0, as debuggers do, a step may take as long as it likes.
func Test(t *testing.T, lesson string, newServer lessons.New) {
	t.Helper()
	l, err := lessons.Find(lesson)
	if err != nil {
		t.Fatal(err)
	}
	var o grade.Options
	if _, limited := t.Deadline(); !limited {
		o.Deadline = -1
	}
	suite := For(l)
	sub := subject.InProcess(newServer)
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
