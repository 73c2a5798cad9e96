#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# topics.sh - is each topic right without those after it?
#
# Purpose: at the end of each topic the tree builds in all configurations, boots,
#          and the tests that are in it pass.
# Inputs:  the series; ONLY="topic topic"; TESTS=PATTERN; LONG=1 for the tests of
#          "make test-all" on these machines, too.
#          A topic's machine runs while the next topics are built.
# Outputs: build/topic/, build/logs/check-*.log; one line per check; exit status.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../tree/source.inc.sh"
. "$(dirname "$0")/../tree/series.inc.sh"
. "$(dirname "$0")/report.inc.sh"

need git gcc make ccache
lock_build linux
"$TOP/harness/tree/assemble.sh"
work=$BUILD/topic
tree=$work/linux
rm -rf "$work/at"
mkdir -p "$work/at"
export CCACHE_DIR=${CCACHE_DIR:-$BUILD/ccache} SHARE_OBJECTS=1

# there SCRIPT ARGUMENT...: a script of the harness, on the topic's tree.
there() {
	local script=$1
	shift
	BUILD_DIR=$work "$TOP/harness/$script" "$@"
}

checkout() {
	if ! git -C "$tree" checkout -q --detach "$1" 2>/dev/null; then
		rm -rf "$tree"
		git -C "$LINUX" worktree prune
		git -C "$LINUX" worktree add -q -f --detach "$tree" "$1"
	fi
}

# programs TOPIC: kernel and tests of this topic and of those before it, in a
# place that the next topic's build leaves alone.
programs() {
	local at=$work/at/$1
	there build/selftests.sh ours
	rm -rf "$work/tests/sample"
	[[ ! -d $tree/samples/guest_memfd ]] || there build/selftests.sh sample
	there build/initramfs.sh ours sample
	mkdir "$at"
	cp -r "$work/bzImage" "$work/initramfs.cpio" "$work/tests" "$at/"
}

# run_tests TOPIC: in its machine, to be judged by judged().
run_tests() {
	local at=$work/at/$1 rc=0
	(
		flock 9
		while (( $(find "$work/at" -name running | wc -l) >= $(nproc) )); do
			sleep 2
		done
		: >"$at/running"
	) 9>"$work/at/turn"
	BUILD_DIR=$at PRESENT=1 LONG=${LONG-} "$TOP/harness/test/test.sh" default >"$at/log" 2>&1 </dev/null || rc=$?
	rm "$at/running"
	say "$rc" >"$at/rc"
}

judged() {
	while [[ ! -e $work/at/$1/rc ]]; do
		kill -0 "$2"
		sleep 2
	done
	grep -v '^ok ' "$work/at/$1/log"
	return "$(cat "$work/at/$1/rc")"
}

no_tests() { BUILD_DIR=$work/at/${order[0]} TESTS='no-such-test' "$TOP/harness/test/test.sh" default; }

declare -A started=()
order=()
while read -r topic _ last; do
	[[ ! ${ONLY:-} || " $ONLY " == *" $topic "* ]] || continue
	checkout "$last"
	check "$topic: builds, with all that it has" there build/build.sh default
	check "$topic: so do its test programs" programs "$topic"
	if [[ -e $work/at/$topic/bzImage ]]; then
		run_tests "$topic" &
		started[$topic]=$!
		order+=("$topic")
	fi
	check "$topic: builds with the series switched off" there build/build.sh off
	check "$topic: builds with KVM as modules" there build/build.sh modules
done < <(topic_ends)
for topic in "${order[@]}"; do
	check "$topic: boots, and its tests and those before it pass" \
		judged "$topic" "${started[$topic]}"
done
[[ ! ${order[0]:-} ]] || canary 'a run without a test' 'no test is called' no_tests
verdict
