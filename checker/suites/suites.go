// Package suites is what the lessons ask: one file per lesson, one [grade.Step]
// per rule, all of it in HTTP. A lesson asks again what the lessons before it
// asked, as far as that still holds.
package suites

import (
	"jwtworkshop/checker/grade"
	"jwtworkshop/lessons"
)

// A chapter is what one lesson adds.
type chapter struct {
	lesson string
	steps  []grade.Step
	drops  []string // steps of earlier lessons that no longer hold
	alone  bool     // asks nothing that earlier lessons asked
}

func chapters() []chapter {
	return []chapter{
		{lesson: "01-login", steps: login()},
		{lesson: "02-access-token", steps: accessToken(), drops: []string{"login-returns-id-and-username", "login-works-for-every-user"}},
		// From here on the algorithm is free, as long as it is one (RFC 8725 §3.1).
		{lesson: "03-protect", steps: protect(), drops: []string{"token-is-signed-with-hs256"}},
		{lesson: "04-expiry", steps: expiry()},
		{lesson: "05-refresh", steps: refresh()},
		{lesson: "06-rotation", steps: rotation()},
		{lesson: "07-fresh", steps: fresh()},
		// Here both tokens live 24 hours: there is no time between their two ends.
		{lesson: "08-sliding", steps: sliding()},
		// Tokens travel otherwise: it asks the gravest questions again by itself.
		{lesson: "09-cookies", steps: cookies(), alone: true},
	}
}

// For returns the suite of a lesson: what earlier lessons ask first, marked as
// given, then its own steps.
func For(l lessons.Lesson) grade.Suite {
	suite := grade.Suite{Lesson: l}
	for _, c := range chapters() {
		if c.alone {
			suite.Steps = nil
		}
		suite.Steps = without(suite.Steps, c.drops)
		for i := range suite.Steps {
			suite.Steps[i].Given = true
		}
		for _, s := range c.steps {
			s.Lesson = c.lesson
			suite.Steps = append(suite.Steps, s)
		}
		if c.lesson == l.ID {
			break
		}
	}
	return suite
}

func without(steps []grade.Step, ids []string) []grade.Step {
	var kept []grade.Step
	for _, s := range steps {
		dropped := false
		for _, id := range ids {
			dropped = dropped || s.ID == id
		}
		if !dropped {
			kept = append(kept, s)
		}
	}
	return kept
}

// Own returns the steps that the lesson itself teaches.
func Own(l lessons.Lesson) []grade.Step {
	for _, c := range chapters() {
		if c.lesson == l.ID {
			for i := range c.steps {
				c.steps[i].Lesson = c.lesson
			}
			return c.steps
		}
	}
	return nil
}
