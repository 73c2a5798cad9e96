# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# vm.inc.sh - the test machine.
#
# Purpose: one place that knows how QEMU is called.  Always emulation, never
#	   the host's /dev/kvm: the same result everywhere, and an emulated AMD
#	   CPU with nested paging is what KVM under test runs on.
# Inputs:  sourced after lib.inc.sh; VM_MEM (MiB), VM_CPUS, VM_ACCEL, QEMU,
#	   VM_ARGS (array, more arguments of QEMU).
# Outputs: vm_start(), vm_config(), vm_exit().

VM_MEM=${VM_MEM:-3072}
VM_CPUS=${VM_CPUS:-2}
VM_ACCEL=${VM_ACCEL:-tcg,thread=multi}

# qemu_program: QEMU if that is set; or a copy of Debian's that does not lose guests,
# which finds firmware and modules by way of its own place; or what PATH has.
qemu_program() {
	local theirs=/usr/bin/qemu-system-x86_64 mend=$TOP/harness/vm/mend-qemu.py
	local dir=$BUILD/qemu-vm/usr key
	local out=$dir/bin/qemu-system-x86_64
	if [[ ${QEMU:-} || ! -x $theirs ]]; then
		say "${QEMU:-qemu-system-x86_64}"
		return
	fi
	key=$(sha256sum "$theirs" "$mend")
	mkdir -p "$dir/bin"
	(
		flock 9
		[[ $(cat "$dir/key" 2>/dev/null) != "$key" ]] || exit 0
		rm -f "$out"
		ln -sfn /usr/share "$dir/share"
		ln -sfn /usr/lib "$dir/lib"
		python3 "$mend" "$theirs" "$out.new" || exit 0
		chmod +x "$out.new"
		mv "$out.new" "$out"
		say "$key" >"$dir/key"
	) 9>"$BUILD/lock.qemu-vm"
	if [[ ! -x $out ]]; then
		echo "QEMU is used as it is: it can lose guests" >&2
		out=$theirs
	fi
	say "$out"
}

# vm_config DIR NAME=VALUE...: /run/NAME in the machine, as a second archive
# behind initramfs.cpio in DIR/initrd.
vm_config() {
	local dir=$1 stage
	shift
	stage=$(mktemp -d "$BUILD/tmp.XXXXXX")
	mkdir "$stage/run"
	for pair in "$@"; do
		printf '%s\n' "${pair#*=}" >"$stage/run/${pair%%=*}"
	done
	(cd "$stage" && find run | cpio --quiet -o -H newc -R 0:0) \
		>"$dir/config.cpio"
	rm -rf "$stage"
	cat "$BUILD/initramfs.cpio" "$dir/config.cpio" >"$dir/initrd"
}

# vm_start DIR BZIMAGE SECONDS SERIAL1 [BOOT-ARGUMENT...]: boot DIR/initrd and
# wait for the end.  ttyS0, the kernel's log, goes to DIR/console.log; SERIAL1
# is QEMU's argument for ttyS1.  Returns 124 if the time was over.
vm_start() {
	local dir=$1 kernel=$2 seconds=$3 serial1=$4 half=$((VM_MEM / 2)) rc=0 i
	# shellcheck disable=SC2054 # the commas are QEMU's
	local args=(
		-accel "$VM_ACCEL" -cpu EPYC -machine q35
		-nodefaults -no-user-config -display none -no-reboot
		-smp "$VM_CPUS,sockets=$VM_CPUS" -m "$((2 * half))M"
		-object "memory-backend-ram,id=m0,size=${half}M"
		-object "memory-backend-ram,id=m1,size=${half}M"
		-numa node,nodeid=0,memdev=m0 -numa node,nodeid=1,memdev=m1
		-device virtio-rng-pci
	)
	for ((i = 0; i < VM_CPUS; i++)); do
		args+=(-numa "cpu,node-id=$((2 * i / VM_CPUS)),socket-id=$i")
	done
	shift 4
	[ -f "$kernel" ] || die "no kernel $kernel; try: make kernel"
	[ -f "$dir/initrd" ] || die "no $dir/initrd; vm_config comes first"
	rm -f "$dir/console.log"
	timeout --foreground -k 10 "$seconds" "$(qemu_program)" "${args[@]}" \
		${VM_ARGS:+"${VM_ARGS[@]}"} \
		-kernel "$kernel" -initrd "$dir/initrd" \
		-serial "file:$dir/console.log" -serial "$serial1" \
		-append "console=ttyS0 panic=-1 mitigations=off no_timer_check cma=64M numa_balancing=disable printk.devkmsg=on $*" \
		2>"$dir/qemu.log" || rc=$?
	grep -vE "TCG doesn't support requested feature|terminating on signal" \
		"$dir/qemu.log" >&2 || true
	return "$rc"
}

# vm_exit DIR: the exit status that init logged last, 255 if it never did.
vm_exit() {
	local n
	n=$(sed -n 's/.*gmem-vm: exit \([0-9]*\).*/\1/p' "$1/console.log" |
		tail -n 1)
	printf '%s\n' "${n:-255}"
}
