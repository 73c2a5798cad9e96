/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * boot.rom: starts a Linux kernel in memory that the VMM cannot reach.
 *
 * The first program of a software-protected guest on QEMU's machine "microvm".
 * The ROM is memory that guest and VMM share; all RAM is private, and empty.
 * What -kernel, -initrd and -append name is in fw_cfg, whose DMA reaches shared
 * memory only: so it is read piece by piece into a buffer in the ROM's own
 * 64 KiB, and copied from there.  Then the 32-bit boot protocol of Linux.
 *
 * An ordinary guest starts in the same way.
 *
 *	ffff0000	buffer for fw_cfg, 48 KiB
 *	ffffc000	fw_cfg DMA request
 *	ffffd000	free
 *	fffff000	code
 *	fffffff0	first instruction
 *
 *	00008000	stack, downwards
 *	00010000	setup part of the kernel  \  these are QEMU's choice
 *	00020000	command line		  /
 *	00090000	boot_params
 *	0009f000	the page that is shared, see SHARED
 *	000fd000	MP table
 *	00100000	kernel
 */

#define ROM		0xffff0000
#define BUFFER		ROM
#define BUFFER_SIZE	0xc000
#define REQUEST		(ROM + 0xc000)

#define STACK		0x8000
#define BOOT_PARAMS	0x90000
#define MP_TABLE	0xfd000		/* ordinary guests: an alias of ffffd000 */
#define MP_CONFIG	(MP_TABLE + 16)
#define LOWMEM_END	0xc0000000	/* microvm: the rest is above 4 GiB */

/*
 * One page, not in the memory map that Linux gets, in which guest and VMM can
 * leave each other a message: what the VMM can find if something is not private.
 */
#define SHARED		0x9f000

#define CS32		0x10		/* __BOOT_CS, __BOOT_DS */
#define DS32		0x18

#define KVM_HC_MAP_GPA_RANGE	12
#define SHARE		0
#define UNSHARE		0x10

#define FW_CFG_DMA_LOW	0x518
#define DMA_ERROR	1
#define DMA_READ	2
#define DMA_SELECT	8

#define CFG_RAM_SIZE	0x03
#define CFG_NB_CPUS	0x05
#define CFG_KERNEL	0x07, 0x08, 0x11	/* address, size, data */
#define CFG_INITRD	0x0a, 0x0b, 0x12
#define CFG_CMDLINE	0x13, 0x14, 0x15
#define CFG_SETUP	0x16, 0x17, 0x18

#define COM1		0x3f8

	/* Copy the item with these three keys to where it belongs. */
	.macro load address, size, data
	movl	$\size, %eax
	call	cfg_u32
	movl	%eax, %ebp
	movl	$\address, %eax
	call	cfg_u32
	movl	%eax, %edi
	movl	$\data, %ebx
	call	cfg_copy
	.endm

	.section .rom, "ax"
rom:
	.org	0xf000
	.code16
enter16:
	cli
	cld
	lgdtl	%cs:(gdtr - rom)
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$CS32, $(ROM + enter32 - rom)

	.code32
enter32:
	movl	$DS32, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%eax, %ss
	movl	$STACK, %esp

	movl	$0x17, %eax		/* the size of the setup part */
	call	cfg_u32
	movl	$(ROM + no_kernel - rom), %esi
	testl	%eax, %eax
	jz	fail

	load	CFG_SETUP
	load	CFG_CMDLINE
	load	CFG_KERNEL
	load	CFG_INITRD
	call	share_page
	call	boot_params
	call	mp_table

	movl	$0x16, %eax
	call	cfg_u32
	movl	0x214(%eax), %eax	/* code32_start */
	movl	$BOOT_PARAMS, %esi
	xorl	%ebx, %ebx
	xorl	%ebp, %ebp
	xorl	%edi, %edi
	jmp	*%eax

/*
 * fw_cfg.  %eax: control word; %ecx: bytes, at most BUFFER_SIZE; into BUFFER.
 */
cfg_dma:
	bswapl	%eax
	movl	%eax, REQUEST
	movl	%ecx, %eax
	bswapl	%eax
	movl	%eax, REQUEST + 4
	movl	$0, REQUEST + 8
	movl	$BUFFER, %eax
	bswapl	%eax
	movl	%eax, REQUEST + 12
	movl	$REQUEST, %eax
	bswapl	%eax
	movl	$FW_CFG_DMA_LOW, %edx
	outl	%eax, %dx
1:	movl	REQUEST, %eax
	bswapl	%eax
	testl	$DMA_ERROR, %eax
	jnz	2f
	testl	%eax, %eax
	jnz	1b
	ret
2:	movl	$(ROM + no_fw_cfg - rom), %esi
	jmp	fail

/* %eax: key.  Returns %eax; %edx has the upper half of what is longer. */
cfg_u32:
	pushl	%ecx
	movl	$0, BUFFER + 4
	shll	$16, %eax
	orl	$(DMA_SELECT | DMA_READ), %eax
	movl	$8, %ecx
	call	cfg_dma
	movl	BUFFER, %eax
	movl	BUFFER + 4, %edx
	popl	%ecx
	ret

/* %ebx: key, %edi: where to, %ebp: bytes. */
cfg_copy:
	movl	%ebx, %eax
	shll	$16, %eax
	orl	$DMA_SELECT, %eax
1:	testl	%ebp, %ebp
	jz	3f
	movl	$BUFFER_SIZE, %ecx
	cmpl	%ecx, %ebp
	jae	2f
	movl	%ebp, %ecx
2:	orl	$DMA_READ, %eax
	call	cfg_dma
	subl	%ecx, %ebp
	movl	$BUFFER, %esi
	addl	$3, %ecx		/* the slack is overwritten, or zero */
	shrl	$2, %ecx
	rep movsl
	xorl	%eax, %eax
	jmp	1b
3:	ret

/*
 * Ask for SHARED to be shared, private and shared again, and for something that
 * cannot be; leave the answers behind the greeting.  Where nothing is private
 * all answers are errors, and the page is what it has to be.
 */
share_page:
	movl	$0x40000000, %eax
	cpuid
	cmpl	$0x4b4d564b, %ebx	/* "KVMKVMKVM" */
	jne	1f
	movl	$SHARED, %ebx
	movl	$SHARE, %edx
	call	map_gpa
	movl	%eax, SHARED + 0x40
	movl	$0x4d4f52, SHARED	/* must not survive this: */
	movl	$UNSHARE, %edx
	call	map_gpa
	movl	%eax, SHARED + 0x44
	movl	$SHARE, %edx
	call	map_gpa
	pushl	SHARED
	pushl	%eax
	movl	$0xe0000000, %ebx	/* no memory there */
	movl	$UNSHARE, %edx
	call	map_gpa
	movl	%eax, SHARED + 0x48
	popl	SHARED + 0x44
	popl	SHARED + 0x4c
1:	movl	$(ROM + greeting - rom), %esi
	movl	$SHARED, %edi
	movl	$(greeting_end - greeting), %ecx
	rep movsb
	ret

/* %ebx: address of a page, %edx: attributes.  Returns %eax. */
map_gpa:
	pushl	%ebx
	pushl	%edx
	xorl	%eax, %eax
	cpuid
	cmpl	$0x756e6547, %ebx	/* "Genu", and not "Auth" */
	popl	%edx
	popl	%ebx
	movl	$KVM_HC_MAP_GPA_RANGE, %eax
	movl	$1, %ecx
	je	1f
	vmmcall
	ret
1:	vmcall
	ret

boot_params:
	movl	$BOOT_PARAMS, %edi
	xorl	%eax, %eax
	movl	$1024, %ecx
	rep stosl

	/* The setup header ends where its jump instruction leads to. */
	movl	$0x16, %eax
	call	cfg_u32
	movl	%eax, %esi
	movzbl	0x201(%esi), %ecx
	addl	$(0x202 - 0x1f1), %ecx
	addl	$0x1f1, %esi
	movl	$(BOOT_PARAMS + 0x1f1), %edi
	rep movsb

	/* Memory: below the shared page, above 1 MiB, above 4 GiB. */
	movl	$CFG_RAM_SIZE, %eax
	call	cfg_u32			/* %edx:%eax */
	movl	$(BOOT_PARAMS + 0x2d0), %edi
	movl	$SHARED, 8(%edi)
	movb	$1, 16(%edi)
	movb	$2, BOOT_PARAMS + 0x1e8
	testl	%edx, %edx
	jnz	1f
	cmpl	$LOWMEM_END, %eax
	jbe	2f
1:	movl	$1, 40 + 4(%edi)
	subl	$LOWMEM_END, %eax
	sbbl	$0, %edx
	movl	%eax, 40 + 8(%edi)
	movl	%edx, 40 + 12(%edi)
	movb	$1, 40 + 16(%edi)
	movb	$3, BOOT_PARAMS + 0x1e8
	movl	$LOWMEM_END, %eax
2:	subl	$0x100000, %eax
	movl	$0x100000, 20(%edi)
	movl	%eax, 20 + 8(%edi)
	movb	$1, 20 + 16(%edi)
	ret

/*
 * What Linux needs to find more than one CPU and the I/O APIC without ACPI.
 */
mp_table:
	movl	$CFG_NB_CPUS, %eax
	call	cfg_u32
	movzwl	%ax, %ebp

	movl	$(ROM + mp_head - rom), %esi
	movl	$MP_TABLE, %edi
	movl	$(mp_head_end - mp_head), %ecx
	rep movsb

	xorl	%ecx, %ecx		/* processors; the APIC id counts */
1:	movb	$0, (%edi)
	movb	%cl, 1(%edi)
	movb	$0x14, 2(%edi)
	testl	%ecx, %ecx
	setz	%al
	shlb	$1, %al
	orb	$1, %al
	movb	%al, 3(%edi)
	xorl	%eax, %eax
	movl	%eax, 4(%edi)
	movl	%eax, 8(%edi)
	movl	%eax, 12(%edi)
	movl	%eax, 16(%edi)
	addl	$20, %edi
	incl	%ecx
	cmpl	%ebp, %ecx
	jb	1b

	movl	$(ROM + mp_bus - rom), %esi
	movl	$(mp_bus_end - mp_bus), %ecx
	rep movsb

	movl	$0x01110002, %eax	/* I/O APIC, version, enabled */
	movl	%eax, (%edi)
	movl	%ebp, %eax
	movb	%al, 1(%edi)
	movl	$0xfec00000, 4(%edi)
	addl	$8, %edi

	xorl	%ecx, %ecx		/* ISA interrupts; the timer is at 2 */
2:	movl	$3, (%edi)
	movb	$0, 4(%edi)
	movb	%cl, 5(%edi)
	movl	%ebp, %eax
	movb	%al, 6(%edi)
	movb	%cl, 7(%edi)
	testl	%ecx, %ecx
	jnz	3f
	movb	$2, 7(%edi)
	incl	%ecx			/* 2 is the other PIC */
	addl	$8, %edi
	jmp	2b
3:	addl	$8, %edi
	incl	%ecx
	cmpl	$2, %ecx
	jne	4f
	incl	%ecx
4:	cmpl	$16, %ecx
	jb	2b

	movl	$(ROM + mp_local - rom), %esi
	movl	$(mp_local_end - mp_local), %ecx
	rep movsb

	/* Entries: processors, bus, I/O APIC, 15 ISA, 2 local. */
	leal	19(%ebp), %eax
	movw	%ax, MP_CONFIG + 34
	subl	$MP_CONFIG, %edi
	movw	%di, MP_CONFIG + 4
	movl	$MP_CONFIG, %esi
	movl	%edi, %ecx
	call	checksum
	movb	%al, MP_CONFIG + 7
	movl	$MP_TABLE, %esi
	movl	$16, %ecx
	call	checksum
	movb	%al, MP_TABLE + 10
	ret

/* %al: what makes the sum of the %ecx bytes at %esi zero. */
checksum:
	xorl	%eax, %eax
1:	subb	(%esi), %al
	incl	%esi
	loop	1b
	ret

/* %esi: a line for the console. */
fail:
	movl	$COM1, %edx
1:	lodsb
	testb	%al, %al
	jz	2f
	outb	%al, %dx
	jmp	1b
2:	hlt
	jmp	2b

no_kernel:
	.asciz	"boot.rom: no Linux kernel; give QEMU one with -kernel\r\n"
no_fw_cfg:
	.asciz	"boot.rom: fw_cfg DMA failed; is the firmware shared memory?\r\n"
greeting:
	.asciz	"boot.rom: this page is shared"
greeting_end:

	.balign	16
mp_head:
	.ascii	"_MP_"
	.long	MP_CONFIG
	.byte	1, 4, 0, 0, 0, 0, 0, 0
	.ascii	"PCMP"
	.word	0
	.byte	4, 0
	.ascii	"GMEM    "
	.ascii	"BOOT.ROM    "
	.long	0
	.word	0, 0
	.long	0xfee00000
	.long	0
mp_head_end:
mp_bus:
	.byte	1, 0
	.ascii	"ISA   "
mp_bus_end:
mp_local:
	.byte	4, 3, 0, 0, 0, 0, 0xff, 0	/* LINT0: from the PICs */
	.byte	4, 1, 0, 0, 0, 0, 0xff, 1	/* LINT1: NMI */
mp_local_end:

	.balign	8
gdt:
	.quad	0
	.quad	0
	.quad	0x00cf9b000000ffff		/* CS32 */
	.quad	0x00cf93000000ffff		/* DS32 */
gdtr:
	.word	gdtr - gdt - 1
	.long	ROM + gdt - rom

	.org	0xfff0
	.code16
	jmp	enter16
	.org	0x10000
