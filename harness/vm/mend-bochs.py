#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""mend-bochs.py IN OUT - a copy of bochs-bin in which guests can be interrupted.

With "external-interrupt exiting" an interrupt ends a VMX guest's turn whatever the
guest's RFLAGS.IF is.  bochs looks at that control only when IF changes inside the
guest: one that is entered with IF=0 runs on for ever, without a tick, an IPI or a
kick; and after one that was left with IF=1 the host is interrupted with IF=0.  Version 2.7,
which Debian 12 has, does so.

bochs keeps the events that wait (pending_event), and those that are masked
(event_mask, the next word).  Bit 2 is INIT, masked since VMXON; bits 10 and 11 are
interrupts, of the 8259 and of the local APIC.  At VM entry INIT is unmasked, at VM
exit masked; the copy does so with both interrupts, and INIT stays masked.

Exit status 1, and no OUT, unless the machine code of each place is there once.
"""

import re
import sys

INIT, INTERRUPTS = 0x04, 0x0C  # the second one in the word's second byte


def only(pattern, code, what):
    """The one match of a pattern."""
    found = list(re.finditer(pattern, code, re.DOTALL))
    if len(found) != 1:
        sys.exit(f"mend-bochs: {what}: {len(found)} places instead of one; "
                 "another version or build of bochs?")
    return found[0]


def word(number):
    """As an instruction's displacement, in a pattern."""
    return re.escape(number.to_bytes(4, "little"))


def patch(code, at, opcode, disp, mask):
    """opcode imm8, disp(%rbx), in place of one of the same length."""
    new = opcode + disp.to_bytes(4, "little") + bytes([mask])
    code[at:at + len(new)] = new


def main():
    """Read, find, change, write."""
    source, target = sys.argv[1:]
    with open(source, "rb") as f:
        code = bytearray(f.read())
    # VMexit: andl $0xffff8d0f, pending_event(%rbx)
    leave = only(rb"\x81\xa3(.{4})\x0f\x8d\xff\xff", code, "the events that a VM exit clears")
    pending = int.from_bytes(leave[1], "little")
    mask = pending + 4
    # ... orl $4, event_mask(%rbx)
    hide = only(rb"\x83\x8b" + word(mask) + bytes([INIT]),
                code[leave.end():leave.end() + 64], "the event that a VM exit masks")
    # VMLAUNCH: andl $~4, event_mask(%rbx); movb $1, in_guest(%rbx);
    #	testb $4, pending_event(%rbx)
    enter = only(rb"\x83\xa3" + word(mask) + bytes([~INIT & 0xFF]) +
                 rb"\xc6\x83.{4}\x01" + rb"\xf6\x83" + word(pending) + bytes([INIT]),
                 code, "the event that a VM entry unmasks")
    patch(code, leave.end() + hide.start(), b"\x80\x8b", mask + 1, INTERRUPTS)
    patch(code, enter.start(), b"\x80\xa3", mask + 1, ~INTERRUPTS & 0xFF)
    patch(code, enter.end() - 7, b"\xf6\x83", pending + 1, INTERRUPTS)
    with open(target, "wb") as f:
        f.write(code)


main()
