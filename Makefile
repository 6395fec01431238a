.PHONY: demo test check builds fips bare stress fuzz taint dudect failures bench bench-peers bench-publish bench-compare bench-load vectors mutants mutants-all network kernel prove explore model generate page variants vulncheck durable load phone

# Of several -mod the last one holds. With -mod=mod, which some have set, the go command refuses a workspace.
export GOFLAGS := $(shell go env GOFLAGS) -mod=readonly

demo:             # the whole story, on FILE (README.md)
	@echo "Compiling the command, which takes a minute the first time ..." >&2
	@go run ./service/cmd/tandem demo $(or $(FILE),README.md)

test:             # every check and test; CI runs it, and make builds
	.ci/test

check:            # format, vet, staticcheck, go.mod, cross-compiles
	.ci/check

builds:           # in the other builds what make test runs in one, and the rest of what it has a part of (.ci/builds)
	.ci/builds

bare:             # the commands of README.md on a new Debian with nothing but Go, gcc, make and git (root, debootstrap)
	.ci/bare

stress:           # every test RUNS (20) times in a row, with all cores busy
	.ci/stress

fuzz:             # every fuzz target for FUZZTIME (10s)
	.ci/fuzz

taint:            # the operations on shares, partial signatures, server keys and PINs under valgrind, with and without seeded leaks
	.ci/taint

dudect:           # timing of every kernel and of right and wrong PINs, DUDECT (10s) for each comparison
	.ci/dudect

failures:         # every call of the HSM adapter fails in every class of errors; a million failing operations of each kind leave nothing behind
	go test -count 1 -run '^(TestFaultTable|TestFaultsAtOpen|TestHang.*)$$' -v -timeout 2h ./hsm -args -faults
	go test -count 1 -run '^TestFailuresKeepNothing$$' -v -timeout 2h ./hsm -args -failures 1000000

# What is measured is for who measured it, in a folder that git ignores. PUBLISH=1 changes the published report.
SCRATCH = bench/$(if $(filter 1,$(PUBLISH)),report,out)

bench:            # every benchmark COUNT (10) times for BENCHTIME (200ms, or 1x) each, into bench/out
	go run ./bench/cmd/bench -count $(or $(COUNT),10) -benchtime $(or $(BENCHTIME),200ms) $(if $(filter 1,$(PUBLISH)),-publish)

bench-peers:      # the same work through other libraries, COUNT (15) turns of BENCHTIME (25ms, or 1x), into bench/out
	go run -C bench/peers . -rounds $(or $(COUNT),15) -benchtime $(or $(BENCHTIME),25ms) -out ../../$(SCRATCH)

bench-publish:    # all of that on a quiet machine, into bench/report and README.md
	CI=true .ci/publish

bench-compare:    # every benchmark's difference from the revision BASE; fails if something is slower. COUNT (10), BENCHTIME (200ms); BENCH and PACKAGES choose
	go run ./bench/cmd/compare -base "$(BASE)" -count $(or $(COUNT),10) -benchtime $(or $(BENCHTIME),200ms) $(if $(BENCH),-bench '$(BENCH)') $(PACKAGES)

vectors:          # writes the test vectors, and has everybody check them
	.ci/vectors

mutants:          # breaks the library in many ways: a vector or test must fail for each. A third of the table; another after each commit, or PART (0, 1, 2)
	go run ./internal/mutants -part $(or $(PART),$(shell git rev-list --count HEAD))/3 -sample 10

mutants-all:      # the whole table and every mutant by rule (hours), or SAMPLE of these, drawn with SEED (1)
	go run ./internal/mutants $(if $(SAMPLE),-sample $(SAMPLE),-all) -seed $(or $(SEED),1)

network:          # 20,000 schedules of a bad network, with crashes (some minutes)
	go test ./protocol/server -run '^TestBadNetwork$$' -v -timeout 3h -schedules 20000

durable:          # the stores under kill -9, failover, cut connections, restores and thousands of histories, with a line for each claim. PART='bolt etcd' runs these
	.ci/durable

fips:             # the whole suite with GODEBUG=fips140=on and =only (ten minutes); in make builds in short form, in make test a part of that
	.ci/fips whole

variants:         # the whole suite with every other way to do the arithmetic (ten minutes)
	.ci/variants whole

kernel:           # a million products and ten thousand exponentiations of each kernel (half an hour)
	go test -run '^(TestProducts|TestExponentiations|TestStress)$$' -kernel.long -timeout 2h -v ./internal/modexp

prove:            # the assembly of internal/modexp for all inputs; planted faults refused (COMPOSED=8192: whole products of that size, too)
	.ci/prove

model:            # the protocol's rules in Promela: every state of each scope; planted faults; schedules of it with the real code
	go test -count=1 -v ./protocol/internal/model -args -long

explore:          # every schedule of the protocol, with the real device and server; planted faults found
	.ci/explore

generate:         # writes the assembly of internal/modexp
	go generate ./internal/modexp

bench-load:       # the library's server without HTTP and disk: signatures a second on 1 and 2 processors, times at 70 % of that, bytes of a record
	go run ./bench/cmd/load

load:             # logins from relying party to phone and back, BENCHTIME (20s): how many, how long, the service's processor time by part; refusals
	.ci/load

phone:            # the phone as a web app, into service/web/phone/built, for go build -tags phone ./service/cmd/tandem
	@mkdir -p service/web/phone/built
	go run ./service/web/phone/build service/web/phone/built

vulncheck:        # known vulnerabilities in what the code calls (asks vuln.go.dev)
	.ci/vulncheck

page:             # vectors/verify.html and bench/report/report.html in headless Chromium
	node vectors/internal/page/browser.mjs
	node bench/internal/page/browser.mjs
