# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# tree.sh - the work tree of build/linux: its edits, and moving it.
#
# Purpose: shared by assemble.sh, refresh.sh and check.sh.
# Inputs:  sourced after lib.sh.
# Outputs: build/linux.

# linux_edits: uncommitted changes in build/linux, new files included; what
# checkpatch leaves there is none, nor is the list of devices in QEMU.
linux_edits() {
	git -C "$LINUX" update-index -q --refresh >/dev/null || true
	git -C "$LINUX" diff-index --name-only HEAD
	git -C "$LINUX" ls-files -o -x ".checkpatch-camelcase.*" -x gmem.mak
}

# linux_move COMMIT: check COMMIT out, touching only files that differ and
# keeping uncommitted edits; edits that COMMIT already contains are no edits.
linux_move() {
	local file
	while IFS= read -r file; do
		[[ $file ]] || continue
		if [[ ! -e $LINUX/$file ]]; then
			git -C "$LINUX" cat-file -e "$1:$file" 2>/dev/null ||
				git -C "$LINUX" update-index --force-remove "$file"
		elif [[ $(git -C "$LINUX" hash-object --no-filters "$file") == \
			$(git -C "$LINUX" rev-parse -q --verify "$1:$file") ]]; then
			git -C "$LINUX" update-index --add "$file"
		fi
	done <<<"$(linux_edits)"
	git -C "$LINUX" checkout -q --detach "$1"
}
