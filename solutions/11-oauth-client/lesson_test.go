// Given. Runs the lesson's steps in this process: set a breakpoint anywhere.
package main

import (
	"testing"

	"jwtworkshop/checker/suites"
)

func TestLesson(t *testing.T) { suites.Test(t, "11-oauth-client", New) }
