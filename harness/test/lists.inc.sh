# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# lists.inc.sh - reading the lists of tests; their format: tests/README.
#
# Inputs:  sourced after lib.inc.sh.  Outputs: list_read(), list_unlisted().

# list_read KERNEL FILE...: name, kernels, seconds, expectation, command and
# reason, separated by tabs, of the tests for KERNEL ("all": of every line).
# LONG=1: also of those that are only in "make test-all".
list_read() {
	local kernel=$1
	shift
	awk -v kernel="$kernel" -v long="${LONG:-}" -v OFS='\t' '
	# Does the field KERNELS, such as "default,all:debug", name the kernel?
	function wanted(kernels,	w, i, m, hit) {
		m = split(kernels, w, ",")
		for (i = 1; i <= m; i++) {
			only_long = sub(/^all:/, "", w[i])
			if (w[i] !~ /^(default|debug|both|shadow|debug_shadow|module|faults|fuzz|races|gcov|kcsan|none)$/ &&
			    w[i] !~ /^(intel(_debug|_noad|_real|_shadow|_up|_\*)?|ryzen)$/)
				bad("kernels: " kernels)
			hit += (long || !only_long) && (w[i] == kernel ||
				w[i] == "both" && kernel ~ /^(default|debug)$/ ||
				kernel == "gcov" && w[i] ~ /^(debug|both)$/ && $1 !~ /^vm_/ ||
				w[i] == "intel_*" && kernel ~ /^intel_(noad|real|up)$/)
		}
		return hit || kernel == "all"
	}
	function bad(what) {
		printf "error: %s:%d: %s\n", FILENAME, FNR, what >"/dev/stderr"
		exit 1
	}
	/^[ \t]*(#|$)/ { next }
	{
		line = $0; reason = ""
		if (match(line, / # ([^#]|#[^ ])*$/)) {
			reason = substr(line, RSTART + 3)
			line = substr(line, 1, RSTART - 1)
		}
		name = $1; kernels = $2; seconds = $3; expect = $4
		for (i = 0; i < 4; i++)
			sub(/^[ \t]*[^ \t]+[ \t]+/, "", line)
		sub(/[ \t]+$/, "", line)
		if (name in seen) bad(name " is listed twice")
		seen[name]
		if (seconds !~ /^[0-9]+$/) bad("seconds: " seconds)
		if (expect !~ /^(pass|skip|fail)(,skips=[0-9]+)?$/) bad("expect: " expect)
		if (expect != "pass" && reason == "") bad("a reason is missing")
		if (line == "") bad("no command")
		if (wanted(kernels))
			print name, kernels, seconds, expect, line, reason
	}' "$@"
}

# list_unlisted LIST-FILE...: programs that are built but that no line runs.
list_unlisted() {
	local set prog
	for set in ours peer mainline sample; do
		[ -d "$BUILD/tests/$set" ] || continue
		(cd "$BUILD/tests" && find "$set" -type f -perm -u+x) | sort |
		while read -r prog; do
			list_read all "$@" | cut -f5 |
				grep -E "(^|[ /])$prog( |\$)" >/dev/null || say "$prog"
		done
	done
}
