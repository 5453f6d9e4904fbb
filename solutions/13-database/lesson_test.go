// Given. Runs the lesson's steps in this process: set a breakpoint anywhere.
package main

import (
	"testing"

	"jwtworkshop/checker/suites"
	"jwtworkshop/mockdb/sqldb"
)

func TestLesson(t *testing.T) { suites.Test(t, "13-database", New, sqldb.Open) }
