# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# bochs.inc.sh - the test machine on another emulator.
#
# Purpose: bochs emulates Intel's VMX with EPT, which QEMU does not, and AMD's SVM
#	   once more, as the judge over what QEMU's is blamed for.  It is slow, a
#	   tenth or less of QEMU, and alike from run to run: its CPUs take turns on
#	   one thread.
# Inputs:  sourced after lib.inc.sh and vm.inc.sh; BOCHS_MODEL, BOCHS_CPUS,
#	   BOCHS_IPS.
# Outputs: bochs_start(), bochs_config().

BOCHS_MODEL=${BOCHS_MODEL:-corei7_skylake_x}
BOCHS_CPUS=${BOCHS_CPUS:-2}
# What an emulated second is: this many instructions.  It takes several real ones,
# so that a test's second has about as much in it as under QEMU.
BOCHS_IPS=${BOCHS_IPS:-200000000}
BOCHS_MEM=2048
# shellcheck disable=SC2034 # read by test.sh
BOCHS_PACKAGES=(bochs bochs-term bochsbios vgabios grub-pc-bin grub-common xorriso
	mtools bsdutils)

# bochs_program: where the program is that can interrupt all guests.
bochs_program() {
	local out=$BUILD/bochs/bochs theirs=/usr/bin/bochs-bin
	if [[ ! -x $out || $out -ot $theirs ||
	      $out -ot $TOP/harness/vm/mend-bochs.py ]]; then
		mkdir -p "${out%/*}"
		(
			flock 9
			python3 "$TOP/harness/vm/mend-bochs.py" "$theirs" "$out.new"
			chmod +x "$out.new"
			mv "$out.new" "$out"
		) 9>"$BUILD/bochs/lock"
	fi
	say "$out"
}

# bochs_config DIR NAME=VALUE...: as vm_config, but with those programs only that
# DIR/todo names, since all that is in DIR/initrd is read by the BIOS.
bochs_config() {
	local dir=$1 stage
	shift
	stage=$(mktemp -d "$BUILD/tmp.XXXXXX")
	mapfile -t programs < <(cut -f5 "$dir/todo" | tr ' ' '\n' | sed 's,^/tests/,,' |
		grep -E '^(ours|peer|mainline|sample)/' | sort -u)
	(
		cd "$stage" || exit
		cpio --quiet -idm --no-absolute-filenames -f 'tests/*' <"$BUILD/initramfs.cpio"
		mkdir -p tests
		(( ! ${#programs[@]} )) ||
			cpio --quiet -idm "${programs[@]/#/tests/}" <"$BUILD/initramfs.cpio"
		! cut -f5 "$dir/todo" | grep -E '^(/tests/)?qemu/' >/dev/null ||
			cpio --quiet -idm 'tests/qemu/*' <"$BUILD/initramfs.cpio"
	)
	for pair in "$@"; do
		printf '%s\n' "${pair#*=}" >"$stage/run/${pair%%=*}"
	done
	(cd "$stage" && find . -mindepth 1 | sort | cpio --quiet -o -H newc -R 0:0) |
		zstd -q -3 >"$dir/initrd"
	rm -rf "$stage"
}

# bochs_disc DIR KERNEL ARGUMENT...: DIR/disc.iso, which boots DIR/initrd.
bochs_disc() {
	local dir=$1 kernel=$2 stage
	shift 2
	stage=$(mktemp -d "$BUILD/tmp.XXXXXX")
	mkdir -p "$stage/boot/grub"
	cp "$kernel" "$stage/boot/bzImage"
	cp "$dir/initrd" "$stage/boot/initrd"
	cat >"$stage/boot/grub/grub.cfg" <<-END
		set timeout=0
		menuentry test {
			linux /boot/bzImage $*
			initrd /boot/initrd
		}
	END
	grub-mkrescue -o "$dir/disc.iso" "$stage" >"$dir/disc.log" 2>&1 || {
		cat "$dir/disc.log" >&2
		die "no disc for bochs"
	}
	rm -rf "$stage"
}

# bochs_start DIR BZIMAGE SECONDS OUT [BOOT-ARGUMENT...]: as vm_start; ttyS1 goes
# to the file OUT, and DIR/pid has the process.
bochs_start() {
	local dir=$1 kernel=$2 seconds=$3 out=$4 share=/usr/share rc=0 reader terminal
	shift 4
	bochs_disc "$dir" "$kernel" console=ttyS0,115200 panic=-1 reboot=t mitigations=off \
		no_timer_check cma=64M printk.devkmsg=on "tsc_early_khz=$((BOCHS_IPS / 1000))" "$@"
	cat >"$dir/bochsrc" <<-END
		cpu: model=$BOCHS_MODEL, count=$BOCHS_CPUS, ips=$BOCHS_IPS, reset_on_triple_fault=0
		memory: guest=$BOCHS_MEM, host=$BOCHS_MEM
		romimage: file=$share/bochs/BIOS-bochs-latest
		vgaromimage: file=$share/bochs/VGABIOS-lgpl-latest
		ata0-master: type=cdrom, path=$dir/disc.iso, status=inserted
		boot: cdrom
		clock: sync=none
		com1: enabled=1, mode=file, dev=$dir/console.log
		com2: enabled=1, mode=file, dev=$out
		display_library: term
		plugin_ctrl: speaker=0
		speaker: enabled=0
		sound: waveoutdrv=dummy, wavein=none
		log: $dir/bochs.log
		panic: action=fatal
		error: action=report
		info: action=ignore
	END
	say c >"$dir/debugger"
	rm -f "$dir/console.log" "$dir/bochs.out"
	# It wants a terminal, and a reader of the one that it opens for the screen.
	timeout --foreground -k 10 "$seconds" script -qefc \
		"echo \$\$ >'$dir/pid'; exec '$(bochs_program)' -q -f '$dir/bochsrc' -rc '$dir/debugger'" \
		"$dir/bochs.out" >/dev/null 2>&1 </dev/null &
	rc=$!
	terminal=
	while [[ ! $terminal ]] && kill -0 "$rc" 2>/dev/null; do
		sleep 0.2
		terminal=$(sed -n 's/.*Bochs connected to screen "\([^"]*\)".*/\1/p' \
			"$dir/bochs.out" 2>/dev/null)
	done
	reader=
	if [[ $terminal ]]; then
		cat "$terminal" >/dev/null 2>&1 &
		reader=$!
	fi
	wait "$rc" || true
	[[ ! $reader ]] || kill "$reader" 2>/dev/null || true
	rm -f "$dir/disc.iso"
	# Power-off by ACPI ends it, with a status that says nothing.
	grep -q 'gmem-vm: exit ' "$dir/console.log" 2>/dev/null
}
