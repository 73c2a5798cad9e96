#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# mutant.sh NAME... - is a mend that is taken out again found?
#
# NAME     of a patch in mutants/, or "all".  It takes out what mends one fault,
#	   and says on which machine which tests look for it, of which one must
#	   fail then.
# Inputs:  the series; build/initramfs.cpio, build/tests.
# Outputs: one line per mutant; build/mutant/.  Exit status 1 if one was not found.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../tree/source.inc.sh"
. "$(dirname "$0")/../tree/series.inc.sh"
. "$(dirname "$0")/../check/report.inc.sh"

need git gcc make ccache
"$TOP/harness/tree/assemble.sh"
work=$BUILD/mutant
tree=$work/linux
mutants=$TOP/harness/test/mutants
export CCACHE_DIR=${CCACHE_DIR:-$BUILD/ccache}

field() { sed -n "s/^$1: //p" "$mutants/$2.patch"; }

# kernel NAME: the mutant's.
kernel() {
	local config=default
	[[ $(field Machine "$1") != debug* ]] || config=debug
	if ! git -C "$tree" checkout -q -f --detach "$(git -C "$LINUX" rev-parse HEAD)" 2>/dev/null; then
		rm -rf "$tree"
		git -C "$LINUX" worktree prune
		git -C "$LINUX" worktree add -q -f --detach "$tree" HEAD
	fi
	git -C "$tree" apply "$mutants/$1.patch"
	BUILD_DIR=$work "$TOP/harness/build/build.sh" "$config"
}

# found NAME: at least one of its tests fails.
found() {
	local tests machine
	machine=$(field Machine "$1")
	tests=$(field Tests "$1")
	ln -sfn "$BUILD/tests" "$work/tests"
	ln -sf "$BUILD/initramfs.cpio" "$work/initramfs.cpio"
	BUILD_DIR=$work LONG=1 TESTS="@(${tests//,/|})" \
		"$TOP/harness/test/test.sh" "$machine" >"$work/log" 2>&1 || true
	cat "$work/log"
	for name in ${tests//,/ }; do
		! grep -q "^FAIL $machine/$name:" "$work/log" || return 0
	done
	return 1
}

(( $# )) || die "mutant.sh: which? $(cd "$mutants" && printf '%s ' *.patch | sed 's/\.patch//g')"
[[ $1 != all ]] || mapfile -t all < <(cd "$mutants" && printf '%s\n' *.patch | sed 's/\.patch//')
[[ $1 != all ]] || set -- "${all[@]}"
mkdir -p "$work"
for mutant in "$@"; do
	[[ -e $mutants/$mutant.patch ]] || die "mutant.sh: no $mutants/$mutant.patch"
	check "mutant $mutant: builds" kernel "$mutant"
	check "mutant $mutant: found" found "$mutant"
	grep '^FAIL' "$work/log" | grep -v ': exit 0' | sort -u | head -n 3 | sed 's/^FAIL/     by/' || true
done
verdict
