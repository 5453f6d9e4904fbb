// Given.
package main

import "jwtworkshop/lessons"

func main() { lessons.Serve(New) }
