// Package synthetic makes up a class: submissions such as students hand in, right
// ones and wrong ones from the corpus of checker/proof, no two alike.
package synthetic

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"jwtworkshop/checker/proof"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

var (
	first = []string{"Ada", "Grace", "Alan", "Radia", "Linus", "Katherine", "Margaret", "Barbara", "Edsger", "Donald", "Frances", "Tony", "Niklaus", "Hedy", "Claude", "Joan"}
	last  = []string{"Abara", "Berg", "Castro", "Dubois", "Eriksen", "Fischer", "Garcia", "Horvat", "Ivanova", "Jansen", "Kaya", "Lindholm", "Moreau", "Novak", "Okafor", "Petrov"}
)

// Class writes the submissions of n students into a folder, one folder each, from
// the workshop at root; the same seed writes the same class. Students come further
// the better they are: lessons that a student has not reached are starters.
func Class(root, folder string, n int, seed uint64) error {
	cases, err := proof.Load(proof.Corpus, os.DirFS(filepath.Join(root, "solutions")))
	if err != nil {
		return err
	}
	by := map[string][]proof.Case{}
	for _, c := range cases {
		by[c.Lesson.ID] = append(by[c.Lesson.ID], c)
	}
	for i := range n {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		name := fmt.Sprintf("%s %s", first[i%len(first)], last[(i/len(first)+i)%len(last)])
		if round := i / (len(first) * len(last)); round > 0 {
			name += fmt.Sprintf(" %d", round+1)
		}
		skill := 0.4 + 0.6*r.Float64()
		for _, l := range lessons.All() {
			to := filepath.Join(folder, name, "lessons", l.ID)
			if err := os.MkdirAll(to, 0o755); err != nil {
				return err
			}
			var c *proof.Case
			solved := r.Float64() < skill
			if options := by[l.ID]; len(options) > 0 && r.Float64() < 0.5 {
				c = &options[r.IntN(len(options))]
			}
			if err := submission(root, to, l, c, solved, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// submission writes one lesson: the solution, with the changes of a case, or the
// starter.
func submission(root, to string, l lessons.Lesson, c *proof.Case, solved bool, student int) error {
	files := workbook.Originals(l)
	if solved {
		over := proof.Case{Lesson: l}
		if c != nil {
			over = *c
		}
		var err error
		if files, err = over.Files(root); err != nil {
			return err
		}
	}
	// No two students write the same.
	files["student.go"] = fmt.Appendf(nil, "package main\n\n// student is who wrote this.\nconst student = %d\n", student)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(to, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
