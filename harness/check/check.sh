#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check.sh - is the series what it says, and clean?
#
# Purpose: one line per check, "ok" or "FAIL", and for each the proof that it
#          can fail ("canary"). New files must be clean; touched files must not
#          have more findings of any kind than the base has.
# Inputs:  the series; ONLY="tree style" to run some of: tree style docs compile
#          qemu scripts; and cocci, which takes long and is not run otherwise.
# Outputs: build/export, build/check/, build/logs/check-*.log; exit status.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../tree/source.inc.sh"
. "$(dirname "$0")/../tree/series.inc.sh"
. "$(dirname "$0")/../build/kbuild.inc.sh"
. "$(dirname "$0")/../check/report.inc.sh"
. "$(dirname "$0")/../check/tree.inc.sh"
. "$(dirname "$0")/../check/style.inc.sh"
. "$(dirname "$0")/../check/compile.inc.sh"
. "$(dirname "$0")/../check/cocci.inc.sh"
. "$(dirname "$0")/../qemu/source.inc.sh"
. "$(dirname "$0")/../check/qemu.inc.sh"

need git perl python3-ply python3-git sparse shellcheck ccache gcc make flex \
	bison bc libelf-dev libssl-dev
lock_build linux
lock_build qemu
work=$BUILD/check
mkdir -p "$work"
"$TOP/harness/tree/export.sh" 2>&1 | grep -v '^To look\|no SIGNOFF'
linux=(git -C "$LINUX")
base=$("${linux[@]}" rev-parse base)
series=$("${linux[@]}" rev-parse series)
# What the series touches; MAINTAINERS has a check of its own.
"${linux[@]}" diff-tree -r --no-renames --diff-filter=A --name-only base series >"$work/new"
"${linux[@]}" diff-tree -r --no-renames --diff-filter=M --name-only base series |
	grep -vx MAINTAINERS >"$work/touched" || true
wanted() { [[ ! ${ONLY:-} || " $ONLY " == *" $1 "* ]]; }

canary 'one finding more than the base has' '1 more: x' \
	not_more <(printf '%7d x\n' 1) <(printf '%7d x\n' 2)
if wanted tree; then
	check 'build/linux has no unrefreshed edits' no_edits
	check 'git am of the mails gives the assembled tree' am_tree "$BUILD/export"
	canary 'a changed mail' 'assembled:|patch does not apply' am_changed
	check 'base-commit names the base' base_commit
	check 'mails apply without fuzz or offset' applies "$base"
	canary 'a base shifted by a line' 'offset|does not apply' applies_skewed '1s/^/\n/'
	# shellcheck disable=SC2016 # the dollar is sed's
	canary 'a base with other context' 'does not apply' applies_skewed '6,$d'
	check 'patches/ is what refresh would write' round_trip
	check 'the built kernel is of this tree' built_tree
	check 'calls between files go one way' one_way
	canary 'a circle of calls' 'piece.c calls gmem_next_piece.. of .*folio.c' both_ways
fi
if wanted style; then
	check 'no whitespace errors' whitespace base..series
	canary 'a blank at the end of a line' 'trailing whitespace' \
		whitespace "base..$(skewed Makefile 's/$/ /')"
	check 'checkpatch --strict: mails' checkpatch_mails "$BUILD/export"
	check 'checkpatch --strict: new files' checkpatch_new
	check 'checkpatch --strict: touched files against base' checkpatch_touched
	canary 'a file of bad style' 'SPDX_LICENSE_TAG' checkpatch_canary
	check 'MAINTAINERS: our section' maintainers_section
	canary 'a section that names no file' 'no-such-directory' maintainers_canary
fi
if wanted docs; then
	check 'what is said names nothing of a later topic' names_nothing_later
	canary 'a name before its topic' 'names guest_memfd_create' named_early
	check 'kernel-doc: new files' kerneldoc_new
	check 'kernel-doc: touched files against base' kerneldoc_touched
	canary 'a wrong kernel-doc comment' 'not described' kerneldoc_canary
fi
if wanted compile; then
	check 'objects compile with W=1 and sparse' compile_ours
	check 'W=1 and sparse: new files' compile_new
	check 'W=1 and sparse: touched files against base' compile_touched
	canary 'code that sparse and W=1 dislike' 'noderef' compile_canary
fi
if [[ " ${ONLY:-} " == *' cocci '* ]]; then
	need coccinelle
	check 'coccinelle: new files' cocci_new
	canary 'what was freed is used' 'reference preceded by free' cocci_canary
fi
if wanted qemu; then
	"$TOP/harness/qemu/build.sh" source
	check 'qemu: patches apply without fuzz or offset' qemu_applies
	canary 'a shifted QEMU' 'offset|does not apply' qemu_applies '1s/^/\n/'
	check 'qemu: patches are what refresh would write' qemu_round_trip
	check 'qemu: no whitespace errors' qemu_whitespace
	check 'qemu: checkpatch' qemu_checkpatch
	canary 'bad style in QEMU' 'trailing whitespace' qemu_checkpatch_canary
fi
if wanted scripts; then
	check 'shellcheck: harness and .ci/run' shellcheck_all
	canary 'a bad script' 'SC2086' shellcheck_canary
fi
verdict
