#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# kcsan.sh - data races that the races of the tests show.
#
# Purpose: of the reports that the kernel's detector makes, those are ours in which
#	   one of the two accesses is in a function of a file of the series. The
#	   others, of functions that the base has, are listed.
# Inputs:  build/kcsan/bzImage and its objects, build/initramfs.cpio.
#	   KEEP=1: judge what the last run has left.
# Outputs: build/kcsan/races, build/kcsan/others; one line per check; exit status.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../check/report.inc.sh"

out=$BUILD/kcsan
[[ ${KEEP:-} ]] || LONG=1 "$TOP/harness/test/test.sh" kcsan >"$LOGS/kcsan-tests.log" 2>&1 || true

# our_functions: those of the files that the series adds.
our_functions() {
	git -C "$LINUX" diff-tree -r --no-renames --diff-filter=A --name-only base series |
		grep -E '^(mm|virt|arch|lib)/.*\.c$' |
		sed -E 's|^virt/kvm/|arch/x86/kvm/../../../virt/kvm/|; s|c$|o|' |
		while read -r o; do
			[[ ! -e $OBJ/kcsan/$o ]] || nm "$OBJ/kcsan/$o"
		done | awk '$2 ~ /^[tT]$/ { print $3 }' | sort -u
}

# races: sorts the reports.
races() {
	our_functions >"$out/functions"
	[[ -s $out/functions ]]
	tr -d '\r' <"$BUILD/test/kcsan/console" | sed -nE 's/.*BUG: KCSAN: (data-race|assert: race) in //p' |
		sort | uniq -c | sort -rn >"$out/all"
	awk 'NR == FNR { ours[$1]; next }
		{ hit = 0
		  for (i = 2; i <= NF; i++) { f = $i; sub(/[+.].*/, "", f); if (f in ours) hit = 1 }
		  print >(hit ? "'"$out/races"'" : "'"$out/others"'") }' "$out/functions" "$out/all"
}

none_ours() {
	cat "$out/races"
	[[ ! -s $out/races ]]
}

tests_pass() {
	grep -E '^FAIL|^[0-9]+ passed' "$LOGS/kcsan-tests.log"
	! grep -q '^FAIL' "$LOGS/kcsan-tests.log"
}

alive() { grep -q 'kcsan: enabled' "$BUILD/test/kcsan/console"; }

rm -f "$out"/{races,others,all}
: >"$out/races"
: >"$out/others"
check 'the detector was on' alive
check 'its reports can be read' races
check 'no data race in a function of the series' none_ours
check 'the tests pass' tests_pass
say "     of functions of the base: $(wc -l <"$out/others") pairs, $out/others"
verdict
