#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""mend-qemu.py IN OUT - a copy of qemu-system-x86_64 that does not lose SVM guests.

Each x87 state that any CPU loads (FXRSTOR, XRSTOR, FNINIT) makes QEMU's TCG clear
IGNNE#, a wire of the first CPU.  It is a bit in a word with other bits of that CPU,
which is read, changed and written back while the first CPU's own thread changes it:

    thread of CPU 0: #VMEXIT or VMRUN       thread of CPU 1: switches tasks

                                            FXRSTOR: cpu_clear_ignne()
                                              read CPU 0's env->hflags2
    set or clear HF2_NPT_MASK
                                              write it, as it was

So after a #VMEXIT the host's code is run with nested paging, which ends in an NPF
whose guest RIP is the host's behind VMRUN; or after VMRUN a guest is run without it, on
page tables that are any memory of the host: mostly a triple fault at once.  7.2 and
10.0 do so.  Interrupts of the 8259 for x87 errors are no system's of today, so
the copy does not clear the bit.

Exit status 1, and no OUT, unless the machine code is there once: the instruction that
clears the bit, and close behind it, in cpu_set_ignne(), the one that sets it in the
same word.
"""

import re
import sys

# andl $~HF2_IGNNE_MASK, disp32(%rax): the result of the cast to X86CPU; and
# orl $HF2_IGNNE_MASK, disp32(%rax).
PAIR = re.compile(rb"\x81\xa0(..\0\0)\x7f\xff\xff\xff(?=.{,256}?\x81\x88\1\x80\0\0\0)",
                  re.DOTALL)
NOP10 = bytes.fromhex("662e0f1f840000000000")


def main():
    source, target = sys.argv[1:]
    with open(source, "rb") as f:
        code = f.read()
    found = [m.start() for m in PAIR.finditer(code)]
    if len(found) != 1:
        sys.exit(f"mend-qemu: {len(found)} places instead of one; another version or "
                 "build of QEMU?")
    at = found[0]
    with open(target, "wb") as f:
        f.write(code[:at] + NOP10 + code[at + len(NOP10):])


main()
