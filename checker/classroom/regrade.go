package main

import (
	"fmt"
	"os"
	"path/filepath"

	"jwtworkshop/checker/classroom/intake"
	"jwtworkshop/checker/classroom/ledger"
	"jwtworkshop/checker/classroom/marking"
)

type regradeCommand struct {
	graded
	Apply bool `help:"Put the new grades into force; without it they are only shown."`
}

// Run grades everything once more beside the ledger and shows what would change. What
// it has graded waits there until it is applied.
func (c *regradeCommand) Run(d *desk) error {
	s, err := c.begin(d)
	if err != nil {
		return err
	}
	defer s.close()
	path := filepath.Join(c.Out, "regrade.db")
	beside, err := ledger.Open(path)
	if err != nil {
		return err
	}
	defer beside.Close()
	pupils, err := s.call(beside)
	if err != nil {
		return err
	}
	before := map[[2]string]marking.Mark{}
	grades, err := s.ledger.Grades(d.ctx)
	if err != nil {
		return err
	}
	for _, g := range grades {
		if before[[2]string{g.Student, g.Lesson}], _, err = s.ledger.Mark(d.ctx, g.Key); err != nil {
			return err
		}
	}
	changed := 0
	for _, p := range pupils {
		for _, l := range s.lessons {
			key := p.Keys[l.ID]
			if key == "" {
				continue
			}
			now, _, err := beside.Mark(d.ctx, key)
			if err != nil {
				return err
			}
			old, there := before[[2]string{p.Student, l.ID}]
			changes := differences(old, now)
			if !there {
				changes = []string{"not graded before"}
			}
			if len(changes) > 0 {
				changed++
				d.say("%s, %s", p.Student, l.ID)
			}
			for _, change := range changes {
				d.say("    %s", change)
			}
		}
	}
	d.say("%d lessons change", changed)
	if !c.Apply {
		if changed > 0 {
			d.say("nothing is changed yet: the same command with --apply does")
		}
		return nil
	}
	for _, p := range pupils {
		for _, key := range p.Keys {
			e, err := beside.Entry(d.ctx, key)
			if err != nil {
				return err
			}
			if err := s.ledger.Replace(d.ctx, e); err != nil {
				return err
			}
		}
	}
	if err := s.finish(pupils); err != nil {
		return err
	}
	beside.Close()
	for _, end := range []string{"", "-wal", "-shm"} {
		os.Remove(path + end)
	}
	return nil
}

// differences tells what differs between two marks, in lines. What a card says may
// differ, for tokens do; what became of a step may not.
func differences(old, now marking.Mark) []string {
	var lines []string
	if old.Why != now.Why {
		lines = append(lines, fmt.Sprintf("%s → %s", orGraded(old), orGraded(now)))
	}
	before := map[string]string{}
	for _, s := range old.Steps {
		before[s.ID] = string(s.Status)
	}
	for _, s := range now.Steps {
		if was := before[s.ID]; was != string(s.Status) {
			if was == "" {
				was = "not there"
			}
			lines = append(lines, fmt.Sprintf("%s: %s → %s", s.ID, was, s.Status))
		}
		delete(before, s.ID)
	}
	for id, was := range before {
		lines = append(lines, fmt.Sprintf("%s: %s → not there", id, was))
	}
	return lines
}

func orGraded(m marking.Mark) string {
	if m.Why == "" {
		return "graded"
	}
	return m.Why
}

type verifyCommand struct {
	Out      string `short:"o" default:"graded" help:"Where the ledger is."`
	Sample   int    `help:"Only so many, spread over the class."`
	Selftest string `enum:"once,always,never" default:"once" hidden:""`
	isolated
}

// Run derives grades again from what the ledger holds.
func (c *verifyCommand) Run(d *desk) error {
	path := filepath.Join(c.Out, "ledger.db")
	if _, err := os.Stat(path); err != nil {
		return err
	}
	book, err := ledger.Open(path)
	if err != nil {
		return err
	}
	defer book.Close()
	here, err := newPlace(d.ctx, c.Isolation)
	if err != nil {
		return err
	}
	defer here.Close()
	grades, err := book.Grades(d.ctx)
	if err != nil {
		return err
	}
	step := 1
	if c.Sample > 0 {
		step = max(1, len(grades)/c.Sample)
	}
	engine := &trusted{place: here, desk: d, when: c.Selftest}
	same, other, foreign := 0, 0, 0
	for i := 0; i < len(grades); i += step {
		g := grades[i]
		e, err := book.Entry(d.ctx, g.Key)
		if err != nil {
			return err
		}
		if ledger.Hash(e.Work) != e.Hash || ledger.Key(e.Hash, e.About) != e.Key {
			other++
			d.say("%s, %s: the ledger was changed: the files are not those that the grade is for", g.Student, g.Lesson)
			continue
		}
		if e.About != here.about {
			foreign++
			continue
		}
		marks, err := engine.Mark(d.ctx, []intake.Work{e.Work})
		if err != nil {
			return err
		}
		changes := differences(e.Mark, marks[0])
		if len(changes) == 0 {
			same++
			continue
		}
		other++
		d.say("%s, %s", g.Student, g.Lesson)
		for _, change := range changes {
			d.say("    %s", change)
		}
	}
	d.say("%d grades derived again, %d others came out, %d were graded with another workshop or toolchain than this", same, other, foreign)
	if other > 0 || same == 0 {
		return exit(1)
	}
	return nil
}
