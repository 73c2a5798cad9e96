# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154
#
# cocci.inc.sh - what the kernel's semantic patches find in the new files.
#
# Purpose: parts of check.sh.
# Inputs:  sourced after report.inc.sh; work of the caller; scripts/coccinelle of
#	   the series' tree.
# Outputs: messages.

# cocci_file SCRIPT FILE...: what SCRIPT reports; a script that has no "report"
# says nothing, as with "make coccicheck".
cocci_file() {
	local script=$1 options
	shift
	grep -q 'virtual report' "$script" || return 0
	options=$(sed -nE 's|^// Options: *||p' "$script" | tr '\n' ' ')
	# shellcheck disable=SC2086 # several options
	timeout 600 spatch -D report --no-show-diff --very-quiet --cocci-file "$script" \
		$options -I "$LINUX/include" "$@" 2>"$work/cocci.err" ||
		cat "$work/cocci.err"
}

# cocci FILE...: what all of them report.
cocci() {
	export -f cocci_file
	export LINUX work
	find "$LINUX/scripts/coccinelle" -name '*.cocci' | sort |
		xargs -P "$JOBS" -I{} bash -c 'cocci_file "$@"' cocci {} "$@" |
		sed "s|$LINUX/||" | sort -u
}

cocci_new() {
	local files
	mapfile -t files < <(grep -E '^(mm|virt|arch|lib)/.*\.c$' "$work/new" | sed "s|^|$LINUX/|")
	cocci "${files[@]}" >"$work/cocci"
	cat "$work/cocci"
	[[ ! -s $work/cocci ]]
}

cocci_canary() {
	local dir=$work/cocci-canary
	mkdir -p "$dir"
	printf '%s\n' '#include <linux/slab.h>' 'int canary(int *p)' '{' \
		'	kfree(p);' '	return *p;' '}' >"$dir/canary.c"
	cocci "$dir/canary.c" >"$work/cocci"
	cat "$work/cocci"
	[[ ! -s $work/cocci ]]
}
