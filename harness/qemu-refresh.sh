#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# qemu-refresh.sh - from build/qemu-src back into qemu/patches.
#
# Purpose: as refresh.sh for the kernel: every commit from the base to HEAD, and
#          uncommitted edits, which go into the last mail that touches the file
#          or into PATCH; "fixup!" commits are squashed first.
# Inputs:  build/qemu-src; PATCH=mail for edits.
# Outputs: qemu/patches/*.patch, qemu/patches/series.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/source.sh"
. "$(dirname "$0")/series.sh"
. "$(dirname "$0")/tree.sh"
. "$(dirname "$0")/edits.sh"
. "$(dirname "$0")/mails.sh"
. "$(dirname "$0")/qemu-source.sh"

lock_build
qemu_base
LINUX=$QEMU_SRC
linux=(git -C "$LINUX")
tmp=$(mktemp -d "$BUILD/refresh.XXXXXX")
trap 'rm -rf "$tmp"; git -C "$LINUX" worktree prune' EXIT
root=$QEMU_COMMIT
head=$("${linux[@]}" rev-parse HEAD)
"${linux[@]}" merge-base --is-ancestor "$root" "$head" ||
	die "HEAD of build/qemu-src does not descend from the base"

take_edits

qemu_write_series "$tmp/qemu"
series_read "$tmp/qemu"
new=$(series_commit "$tmp/qemu" "$root")
[[ $("${linux[@]}" rev-parse "$new^{tree}") == $("${linux[@]}" rev-parse "$tip^{tree}") ]] ||
	die "the mails do not rebuild the tree of build/qemu-src; nothing was changed"
rm -f "$TOP"/qemu/patches/*.patch
mkdir -p "$TOP/qemu/patches"
cp "$tmp/qemu/patches"/* "$TOP/qemu/patches/"
linux_move "$new"
"${linux[@]}" branch -qf series "$new"
say "qemu/patches: ${#MAILS[@]} mails, ${new:0:12}"
