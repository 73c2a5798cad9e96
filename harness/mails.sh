# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154
#
# mails.sh - write commits of build/linux as mails and new files.
#
# Purpose: the parts of refresh.sh.
# Inputs:  sourced after series.sh; the caller's linux, base, root, tip, tmp.
# Outputs: a directory in the layout of the repository; objects in build/linux.

# author COMMIT: "Name <address>", or the neutral one for a placeholder.
author() {
	local a
	a=$("${linux[@]}" log -1 --format='%an <%ae>' "$1")
	case $a in
	*@localhost\>|*@localhost.*|*@example.*|*.local\>|*'(none)>'|*'<>'|' '*)
		a=$SERIES_AUTHOR ;;
	esac
	[[ ${a##*@} == *.* ]] || a=$SERIES_AUTHOR
	say "$a"
}

# write_series DIR: root..tip as DIR/patches/ and new files below DIR.
write_series() {
	local dir=$1 c mail path status entered
	local -A new=() seen=()
	mkdir -p "$dir/patches"
	{ [[ ! -f $TOP/patches/series ]] || sed '/^[^#]/,$d' "$TOP/patches/series"; } |
		sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' >"$dir/patches/series"
	echo >>"$dir/patches/series"
	while IFS= read -r path; do
		new[$path]=1
	done < <("${linux[@]}" diff-tree -r --no-renames --diff-filter=A --name-only "$root" "$tip")
	for c in $("${linux[@]}" rev-list --reverse "$root..$tip"); do
		mail=$("${linux[@]}" log -1 --format=%f "$c").patch
		[[ ! -e $dir/patches/$mail ]] || die "two commits have the subject of $mail"
		entered=()
		old=()
		while IFS=$'\t' read -r status path; do
			if [[ $path == MAINTAINERS ]] || [[ ${new[$path]+x} && ! ${seen[$path]+x} ]]; then
				[[ ${seen[$path]+x} ]] || entered+=("$path")
				seen[$path]=1
			else
				[[ $status != D || ! ${new[$path]+x} ]] ||
					die "$mail removes $path, which comes back later; reorder"
				old+=("$path")
			fi
		done < <("${linux[@]}" diff-tree -r --no-commit-id --no-renames --name-status "$c")
		write_mail "$c" >"$dir/patches/$mail"
		{ printf '%s\n' "$mail"; (( ! ${#entered[@]} )) || printf '\t%s\n' "${entered[@]}"; } \
			>>"$dir/patches/series"
	done
	for path in "${!new[@]}"; do
		mkdir -p "$dir/$(dirname "$path")"
		"${linux[@]}" cat-file blob "$tip:$path" >"$dir/$path"
		[[ $("${linux[@]}" ls-tree "$tip" -- "$path") == 100644* ]] || chmod +x "$dir/$path"
	done
	write_maintainers "$dir" "${seen[MAINTAINERS]:-}"
}

# write_mail COMMIT: its message and its hunks in files that exist (in $old).
write_mail() {
	say "From: $(author "$1")"
	"${linux[@]}" log -1 --format='Date: %aD%nSubject: %s' "$1"
	"${linux[@]}" log -1 --format='%an%B' "$1" | grep -q '[^[:print:][:space:]]' &&
		printf '%s\n' 'MIME-Version: 1.0' 'Content-Type: text/plain; charset=UTF-8' \
			'Content-Transfer-Encoding: 8bit'
	echo
	printf '%s\n' "$("${linux[@]}" log -1 --format=%b "$1")" ---
	(( ! ${#old[@]} )) || { echo; "${linux[@]}" diff-tree -p --no-commit-id --no-renames \
		--abbrev=12 "$1" -- "${old[@]}"; }
}

# write_maintainers DIR TOUCHED: our section, wherever in MAINTAINERS it was
# put; one that no commit brings enters where it did before, or at the end.
write_maintainers() {
	local at
	if [[ $2 ]]; then
		"${linux[@]}" diff-tree -p -U0 "$root" "$tip" -- MAINTAINERS >"$tmp/diff"
		! grep -q '^-[^-]' "$tmp/diff" || die "MAINTAINERS: a line that is not ours is changed"
		sed -n '/^@@/,$s/^+//p' "$tmp/diff" | sed '/./,$!d' | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' >"$1/MAINTAINERS"
	elif [[ -s $TOP/MAINTAINERS ]] && compgen -G "$1/patches/*.patch" >/dev/null; then
		cp "$TOP/MAINTAINERS" "$1/"
		at=$(awk '/^[^#\t ]/ { m = $1 } $1 == "MAINTAINERS" { print m }' "$TOP/patches/series")
		grep -qxF "${at:=-}" "$1/patches/series" || at=$(grep '^[^#[:space:]]' "$1/patches/series" | tail -n 1)
		sed -i "s|^$at\$|&\n\tMAINTAINERS|" "$1/patches/series"
		say "  MAINTAINERS enters with $at"
	fi
}

# expected_tree: the tree of tip, with our section in its proper place.
expected_tree() (
	export GIT_DIR=$LINUX/.git GIT_INDEX_FILE=$tmp/index
	git read-tree "$tip"
	if [[ -f $tmp/new/MAINTAINERS ]]; then
		git cat-file blob "$root:MAINTAINERS" >"$tmp/old"
		maintainers_insert "$tmp/new/MAINTAINERS" <"$tmp/old" >"$tmp/ins"
		git update-index --cacheinfo "100644,$(git hash-object -w "$tmp/ins"),MAINTAINERS"
	fi
	git write-tree
)

# install_series DIR: into the repository, touching only what differs.
install_series() {
	local file
	sed -n 's/^[[:blank:]]\{1,\}\([^#[:space:]]*\).*/\1/p' "$TOP/patches/series" |
	while IFS= read -r file; do
		[[ -e $1/$file ]] || rm -f "$TOP/$file"
		rmdir -p --ignore-fail-on-non-empty "$TOP/$(dirname "$file")" 2>/dev/null || true
	done
	for file in "$TOP"/patches/*.patch; do
		[[ -e $1/patches/${file##*/} ]] || rm -f "$file"
	done
	( cd "$1" || exit; find . -type f -printf '%P\n' ) | while IFS= read -r file; do
		cmp -s "$1/$file" "$TOP/$file" &&
			[[ $(stat -c %A "$1/$file") == $(stat -c %A "$TOP/$file") ]] && continue
		mkdir -p "$(dirname "$TOP/$file")"
		cp --preserve=mode "$1/$file" "$TOP/$file"
	done
}
