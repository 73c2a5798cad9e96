/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest: a loader in shared memory and a payload for private memory.
 *
 * The VMM cannot write private memory, so it places this image in an ordinary
 * slot and starts the loader there; the loader copies the payload into private
 * memory and jumps to it.  Nothing here depends on where it is linked.
 *
 * KVM may look at the shared side of an address when it has to decode an
 * instruction.  On a CPU that does not tell the length of an intercepted
 * instruction (SVM without NRIPS) that goes for CPUID, HLT, VMMCALL, MSR and CR
 * accesses, so the payload has none of them.  OUT to a port needs no decoding.
 */
#include "guest.h"

	.macro	say message
	outl	%eax, $\message
	.endm

	.section .rodata
	.code32
	.balign	4096

/* In: ESI payload, EDI where to, EBX pages, EBP bytes of private memory */
	.globl	guest_image
guest_image:
	mov	%edi, %edx
	xor	%eax, %eax
1:	mov	$1024, %ecx
	rep movsl
	add	$4096, %eax
	dec	%ebx
	jnz	1b
	say	MSG_LOADED
	jmp	*%edx

	.balign	4096
	.globl	guest_payload
guest_payload:
	mov	$STACK_TOP, %esp
	call	1f
1:	pop	%eax
	say	MSG_RUNNING

	/* A secret in private memory, a marker of the same kind in shared. */
	mov	$SECRET_GPA, %edi
	call	draw
	call	tell_secret
	mov	$MAILBOX_GPA, %edi
	call	draw
	mov	$MAILBOX_GPA, %esi
	call	digest
	say	MSG_MARKER
	call	tell_secret

	/* Twice: the second time the VMM throws away the private page. */
	call	lend
	call	lend

	/* A hole with a page of ours on either side. */
	mov	$(HOLE_GPA - 4096), %edi
	mov	$(HOLE_SIZE + 8192), %ecx
	call	fill
	mov	$HOLE_GPA, %eax
	mov	$HOLE_SIZE, %ebx
	say	MSG_FILLED
	mov	$(HOLE_GPA - 4096), %esi
	mov	$(HOLE_SIZE + 8192), %ecx
	call	count
	say	MSG_COUNTED

	/* Private memory with nothing behind it: the VMM has to help. */
	mov	$FAR_GPA, %edi
	call	write_word
	mov	$STRAY_GPA, %edi
	call	write_word

	/* Every page, unchanged. */
	mov	$RAM_GPA, %edi
	mov	%ebp, %ecx
	shr	$12, %ecx
	mov	%ecx, %eax
1:	orl	$0, (%edi)
	add	$4096, %edi
	loop	1b
	say	MSG_POPULATED
	call	tell_secret
	/* The VMM has closed the file: what follows no longer exists. */
	say	MSG_LOADED
	ud2

/* EDI: eight words of xorshift32, none of them zero, seeded by the TSC */
draw:
	rdtsc
	or	$1, %eax
	mov	$SECRET_WORDS, %ecx
1:	mov	%eax, %edx
	shl	$13, %edx
	xor	%edx, %eax
	mov	%eax, %edx
	shr	$17, %edx
	xor	%edx, %eax
	mov	%eax, %edx
	shl	$5, %edx
	xor	%edx, %eax
	stosl
	loop	1b
	ret

/* ESI: eight words; out: EAX and EBX.  digest() in host.c does the same. */
digest:
	xor	%eax, %eax
	mov	$DIGEST_SEED, %ebx
	mov	$SECRET_WORDS, %ecx
1:	xor	(%esi), %eax
	imul	$DIGEST_MUL_A, %eax, %eax
	rol	$7, %ebx
	add	(%esi), %ebx
	imul	$DIGEST_MUL_B, %ebx, %ebx
	add	$4, %esi
	loop	1b
	ret

tell_secret:
	mov	$SECRET_GPA, %esi
	call	digest
	say	MSG_SECRET
	ret

/* Lend a range to the VMM, with a greeting and the secret, and take it back. */
lend:
	mov	$LEND_GPA, %edi
	mov	$LEND_SIZE, %ecx
	call	fill
	mov	$LEND_GPA, %eax
	mov	$LEND_SIZE, %ebx
	say	MSG_SHARE

	mov	$SECRET_GPA, %esi
	mov	$LEND_GPA, %edi
	mov	$SECRET_WORDS, %ecx
	rep movsl
	mov	%edi, %eax
	mov	$(RAM_GPA + greeting - guest_payload), %esi
	mov	$(greeting_end - greeting), %ecx
	mov	%ecx, %ebx
	rep movsb
	say	MSG_GREETING

	mov	$LEND_GPA, %eax
	mov	$LEND_SIZE, %ebx
	say	MSG_UNSHARE
	mov	$LEND_GPA, %esi
	mov	$LEND_SIZE, %ecx
	call	count
	say	MSG_COUNTED
	ret

/* EDI, ECX bytes: every word is its own address */
fill:
	shr	$2, %ecx
1:	mov	%edi, (%edi)
	add	$4, %edi
	loop	1b
	ret

/* ESI, ECX bytes; out: EAX words that fill() wrote, EBX words of zero */
count:
	xor	%eax, %eax
	xor	%ebx, %ebx
	shr	$2, %ecx
1:	cmp	%esi, (%esi)
	jne	2f
	inc	%eax
2:	cmpl	$0, (%esi)
	jne	3f
	inc	%ebx
3:	add	$4, %esi
	loop	1b
	ret

/* EDI: write a word that may fault, read it back */
write_word:
	mov	%edi, (%edi)
	mov	(%edi), %eax
	mov	%edi, %ebx
	say	MSG_WROTE
	ret

greeting:
	.ascii	"hello from private memory"
greeting_end:

	.globl	guest_image_end
guest_image_end:

	.section .note.GNU-stack, "", @progbits
