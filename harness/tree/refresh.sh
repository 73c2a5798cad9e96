#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# refresh.sh - what was edited, in the repository or in build/linux, into the
# series.
#
# Purpose: the only way the series changes. New files can be edited here, at
#          their in-tree paths, or in build/linux, files of the base only there;
#          git can change commits of build/linux in any way. An edited line goes
#          to the mail that has the line, a new one to the mail of its
#          neighbours, or to PATCH. A commit after the last mail is a new mail.
# Inputs:  build/linux; the new files here; PATCH=mail; TOPIC=topic of new mails.
# Outputs: patches/, new files, MAINTAINERS; the commits from before stay
#          reachable as branch "before-refresh" of build/linux.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/source.inc.sh"
. "$(dirname "$0")/series.inc.sh"

need python3 git
lock_build linux
"$TOP/harness/tree/base.sh"
linux=(git -C "$LINUX")
base=$("${linux[@]}" rev-parse base)
tmp=$(mktemp -d "$BUILD/refresh.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
head=$("${linux[@]}" rev-parse HEAD)
series=$("${linux[@]}" rev-parse -q --verify series) ||
	die "nothing was assembled yet: make assemble"
"${linux[@]}" merge-base --is-ancestor "$base" "$head" ||
	die "HEAD of build/linux does not descend from the base; rebase it onto branch base there"
[[ ! $("${linux[@]}" rev-list --min-parents=2 "$base..$head") ]] ||
	die "there are merges between base and HEAD of build/linux; rebase them away"

# New files that were edited here since they were assembled, into build/linux.
sed -n 's/^[[:blank:]]\{1,\}\([^#[:space:]]*\).*/\1/p' "$TOP"/patches/*/series | sort -u |
while IFS= read -r file; do
	[[ $file != MAINTAINERS ]] || continue
	then=$("${linux[@]}" rev-parse -q --verify "series:$file") || continue
	[[ -f $TOP/$file ]] || die "$file is gone here; remove it in build/linux"
	here=$("${linux[@]}" hash-object --no-filters "$TOP/$file")
	[[ $here != "$then" ]] || continue
	there=$("${linux[@]}" hash-object --no-filters "$LINUX/$file" 2>/dev/null || true)
	[[ $there == "$then" || $there == "$here" ]] ||
		die "$file was edited here and in build/linux; make one of them the same"
	cp --preserve=mode "$TOP/$file" "$LINUX/$file"
	say "  $file: as it is here"
done

tree=$(linux_tree)
# Commits that change what earlier ones add are edits of these: so what is new is
# taken as edits of the series, unless it is nothing but more mails.
tip=$head
if [[ $("${linux[@]}" rev-parse "$head^{tree}") != "$tree" ]]; then
	tip=$(series absorb "$base" "$head" "$tree")
fi
series write "$base" "$tip" "$tmp/new"
new=$(SERIES_AUTHOR=$SERIES_AUTHOR python3 "$TOP/harness/tree/series.py" "$LINUX" "$tmp/new" \
	commit "$base" "$LOGS/apply.log")
[[ $("${linux[@]}" rev-parse "$new^{tree}") == "$tree" ]] || {
	"${linux[@]}" diff-tree -r --stat "$tree" "$new" >&2
	die "the mails do not rebuild the tree of build/linux (differences above); nothing was changed"
}
messages() { "${linux[@]}" log --format='%s%n%n%b%n' "$1" | git stripspace; }
diff <(messages "$base..$tip") <(messages "$base..$new") >"$tmp/messages" || {
	cat "$tmp/messages" >&2
	die "a commit message does not survive as a mail (lines above; none may begin with '---' or 'diff '); nothing was changed"
}

# install: into the repository, touching only what differs.
install_series() {
	local file
	{ sed -n 's/^[[:blank:]]\{1,\}\([^#[:space:]]*\).*/\1/p' "$TOP"/patches/*/series
	  cd "$TOP" && printf '%s\n' patches/*/*.patch; } | sort -u |
	while IFS= read -r file; do
		[[ -e $1/$file ]] || rm -f "$TOP/$file"
	done
	( cd "$1" || exit; find . -type f -printf '%P\n' ) | while IFS= read -r file; do
		cmp -s "$1/$file" "$TOP/$file" &&
			[[ $(stat -c %A "$1/$file") == $(stat -c %A "$TOP/$file") ]] && continue
		mkdir -p "$(dirname "$TOP/$file")"
		cp --preserve=mode "$1/$file" "$TOP/$file"
	done
}
install_series "$tmp/new"
"${linux[@]}" branch -qf before-refresh "$series"
linux_move "$new"
"${linux[@]}" branch -qf series "$new"
say "$tree" >"$BUILD/assembled"
say "$base $(series inputs) $new" >"$BUILD/assembled.key"
strays=$(series strays)
[[ ! $strays ]] || warn "in no patches/*/series:"$'\n'"$strays"
if [[ $new == "$series" ]]; then
	say "Round trip: the commits are the same, ${series:0:12}"
else
	say "Refreshed: ${series:0:12} became ${new:0:12}"
	"${linux[@]}" range-diff -s "$base..before-refresh" "$base..series" |
		grep -v ' = ' || true
fi
