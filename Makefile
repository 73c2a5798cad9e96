# SPDX-License-Identifier: GPL-2.0-only
# Front door; each target is a script or two in harness/.  All output: build/.
H := harness
CONFIG ?= default
export KSRC PATCH SIGNOFF JOBS ONLY TESTS

help:		## this text
	@sed -nE 's/^([a-z-]+):[^#]*## /\1\t/p' Makefile | expand -t 12
	@echo
	@echo 'CONFIG=debug   kernel, boot: with lockdep, KASAN, fault injection'
	@echo 'JOBS=N         compile N files at a time'
	@echo 'KSRC=DIR       another 6.1.y source tree instead of the package'
	@echo 'PATCH=SUBJECT  refresh: the mail that takes edits nobody claims'
	@echo 'ONLY="A B"     check, check-all: only these parts, see their heads'
	@echo 'TESTS=PATTERN  test: only the tests whose name matches'

deps:
	@$H/deps.sh

assemble: deps	## base + series in build/linux
	@$H/assemble.sh

kernel: assemble ## build/bzImage (CONFIG=debug: build/debug/bzImage)
	@$H/build.sh $(CONFIG)

run: assemble	## boot the kernel and run the sample VMM in it
	@$H/build.sh default
	@$H/selftests.sh sample
	@$H/initramfs.sh sample
	@$H/run.sh

test: assemble	## build everything, boot the kernels, run all tests, judge
	@$H/base.sh peer
	@$H/build.sh default
	@$H/build.sh debug
	@$H/selftests.sh ours sample peer
	@$H/initramfs.sh
	@$H/test.sh canary default debug shadow

boot: kernel	## a shell in the booted kernel, with all tests in it
	@$H/selftests.sh ours sample
	@$H/initramfs.sh
	@$H/boot.sh $(CONFIG)

compare: assemble ## the base's own KVM selftests on the base and on ours
	@$H/compare.sh

check: assemble	## the series as patches: applies, builds clean, style
	@$H/check.sh

check-all: assemble ## check, every mail by itself, test and compare
	@$H/check-all.sh

export: assemble ## the series as mails in build/export
	@$H/export.sh

refresh: deps	## edits in build/linux into patches/ and the new files
	@$H/refresh.sh

bump:		## to the newest base package
	@$H/bump.sh

clean:		## remove build/, downloads and compiler cache included
	rm -rf build

.PHONY: help deps assemble kernel run test boot compare check check-all export \
	refresh bump clean
