# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# lib.inc.sh - what every script of the harness shares.
#
# Purpose: paths, messages, running a long step with progress and a log.
# Inputs:  sourced; reads base.conf.  Outputs: variables and functions below.

set -euo pipefail
# A hook or a caller's git settings must not reach the trees below build/.
# shellcheck disable=SC2046
unset $(git rev-parse --local-env-vars 2>/dev/null || true)
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export LC_ALL=C

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${BUILD_DIR:-$TOP/build}
# shellcheck disable=SC2034
LINUX=$BUILD/linux		# base + series, a git tree of its own
# shellcheck disable=SC2034
OBJ=$BUILD/obj			# one O= directory per configuration
LOGS=$BUILD/logs
JOBS=${JOBS:-$(nproc)}
export GIT_CEILING_DIRECTORIES=$BUILD
mkdir -p "$BUILD" "$LOGS"

say()  { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die()  { printf 'error: %s\n' "$*" >&2; exit 1; }

# step NAME COMMAND...: run a long command, its output in build/logs/NAME.log,
# a dot every ten seconds; on failure show the log's tail and name it.
step() {
	local name=$1 log=$LOGS/$1.log start=$SECONDS rc=0 pid
	shift
	printf '  %-34s ' "$name"
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		if (( (SECONDS - start) / 10 > ${dots:=0} )); then
			printf .
			dots=$(( (SECONDS - start) / 10 ))
		fi
	done
	unset dots
	wait "$pid" || rc=$?
	if (( rc )); then
		say "FAILED after $((SECONDS - start)) s"
		tail -n 25 "$log" | sed 's/^/    | /' >&2
		die "$name failed (exit $rc); the whole log: $log"
	fi
	say "done in $((SECONDS - start)) s"
}

# apt_locked COMMAND...: with no other script of this tree in apt, whose lists an
# update replaces.
apt_locked() ( flock 8; exec "$@" ) 8>"$BUILD/lock.apt"

# need PACKAGE...: install the Debian packages that are missing, saying so.
need() {
	local p missing=() sudo=()
	for p in "$@"; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null |
			grep -q 'ok installed' || missing+=("$p")
	done
	(( ${#missing[@]} )) || return 0
	say "Installing missing Debian packages: ${missing[*]}"
	if (( EUID )); then
		command -v sudo >/dev/null ||
			die "not root and no sudo; install: ${missing[*]}"
		sudo=(sudo)
	fi
	step apt-update apt_locked "${sudo[@]}" apt-get update
	step apt-install apt_locked "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends "${missing[@]}"
}
