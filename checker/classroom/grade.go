package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"jwtworkshop/checker/classroom/gradebook"
	"jwtworkshop/checker/classroom/intake"
	"jwtworkshop/checker/classroom/ledger"
	"jwtworkshop/checker/classroom/marking"
	"jwtworkshop/lessons"
)

// graded are the flags of commands that grade a class.
type graded struct {
	Submissions string   `arg:"" type:"existingdir" help:"The folder: a checkout, a folder, a .zip or a .tar.gz for each student."`
	Out         string   `short:"o" default:"graded" help:"Where the gradebook and the ledger go."`
	Config      string   `short:"c" placeholder:"FILE" help:"Points, due dates and what is known of students, in YAML."`
	Canvas      string   `placeholder:"FILE" help:"A gradebook exported from Canvas: a copy with our columns filled in is written to OUT/canvas.csv."`
	Summary     string   `placeholder:"FILE" help:"Append a summary in Markdown, as GitHub Actions shows it."`
	Lesson      []string `placeholder:"05" help:"Only these lessons."`
	Prefix      string   `help:"Cut this off the submissions' names: GitHub Classroom puts the assignment there."`
	Jobs        int      `short:"j" help:"Students at a time; twice as many as there are cores unless given."`
	Selftest    string   `enum:"once,always,never" default:"once" help:"When to see first that this machine holds hostile submissions: once, always or never."`
	isolated
	queued
}

type gradeCommand struct{ graded }

func (c *gradeCommand) Run(d *desk) error {
	s, err := c.begin(d)
	if err != nil {
		return err
	}
	defer s.close()
	pupils, err := s.call(s.ledger)
	if err != nil {
		return err
	}
	return s.finish(pupils)
}

// A sitting is one run of a command that grades.
type sitting struct {
	*graded
	desk    *desk
	lessons []lessons.Lesson
	policy  gradebook.Policy
	handed  []intake.HandedIn
	ledger  *ledger.Ledger
	place   *place
	engine  engine
	closers []func() error
	dead    func() []string // jobs that were given up
	start   time.Time
}

// begin reads what there is to read and sets up what grades.
func (c *graded) begin(d *desk) (s *sitting, err error) {
	s = &sitting{graded: c, desk: d, lessons: lessons.All(), start: time.Now(), dead: func() []string { return nil }}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if len(c.Lesson) > 0 {
		s.lessons = nil
		for _, name := range c.Lesson {
			l, err := lessons.Find(name)
			if err != nil {
				return nil, err
			}
			s.lessons = append(s.lessons, l)
		}
	}
	if c.Config != "" {
		if s.policy, err = gradebook.ReadPolicy(c.Config); err != nil {
			return nil, err
		}
	}
	if s.handed, err = intake.List(c.Submissions, c.Prefix); err != nil {
		return nil, err
	}
	if len(s.handed) == 0 {
		return nil, fmt.Errorf("%s holds no submission: no folder, .zip or .tar.gz", c.Submissions)
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return nil, err
	}
	if s.place, err = newPlace(d.ctx, c.Isolation); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, s.place.Close)
	if s.ledger, err = ledger.Open(filepath.Join(c.Out, "ledger.db")); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, s.ledger.Close)
	c.Jobs = atOnce(c.Jobs)
	if c.Isolation == none {
		d.say("WARNING: no isolation: submissions run with all your rights, and the gradebook says so")
	}
	return s, s.connect()
}

func (s *sitting) close() {
	for _, c := range slices.Backward(s.closers) {
		if err := c(); err != nil {
			fmt.Fprintln(s.desk.err, "classroom:", err)
		}
	}
}

// call grades the class over a ledger.
func (s *sitting) call(book *ledger.Ledger) ([]*pupil, error) {
	bar := newBar(s.desk.out, len(s.handed))
	defer bar.Close()
	r := &roll{ledger: book, engine: s.engine, about: s.place.about, lessons: s.lessons, slots: s.Jobs}
	pupils, err := r.call(s.desk.ctx, s.handed, bar)
	if err == nil {
		err = s.desk.ctx.Err()
	}
	return pupils, err
}

// finish puts the grades into force and writes the gradebook.
func (s *sitting) finish(pupils []*pupil) error {
	var grades []ledger.Grade
	for _, p := range pupils {
		for lesson, key := range p.Keys {
			grades = append(grades, ledger.Grade{Student: p.Student, Lesson: lesson, Key: key})
		}
	}
	if err := s.ledger.Grade(s.desk.ctx, s.lessons, grades); err != nil {
		return err
	}
	if err := s.ledger.Remember(s.desk.ctx, runFact, ""); err != nil { // the next run is another
		return err
	}
	book, err := s.write(pupils)
	if err != nil {
		return err
	}
	open := 0
	for _, row := range book.Rows {
		open += row.Open
	}
	s.desk.say("%d students in %s", len(pupils), time.Since(s.start).Round(time.Second/10))
	for _, name := range []string{"report/index.html", "gradebook.csv", "gradebook.json", "junit.xml"} {
		s.desk.say("  %s", filepath.Join(s.Out, name))
	}
	if open > 0 {
		s.desk.say("%d lessons could not be graded: they are no zeros, look at them in the report", open)
		return exit(1)
	}
	return nil
}

// write writes the gradebook's files, student by student.
func (s *sitting) write(pupils []*pupil) (b *gradebook.Book, err error) {
	b = gradebook.New(s.policy, s.place.about, s.Isolation, s.lessons)
	report, err := gradebook.NewReport(filepath.Join(s.Out, "report"))
	if err != nil {
		return nil, err
	}
	var streams []gradebook.Stream
	for name, begin := range map[string]func(io.Writer) (gradebook.Stream, error){
		"gradebook.json": func(w io.Writer) (gradebook.Stream, error) { return gradebook.JSON(b, w) },
		"junit.xml":      gradebook.JUnit,
	} {
		f, err := os.Create(filepath.Join(s.Out, name))
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		stream, err := begin(f)
		if err != nil {
			return nil, err
		}
		streams = append(streams, stream)
	}
	if s.Summary != "" {
		f, err := os.OpenFile(s.Summary, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		stream, err := gradebook.Summary(f)
		if err != nil {
			return nil, err
		}
		streams = append(streams, stream)
	}
	for _, p := range pupils {
		marks, err := s.marks(s.desk.ctx, p)
		if err != nil {
			return nil, err
		}
		row := gradebook.Row{Student: p.Student, Canvas: p.Canvas, At: p.At, Late: p.Late, Notes: p.Notes}
		if p.Err != nil {
			row.Problem = p.Err.Error()
		}
		added := b.Add(row, marks)
		if err := report.Student(b, added, marks); err != nil {
			return nil, err
		}
		for _, stream := range streams {
			if err := stream.Add(b, added, marks); err != nil {
				return nil, err
			}
		}
	}
	b.Close()
	for _, stream := range streams {
		if err := stream.Close(); err != nil {
			return nil, err
		}
	}
	if err := report.Class(b, s.dead()); err != nil {
		return nil, err
	}
	if err := s.file("gradebook.csv", b.CSV); err != nil {
		return nil, err
	}
	if s.Canvas != "" {
		err = s.canvas(b)
	}
	return b, err
}

// marks are a student's, from the ledger, and those that there could not be.
func (s *sitting) marks(ctx context.Context, p *pupil) (map[string]marking.Mark, error) {
	marks := map[string]marking.Mark{}
	for lesson, key := range p.Keys {
		m, ok, err := s.ledger.Mark(ctx, key)
		if err != nil {
			return nil, err
		}
		if ok {
			marks[lesson] = m
		}
	}
	for lesson, err := range p.Failed {
		l, _ := lessons.Find(lesson)
		marks[lesson] = marking.Failed(l, err)
	}
	return marks, nil
}

func (s *sitting) file(name string, write func(io.Writer) error) error {
	f, err := os.Create(filepath.Join(s.Out, name))
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

func (s *sitting) canvas(b *gradebook.Book) error {
	export, err := os.Open(s.Canvas)
	if err != nil {
		return err
	}
	defer export.Close()
	var unknown []string
	err = s.file("canvas.csv", func(w io.Writer) (err error) {
		unknown, err = b.Canvas(export, w)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", s.Canvas, err)
	}
	s.desk.say("  %s", filepath.Join(s.Out, "canvas.csv"))
	if len(unknown) > 0 {
		s.desk.say("not in the Canvas export: %s", strings.Join(unknown, ", "))
	}
	return nil
}

// say prints a line.
func (d *desk) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }
