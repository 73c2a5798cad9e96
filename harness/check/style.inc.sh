# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154
#
# style.inc.sh - checks by the kernel's own scripts, and shellcheck.
#
# Purpose: parts of check.sh.
# Inputs:  sourced; work of the caller; build/linux, build/linux-base.
# Outputs: messages; findings by file content in build/check/cache.

# FILE_PATH_CHANGES asks about MAINTAINERS, which has a check of its own. The
# attribute macros are for the kernel: programs in samples/ and tools/ have none.
# An iterator, for_each_gmem_*(), uses its arguments more than once on purpose.
# checkpatch's helper needs modules that only Debian's own python3 has.
checkpatch() {
	PATH=/usr/bin:$PATH ./scripts/checkpatch.pl --strict --terse --show-types \
		--showfile --no-summary --color=never \
		--no-signoff --ignore FILE_PATH_CHANGES "$@" |
		grep -vE -e '^(samples|tools)/.*:PREFER_DEFINED_ATTRIBUTE_MACRO:' \
			-e '^mm/guest_memfd/state\.h:.*:MACRO_ARG_(REUSE|PRECEDENCE):' || true
}

checkpatch_mails() {
	cd "$LINUX" || exit
	local mail out bad=0
	for mail in "$1"/*/*.patch; do
		[[ $mail != *0000-cover-letter.patch ]] || continue
		out=$(checkpatch "$mail")
		[[ ! $out ]] || { say "${mail##*/}:" "$out"; bad=1; }
	done
	return $bad
}

# whitespace A..B: git's check of each mail, as git am makes it; but a heading of
# seven "=" is no conflict marker.
whitespace() {
	local out
	out=$({ git -C "$LINUX" log --reverse --format= --check "$1" || true; } |
		awk '/^[^+][^:]*:[0-9]+: / && !/leftover conflict marker/')
	say "$out"
	[[ ! $out ]]
}

# cached TOOL DIR FILE: the tool's findings for the file, kept by content.
cached() {
	local key
	mkdir -p "$work/cache"
	key=$work/cache/$1-$({ echo "$base $3"; cat "$TOP/harness/check/style.inc.sh"; cat "$2/$3"; } | sha256sum | cut -c1-40)
	if [[ ! -f $key ]]; then
		( cd "$2" || exit; "$1" "$3" ) >"$key.part" 2>&1 || true
		mv "$key.part" "$key"
	fi
	cat "$key"
}

checkpatch_file() { checkpatch -f "$1"; }
kerneldoc() { ./scripts/kernel-doc -none -Werror "$1"; }

# all_clean TOOL [PATTERN]: no finding in any new file that matches.
all_clean() {
	local file bad=0 out
	while IFS= read -r file; do
		out=$(cached "$1" "$LINUX" "$file")
		[[ ! $out ]] || { say "$out"; bad=1; }
	done < <(grep -E "${2:-.}" "$work/new")
	return $bad
}

# no_worse TOOL KIND [PATTERN]: for each touched file no KIND of finding (what
# the sed script KIND leaves of a line) is more often in ours than in the base.
no_worse() {
	local file tree
	for tree in "$BUILD/linux-base" "$LINUX"; do
		while IFS= read -r file; do
			cached "$1" "$tree" "$file" | sed -nE "$2" | sed "s|^|$file |"
		done < <(grep -E "${3:-.}" "$work/touched") | sort | uniq -c >"$work/${1}_${tree##*/}"
	done
	not_more "$work/${1}_linux-base" "$work/${1}_linux"
}

checkpatch_new() { all_clean checkpatch_file; }
checkpatch_touched() {
	no_worse checkpatch_file 's/^[^ ]+:[0-9]+: (ERROR|WARNING|CHECK):([A-Z_]+):.*/\2/p'
}
checkpatch_canary() {
	cd "$LINUX" || exit
	printf 'int  f( void ){\n  return 1; \n}\n' >"$work/canary.c"
	local all
	all=$(checkpatch -f "$work/canary.c")
	say "$all"
	[[ ! $all ]]
}

kerneldoc_new() { all_clean kerneldoc '\.[ch]$'; }
kerneldoc_touched() {
	no_worse kerneldoc 's/^([^ ]+):[0-9]+: ((warning|error):.*)/\2/p' '\.[ch]$'
}
kerneldoc_canary() {
	local out
	printf '/**\n * f() - do\n * @y: no\n */\nint f(int x)\n{\n}\n' >"$work/canary.c"
	out=$("$LINUX/scripts/kernel-doc" -none -Werror "$work/canary.c" 2>&1 || true)
	say "$out"
	[[ ! $out ]]
}

# maintainers_section [FRAGMENT]: the kernel's own test, on a MAINTAINERS that
# has the head of the base's and our section, in the tree that git am made.
maintainers_section() {
	local wt=$work/am dir out
	bare_tree "$series"
	for dir in arch include drivers fs init ipc kernel lib scripts Documentation; do
		mkdir -p "$wt/$dir"
	done
	{ sed -n '1,/^Maintainers List/p' "$LINUX/MAINTAINERS"; echo ----------------; echo
	  cat "${1:-$TOP/MAINTAINERS}"; } >"$wt/MAINTAINERS"
	out=$(cd "$wt" && perl "$LINUX/scripts/get_maintainer.pl" --self-test=sections,patterns 2>&1)
	git -C "$wt" checkout -q MAINTAINERS
	say "$out"
	[[ ! $out ]]
}
maintainers_canary() {
	{ cat "$TOP/MAINTAINERS"; printf 'F:\tmm/no-such-directory/\n'; } >"$work/section"
	maintainers_section "$work/section"
}

shellcheck_all() {
	cd "$TOP" || exit
	local files=(harness/*.sh harness/*/*.sh)
	[[ ! -f .ci/run ]] || files+=(.ci/run)
	shellcheck "${files[@]}"
}
shellcheck_canary() {
	# shellcheck disable=SC2016
	printf '#!/bin/bash\ncd $1\n' >"$work/canary.sh"
	shellcheck "$work/canary.sh"
}
