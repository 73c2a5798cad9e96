#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# assemble.sh - base + series, as commits checked out in build/linux.
#
# Purpose: make build/linux what patches/ and the new files say. Only files that
#          differ are written, so the next build is incremental. Edits made in
#          build/linux stay; one that collides stops the move.
# Inputs:  base.conf, patches/, the new files at their in-tree paths.
# Outputs: build/linux (detached at branch "series"), build/assembled (the tree
#          id), build/logs/apply.log (offsets).

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/source.inc.sh"
. "$(dirname "$0")/series.inc.sh"

lock_build linux
"$TOP/harness/tree/base.sh"
linux=(git -C "$LINUX")

# report: the last words, and what build/linux has beyond the series.
report() {
	local edits
	edits=$(linux_edits)
	say "$1: $(series list | wc -l) mails in $(series list | cut -f1 | uniq | wc -l) topics, tree ${tree:0:12}"
	[[ ! $edits ]] || {
		warn "edits in build/linux that are not in the series (make refresh):"
		head -n 20 <<<"$edits" | sed 's/^/    /' >&2
	}
}

strays=$(series strays)
[[ ! $strays ]] || die "in no patches/*/series:
$strays
    Add each below the mail it enters with, or remove it."
base=$("${linux[@]}" rev-parse base)
head=$("${linux[@]}" rev-parse HEAD)
old=$("${linux[@]}" rev-parse -q --verify series || echo "$base")
key="$base $(series inputs)"

if [[ $head == "$old" && $(cat "$BUILD/assembled.key" 2>/dev/null) == "$key $old" ]]; then
	tree=$("${linux[@]}" rev-parse 'series^{tree}')
	say "$tree" >"$BUILD/assembled"
	report 'Nothing new'
	exit
fi

# An || here would switch errexit off inside: so a trap has the last word.
trap 'warn "the series was not assembled; build/linux is as it was"
	[[ $base == "$BASE_COMMIT" ]] ||
		warn "its base is not the one of base.conf; see also: make bump"' EXIT
new=$(series commit "$base" "$LOGS/apply.log")
trap - EXIT
tree=$("${linux[@]}" rev-parse "$new^{tree}")
if [[ $("${linux[@]}" rev-list -n 1 "$head" --not "$old" base) &&
      $("${linux[@]}" rev-parse "$head^{tree}") != "$tree" ]]; then
	die "build/linux has commits that are not in the series.
    Take them in:  make refresh
    Drop them:     git -C build/linux checkout --detach series"
fi
if ! linux_move "$new" 2>"$LOGS/checkout.log"; then
	grep $'^\t' "$LOGS/checkout.log" >&2 || cat "$LOGS/checkout.log" >&2
	die "these edits in build/linux are in the way of the series.
    Keep them:   undo the change of the same file in the repository, make refresh
    Drop them:   git -C build/linux checkout FILE (or rm FILE), then again"
fi
"${linux[@]}" branch -qf series "$new"
say "$tree" >"$BUILD/assembled"
say "$key $new" >"$BUILD/assembled.key"
if grep -q offset "$LOGS/apply.log"; then
	warn "$(grep -c offset "$LOGS/apply.log") hunks apply at an offset ($LOGS/apply.log)"
fi
report 'Assembled'
