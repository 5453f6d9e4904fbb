// Package suites is what the lessons ask: one file per lesson, one [grade.Step]
// per rule, all of it in HTTP. A lesson asks again what the lessons before it
// asked, as far as that still holds.
package suites

import (
	"slices"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/upstream"
	"jwtworkshop/lessons"
)

// A chapter is what one lesson adds to the lesson that it is based on.
type chapter struct {
	lesson string
	steps  func() []grade.Step
	once   []string                 // steps of its own that later lessons do not ask again
	drops  []string                 // steps of earlier lessons that no longer hold
	alone  bool                     // asks nothing that earlier lessons asked, but for what it keeps
	keeps  []string                 // lessons whose steps still hold where it stands alone
	beside func() subject.Companion // a server of the grader's own that the lesson's server talks to
}

func chapters() []chapter {
	return []chapter{
		{lesson: "01-login", steps: login},
		{lesson: "02-access-token", steps: accessToken, drops: []string{"login-returns-id-and-username", "login-works-for-every-user"}},
		// From here on the algorithm is free, as long as it is one (RFC 8725 §3.1).
		{lesson: "03-protect", steps: protect, drops: []string{"token-is-signed-with-hs256"}},
		{lesson: "04-expiry", steps: expiry},
		{lesson: "05-refresh", steps: refresh},
		// The race takes a moment, and what comes later does not touch it.
		{lesson: "06-rotation", steps: rotation, once: []string{"logout-wins-over-a-refresh"}},
		{lesson: "07-fresh", steps: fresh},
		// Here both tokens live 24 hours: there is no time between their two ends.
		{lesson: "08-sliding", steps: sliding},
		// Tokens travel otherwise: it asks the gravest questions again by itself.
		{lesson: "09-cookies", steps: cookies, alone: true, keeps: []string{"01-login"}, drops: []string{canLogin}},
		// It talks to an API of ours.
		{lesson: "10-client", steps: client, alone: true, beside: func() subject.Companion { return upstream.NewAPI() }},
		// People sign in at a provider of ours.
		{lesson: "11-oauth-client", steps: oauthClient, beside: func() subject.Companion { return upstream.NewProvider() }},
		{lesson: "12-keys", steps: signingKeys, drops: forgedWithTheSecret},
		{lesson: "13-database", steps: database},
	}
}

// For returns the suite of a lesson: what the lessons that it is based on ask
// first, marked as given, then its own steps.
func For(l lessons.Lesson) grade.Suite {
	suite := grade.Suite{Lesson: l}
	c := chapterOf(l)
	if base, err := lessons.Find(l.Base); err == nil {
		suite.Steps = without(For(base).Steps, slices.Concat(chapterOf(base).once, c.drops))
		if c.alone {
			suite.Steps = slices.DeleteFunc(suite.Steps, func(s grade.Step) bool { return !slices.Contains(c.keeps, s.Lesson) })
		}
		for i := range suite.Steps {
			suite.Steps[i].Given = true
		}
	}
	suite.Steps = append(suite.Steps, Own(l)...)
	suite.Beside = c.beside
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
	c := chapterOf(l)
	steps := c.steps()
	for i := range steps {
		steps[i].Lesson = c.lesson
	}
	return steps
}

func chapterOf(l lessons.Lesson) chapter {
	for _, c := range chapters() {
		if c.lesson == l.ID {
			return c
		}
	}
	return chapter{}
}
