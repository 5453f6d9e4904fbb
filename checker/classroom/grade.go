package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"jwtworkshop/checker/classroom/intake"
	"jwtworkshop/checker/classroom/ledger"
	"jwtworkshop/lessons"
)

type gradeCommand struct {
	Submissions string   `arg:"" type:"existingdir" help:"The folder: a checkout, a folder, a .zip or a .tar.gz for each student."`
	Out         string   `short:"o" default:"graded" help:"Where the gradebook and the ledger go."`
	Lesson      []string `placeholder:"05" help:"Only these lessons."`
	Prefix      string   `help:"Cut this off the submissions' names: GitHub Classroom puts the assignment there."`
	Jobs        int      `short:"j" help:"Students at a time; as many as there are cores unless given."`
	isolated
}

func (c *gradeCommand) Run(d *desk) error {
	chosen := lessons.All()
	if len(c.Lesson) > 0 {
		chosen = nil
		for _, name := range c.Lesson {
			l, err := lessons.Find(name)
			if err != nil {
				return err
			}
			chosen = append(chosen, l)
		}
	}
	handed, err := intake.List(c.Submissions, c.Prefix)
	if err != nil {
		return err
	}
	if len(handed) == 0 {
		return fmt.Errorf("%s holds no submission: no folder, .zip or .tar.gz", c.Submissions)
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return err
	}
	book, err := ledger.Open(filepath.Join(c.Out, "ledger.db"))
	if err != nil {
		return err
	}
	defer book.Close()
	here, err := newPlace(d.ctx, c.Isolation)
	if err != nil {
		return err
	}
	defer here.Close()
	if c.Jobs == 0 {
		c.Jobs = runtime.NumCPU()
	}
	r := &roll{ledger: book, engine: here, about: here.about, lessons: chosen, slots: c.Jobs}
	pupils, err := r.call(d.ctx, handed, lines{d})
	if err != nil {
		return err
	}
	for _, p := range pupils {
		for _, l := range chosen {
			if key := p.Keys[l.ID]; key != "" {
				m, _, err := book.Mark(d.ctx, key)
				if err != nil {
					return err
				}
				fmt.Fprintln(d.out, p.Student, l.ID, m.Why, m.Detail, m.Count("passed"), len(m.Steps))
				for _, s := range m.Steps {
					if s.Status == "error" || s.Status == "failed" {
						fmt.Fprintln(d.out, "    ", s.ID, s.Reason, s.Claim, s.Detail, s.Log)
					}
				}
			}
		}
	}
	return nil
}

type lines struct{ d *desk }

func (l lines) Done(p *pupil, graded, known int) {
	fmt.Fprintln(l.d.out, p.Student, p.Err, graded, known, p.Failed, p.Notes)
}
