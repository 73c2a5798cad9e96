#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# refresh.sh - from build/linux back into patches/ and the new files.
#
# Purpose: the only way the series changes. Takes every commit from the base
#          to HEAD of build/linux, whoever made it, plus uncommitted edits: an
#          edit goes into the last mail that touches the file, or into PATCH.
#          "fixup!" commits are squashed first.
# Inputs:  build/linux; PATCH=mail for edits; FORCE=1 to overwrite changes that
#          were made in the repository since it was assembled.
# Outputs: patches/*.patch, patches/series, new files, MAINTAINERS; the commits
#          from before stay reachable as branch "before-refresh" of build/linux.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/source.sh"
. "$(dirname "$0")/series.sh"
. "$(dirname "$0")/tree.sh"
. "$(dirname "$0")/edits.sh"
. "$(dirname "$0")/mails.sh"

lock_build
"$TOP/harness/base.sh"
linux=(git -C "$LINUX")
base=$("${linux[@]}" rev-parse base)
tmp=$(mktemp -d "$BUILD/refresh.XXXXXX")
trap 'rm -rf "$tmp"; git -C "$LINUX" worktree prune' EXIT

# Bring in what was edited in the repository, or refuse to overwrite it.
head=$("${linux[@]}" rev-parse HEAD)
if [[ $head == "$("${linux[@]}" rev-parse -q --verify series || echo "$base")" ]]; then
	"$TOP/harness/assemble.sh"
	head=$("${linux[@]}" rev-parse HEAD)
else
	( series_read "$TOP"
	  (( ! ${#MAILS[@]} )) || [[ $(cat "$BUILD/assembled.key" 2>/dev/null) == \
		"$base $(series_inputs "$TOP" "$tmp/inputs") "* ]] || die "patches/ or new files have changed"
	  series_strays "$TOP" | while IFS= read -r file; do
		blob=$("${linux[@]}" rev-parse -q --verify "$head:$file") || continue
		[[ $("${linux[@]}" hash-object --no-filters "$TOP/$file") == "$blob" ]] ||
			die "$file is another one here than in build/linux"
	  done
	) || [[ ${FORCE:-} ]] || die "refresh would overwrite what the repository has and build/linux has not seen.
    Take it in: git -C build/linux checkout --detach series; make assemble; then
    rebase ${head:0:12} there. Overwrite it: make refresh FORCE=1"
fi

# A foreign history may start at another commit of the same content.
root=$base
if ! "${linux[@]}" merge-base --is-ancestor "$base" "$head"; then
	root=$("${linux[@]}" rev-list --max-parents=0 "$head")
	[[ $("${linux[@]}" rev-parse "$root^{tree}") == $("${linux[@]}" rev-parse "$base^{tree}") ]] ||
		die "HEAD of build/linux does not descend from the base; rebase it onto branch base there"
fi
[[ ! $("${linux[@]}" rev-list --min-parents=2 "$root..$head") ]] ||
	die "there are merges between base and HEAD of build/linux; rebase them away"

take_edits

write_series "$tmp/new"
series_read "$tmp/new"
new=$(series_commit "$tmp/new" "$base")
# What is installed must rebuild exactly what was there.
want=$(expected_tree)
[[ $("${linux[@]}" rev-parse "$new^{tree}") == "$want" ]] || {
	"${linux[@]}" diff-tree -r --stat "$want" "$new" >&2
	die "the mails do not rebuild the tree of build/linux (differences above); nothing was changed"
}
messages() { "${linux[@]}" log --format='%s%n%n%b%n' "$1" | git stripspace; }
diff <(messages "$root..$tip") <(messages "$base..$new") >"$tmp/messages" || {
	cat "$tmp/messages" >&2
	die "a commit message does not survive as a mail (lines above; none may begin with '---' or 'diff '); nothing was changed"
}
steps=$(diff <("${linux[@]}" log --format=%T "$root..$tip") \
	<("${linux[@]}" log --format=%T "$base..$new") | grep -c '^<' || true)
(( steps == 0 )) || warn "$steps steps inside the series differ (MAINTAINERS enters whole with its first mail)"

install_series "$tmp/new"
"${linux[@]}" branch -qf before-refresh "$head"
linux_move "$new"
"${linux[@]}" branch -qf series "$new"
say "$want" >"$BUILD/assembled"
say "$base $(series_inputs "$TOP" "$tmp/inputs") $new" >"$BUILD/assembled.key"
strays=$(series_strays "$TOP")
[[ ! $strays ]] || warn "in no line of patches/series:"$'\n'"$strays"
if [[ $new == "$head" ]]; then
	say "Round trip: the commits are the same, ${head:0:12}"
else
	say "Refreshed: ${head:0:12} became ${new:0:12}"
fi
