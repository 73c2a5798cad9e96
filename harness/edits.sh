# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154
#
# edits.sh - fold what is not yet in a commit of its own into the right commit.
#
# Purpose: the parts of refresh.sh that make commits.
# Inputs:  sourced after series.sh; the caller's linux, root, head, tip, tmp;
#          PATCH.
# Outputs: commits in build/linux; sets head or tip.

# autosquash: fold fixup! commits, in a work tree with no files in it.
autosquash() {
	local wt=$tmp/squash squashed
	"${linux[@]}" worktree add -q --no-checkout --detach "$wt" "$head"
	git -C "$wt" sparse-checkout set --no-cone /.none
	git -C "$wt" checkout -q
	GIT_SEQUENCE_EDITOR=: GIT_EDITOR=: git -C "$wt" \
		-c user.name=x -c user.email=x@localhost \
		rebase -q -i --autosquash "$root" >"$LOGS/autosquash.log" 2>&1 ||
		die "a fixup! commit does not fold in ($LOGS/autosquash.log); reorder by hand:
    git -C build/linux rebase -i --autosquash base"
	squashed=$(git -C "$wt" rev-parse HEAD)
	rm -rf "$wt"
	say "Folded $(( $("${linux[@]}" rev-list --count "$root..$head") -
		$("${linux[@]}" rev-list --count "$root..$squashed") )) fixup! commits"
	linux_move "$squashed"
	head=$squashed
}

# absorb_edits: make tip a copy of root..head in which each file of $tmp/edits
# has its present content from the last commit that touches it, or PATCH, on.
absorb_edits() {
	local file c at want='' line
	local -A from=()
	if [[ ${PATCH:-} ]]; then
		PATCH=${PATCH##*/}
		want=$("${linux[@]}" log --format='%H %f' "$root..$head" |
			awk -v f="${PATCH%.patch}" '$2 == f { print $1 }')
		[[ $want ]] || die "PATCH=$PATCH names no mail of the series"
	fi
	while IFS= read -r file; do
		at=$("${linux[@]}" log -1 --format=%H "$root..$head" -- "$file")
		if [[ $want ]]; then
			[[ ! $at ]] || "${linux[@]}" merge-base --is-ancestor "$at" "$want" ||
				die "$file is changed again after $PATCH; commit the edit there:
    git -C build/linux commit --fixup=${want:0:12} -- $file; make refresh"
			at=$want
		fi
		[[ $at ]] || die "edited, but in no mail: $file; say which one: make refresh PATCH=..."
		if [[ ! -e $LINUX/$file ]]; then
			line="0 0000000000000000000000000000000000000000"$'\t'$file
		else
			[[ ! -L $LINUX/$file ]] || die "$file is a symbolic link"
			line="100$([[ -x $LINUX/$file ]] && echo 755 || echo 644) $("${linux[@]}" \
				hash-object -w --no-filters "$LINUX/$file")"$'\t'$file
		fi
		from[$at]+=$line$'\n'
		say "  $file -> $("${linux[@]}" log -1 --format=%f "$at")"
	done <"$tmp/edits"
	tip=$root
	line=''
	for c in $("${linux[@]}" rev-list --reverse "$root..$head"); do
		line+=${from[$c]:-}
		tip=$(copy_commit "$c" "$tip" "$line")
	done
}

# copy_commit COMMIT PARENT INDEX-INFO: the commit with some files replaced.
copy_commit() (
	export GIT_DIR=$LINUX/.git GIT_INDEX_FILE=$tmp/index
	git read-tree "$1"
	printf '%s' "$3" | git update-index --index-info
	export GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_AUTHOR_DATE
	GIT_AUTHOR_NAME=$(git log -1 --format=%an "$1")
	GIT_AUTHOR_EMAIL=$(git log -1 --format=%ae "$1")
	GIT_AUTHOR_DATE=$(git log -1 --format=%ad --date=raw "$1")
	export GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x@localhost
	git log -1 --format=%B "$1" | git commit-tree -p "$2" "$(git write-tree)"
)

# take_edits: set tip to root..head with fixup! commits and edits folded in.
take_edits() {
	if grep -qE '^(fixup|squash|amend)! ' < <("${linux[@]}" log --format=%s "$root..$head"); then
		autosquash
	fi
	linux_edits >"$tmp/edits"
	tip=$head
	[[ ! -s $tmp/edits ]] || absorb_edits
}
