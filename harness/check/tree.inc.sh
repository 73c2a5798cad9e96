# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154
#
# tree.inc.sh - checks that the mails are the tree.
#
# Purpose: parts of check.sh and check-all.sh.
# Inputs:  sourced; linux, base, series, work of the caller.
# Outputs: build/check/am (a work tree without files), messages.

no_edits() {
	local edits
	edits=$(linux_edits)
	[[ ! $edits ]] || { say "$edits"; return 1; }
}

# bare_tree COMMIT: check COMMIT out in build/check/am, top-level files only.
bare_tree() {
	local wt=$work/am
	if ! git -C "$wt" rev-parse -q --verify HEAD >/dev/null ||
	   [[ $(git -C "$wt" rev-parse --show-toplevel) != "$wt" ]]; then
		rm -rf "$wt"
		git -C "$LINUX" worktree prune
		git -C "$LINUX" worktree add -q -f --no-checkout --detach "$wt" "$1"
		git -C "$wt" sparse-checkout set --no-cone '/*' '!/*/'
	fi
	git -C "$wt" am -q --abort 2>/dev/null || true
	git -C "$wt" checkout -q -f --detach "$1"
}

# am DIR COMMIT: git am the mails of DIR on COMMIT; print the resulting tree.
am() {
	local mails
	bare_tree "$2" >&2
	mapfile -t mails < <(find "$1" -name '*.patch' ! -name '*0000-cover*' | sort)
	git -C "$work/am" -c user.name=check -c user.email=check@localhost \
		am -q --keep-non-patch "${mails[@]}" >&2
	git -C "$work/am" rev-parse 'HEAD^{tree}'
}

am_tree() {
	local tree
	tree=$(am "$1" "$base")
	say "am: $tree, assembled: $(<"$BUILD/assembled")"
	[[ $tree == "$(<"$BUILD/assembled")" ]]
}

# am_changed: one added line of the first mail that has one is another.
am_changed() {
	local dir=$work/changed mail
	rm -rf "$dir"
	cp -r "$BUILD/export" "$dir"
	mail=$(grep -rl '^+[^+]' "$dir" | sort | sed -n 1p)
	sed -i '0,/^+[^+].*/s//&x/' "$mail"
	am_tree "$dir"
}

base_commit() {
	local cover
	for cover in "$BUILD/export"/*/*0000-cover-letter.patch; do
		grep -x "base-commit: $base" "$cover" || return
	done
	say "base: $base, base.conf: $BASE_COMMIT"
	[[ $base == "$BASE_COMMIT" ]]
}

# applies COMMIT: git apply knows no fuzz; an offset it mentions in the log.
applies() {
	local commit
	commit=$(series commit "$1" "$work/apply.log")
	say "$commit"
	! grep offset "$work/apply.log"
}

# skewed FILE SED: print a commit that is the base with FILE edited.
skewed() (
	export GIT_DIR=$LINUX/.git GIT_INDEX_FILE=$work/index
	git read-tree "$base"
	blob=$(git cat-file blob "$base:$1" | sed "$2" | git hash-object -w --stdin)
	git update-index --cacheinfo "100644,$blob,$1"
	git -c user.name=check -c user.email=check@localhost \
		commit-tree -p "$base" -m skewed "$(git write-tree)"
)

# applies_skewed SED: the same on a base whose first touched file is edited.
applies_skewed() {
	local file
	file=$(grep -h '^--- a/' "$TOP"/patches/*/*.patch | sed 's|^--- a/||' |
		grep -xFf "$work/touched" | sed -n 1p)
	say "edited: $file"
	applies "$(skewed "$file" "$1")"
}

# round_trip: the commits written as mails again are the files in patches/.
round_trip() {
	rm -rf "$work/trip"
	series write "$base" "$series" "$work/trip"
	diff -r -x cover.txt "$TOP/patches" "$work/trip/patches"
}

# names_nothing_later: Documentation and comments at each topic's end, see there.
names_nothing_later() {
	local ends
	mapfile -t ends < <(topic_ends | cut -d' ' -f3)
	"$TOP/harness/check/forward.py" "$LINUX" "$base" "${ends[@]}"
}
# named_early: a first topic that documents what the others bring.
named_early() {
	local early
	early=$(skewed Documentation/virt/kvm/locking.rst '1s/^/guest_memfd_create()\n/')
	"$TOP/harness/check/forward.py" "$LINUX" "$base" "$early" "$series"
}

# one_way [DIR]: calls between the files that the series adds, in a copy of the
# repository; see circles.py.
one_way() {
	local files
	mapfile -t files < <(find "${1:-$TOP}"/{arch,lib,mm,virt} -name '*.c')
	"$TOP/harness/check/circles.py" "${files[@]}"
}
# both_ways: folio.c with a call of what is far above it.
both_ways() {
	rm -rf "$work/circle"
	mkdir "$work/circle"
	cp -r "$TOP"/{arch,lib,mm,virt} "$work/circle/"
	say 'void circle(void) { gmem_punch_hole(NULL, 0, 0); }' >>"$work/circle/mm/guest_memfd/folio.c"
	one_way "$work/circle"
}

# built_tree: build.sh leaves the id of what it built beside the image.
built_tree() {
	local id
	id=$(cat "$BUILD/bzImage.tree" 2>/dev/null || echo 'no kernel yet')
	say "built: $id, assembled: $(<"$BUILD/assembled"); if they differ: make kernel"
	[[ $id == 'no kernel yet' || $(<"$BUILD/assembled") == "$id"* ]]
}
