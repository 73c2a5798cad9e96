#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# coverage.sh - which lines and branches of the series do its tests run?
#
# Inputs:  build/gcov/bzImage and its objects, build/initramfs.cpio, build/tests;
#	   harness/test/uncovered, the lines that no test runs and why.
#	   KEEP=1: judge what the last run has left.
# Outputs: build/coverage/table, build/coverage/uncovered; the table, and one line
#	   per check; exit status.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../check/report.inc.sh"

need gcc python3
out=$BUILD/coverage
obj=$OBJ/gcov

# The data of each machine, gcov's objects beside them: what gcov reads.
counts() {
	local dir name file
	rm -rf "$out"
	mkdir -p "$out"
	for dir in "$BUILD"/test/gcov "$BUILD"/test/gcov.[0-9]; do
		[[ -d $dir ]] || continue
		name=$out/${dir##*/}
		mkdir -p "$name"
		# One boot, one set; a machine that was lost has none to give.
		awk '/^@@[0-9a-f]+ (begin|over) / { on = $2 == "begin" && $3 == "vm_gcov"; next } on' \
			"$dir/output" | tr -d '\r' | base64 -d | tar -xz -C "$name"
		find "$name" -name '*.gcda' | while read -r file; do
			local from=${file#*"$OBJ/gcov/"}
			cp "$obj/${from%.gcda}.gcno" "${file%.gcda}.gcno"
			(cd "${file%/*}" && gcov -j -t -b "${file##*/}") >"${file%.gcda}.json"
		done
	done
	[[ $(find "$out" -name '*.json' | wc -l) != 0 ]]
}

[[ ${KEEP:-} ]] || LONG=1 "$TOP/harness/test/test.sh" gcov >"$LOGS/coverage-tests.log" 2>&1 ||
	warn "some tests failed: $LOGS/coverage-tests.log"
check 'the machines have said what they ran' counts
git -C "$LINUX" diff-tree -r --no-renames --diff-filter=A --name-only base series |
	grep -E '^(mm|virt|arch|lib|include)/.*\.[ch]$' >"$out/files"
check 'lines, branches, and a reason for each line that is not run' \
	"$TOP/harness/test/coverage.py" "$out" "$LINUX" "$TOP/harness/test/uncovered"
cat "$out/table"
verdict
