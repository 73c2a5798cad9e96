#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# refresh.sh - from build/qemu-src back into qemu/patches.
#
# Purpose: every commit from the base to HEAD, and uncommitted edits, which go to
#          the mails of the lines around them or into PATCH.
# Inputs:  build/qemu-src; PATCH=mail for edits.
# Outputs: qemu/patches/*.patch, qemu/patches/series.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../tree/source.inc.sh"
. "$(dirname "$0")/../tree/series.inc.sh"
. "$(dirname "$0")/source.inc.sh"

lock_build qemu
qemu_base
LINUX=$QEMU_SRC
tmp=$(mktemp -d "$BUILD/refresh.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
tip=$(git -C "$LINUX" rev-parse HEAD)
git -C "$LINUX" merge-base --is-ancestor "$QEMU_COMMIT" "$tip" ||
	die "HEAD of build/qemu-src does not descend from the base"
tree=$(linux_tree)
[[ $(git -C "$LINUX" rev-parse "$tip^{tree}") == "$tree" ]] ||
	tip=$(qemu_series absorb "$QEMU_COMMIT" "$tip" "$tree")

qemu_series write "$QEMU_COMMIT" "$tip" "$tmp"
rm -f "$TOP"/qemu/patches/*.patch
cp "$tmp/patches"/* "$TOP/qemu/patches/"
new=$(qemu_series commit "$QEMU_COMMIT" "$LOGS/qemu-apply.log")
[[ $(git -C "$LINUX" rev-parse "$new^{tree}") == "$tree" ]] ||
	die "the mails do not rebuild the tree of build/qemu-src; see git diff here"
linux_move "$new"
git -C "$LINUX" branch -qf series "$new"
say "qemu/patches: $(qemu_series list | wc -l) mails, ${new:0:12}"
