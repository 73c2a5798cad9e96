# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154
#
# compile.inc.sh - what gcc W=1 and sparse say of the series and of the base.
#
# Purpose: parts of check.sh.
# Inputs:  sourced after kbuild.inc.sh; work of the caller.
# Outputs: build/obj/check, build/obj/check-base, build/check/warnings*.

# objects LIST...: the object of each kernel C file.
objects() {
	sed -nE '/^(tools|samples|scripts|Documentation|usr)\//d
		s|^virt/kvm/(.*)\.c$|arch/x86/kvm/../../../virt/kvm/\1.o|p; t
		/^arch\/x86\//s/\.c$/.o/p; t
		/^arch\//d; s/\.c$/.o/p' "$@"
}

# compile SOURCE OBJDIR LIST...: compile afresh; findings, each once and with
# its line number, go to build/check/warnings-OBJDIR.
compile() {
	local src=$1 obj=$OBJ/$2 name=$2 objs=() o
	shift 2
	mapfile -t objs < <(objects "$@")
	: >"$work/make-$name"
	if (( ${#objs[@]} )); then
		( cd "$obj" && rm -f "${objs[@]}" )
		kmake "$src" "$obj" -k W=1 C=2 "${objs[@]}" >"$work/make-$name" 2>&1 || true
	fi
	sed -nE "s|[^ ]*/linux(-base)?/||g; /: (warning|error): /p" "$work/make-$name" |
		sort -u >"$work/warnings-$name"
	for o in "${objs[@]}"; do
		[[ -f $obj/$o ]] || say "$o"
	done >"$work/missing-$name"
}

compile_ours() {
	local o bad=0
	"$TOP/harness/build/config.sh" check
	compile "$LINUX" check "$work/new" "$work/touched"
	while IFS= read -r o; do
		if grep -q "No rule to make target '.*$o'" "$work/make-check"; then
			say "not in this configuration: $o"
		else
			say "failed: $o"
			bad=1
		fi
	done <"$work/missing-check"
	(( ! bad )) || grep -E -A 3 ' error: |\*\*\*' "$work/make-check"
	return $bad
}

# has_trylock FILE FUNCTION: sparse cannot follow spin_trylock() and the like, and
# takes every function that calls one for unbalanced.
has_trylock() {
	awk -v name="$2(" '
		index($0, name) && !/;$/ { inside = 1 }
		inside && /_trylock\(/ { hit = 1 }
		inside && /^}/ { exit }
		END { exit !hit }' "$LINUX/$1"
}

compile_new() {
	local line name found=0
	[[ -f $work/warnings-check ]] || return
	while IFS= read -r line; do
		name=$(sed -nE "s/.*context imbalance in '(.*)' - different .*/\1/p" <<<"$line")
		if [[ $name ]] && has_trylock "${line%%:*}" "$name"; then
			continue
		fi
		say "$line"
		found=1
	done < <(grep -Ff <(sed 's/$/:/' "$work/new") "$work/warnings-check")
	(( ! found ))
}

compile_touched() {
	local obj=$OBJ/check-base name key
	key=$( { say "$base"; cat "$work/touched" "$OBJ/check/.config"; } | sha256sum)
	if [[ $(cat "$work/base.key" 2>/dev/null) != "$key" ]]; then
		mkdir -p "$obj"
		cp "$OBJ/check/.config" "$obj/.config"
		kmake "$BUILD/linux-base" "$obj" olddefconfig
		compile "$BUILD/linux-base" check-base "$work/touched"
		say "$key" >"$work/base.key"
	fi
	for name in check-base check; do
		grep -vFf <(sed 's/$/:/' "$work/new") "$work/warnings-$name" |
			sed -E 's/:[0-9]+(:[0-9]+)?: /: /' | sort | uniq -c >"$work/kinds-$name"
	done
	not_more "$work/kinds-check-base" "$work/kinds-check"
}

compile_canary() {
	local dir=$work/canary
	mkdir -p "$dir"
	echo 'obj-m := canary.o' >"$dir/Makefile"
	cat >"$dir/canary.c" <<-'END'
	#include <linux/compiler.h>
	int canary(int __user *p);
	int canary(int __user *p)
	{
		int unused;

		unused = 1;
		return *p;
	}
	END
	rm -f "$dir/canary.o"
	kmake "$LINUX" "$OBJ/check" M="$dir" W=1 C=2 "canary.o" >"$dir/log" 2>&1 || true
	cat "$dir/log"
	! grep -q 'dereference of noderef' "$dir/log" || ! grep -q 'set but not used' "$dir/log"
}
