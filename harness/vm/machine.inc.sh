# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# machine.inc.sh - run lists of tests in test machines.
#
# Purpose: a machine that dies or hangs fails the test that it ran; the tests
#	   behind it get another machine, three times at most.  If it was the
#	   emulator that hung, so does that test, once.
# Inputs:  sourced after lib.inc.sh, vm.inc.sh, bochs.inc.sh, stuck.inc.sh and
#	   lists.inc.sh;
#	   TESTS=PATTERN: just the tests whose name matches this shell pattern;
#	   PRESENT=1: just those whose program was built; PART=I/N: one part of
#	   them in N.
# Outputs: machine(), machine_progress(); build/test/NAME/{output,console,runs,
#	   list,results,lost,hung}.  Nothing on stdout: machines run side by side.

TESTS=${TESTS:-*}
# Seconds beyond a test's limit before its machine is given up.
GRACE=${GRACE:-120}
# built COMMAND: whether the program that it begins with, or that env runs, was built.
built() {
	local prog=${1%% *}
	[[ ! $1 =~ ^env\ .*/tests/([^\ ]+) ]] || prog=${BASH_REMATCH[1]}
	[[ ! ${PRESENT:-} || $prog != */* || -x $BUILD/tests/$prog ]]
}

# list_part: with PART=I/N, every N-th line of a list, from the I-th on, and what
# each machine is asked.
list_part() {
	awk -v part="${PART:-1/1}" '
		BEGIN { split(part, p, "/") }
		/^vm_/ || n++ % p[2] == p[1] - 1'
}

# What is allocated but not cleared must not look clear by accident.  The owners
# of pages are a stack trace for each allocation: that takes long.
DEBUG_ARGS="init_on_alloc=0 page_poison=1${LONG:+ page_owner=on}"

end_machine() {
	local pid
	pid=$(cat "$1") || return 0
	kill "$pid" 2>/dev/null || return 0
	sleep 3
	kill -9 "$pid" 2>/dev/null || true
}

# begun DIR: the tests that have begun, in this order.
begun() {
	cat "$1/output" "$1/out" 2>/dev/null |
		sed -n "s/^@@$nonce begin \([^ \r]*\).*/\1/p"
}

# hung DIR: where its CPUs are and what its kernel said last; then end it.
hung() {
	{
		[[ ! -p $1/monitor.in ]] || stuck_describe "$1"
		tail -n 15 "$1/console.log"
	} >>"$1/hung"
	end_machine "$1/pid"
}

# add_module DIR: a memory module that can be unplugged, in VM_ARGS; and a serial
# line, ttyS2, to a monitor of QEMU that can plug it in again.
add_module() {
	rm -f "$1"/{line,plug}.{in,out}
	mkfifo "$1"/line.{in,out}
	ln -s line.out "$1/plug.in"
	ln -s line.in "$1/plug.out"
	# shellcheck disable=SC2054 # the commas are QEMU's
	VM_ARGS+=(-m "${VM_MEM}M,slots=1,maxmem=8G"
		-object memory-backend-ram,id=m2,size=256M
		-device pc-dimm,id=dimm,memdev=m2,node=1
		-chardev "pipe,id=plug,path=$1/plug" -mon chardev=plug,mode=readline
		-chardev "pipe,id=line,path=$1/line"
		-device isa-serial,index=2,chardev=line)
}

# A test has SLOWER times its limit on bochs; there a second of the machine takes
# LONGER of the host's.
BOCHS_SLOWER=4
BOCHS_LONGER=8
on_bochs() { [[ $1 == @(intel*|ryzen) ]]; }

slower() {
	if on_bochs "$1"; then
		awk -F'\t' -v OFS='\t' -v by="$BOCHS_SLOWER" '{ $3 *= by } 1'
	else
		cat
	fi
}

# longer KERNEL-NAME SECONDS: how long that is for who waits.
longer() {
	! on_bochs "$1" || set -- "$1" $(($2 * BOCHS_LONGER))
	say "$2"
}

# bochs_args KERNEL-NAME: what its kernel is told, in args; its processors.
bochs_args() {
	case $1 in
	intel_noad) args+=(kvm_intel.eptad=0) ;;
	intel_real) args+=(kvm_intel.unrestricted_guest=0) ;;
	intel_shadow) args+=(kvm_intel.ept=0) ;;
	intel_up) BOCHS_CPUS=1 ;;
	ryzen) BOCHS_MODEL=ryzen ;;
	esac
}

# start_machine KERNEL-NAME DIR IMAGE BOOT-ARGUMENT...: run DIR/todo.
start_machine() {
	local kernel=$1 dir=$2 image=$3
	local config=(mode=test "nonce=$nonce" "list=$(cut -f1,3,5 "$2/todo")")
	shift 3
	if on_bochs "$kernel"; then
		bochs_config "$dir" "${config[@]}"
		bochs_start "$dir" "$image" 14400 "$dir/out" "$@" &
		return
	fi
	vm_config "$dir" "${config[@]}"
	# shellcheck disable=SC2034 # read by vm_start
	VM_ARGS=(-pidfile "$dir/pid")
	[[ $kernel != module ]] || add_module "$dir"
	stuck_open "$dir"
	vm_start "$dir" "$image" 14400 "file:$dir/out" "$@" &
}

# boot DIR KERNEL-NAME: run DIR/todo; kill a machine that hangs, that is, in
# which one test takes a good while longer than the limit it has inside, or which
# is stuck in the emulator.
boot() {
	local dir=$1 image=$BUILD/$2/bzImage args=() marks=-1 now since limit rc=0
	local looked again=
	local BOCHS_CPUS=$BOCHS_CPUS BOCHS_MODEL=$BOCHS_MODEL
	case $2 in
	intel_debug) image=$BUILD/debug/bzImage; read -ra args <<<"$DEBUG_ARGS" ;;
	intel*|ryzen) image=$BUILD/bzImage; bochs_args "$2" ;;
	default) image=$BUILD/bzImage ;;
	shadow) image=$BUILD/bzImage args=(kvm_amd.npt=0) ;;
	module) image=$BUILD/bzImage args=(memhp_default_state=online_movable) ;;
	debug) read -ra args <<<"$DEBUG_ARGS" ;;
	gcov) image=$BUILD/gcov/bzImage args=(page_poison=1) ;;
	kcsan) image=$BUILD/kcsan/bzImage ;;
	faults)
		image=$BUILD/debug/bzImage
		# Stack traces of owners would be allocations that fail, too.
		read -ra args <<<"${DEBUG_ARGS% page_owner=on} kmemleak=on panic_on_warn" ;;
	fuzz)
		image=$BUILD/debug/bzImage
		read -ra args <<<"$DEBUG_ARGS panic_on_warn FUZZ_CALLS=${FUZZ_CALLS:-2000000}${FUZZ_SEED:+ FUZZ_SEED=$FUZZ_SEED}" ;;
	races)
		image=$BUILD/debug/bzImage
		read -ra args <<<"$DEBUG_ARGS MATRIX_MS=${MATRIX_MS:-3600000}${MATRIX_SEED:+ MATRIX_SEED=$MATRIX_SEED}${MATRIX_PAIR:+ MATRIX_PAIR=$MATRIX_PAIR}" ;;
	debug_shadow)
		image=$BUILD/debug/bzImage
		read -ra args <<<"$DEBUG_ARGS kvm_amd.npt=0" ;;
	esac
	# The kernel hands on to init what it does not know itself.
	[[ ${LONG:-} ]] || args+=(RACE_PERCENT=50)
	start_machine "$2" "$dir" "$image" "${args[@]}"
	since=$SECONDS limit=$(longer "$2" 120) looked=$SECONDS
	while kill -0 $! 2>/dev/null; do
		sleep 0.5
		now=$(grep -ac "^@@$nonce" "$dir/out" 2>/dev/null) || true
		if [ "$now" != "$marks" ]; then
			marks=$now since=$SECONDS looked=$SECONDS
			limit=$(begun "$dir" | tail -n 1 | awk -F'\t' -v limit=120 '
				NR == FNR { n = $1; next } $1 == n { limit = $3 }
				END { print limit }' - "$dir/todo")
			limit=$(longer "$2" "$limit")
		elif (( SECONDS - since > limit + GRACE )); then
			hung "$dir"
			since=$SECONDS
		elif (( SECONDS - looked > 60 )) && ! on_bochs "$2"; then
			looked=$SECONDS
			if [[ ! $again ]] && stuck_by_emulator "$dir"; then
				again=$(begun "$dir" | tail -n 1)
				hung "$dir"
			fi
		fi
	done
	wait $! || rc=$?
	on_bochs "$2" || stuck_close "$dir"
	cat "$dir/out" >>"$dir/output"
	rm "$dir/out"
	cat "$dir/console.log" >>"$dir/console"
	printf '%s\n' "$rc" >>"$dir/runs"
	if [[ $again ]] && ! grep -qsx "$again" "$dir/again"; then
		say "$again" >>"$dir/again"
		printf '\n@@%s stuck %s\n' "$nonce" "$again" >>"$dir/output"
	else
		again=
	fi
	# What is left: all that was never begun, or shall be again.
	begun "$dir" | awk -F'\t' -v again="$again" '
		FILENAME == "-" { b[$1]; next }
		!($1 in b) || $1 == again' - "$dir/todo" >"$dir/left"
	mv "$dir/left" "$dir/todo"
	rm -f "$dir/initrd" "$dir/config.cpio"
}

# machine NAME KERNEL LIST-KERNEL LIST...: run and judge; verdicts in
# build/test/NAME/results.
machine() {
	local name=$1 kernel=$2 which=$3 dir=$BUILD/test/$1 boots=0
	local nonce
	shift 3
	rm -rf "$dir"
	mkdir -p "$dir"
	: >"$dir/output"
	: >"$dir/console"
	list_read "$which" "$@" |
		while IFS= read -r line; do
			# shellcheck disable=SC2053 # a pattern is meant
			[[ ${line%%$'\t'*} != $TESTS ]] || ! built "$(cut -f5 <<<"$line")" ||
				printf '%s\n' "$line"
		done | list_part | slower "$kernel" >"$dir/list"
	awk -F'\t' '$2 != "none"' "$dir/list" >"$dir/todo"
	[ -s "$dir/todo" ] || return 0
	nonce=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
	while [ -s "$dir/todo" ] && (( boots++ < 4 )); do
		boot "$dir" "$kernel"
	done
	awk -f "$TOP/harness/test/judge.awk" -v kernel="$name" -v nonce="$nonce" \
		"$dir/list" "$TOP/harness/test/lists/allow.list" "$dir/runs" "$dir/output" \
		"$dir/console" >"$dir/judged"
	grep '^lost' "$dir/judged" | cut -f3 >"$dir/lost"
	grep -v '^lost' "$dir/judged" >"$dir/results"
}

# machine_progress NAME: how far it is.
machine_progress() {
	local dir=$BUILD/test/$1 all
	all=$(awk -F'\t' '$2 != "none"' "$dir/list" 2>/dev/null | wc -l) || true
	printf '%s %s/%s' "$1" \
		"$(cat "$dir/output" "$dir/out" 2>/dev/null | grep -ac '^@@[0-9a-f]* end ')" "$all"
	[ ! -e "$dir/hung" ] || printf ' (hung)'
}
