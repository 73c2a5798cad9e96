# SPDX-License-Identifier: GPL-2.0-only
# Front door; each target is a script or two in harness/.  All output: build/.
H := harness
CONFIG ?= default
export KSRC PATCH TOPIC TOPICS SIGNOFF JOBS ONLY TESTS BENCH MACHINES LONG

help:		## this text
	@sed -nE 's/^([a-z-]+):[^#]*## /\1\t/p' Makefile | expand -t 12
	@echo
	@echo 'CONFIG=debug   kernel, boot: with lockdep, KASAN, fault injection'
	@echo 'JOBS=N         compile N files at a time'
	@echo 'KSRC=DIR       another 6.1.y source tree instead of the package'
	@echo 'PATCH=MAIL     refresh: the mail that takes all edits'
	@echo 'TOPIC=NAME     refresh: the topic of new mails'
	@echo 'ONLY="A B"     check, check-all: only these parts, see their heads'
	@echo 'TESTS=PATTERN  test: only the tests whose name matches'
	@echo 'KERNEL=NAME    test: only on default, debug, shadow, debug_shadow, module, intel (or canary)'
	@echo 'MACHINES=N     test: N test machines at a time, 3 to 4 GiB each'
	@echo 'BENCH="A B"    bench: only these columns, see the head of bench.sh'

deps:
	@$H/build/deps.sh

assemble: deps	## base + series in build/linux
	@$H/tree/assemble.sh

kernel: assemble ## build/bzImage (CONFIG=debug: build/debug/bzImage)
	@$H/build/build.sh $(CONFIG)

run: assemble	## boot the kernel, and in it guests in QEMU, one of them private
	@$H/build/build.sh default
	@$H/qemu/build.sh
	@$H/build/initramfs.sh qemu
	@$H/vm/run.sh qemu/gmem-run -c 2 -v ordinary gmem private in-place

run-sample: assemble ## boot the kernel and run the small sample VMM in it
	@$H/build/build.sh default
	@$H/build/selftests.sh sample
	@$H/build/initramfs.sh sample
	@$H/vm/run.sh sample/guest_memfd_vmm

test: deps	## build everything, boot the kernels, run all tests, judge
	@echo 'Building side by side: QEMU, kernels, tests; logs: build/logs/'
	@$(MAKE) -s -j --output-sync=target build-debian build-default build-ours build-peer \
		$(if $(filter default shadow module canary intel intel_noad intel_real intel_shadow intel_up ryzen,$(KERNEL)),,build-debug)
	@$H/build/initramfs.sh ours peer $(if $(LONG),mainline) sample qemu debian
	@$H/test/test.sh $(KERNEL)

# Unpacking, configuring and the end of a kernel's build keep one core busy;
# beside one another these fill all.
build-tree:
	@$H/tree/assemble.sh
build-default build-debug build-gcov build-kcsan: build-%: build-tree
	@$H/build/build.sh $*
build-ours: build-tree
	@$H/build/selftests.sh ours sample
build-peer:
	@$H/tree/base.sh peer
	@$H/build/selftests.sh peer
build-qemu:
	@$H/qemu/build.sh
build-debian: build-qemu
	@$H/qemu/debian.sh

test-intel: assemble ## the tests that concern KVM on Intel's VMX, emulated: hours
	@$H/build/mainline.sh
	@$H/build/selftests.sh mainline
	@$(MAKE) -s -j --output-sync=target build-default build-ours build-peer build-debug build-qemu
	@$H/build/initramfs.sh ours peer mainline sample qemu
	@LONG=1 $H/test/test.sh intel-all

test-faults: deps ## each allocation fails, each structure is held back; leaks
	@$(MAKE) -s -j --output-sync=target build-ours build-debug
	@$H/build/initramfs.sh ours
	@LONG=1 $H/test/test.sh faults

test-fuzz: deps	## calls with bad input; FUZZ_CALLS=2000000, FUZZ_SEED=
	@$(MAKE) -s -j --output-sync=target build-ours build-debug
	@$H/build/initramfs.sh ours
	@LONG=1 $H/test/test.sh fuzz

test-races: deps ## each operation against each (MATRIX_MS=), or MUTANT=name or all
	@$(MAKE) -s -j --output-sync=target build-ours build-debug
	@$H/build/initramfs.sh ours
	@$(if $(MUTANT),$H/test/mutant.sh $(MUTANT),LONG=1 $H/test/test.sh races)

test-kcsan: deps ## the races on a kernel that looks for data races
	@$(MAKE) -s -j --output-sync=target build-ours build-kcsan
	@$H/build/initramfs.sh ours
	@$H/test/kcsan.sh

coverage: assemble ## which lines of the series its tests run; an hour
	@$H/build/mainline.sh
	@$H/build/selftests.sh mainline
	@$(MAKE) -s -j --output-sync=target build-default build-ours build-peer build-gcov build-debian
	@$H/build/initramfs.sh ours peer mainline sample qemu debian
	@$H/test/coverage.sh

test-all: assemble ## test, and what takes long or a newer kernel's tests
	@$H/build/mainline.sh
	@$H/build/selftests.sh mainline
	@$(MAKE) -s test LONG=1

bench: assemble	## what private memory costs, here and on Debian's 6.12
	@$H/tree/base.sh peer
	@$H/build/build.sh default
	@$H/build/build.sh peer
	@$H/build/selftests.sh ours
	@$H/build/initramfs.sh
	@$H/bench/bench.sh

boot: kernel	## a shell in the booted kernel, with all tests in it
	@$H/build/selftests.sh ours sample
	@$H/build/initramfs.sh
	@$H/vm/boot.sh $(CONFIG)

boot-guest: assemble ## a shell in a private guest in QEMU on the booted kernel
	@$H/build/build.sh default
	@$H/qemu/build.sh
	@$H/build/initramfs.sh qemu
	@$H/vm/boot-guest.sh -c 2

compare: assemble ## the base's own KVM selftests on the base and on ours
	@$H/test/compare.sh

check: assemble	## the series as patches: applies, builds clean, style
	@$H/check/check.sh

check-topics:	## is each topic right without those after it?  Takes 2 hours; more with LONG=1
	@$H/check/topics.sh

apply:		## the series on another 6.1.y: TREE=DIR
	@$H/tree/apply.sh "$(TREE)"

check-all: assemble ## check, every mail by itself, test and compare
	@$H/check/check-all.sh

export: assemble ## the series as mails in build/export
	@$H/tree/export.sh

export-qemu:	## the QEMU patches as mails in build/export-qemu
	@$H/qemu/export.sh

refresh: deps	## edits in build/linux into patches/ and the new files
	@$H/tree/refresh.sh

refresh-qemu:	## edits in build/qemu-src into qemu/patches/
	@$H/qemu/refresh.sh

bump:		## to the newest base package
	@$H/tree/bump.sh

clean:		## remove build/, downloads and compiler cache included
	rm -rf build

.PHONY: help deps assemble kernel run run-sample test test-all bench boot boot-guest compare \
	check check-all check-topics apply export export-qemu refresh refresh-qemu \
	test-intel test-faults test-fuzz test-races test-kcsan coverage \
	bump clean build-tree build-default build-debug build-gcov build-kcsan build-ours \
	build-peer build-qemu build-debian
