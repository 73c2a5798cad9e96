# SPDX-License-Identifier: GPL-2.0-only
# Front door; each target is a script or two in harness/.  All output: build/.
H := harness
CONFIG ?= default
export KSRC PATCH SIGNOFF JOBS ONLY TESTS BENCH MACHINES LONG

help:		## this text
	@sed -nE 's/^([a-z-]+):[^#]*## /\1\t/p' Makefile | expand -t 12
	@echo
	@echo 'CONFIG=debug   kernel, boot: with lockdep, KASAN, fault injection'
	@echo 'JOBS=N         compile N files at a time'
	@echo 'KSRC=DIR       another 6.1.y source tree instead of the package'
	@echo 'PATCH=SUBJECT  refresh: the mail that takes edits nobody claims'
	@echo 'ONLY="A B"     check, check-all: only these parts, see their heads'
	@echo 'TESTS=PATTERN  test: only the tests whose name matches'
	@echo 'KERNEL=NAME    test: only on default, debug, shadow (or canary)'
	@echo 'MACHINES=N     test: N test machines at a time, 3 to 4 GiB each'
	@echo 'BENCH="A B"    bench: only these columns, see the head of bench.sh'

deps:
	@$H/deps.sh

assemble: deps	## base + series in build/linux
	@$H/assemble.sh

kernel: assemble ## build/bzImage (CONFIG=debug: build/debug/bzImage)
	@$H/build.sh $(CONFIG)

run: assemble	## boot the kernel, and in it guests in QEMU, one of them private
	@$H/build.sh default
	@$H/qemu.sh
	@$H/initramfs.sh qemu
	@$H/run.sh qemu/gmem-run -c 2 -v ordinary gmem private in-place

run-sample: assemble ## boot the kernel and run the small sample VMM in it
	@$H/build.sh default
	@$H/selftests.sh sample
	@$H/initramfs.sh sample
	@$H/run.sh sample/guest_memfd_vmm

test: assemble	## build everything, boot the kernels, run all tests, judge
	@$H/base.sh peer
	@$H/build.sh default
	@$(if $(filter default shadow canary,$(KERNEL)),:,$H/build.sh debug)
	@$H/selftests.sh ours sample peer
	@$H/qemu.sh
	@$H/qemu-debian.sh
	@$H/initramfs.sh ours peer $(if $(LONG),mainline) sample qemu debian
	@$H/test.sh $(KERNEL)

test-all: assemble ## test, and what takes long or a newer kernel's tests
	@$H/mainline.sh
	@$H/selftests.sh mainline
	@$(MAKE) -s test LONG=1

bench: assemble	## what private memory costs, here and on Debian's 6.12
	@$H/base.sh peer
	@$H/build.sh default
	@$H/build.sh peer
	@$H/selftests.sh ours
	@$H/initramfs.sh
	@$H/bench.sh

boot: kernel	## a shell in the booted kernel, with all tests in it
	@$H/selftests.sh ours sample
	@$H/initramfs.sh
	@$H/boot.sh $(CONFIG)

boot-guest: assemble ## a shell in a private guest in QEMU on the booted kernel
	@$H/build.sh default
	@$H/qemu.sh
	@$H/initramfs.sh qemu
	@$H/boot-guest.sh -c 2

compare: assemble ## the base's own KVM selftests on the base and on ours
	@$H/compare.sh

check: assemble	## the series as patches: applies, builds clean, style
	@$H/check.sh

check-all: assemble ## check, every mail by itself, test and compare
	@$H/check-all.sh

export: assemble ## the series as mails in build/export
	@$H/export.sh

export-qemu:	## the QEMU patches as mails in build/export-qemu
	@$H/qemu-export.sh

refresh: deps	## edits in build/linux into patches/ and the new files
	@$H/refresh.sh

refresh-qemu:	## edits in build/qemu-src into qemu/patches/
	@$H/qemu-refresh.sh

bump:		## to the newest base package
	@$H/bump.sh

clean:		## remove build/, downloads and compiler cache included
	rm -rf build

.PHONY: help deps assemble kernel run run-sample test test-all bench boot boot-guest compare \
	check check-all export export-qemu refresh refresh-qemu \
	bump clean
