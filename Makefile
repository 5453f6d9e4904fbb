# What people type. Everything here is also `go run ./checker …`, so nobody
# needs make.

MAKEFLAGS += --no-print-directory
CHECKER   := .workshop/bin/checker

# The learner's own code is not among these: editing a lesson does not rebuild
# the checker.
CHECKER_SOURCES := go.mod go.sum $(wildcard lessons/*.go lessons/*/*.md lessons/*/*.svg mockdb/*.go \
	checker/*.go checker/*/*.go checker/*/*.txtar checker/*/*.html checker/upstream/keys/*)

.PHONY: check watch web run list hint diff reset explain url class selftest test proof bench soak mutants fuzz bench-class soak-class originals help

check: $(CHECKER) ## grade a lesson: LESSON=05, or all; without it the first that is not done
	@$(CHECKER) check $(LESSON) $(if $(STEP),--step $(STEP)) $(FLAGS)

watch: $(CHECKER) ## grade a lesson whenever you save: LESSON=05
	@$(CHECKER) watch $(LESSON)

run: $(CHECKER) ## start your server: LESSON=05 FLAGS="-access-ttl 30s"
	@$(CHECKER) run $(LESSON) $(if $(FLAGS),-- $(FLAGS))

web: ## the workshop as a page in your browser: FLAGS="-addr 127.0.0.1:9000"
	@go run ./checker/web $(FLAGS)

list: $(CHECKER) ## the lessons, and how far you are
	@$(CHECKER) list

hint: $(CHECKER) ## the next hint for the first step that fails
	@$(CHECKER) hint $(LESSON) $(if $(STEP),--step $(STEP))

diff: $(CHECKER) ## your files against the reference, once the lesson has passed
	@$(CHECKER) diff $(LESSON) $(FLAGS)

reset: $(CHECKER) ## put a lesson back to its start; yours is kept
	@$(CHECKER) reset $(LESSON)

explain: $(CHECKER) ## what a step is about and what it sends: STEP=whole-password-counts
	@$(CHECKER) explain $(or $(STEP),$(error say which step: make explain STEP=whole-password-counts))

url: $(CHECKER) ## grade a server that listens: URL=… LESSON=05 FLAGS="--secret … --access-ttl 2s"
	@$(CHECKER) url $(URL) --lesson $(LESSON) $(FLAGS)

$(CHECKER): $(CHECKER_SOURCES)
	@test -e $@ || echo "Building the checker; the next time it is there."
	@go build -o .workshop/bin/ ./checker
	@touch $@

test: ## verify the whole workshop: texts, starters, solutions, graders
	@go run ./checker/proof/verify

proof: ## grade every server that is known to be wrong or right, and print the table
	@go run ./checker/proof/exam $(CASE)

bench: ## what grading costs, as ratios
	@go run ./checker/proof/bench

soak: ## every suite 1,000 times in random order, loaded and on one processor: N=50 LESSON=06
	@go run ./checker/proof/soak $(if $(N),-n $(N)) $(if $(LESSON),-lesson $(LESSON))

mutants: ## change the references one operator at a time, and see that the suites notice
	@go run ./checker/proof/mutants $(if $(LESSON),-lesson $(LESSON))

fuzz: ## feed what parses foreign input with random input: TIME=1h for each target
	@go run ./checker/proof/fuzz $(if $(TIME),-time $(TIME))

class: ## for teachers: grade a class: SUBMISSIONS=dir OUT=dir FLAGS="--config class.yaml"
	@go run ./checker/classroom grade $(or $(SUBMISSIONS),$(error say where they are: make class SUBMISSIONS=dir)) $(if $(OUT),--out $(OUT)) $(FLAGS)

selftest: ## for teachers: does this machine hold hostile submissions?
	@go run ./checker/classroom selftest $(CASE)

bench-class: ## what grading a class costs, against a loop of go test
	@go run ./checker/classroom/drill bench $(FLAGS)

soak-class: ## kill grader, workers and queue at random moments, and compare the grades
	@go run ./checker/classroom/drill kill $(FLAGS)

originals: $(CHECKER) ## for authors: pack the starters as they are now
	@$(CHECKER) originals --write

help: ## this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1|/' | while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done
