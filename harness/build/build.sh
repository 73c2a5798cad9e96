#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# build.sh NAME [SOURCE] - configure and build one kernel.
#
# NAME, SOURCE  as in config.sh.
# Outputs: default -> build/bzImage, any other -> build/NAME/bzImage; beside
#	   it bzImage.tree, the id of the source tree; objects in build/obj/NAME.
#	   "check" and "off" only have to compile; "modules" builds them too.
#	   Of "gcov" and "kcsan" just the files of the series are instrumented,
#	   for "kcsan" also those that it changes.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../build/kbuild.inc.sh"

name=${1:-default} src=$LINUX
[ "$name" = base ] && src=$BUILD/linux-base
[ "$name" = peer ] && src=$BUILD/linux-6.12
src=${2:-$src}
obj=$OBJ/$name
out=$BUILD/$name
[ "$name" = default ] && out=$BUILD
targets=(bzImage)
[[ $name == @(default|debug) && ! ${SHARE_OBJECTS:-} ]] && export CCACHE_DEPEND=1
[ "$name" = modules ] && targets+=(modules)

# series_objects FILTER: the objects of what the series adds (A) or changes (M).
series_objects() {
	git -C "$src" diff-tree -r --no-renames --diff-filter="$1" --name-only base series |
		grep -E '^(mm|virt|arch|lib)/.*\.c$' | sed 's|.*/||; s|c$|o|'
}
flags=()
case $name in
gcov)
	mapfile -t flags < <(series_objects A | sed 's/.*/GCOV_PROFILE_&=y/') ;;
kcsan)
	mapfile -t flags < <(series_objects AM | sed 's/.*/KCSAN_SANITIZE_&=y/')
	flags+=(KCSAN_SANITIZE=n) ;;
esac

"$TOP/harness/build/config.sh" "$name" "$src"

# kbuild writes .config itself when a new symbol has no answer yet, and takes
# "no" for an answer: that must not happen between config.sh and here.
before=$(cksum <"$obj/.config")
# In the depend mode, ccache does not see that piggy.S includes the compressed
# kernel, and takes one of the same size for the same.
compile() {
	kmake "$src" "$obj" "${flags[@]}" vmlinux &&
		CCACHE_DISABLE=1 kmake "$src" "$obj" "${flags[@]}" "${targets[@]}"
}
step "build-$name" compile
[ "$before" = "$(cksum <"$obj/.config")" ] ||
	die "kbuild changed $obj/.config; see $LOGS/build-$name.log"

mkdir -p "$out"
install -m 644 "$obj/arch/x86/boot/bzImage" "$out/bzImage.new"
if cmp -s "$out/bzImage.new" "$out/bzImage"; then
	rm "$out/bzImage.new"
else
	mv "$out/bzImage.new" "$out/bzImage"
fi
tree_id "$src" >"$out/bzImage.tree"
warnings=$(grep -cE 'warning:' "$LOGS/build-$name.log" || true)
(( warnings == 0 )) || warn "$warnings compiler warnings: $LOGS/build-$name.log"
