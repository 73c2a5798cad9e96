# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034
#
# qemu.inc.sh - checks of the QEMU patches.
#
# Purpose: part of check.sh.
# Inputs:  sourced after qemu-source.inc.sh; work of the caller.
# Outputs: messages.

# qemu_applies SED: the patches apply without fuzz or offset to the base, of
# which the first touched file is edited.
qemu_applies() {
	local LINUX=$QEMU_SRC base=$QEMU_COMMIT commit=$QEMU_COMMIT file
	if [[ ${1:-} ]]; then
		file=$(sed -n 's|^--- a/||p;T;q' "$TOP/qemu/patches/$(qemu_series list | sed -n '1s/^\t//p')")
		commit=$(skewed "$file" "$1")
	fi
	qemu_series commit "$commit" "$work/qemu-apply.log"
	! grep offset "$work/qemu-apply.log"
}

qemu_round_trip() {
	rm -rf "$work/qemu-trip"
	qemu_series write "$QEMU_COMMIT" "$(git -C "$QEMU_SRC" rev-parse series)" "$work/qemu-trip"
	diff -r -x cover.txt "$TOP/qemu/patches" "$work/qemu-trip/patches"
}

qemu_whitespace() {
	git -C "$QEMU_SRC" diff --check base series
}

# QEMU's own checkpatch.  New files need no entry in QEMU's MAINTAINERS here, and
# the kernel's headers keep the kernel's style.
qemu_checkpatch() {
	cd "$QEMU_SRC" || exit
	local mail out bad=0
	(( $# )) || set -- "$TOP"/qemu/patches/*.patch
	for mail; do
		out=$(./scripts/checkpatch.pl --no-signoff --terse --no-summary "$mail" 2>&1 |
			grep -vE 'does MAINTAINERS need updating|imported from Linux' || true)
		[[ ! $out ]] || { say "${mail##*/}:" "$out"; bad=1; }
	done
	return $bad
}
qemu_checkpatch_canary() {
	sed 's/^+    .*/&   /' "$TOP/qemu/patches/$(tail -n 1 "$TOP/qemu/patches/series")" >"$work/canary.patch"
	qemu_checkpatch "$work/canary.patch"
}
