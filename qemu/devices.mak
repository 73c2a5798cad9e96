# SPDX-License-Identifier: GPL-2.0-only
# The devices of build/qemu: machine microvm, a serial line.
CONFIG_PCI_DEVICES=n
CONFIG_TEST_DEVICES=n
CONFIG_I440FX=n
CONFIG_Q35=n
CONFIG_ISAPC=n
CONFIG_MICROVM=y
CONFIG_SERIAL_ISA=y
CONFIG_VIRTIO_BLK=y
