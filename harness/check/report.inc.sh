# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# report.inc.sh - one line per check, and the sum of them.
#
# Purpose: shared by check.sh and check-all.sh.
# Inputs:  sourced after lib.inc.sh.
# Outputs: lines on standard output; build/logs/check-N.log for each check.

passed=0 failed=0 checks=0

# attempt COMMAND...: run it with errexit on, output in $log; sets rc.
attempt() {
	local pid start=$SECONDS
	checks=$((checks + 1))
	log=$LOGS/check-$checks.log
	rc=0
	( set -e; "$@" ) >"$log" 2>&1 </dev/null &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		sleep 0.1
		[[ ! -t 2 ]] || (( SECONDS - start < 2 )) ||
			printf '\r... %s, %s s ' "$name" $((SECONDS - start)) >&2
	done
	[[ ! -t 2 ]] || printf '\r\033[K' >&2
	wait $pid || rc=$?
}

pass() { passed=$((passed + 1)); say "ok   $1"; }
fail() {
	failed=$((failed + 1))
	say "FAIL $1"
	head -n 15 "$log" | sed 's/^/     | /'
	say "     the whole output: $log"
}

# check NAME COMMAND...: the command must succeed.
check() {
	local name=$1 log rc
	shift
	attempt "$@"
	if (( rc == 0 )); then pass "$name"; else fail "$name"; fi
}

# canary NAME PATTERN COMMAND...: a check that gets bad input; it must fail and
# say PATTERN.
canary() {
	local name="canary: $1 is noticed" pattern=$2 log rc
	shift 2
	attempt "$@"
	if (( rc )) && grep -qE "$pattern" "$log"; then pass "$name"; else fail "$name"; fi
}

verdict() {
	say "$passed passed, $failed failed"
	(( failed == 0 ))
}

# not_more BASE OURS: two sorted outputs of uniq -c; fail on each finding that
# is more often in OURS, and print it.
not_more() {
	awk -v base="$1" '
		BEGIN {
			while ((getline <base) > 0) {
				n = $1; $1 = ""; had[$0] = n
			}
		}
		{ n = $1; $1 = "" }
		n > had[$0] + 0 { print n - had[$0] " more:" $0; bad = 1 }
		END { exit bad }' "$2"
}
