#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# compare.sh - the base's own KVM selftests, on the base and on our kernel.
#
# Purpose: the series must not change what the base's tests say, whatever they
#	   say under emulation.  No list of expected results: the base is it.
# Inputs:  the assembled tree; tests/compare.conf: limits, arguments and
#	   what is not run; LIMIT, seconds for programs that are not in it.
# Outputs: both kernels and the base's tests are built if need be;
#	   one line per program; build/test/{base,ours}; exit status 1 if a
#	   program's verdict differs.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../vm/vm.inc.sh"
. "$(dirname "$0")/../test/lists.inc.sh"
. "$(dirname "$0")/../vm/stuck.inc.sh"
. "$(dirname "$0")/../vm/machine.inc.sh"
. "$(dirname "$0")/../vm/pool.inc.sh"

"$TOP/harness/tree/base.sh" worktree
"$TOP/harness/build/build.sh" default
"$TOP/harness/build/build.sh" base
"$TOP/harness/build/selftests.sh" base
"$TOP/harness/build/initramfs.sh" base

LIMIT=${LIMIT:-120}
TESTS='*'
list=$BUILD/test/compare.list
conf=$TOP/harness/test/lists/compare.conf
mkdir -p "$BUILD/test"

(cd "$BUILD/tests/base" && find . -type f -perm -u+x -printf '%P\n') | sort |
	awk -v limit="$LIMIT" '
	FNR == NR { if ($1 !~ /^#/ && NF) { seconds[$1] = $2; $2 = ""; args[$1] = $0 }; next }
	{
		name = $0
		gsub("/", ".", name)
		if (!($0 in seconds)) { seconds[$0] = limit; args[$0] = $0 }
		if (seconds[$0]) print name, "both", seconds[$0], "pass base/" args[$0]
	}' "$conf" - >"$list"

both() {
	case $1 in
	base) machine base base all "$list" ;;
	ours) machine ours default all "$list" ;;
	esac
}
pool both base ours

# What must agree is the kind of end, not how long it took.
kinds() {
	awk -F'\t' '$3 != "vm" {
		d = $4
		sub(/, run again: .*/, "", d)
		sub(/^[0-9]+ sub-tests, /, "", d)
		sub(/^[0-9]+ s$/, "pass", d)
		sub(/, and that is not listed/, "", d)
		sub(/after [0-9]+ s.*/, "at its time limit", d)
		sub(/ +[^ ]+-[0-9]+ +\[[0-9]+\] .* kvm_exit:/, " kvm_exit:", d)
		sub(/PID: [0-9]+/, "PID", d); sub(/CPU: [0-9]+/, "CPU", d)
		print $3 "\t" d
	}' "$BUILD/test/$1/results"
}
results=$BUILD/test/compare
join -t $'\t' <(kinds base | sort) <(kinds ours | sort) |
	awk -F'\t' '{
		if ($2 == $3) print "ok   compare/" $1 ": as on the base: " $2
		else print "FAIL compare/" $1 ": base: " $2 "; ours: " $3
	}' | tee "$results"
while read -r prog seconds reason; do
	[ "$seconds" != 0 ] || say "skip compare/${prog//\//.}: $reason"
done <"$conf" | tee -a "$results"
while read -r prog; do
	say "skip compare/${prog//\//.}: does not compile in the base"
done <"$BUILD/tests/base.missing" | tee -a "$results"

n() { grep -c "^$1" "$results" || true; }
say "$(n ok) passed, $(n FAIL) failed, $(n skip) skipped"
[ "$(n FAIL)" = 0 ]
