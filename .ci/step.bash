# To be sourced, by scripts that do with bash 3.2, which macOS has.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Of several -mod the last one holds. With -mod=mod, which some have set, the go command refuses a workspace.
GOFLAGS="$(go env GOFLAGS) -mod=readonly"
export GOFLAGS

# step NAME COMMAND... runs the command and prints what it took, on the clock and of
# processors. If it fails, so does step, and the last line says which it was. Not to be
# called in a condition ("if", "&&", "||"): there bash does not heed "set -e" in functions.
step() {
	local name=$1 status TIMEFORMAT="== $1: %1R s, %1U s of processor time"
	shift
	echo "== $name"
	set +e
	time (set -e; "$@")
	status=$?
	set -e
	[ $status = 0 ] || echo "FAILED: $name ($0)" >&2
	return $status
}

# together FUNCTION... runs functions at once. What the first prints is shown as it comes,
# what the others print afterwards, the failed ones last.
together() (
	lanes=$(mktemp -d)
	pids=() bad=()
	trap end_lanes EXIT
	set -m # a process group for each, which can be ended as a whole
	for ((i = 2; i <= $#; i++)); do
		(set -e; "${!i}") >"$lanes/$i" 2>&1 </dev/null &
		pids[i]=$!
	done
	set +m
	set +e
	(set -e; "$1")
	[ $? = 0 ] || bad=(1)
	for ((i = 2; i <= $#; i++)); do
		wait "${pids[i]}"
		if [ $? = 0 ]; then cat "$lanes/$i"; else bad+=($i); fi
	done
	[ ${#bad[@]} -gt 0 ] || exit 0
	for i in "${bad[@]}"; do
		[ $i = 1 ] || cat "$lanes/$i" >&2
		failed="${failed:-} ${!i}"
	done
	echo "FAILED:$failed ($0)" >&2
	exit 1
)

end_lanes() {
	local pid
	for pid in ${pids[@]+"${pids[@]}"}; do
		kill -- "-$pid" 2>/dev/null
	done
	rm -rf "$lanes"
}

# tests DIR ARG... is "go test ARG..." in a module's folder, with a list of what was skipped
# at the end: see internal/testgate. The slowest package takes about a minute of two quiet
# cores: one that takes $limit hangs, and ends with the stacks of its goroutines. Nobody
# debugs what is linked here: without tables for a debugger that takes half the time.
limit=20m # on a machine that does much else it takes ten
tests() {
	local dir=$1
	shift
	in_module "$dir" go test -vet=off -ldflags='-s -w' -timeout "$limit" -json "$@" | env -u GOOS -u GOARCH -u GOEXPERIMENT -u CGO_ENABLED go run ./internal/testgate
}

# skip NAME REASON is for what is no Go test. It fails where a test must not be skipped.
skip() {
	echo "SKIP $1: $2"
	[ -z "${SKIPPED:-}" ] || printf '%s\t%s\n' "$1" "$2" >>"$SKIPPED"
	[ "${CI:-}" != true ]
}

# need PROGRAM PACKAGES ends the script where there is no such program.
need() {
	command -v "$1" >/dev/null || { echo "$0: $1 is missing: apt-get install $2" >&2; exit 1; }
}

# in_module DIR COMMAND... runs the command in a module's folder. A module whose
# folder starts with "_" (a generator) is not part of the workspace.
in_module() {
	local dir=$1
	shift
	case "/$dir" in
	*/_*) (cd "$dir" && GOWORK=off "$@") ;;
	*) (cd "$dir" && "$@") ;;
	esac
}
