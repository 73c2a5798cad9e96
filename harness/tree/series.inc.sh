# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# series.inc.sh - series.py for scripts, and the work tree of build/linux.
#
# Purpose: shared by all that reads or writes the series.
# Inputs:  sourced after lib.inc.sh and source.inc.sh.
# Outputs: objects in build/linux/.git; linux_move() changes the work tree.

# series COMMAND ARGUMENT...: of this repository, on build/linux; see series.py.
series() { SERIES_AUTHOR=$SERIES_AUTHOR python3 "$TOP/harness/tree/series.py" "$LINUX" "$TOP" "$@"; }

# topic_ends: for each topic its name, the commit before it, and its last one.
topic_ends() {
	local topic n end commits before=base
	mapfile -t commits < <(git -C "$LINUX" rev-list --reverse base..series)
	while read -r topic n; do
		end=${commits[n - 1]}
		say "$topic $before $end"
		before=$end
	done < <(series list | awk -F'\t' '{ last[$1] = NR; if (!seen[$1]++) order[++k] = $1 }
		END { for (i = 1; i <= k; i++) print order[i], last[order[i]] }')
}

# linux_edits: uncommitted changes in build/linux, new files included; what
# checkpatch leaves there is none, nor is the list of devices in QEMU.
linux_edits() {
	git -C "$LINUX" update-index -q --refresh >/dev/null || true
	git -C "$LINUX" diff-index --name-only HEAD
	git -C "$LINUX" ls-files -o -x ".checkpatch-camelcase.*" -x gmem.mak
}

# linux_tree: the tree that the work tree of build/linux is, edits included.
linux_tree() (
	export GIT_INDEX_FILE=$BUILD/index.edits
	git -C "$LINUX" read-tree HEAD
	linux_edits | while IFS= read -r file; do
		if [[ -e $LINUX/$file ]]; then
			git -C "$LINUX" update-index --add "$file"
		else
			git -C "$LINUX" update-index --force-remove "$file"
		fi
	done
	git -C "$LINUX" write-tree
	rm -f "$GIT_INDEX_FILE"
)

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
