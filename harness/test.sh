#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# test.sh [default] [debug] [shadow] [canary] - boot the kernels, run the lists,
# judge.  shadow: the default kernel without two-dimensional paging.
# test.sh base-compare - see compare.sh.
#
# Inputs:  build/bzImage, build/debug/bzImage, build/initramfs.cpio, tests/;
#	   TESTS=PATTERN: just the tests whose name matches this shell pattern.
# Outputs: one line per check; build/test/NAME/{output,console,results}; last
#	   line "N passed, N failed[, N skipped]", exit status 1 if any failed.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/vm.sh"
. "$(dirname "$0")/lists.sh"
. "$(dirname "$0")/machine.sh"

T=$TOP/harness/tests
lists=("$T"/vm.list "$T"/ours.list "$T"/peer.list "$T"/qemu.list "$T"/last.list)
results=$BUILD/test/results

# canary: turn the judge's verdicts round: each must be what the list says.
canary() {
	local dir=$BUILD/test/canary
	TESTS='*' GRACE=20 machine canary default all "$T/canary.list"
	awk -F'\t' -v OFS='\t' '
		NR == FNR { want[$1] = $6; next }
		$3 == "vm" { want["vm"] = "FAIL lost 2 time" }
		{
			split(want[$3], w, " ")
			re = substr(want[$3], length(w[1]) + 2)
			good = $1 == w[1] && $4 ~ re
			print good ? "ok" : "FAIL", "canary", $3, \
				"judged " $1 ": " $4 (good ? "" : " (wanted: " want[$3] ")")
		}' "$dir/list" "$dir/results" >"$dir/judged"
	mv "$dir/judged" "$dir/results"
}

if [ "${1:-}" = base-compare ]; then
	exec "$TOP/harness/compare.sh"
fi
(( $# )) || set -- canary default debug shadow
mkdir -p "$BUILD/test"
: >"$results"
for what in "$@"; do
	case $what in
	canary) canary ;;
	default|debug|shadow) machine "$what" "$what" "$what" "${lists[@]}" ;;
	*) die "test.sh: '$what'? (canary, default, debug, shadow)" ;;
	esac
	[ -e "$BUILD/test/$what/results" ] || continue # no test of that name
	cat "$BUILD/test/$what/results" >>"$results"
	awk -F'\t' '{ printf "%-4s %s/%s: %s\n", $1, $2, $3, $4 }' \
		"$BUILD/test/$what/results"
done
while read -r prog; do
	printf 'FAIL\tlists\t%s\tis built but in no list\n' "$prog"
done < <(list_unlisted "${lists[@]}") | tee -a "$results" | tr '\t' ' '

n() { grep -c "^$1" "$results" || true; }
failed=$(n FAIL) skipped=$(n skip)
(( failed == 0 )) || say "Logs: $BUILD/test/*/output (tests), console (kernel)"
[ "$TESTS" = '*' ] || say "Only a part was run: TESTS=$TESTS"
printf '%s passed, %s failed' "$(n ok)" "$failed"
(( skipped == 0 )) || printf ', %s skipped' "$skipped"
printf '\n'
(( failed == 0 ))
