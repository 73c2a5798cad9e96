# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# stuck.inc.sh - whether a machine that does not go on is stuck in the emulator.
#
# Purpose: QEMU's emulation of SVM can lose an interrupt for ever: a CPU that runs
#	   a guest has one pending, takes none, and executes nothing.  No kernel
#	   can do that: it is what the guest's timer would end.  Such a machine is
#	   the emulator's fault, any other that hangs is not.
# Inputs:  sourced after lib.inc.sh; VM_CPUS.
# Outputs: stuck_open(), stuck_close(), stuck_look(), stuck_by_emulator(),
#	   stuck_describe(); DIR/monitor.log.

# Looks in a row, STUCK_EVERY seconds apart, that find a CPU the same.
STUCK_LOOKS=8
STUCK_EVERY=5

# stuck_open DIR: a monitor for the QEMU that is started next, in VM_ARGS.
stuck_open() {
	rm -f "$1"/monitor.{in,out,log} "$1/stuck"
	mkfifo "$1"/monitor.{in,out}
	# Both ends of both, so that none waits for another.
	exec {stuck_in}<>"$1/monitor.in" {stuck_out}<>"$1/monitor.out"
	# shellcheck disable=SC2054 # the commas are QEMU's
	VM_ARGS+=(-chardev "pipe,id=mon,path=$1/monitor"
		-mon chardev=mon,mode=readline)
}

stuck_close() {
	exec {stuck_in}>&- {stuck_out}>&-
	rm -f "$1"/monitor.{in,out}
}

# stuck_ask DIR: what the CPUs are at, into DIR/monitor.log.
stuck_ask() {
	local i
	timeout 0.2 cat <&"$stuck_out" >/dev/null || true
	{
		say "info registers -a"
		for ((i = 0; i < VM_CPUS; i++)); do
			say "info lapic $i"
		done
	} >&"$stuck_in"
	timeout 2 cat <&"$stuck_out" | tr -d '\0\r' >"$1/monitor.log" || true
}

# stuck_look DIR: a line for each CPU that may be stuck: its number, the guest's
# RIP, the interrupts that are pending.  A guest of the tests has a GDT of its own,
# which is not where a kernel's is.
stuck_look() {
	stuck_ask "$1"
	awk '
		/^CPU#/ { cpu = substr($1, 5) + 0 }
		/^RIP=/ { rip[cpu] = $1 }
		/^GDT=/ { guest[cpu] = $2 !~ /^f/ }
		/dumping local APIC state for CPU/ { cpu = $NF + 0 }
		/^IRR/ { sub(/^IRR[ \t]*/, ""); irr[cpu] = $0 }
		END {
			for (c in rip)
				if (guest[c] && irr[c] != "" && irr[c] !~ /none/)
					print c, rip[c], irr[c]
		}' "$1/monitor.log" | sort
}

# stuck_by_emulator DIR: look again and again, unless the machine ends or goes on.
# What was seen last is in DIR/stuck.
stuck_by_emulator() {
	local n last now
	last=$(stuck_look "$1")
	for ((n = 1; n < STUCK_LOOKS; n++)); do
		[[ $last ]] || return 1
		sleep "$STUCK_EVERY"
		now=$(stuck_look "$1")
		last=$(comm -12 <(say "$last") <(say "$now"))
	done
	[[ $last ]] || return 1
	say "$last" >"$1/stuck"
}

# stuck_describe DIR: where the CPUs are, for whoever wants to know why.
stuck_describe() {
	stuck_ask "$1"
	grep -aE '^(CPU#|RIP=|GDT=|EFER=|IRR|ISR)' "$1/monitor.log" || true
}
