# To be sourced. step NAME COMMAND... runs the command and prints what it took,
# on the clock and of processors. It ends the script when the command fails, and says which
# step that was in the last line. Written for bash 3.2, which macOS has, and later.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export GOFLAGS=${GOFLAGS:--mod=readonly}

step() {
	local name=$1 status TIMEFORMAT="== $1: %R s, %U s of processor time"
	shift
	echo "== $name"
	# In a subshell of its own, whose "set -e" holds whoever calls. In "step || ..." it would not.
	set +e
	time (set -e; "$@")
	status=$?
	set -e
	[ $status = 0 ] || echo "FAILED: $name ($0)" >&2
	return $status
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
