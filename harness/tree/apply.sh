#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# apply.sh DIR - the series on another 6.1.y tree.
#
# Purpose: for a kernel that is not the base: each mail as a commit on branch
#          "guest_memfd" of DIR. Where a mail does not apply as it is, git merges
#          three versions; where that leaves conflicts, these are committed with
#          their markers and listed, and the rest goes on.
# Inputs:  DIR, a git tree of 6.1.y without changes, or an unpacked tarball, which
#          becomes one; TOPICS="01-prep ..." for some of them.
# Outputs: branch "guest_memfd" of DIR, which must be checked out if it exists;
#          DIR/guest_memfd.conflicts: mail and file of what needs a hand; exit
#          status 1 if there is any.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/source.inc.sh"
. "$(dirname "$0")/series.inc.sh"

dir=${1:-}
[[ -f $dir/Makefile && -d $dir/virt/kvm ]] ||
	die "usage: make apply TREE=DIR, a tree of Linux 6.1.y"
dir=$(cd "$dir" && pwd)
need git
suitable "$dir" merge
version=$(version_of <"$dir/Makefile")
branch=$(git --git-dir="$dir/.git" rev-parse -q --verify refs/heads/guest_memfd 2>/dev/null || true)
[[ ! $branch || $branch == "$(git --git-dir="$dir/.git" rev-parse HEAD)" ]] ||
	die "$dir has a branch guest_memfd that is not checked out; to keep it: git -C $dir branch -m guest_memfd NAME"
lock_build linux
"$TOP/harness/tree/assemble.sh"

tree() { git -c user.name=apply -c user.email=apply@localhost -C "$dir" "$@"; }
import_tree() {
	tree init -q -b base
	tree config gc.auto 0
	tree add -Af .
	tree commit -q -m "Linux $version"
}
[[ -e $dir/.git ]] || step import-tree import_tree
[[ ! $(tree status --porcelain -uno) ]] || die "$dir has changes; commit or stash them"

# What a merge of three versions starts from: the base's objects.
tree fetch -q "$LINUX" series
list=$dir/guest_memfd.conflicts
: >"$list"
tree checkout -q -B guest_memfd

# pick COMMIT: as git am -3 does it, with conflicts committed and listed.
pick() {
	local name file
	name=$(git -C "$LINUX" log -1 --format=%f "$1")
	tree cherry-pick --allow-empty "$1" >>"$LOGS/apply-tree.log" 2>&1 && return
	tree status --porcelain | sed -nE 's/^(UU|AA|DU|UD|UA|AU) //p' |
		while IFS= read -r file; do
			say "$name: $file" >>"$list"
			tree add -f "$file"
		done
	tree -c core.editor=true commit -q --allow-empty -C "$1"
}

: >"$LOGS/apply-tree.log"
n=0
while read -r topic first last; do
	[[ ! ${TOPICS:-} || " $TOPICS " == *" $topic "* ]] || continue
	for commit in $(git -C "$LINUX" rev-list --reverse "$first..$last"); do
		pick "$commit"
		n=$((n + 1))
	done
	say "  $topic: $(wc -l <"$list") conflicts so far"
done < <(topic_ends)
if [[ -s $list ]]; then
	cat "$list"
	die "$n mails on branch guest_memfd of $dir; what is listed above needs a hand (also in $list)"
fi
rm -f "$list"
say "$n mails on branch guest_memfd of $dir, none needs a hand"
