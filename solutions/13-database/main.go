// Given.
package main

import (
	"jwtworkshop/lessons"
	"jwtworkshop/mockdb/sqldb"
)

func main() { lessons.Serve(New, sqldb.Open) }
