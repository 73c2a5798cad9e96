#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# test.sh [MACHINE...] - boot the kernels, run the lists, judge.
#
# MACHINE  default, debug: that kernel; shadow, debug_shadow: the same without
#	   two-dimensional paging; module: the default one in a machine with a
#	   memory module; faults, fuzz, races: the debug one, for tests that
#	   take as long as one likes; the first two end at the first warning, and
#	   the first looks for leaks; gcov, kcsan: the kernel of that name, see
#	   coverage.sh and kcsan.sh; canary: tests that must fail.  On another emulator, see
#	   ../vm/bochs.inc.sh: intel, intel_debug; intel_noad, without accessed
#	   and dirty bits in EPT, and so without PML; intel_real, without
#	   "unrestricted guest"; intel_shadow, without EPT; intel_up, with one
#	   CPU; ryzen.  "intel.2" is the second part in PARTS of such a list.
# test.sh base-compare - see compare.sh.
#
# Inputs:  build/bzImage, build/debug/bzImage, build/initramfs.cpio, tests/;
#	   TESTS=PATTERN: just the tests whose name matches this shell pattern;
#	   LONG=1: also those that are marked as long; MACHINES: see pool.inc.sh.
# Outputs: one line per check; build/test/NAME/{output,console,results}, and
#	   for each failed test NAME/failed/TEST; last line "N passed, N failed[,
#	   N skipped]", exit status 1 if any failed.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../vm/vm.inc.sh"
. "$(dirname "$0")/../test/lists.inc.sh"
. "$(dirname "$0")/../vm/bochs.inc.sh"
. "$(dirname "$0")/../vm/stuck.inc.sh"
. "$(dirname "$0")/../vm/machine.inc.sh"
. "$(dirname "$0")/../vm/pool.inc.sh"

T=$TOP/harness/test/lists
lists=("$T"/vm.list "$T"/ours.list "$T"/peer.list "$T"/mainline.list
	"$T"/qemu.list "$T"/last.list)
results=$BUILD/test/results
PARTS=3
intel=(intel intel_debug intel_noad intel_real intel_shadow intel_up ryzen)
known=(canary default debug shadow debug_shadow module faults fuzz races gcov kcsan "${intel[@]}")

# canary: turn the judge's verdicts round: each must be what the list says.
canary() {
	local dir=$BUILD/test/canary
	TESTS='*' GRACE=20 machine canary default all "$T/canary.list"
	emulator canary >>"$dir/results"
	awk -F'\t' -v OFS='\t' '
		NR == FNR { want[$1] = $6; next }
		$3 == "vm" { want["vm"] = "FAIL lost 2 time" }
		$3 == "emulator" { want["emulator"] = "FAIL lost 3 time" }
		{
			split(want[$3], w, " ")
			re = substr(want[$3], length(w[1]) + 2)
			good = $1 == w[1] && $4 ~ re
			print good ? "ok" : "FAIL", "canary", $3, \
				"judged " $1 ": " $4 (good ? "" : " (wanted: " want[$3] ")")
		}' "$dir/list" "$dir/results" >"$dir/judged"
	mv "$dir/judged" "$dir/results"
}

# emulator NAME...: how often QEMU lost a guest on these machines, and a test
# or a guest had a second try for it.  Once may be; more may be a bug of ours.
emulator() {
	local name n=0 verdict=ok machines=all more=''
	for name in "$@"; do
		n=$((n + $(cat "$BUILD/test/$name/lost" 2>/dev/null || say 0)))
	done
	[[ $1 != canary ]] || machines=canary
	(( n < 2 )) || verdict=FAIL more=', and QEMU is forgiven once'
	printf '%s\t%s\temulator\tthe guest was lost %s time(s)%s\n' \
		"$verdict" "$machines" "$n" "$more"
}

# run_machine NAME: NAME is a kernel, and perhaps a part of its list: debug.2.
run_machine() {
	local kernel=${1%.*} part=${1#"${1%.*}"}
	if [[ $1 == canary ]]; then
		canary
	else
		PART=${part:+${part#.}/$PARTS} \
			machine "$1" "$kernel" "$kernel" "${lists[@]}"
	fi
}

# show NAME: its verdicts.  What a failed test and the kernel said is cut out of
# the logs into build/test/NAME/failed.
show() {
	local dir=$BUILD/test/$1 verdict name detail again log
	mkdir -p "$dir/failed"
	while IFS=$'\t' read -r verdict _ name detail; do
		printf '%-4s %s/%s: %s\n' "$verdict" "$1" "$name" "$detail"
		[[ $verdict == FAIL ]] || continue
		again="make test TESTS=$name KERNEL=${1%.*}${LONG:+ LONG=1}"
		log=$dir/failed/$name
		awk -v name="$name" '
			/^@@[0-9a-f]+ begin / { on = $3 == name }
			/gmem-test: begin / { on = $NF == name }
			{ sub(/\r$/, "") }
			FNR == 1 { print "== " FILENAME; on = 0 }
			on
			/^@@[0-9a-f]+ end |gmem-test: end / { on = 0 }
		' "$dir/output" "$dir/console" >"$log"
		case $1:$name in
		*:vm|*:emulator) log=$dir/console again="make test KERNEL=${1%.*}" ;;
		canary:*) again="make test KERNEL=canary" ;;
		esac
		say "     log: ${log#"$TOP/"}; alone: $again"
		# CI keeps no logs: what the first failed sub-test said, and how the
		# test ended, has to stand in its output.
		[[ ! -s $log || $log == */console ]] || awk '
			/^== .*console$/ { exit }
			/^(== \/|@@|ok )/ { next }
			{ line[++n] = $0 }
			/^not ok / && !bad { bad = n }
			END {
				for (i = 1; i <= n; i++)
					if ((i > bad - 12 && i <= bad) || i > n - 12)
						print "     | " line[i]
			}' "$log"
		[[ $detail != *'machine was lost'* || ! -s $dir/hung ]] ||
			tail -n 40 "$dir/hung" | sed 's/^/     | /'
	done <"$dir/results"
}

if [ "${1:-}" = base-compare ]; then
	exec "$TOP/harness/test/compare.sh"
fi
if (( ! $# )); then
	set -- debug default canary intel shadow debug_shadow module
	[ "$TESTS" = '*' ] || set -- debug default intel shadow debug_shadow module
	[ ! "${LONG:-}" ] || set -- "$@" faults fuzz races "${intel[@]:1}"
elif [[ $* == intel-all ]]; then
	set -- "${intel[@]}"
fi
for what in "$@"; do
	[[ " ${known[*]} " == *" $what "* ]] || die "test.sh: '$what'? (${known[*]})"
	rm -rf "$BUILD/test/$what" "$BUILD/test/$what".[0-9]
done
# All tests on the debug kernel take three times as long as on the default one, and
# those on Intel's emulator ten times.
machines=()
for what in "$@"; do
	if [[ ${LONG:-} && $TESTS == '*' && $what == @(debug|intel|gcov) ]]; then
		mapfile -t -O "${#machines[@]}" machines < <(seq -f "$what.%g" "$PARTS")
	else
		machines+=("$what")
	fi
done
set -- "${machines[@]}"
for what in "$@"; do
	[[ $what != @(intel*|ryzen) ]] || { need "${BOCHS_PACKAGES[@]}"; break; }
done
mkdir -p "$BUILD/test"
: >"$results"
pool run_machine "$@" || printf 'FAIL\tharness\tmachines\tone was not run\n' | tee -a "$results" | tr '\t' ' '
for what in "$@"; do
	[ -e "$BUILD/test/$what/results" ] || continue # no test of that name
	cat "$BUILD/test/$what/results" >>"$results"
	show "$what"
done
[ -s "$results" ] || die "no test is called $TESTS on: $*"
mapfile -t real < <(printf '%s\n' "$@" | grep -vx canary)
(( ! ${#real[@]} )) || emulator "${real[@]}" | tee -a "$results" |
	awk -F'\t' '{ printf "%-4s %s/%s: %s\n", $1, $2, $3, $4 }'
while read -r prog; do
	printf 'FAIL\tlists\t%s\tis built but in no list\n' "$prog"
done < <(list_unlisted "${lists[@]}") | tee -a "$results" | tr '\t' ' '

n() { grep -c "^$1" "$results" || true; }
failed=$(n FAIL) skipped=$(n skip)
(( failed == 0 )) || awk -F'\t' '
	/^FAIL/ { printf "%s %s/%s: %s\n", $1, $2, $3, $4 }' "$results"
(( failed == 0 )) || say "Logs: $BUILD/test/*/output (tests), console (kernel)"
[ "$TESTS" = '*' ] || say "Only a part was run: TESTS=$TESTS"
printf '%s passed, %s failed' "$(n ok)" "$failed"
(( skipped == 0 )) || printf ', %s skipped' "$skipped"
printf '\n'
(( failed == 0 ))
