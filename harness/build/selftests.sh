#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# selftests.sh SET... - build test programs, static, for the test machine.
#
# SET      ours    the KVM selftests that the series adds, from build/linux
#	   peer    the newer kernel's, unmodified, from build/linux-6.12
#	   mainline  the newest kernel's, unmodified, from build/linux-mainline
#	   base    all KVM selftests of the base, from build/linux-base
#	   sample  samples/guest_memfd, from build/linux
# Outputs: build/tests/SET/.  base: what does not compile is in
#	   build/tests/base.missing and is not an error.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../build/kbuild.inc.sh"

KVM=tools/testing/selftests/kvm
# The peer's tests that know guest_memfd.
PEER=(guest_memfd_test pre_fault_memory_test set_memory_region_test
	x86_64/private_mem_conversions_test x86_64/private_mem_kvm_exits_test)

MAINLINE=(guest_memfd_test pre_fault_memory_test set_memory_region_test
	x86/private_mem_conversions_test x86/private_mem_kvm_exits_test)

# programs SOURCE: all x86 test programs that SOURCE's Makefile names.
programs() {
	sed -nE 's/^TEST_GEN_PROGS_(EXTENDED_)?x86_64 \+?= *//p' \
		"$1/$KVM/Makefile"
}

# headers SET SOURCE: the uapi headers of SOURCE in build/headers/SET/usr.
headers() {
	kmake "$2" "$BUILD/headers/$1" headers
	# Keep the date of what did not change, or every test is compiled again.
	mkdir -p "$BUILD/headers/$1/stable/include"
	rsync -rc --delete "$BUILD/headers/$1/usr/include/" \
		"$BUILD/headers/$1/stable/include/"
}

# fresh SET SOURCE: the 6.1 Makefile knows no dependency on a header, so start
# anew when one has changed.
fresh() {
	local out=$BUILD/tests/$1 key
	key=$(cd "$2/tools" &&
		find testing/selftests/kvm/include testing/selftests/kvm/lib \
			testing/selftests/*.h testing/selftests/kvm/Makefile \
			include arch/x86/include "$BUILD/headers/$1/stable" \
			\( -name '*.h' -o -name Makefile \) -type f -print0 |
			sort -z | xargs -0 cat | cksum)
	if [ "$key" != "$(cat "$out/.key" 2>/dev/null)" ]; then
		rm -rf "$out"
		mkdir -p "$out"
		printf '%s\n' "$key" >"$out/.key"
	fi
}

# compile SET SOURCE MAKE-OPTION PROGRAM...; LINK: one more argument of make.
compile() {
	local set=$1 src=$2 option=$3 out=$BUILD/tests/$1
	shift 3
	make -C "$src/$KVM" -j"$JOBS" "$option" CC="ccache gcc" OUTPUT="$out" \
		KHDR_INCLUDES="-isystem $BUILD/headers/$set/stable/include" \
		USERLDFLAGS=-static ${LINK:+"$LINK"} "${@/#/$out/}"
}

# rows: each ioctl that the series adds is in a row of the race matrix.
rows() {
	local matrix=$LINUX/$KVM/x86_64/guest_memfd_matrix_test.c name
	[ -e "$matrix" ] || return 0
	git -C "$LINUX" diff base -- include/uapi |
		sed -nE 's/^\+#define[ \t]+(KVM_[A-Z0-9_]+)[ \t]+_IO[WR]*\(.*/\1/p' |
		while read -r name; do
			grep -qw "$name" "$matrix" || die "no row for $name in $matrix"
		done
}

build_ours() {
	local p added=()
	rows
	headers ours "$LINUX"
	fresh ours "$LINUX"
	mapfile -t added < <(programs "$LINUX" |
		grep -vxFf <(git -C "$LINUX" show "base:$KVM/Makefile" |
			sed -nE 's/^TEST_GEN_PROGS_(EXTENDED_)?x86_64 \+?= *//p'))
	# A program that has left the series must leave the machine too.
	find "$BUILD/tests/ours" -type f -perm -u+x | while read -r p; do
		p=${p#"$BUILD/tests/ours/"}
		grep -qxF "$p" < <(printf '%s\n' "${added[@]}") ||
			rm "$BUILD/tests/ours/$p"
	done
	printf '%s\n' "${added[@]}" >"$BUILD/tests/ours.programs"
	(( ${#added[@]} )) || return 0
	compile ours "$LINUX" -k "${added[@]}"
}

build_peer() {
	headers peer "$BUILD/linux-6.12"
	fresh peer "$BUILD/linux-6.12"
	compile peer "$BUILD/linux-6.12" -k "${PEER[@]}"
}

# Its Makefile has no USERLDFLAGS for what is linked.
build_mainline() {
	headers mainline "$BUILD/linux-mainline"
	fresh mainline "$BUILD/linux-mainline"
	LINK='LDFLAGS=-static -pthread -no-pie' \
		compile mainline "$BUILD/linux-mainline" -k "${MAINLINE[@]}"
}

build_base() {
	local src=$BUILD/linux-base p
	headers base "$src"
	fresh base "$src"
	mapfile -t progs < <(programs "$src")
	compile base "$src" -k "${progs[@]}" || true
	for p in "${progs[@]}"; do
		[ -x "$BUILD/tests/base/$p" ] || printf '%s\n' "$p"
	done >"$BUILD/tests/base.missing"
	(( $(wc -l <"$BUILD/tests/base.missing") < ${#progs[@]} / 2 ))
}

build_sample() {
	headers ours "$LINUX"
	make -C "$LINUX/samples/guest_memfd" CC="ccache gcc" \
		KHDR="$BUILD/headers/ours/stable" OUT="$BUILD/tests/sample"
}

for set in "$@"; do
	case $set in
	ours|peer|mainline|base|sample) step "tests-$set" "build_$set" ;;
	*) die "selftests.sh: no set called '$set'" ;;
	esac
done
