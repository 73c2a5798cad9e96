/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the VMM and its guest agree on; read by the compiler and the assembler.
 *
 * Guest-physical layout.  The guest runs in flat 32-bit protected mode without
 * paging, so these are its linear addresses as well.
 */
#ifndef SAMPLES_GUEST_MEMFD_GUEST_H
#define SAMPLES_GUEST_MEMFD_GUEST_H

#define BOOT_GPA	0x00010000	/* ordinary slot, no file: the image */
#define BOOT_SIZE	0x00010000
#define MAILBOX_GPA	0x0001e000	/* shared: the guest's public marker */
#define STRAY_GPA	0x0001f000	/* made private with no file behind it */

#define RAM_GPA		0x01000000	/* private, guest_memfd offset 0 */
#define STACK_TOP	0x01008000
#define SECRET_GPA	0x01010000
#define DECOY_SIZE	0x00020000	/* what the VMM puts below all that */
#define LEND_GPA	0x01100000	/* converted to shared and back */
#define LEND_SIZE	0x00010000
#define HOLE_GPA	0x01280000	/* punched while it is private */
#define HOLE_SIZE	0x00100000

#define FAR_GPA		0x40000000	/* private before it has a slot */
#define FAR_SIZE	0x00200000

/*
 * The guest speaks by writing to an I/O port: the port is the message, EAX and
 * EBX are its two numbers.
 */
#define MSG_LOADED	0xe0	/* bytes copied to private memory, - */
#define MSG_RUNNING	0xe1	/* address of the running code, - */
#define MSG_SECRET	0xe2	/* digest of the secret, both halves */
#define MSG_MARKER	0xe3	/* digest of the marker, both halves */
#define MSG_SHARE	0xe4	/* please make shared: gpa, size */
#define MSG_GREETING	0xe5	/* gpa of the greeting, its length */
#define MSG_UNSHARE	0xe6	/* please make private: gpa, size */
#define MSG_FILLED	0xe7	/* pattern written: gpa, size */
#define MSG_COUNTED	0xe8	/* words with the pattern, words of zero */
#define MSG_WROTE	0xe9	/* the word read back, gpa */
#define MSG_POPULATED	0xea	/* pages touched, - */

/* The secret and the marker are eight random words; this is their digest. */
#define SECRET_WORDS	8
#define DIGEST_SEED	0x9e3779b9
#define DIGEST_MUL_A	0x01000193
#define DIGEST_MUL_B	0x85ebca6b

#endif
