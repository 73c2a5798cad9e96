# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154
#
# steps.inc.sh - the long checks: a fresh import, a build of each step.
#
# Purpose: parts of check-all.sh.
# Inputs:  sourced after check-tree.inc.sh, kbuild.inc.sh and report.inc.sh; base, work.
# Outputs: build/fresh, build/linux-steps, build/obj/steps, messages.

# fresh_tree: unpack and import in a repository that shares nothing with
# build/linux, and apply the mails there.
fresh_tree() {
	local tar fresh=$BUILD/fresh id
	[[ ! ${KSRC:-} ]] || { say "only for the base of base.conf"; return 1; }
	tar=$(tarball "$BASE_PACKAGE" "$BASE_VERSION" "$BASE_SHA256")
	rm -rf "$fresh"
	unpack "$tar" "$fresh"
	id=$(import "$fresh" "$fresh/.git")
	say "imported $id, base.conf names $BASE_COMMIT"
	[[ $id == "$BASE_COMMIT" ]]
	mv "$fresh/.git/index.import" "$fresh/.git/index"
	cd "$fresh" || exit
	git checkout -q --detach "$id"
	find "$BUILD/export" -name '*.patch' ! -name '*0000-cover*' | sort |
		xargs git -c user.name=check -c user.email=check@localhost am -q
	say "am $(git rev-parse 'HEAD^{tree}'), assembled $(<"$BUILD/assembled")"
	[[ $(git rev-parse 'HEAD^{tree}') == "$(<"$BUILD/assembled")" ]]
	cd "$TOP" && rm -rf "$fresh"
}

# step_build COMMIT: vmlinux of COMMIT with what it has of the default
# configuration; no gcc warning that the base does not have.
step_build() {
	local wt=$BUILD/linux-steps obj=$OBJ/steps log=$work/make-step
	if ! git -C "$wt" checkout -q --detach "$1"; then
		rm -rf "$wt"
		git -C "$LINUX" worktree prune
		git -C "$LINUX" worktree add -q -f --detach "$wt" "$1"
	fi
	mkdir -p "$obj"
	cp "$OBJ/default/.config" "$obj/.config.new"
	KCONFIG_CONFIG=$obj/.config.new kmake "$wt" "$obj" olddefconfig
	cmp -s "$obj/.config.new" "$obj/.config" || mv "$obj/.config.new" "$obj/.config"
	kmake "$wt" "$obj" vmlinux >"$log" 2>&1 || { cat "$log"; return 1; }
	cat "$log"
	sed -nE "s|[^ ]*/linux-steps/||; s/:[0-9]+(:[0-9]+)?: warning: /: /p" "$log" |
		sort | uniq -c >"$work/step-warnings"
	[[ $1 != "$base" ]] || cp "$work/step-warnings" "$work/step-warnings-base"
	not_more "$work/step-warnings-base" "$work/step-warnings"
}

# broken_step: the base with an error in a file that every kernel has.
broken_step() { step_build "$(skewed init/main.c "\$a #error canary")"; }
