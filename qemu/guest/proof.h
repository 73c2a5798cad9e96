/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QEMU_GUEST_PROOF_H
#define QEMU_GUEST_PROOF_H

#include <stdint.h>

#include "../common.h"

/* proof.c */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
int fail(const char *what);

/* The page that boot.rom has made shared; the VMM can read what is there. */
volatile uint32_t *map_shared(void);

/* count.c */
void count_start(void);
void count_stop(void);

#endif
