#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-all.sh - what check.sh leaves out because it takes an hour.
#
# Purpose: check.sh; the base imported afresh and the mails applied to it; every
#          step of the series built; the series switched off, and KVM as
#          modules; the base's own selftests on base and series.
# Inputs:  the series; ONLY="fresh steps" to run some of: check fresh steps
#          configs selftests; FROM=N to start at step N.
# Outputs: build/fresh, build/linux-steps, build/obj/steps, build/logs/check-*;
#          exit status.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../tree/source.inc.sh"
. "$(dirname "$0")/../tree/series.inc.sh"
. "$(dirname "$0")/../build/kbuild.inc.sh"
. "$(dirname "$0")/../check/report.inc.sh"
. "$(dirname "$0")/../check/tree.inc.sh"
. "$(dirname "$0")/../check/steps.inc.sh"

need git gcc make ccache flex bison bc libelf-dev libssl-dev
work=$BUILD/check
mkdir -p "$work"
wanted() { [[ ! ${ONLY:-} || " $ONLY " == *" $1 "* ]]; }

sum=0
if wanted check; then
	ONLY='' "$TOP/harness/check/check.sh" || sum=1
fi
lock_build linux
"$TOP/harness/tree/export.sh" 2>&1 | grep -v '^To look\|no SIGNOFF'
base=$(git -C "$LINUX" rev-parse base)

if wanted fresh; then
	check 'the base unpacked afresh + the mails = the assembled tree' fresh_tree
fi
if wanted steps; then
	"$TOP/harness/build/config.sh" default
	check 'step 0: the base builds' step_build "$base"
	canary 'a step that does not compile' '#error canary' broken_step
	n=0
	while read -r commit subject; do
		n=$((n + 1))
		(( n < ${FROM:-1} )) || check "step $n builds: $subject" step_build "$commit"
	done < <(git -C "$LINUX" log --reverse --format='%H %s' base..series)
fi
if wanted configs; then
	check 'builds with the series switched off' "$TOP/harness/build/build.sh" off
	check 'builds with KVM as modules' "$TOP/harness/build/build.sh" modules
fi
if wanted selftests; then
	check "the base's KVM selftests: same verdicts on base and series" \
		"$TOP/harness/test/compare.sh"
fi
verdict || sum=1
exit $sum
