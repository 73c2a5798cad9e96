# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# pool.inc.sh - test machines side by side.
#
# Purpose: a machine keeps about one core busy, so as many run at a time as
#	   there are cores, and memory for them.  The canaries' mostly waits: one
#	   more than the cores if there is memory.
# Inputs:  sourced after lib.inc.sh, vm.inc.sh and machine.inc.sh; MACHINES=N, at most so
#	   many at a time.
# Outputs: pool(); lines of its own only: a minute's progress of all machines
#	   in one, and one for each that has ended.

# What a machine of VM_MEM takes of the host: the emulator's translations.
VM_MORE=1024

# pool_memory: for how many machines there is memory, one at least.
pool_memory() {
	awk -v one=$((VM_MEM + VM_MORE)) '$1 == "MemAvailable:" {
		n = int($2 / 1024 / one)
		print n < 1 ? 1 : n }' /proc/meminfo
}

# pool_busy: how many of the machines that run keep a core busy.
pool_busy() {
	local n=${#running[@]}
	[[ ! ${running[canary]:-} ]] || n=$((n - 1))
	say "$n"
}

pool_report() {
	local name line=
	for name in "${!running[@]}"; do
		line+="${line:+, }$(machine_progress "$name")"
	done
	say "  ... $line tests, $((SECONDS - start)) s"
}

# pool FUNCTION NAME...: "FUNCTION NAME" for each, in this order, output in
# build/logs/machine-NAME.log.  Returns 1 if one of them failed by itself.
pool() {
	local run=$1 start=$SECONDS shown=$SECONDS rc=0 size most name
	local -A running=() since=()
	shift
	most=${MACHINES:-$(pool_memory)} size=${MACHINES:-$(nproc)}
	(( size < most )) || size=$most
	say "Test machines: $*; at most $size at a time"
	while (( $# || ${#running[@]} )); do
		while (( $# && ${#running[@]} < most )) &&
		      { (( $(pool_busy) < size )) || [[ $1 == canary ]]; }; do
			"$run" "$1" >"$LOGS/machine-$1.log" 2>&1 </dev/null &
			running[$1]=$! since[$1]=$SECONDS
			shift
		done
		sleep 0.5
		for name in "${!running[@]}"; do
			kill -0 "${running[$name]}" 2>/dev/null && continue
			if wait "${running[$name]}"; then
				say "  $(machine_progress "$name") tests done in $((SECONDS - since[$name])) s"
			else
				say "  $name: the harness failed; log: $LOGS/machine-$name.log"
				rc=1
			fi
			unset "running[$name]"
		done
		if (( SECONDS - shown >= 60 && ${#running[@]} )); then
			pool_report
			shown=$SECONDS
		fi
	done
	return "$rc"
}
