# To be sourced. step NAME COMMAND... runs the command and prints what it took.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export GOFLAGS=${GOFLAGS:--mod=readonly}

step() {
	local name=$1 start=${EPOCHREALTIME/[.,]/}
	shift
	echo "== $name"
	"$@"
	local ms=$(((${EPOCHREALTIME/[.,]/} - start) / 1000))
	printf '== %s: %d.%01d s\n' "$name" $((ms / 1000)) $((ms % 1000 / 100))
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
