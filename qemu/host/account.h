/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * gmem-run: starts QEMU with a Linux guest and looks for the guest's secret.
 */
#ifndef QEMU_ACCOUNT_H
#define QEMU_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../common.h"

enum kind { ORDINARY, GMEM, PRIVATE, IN_PLACE, DEBIAN, KINDS };

/* What the guest does not share is private. */
static inline bool is_private(enum kind kind)
{
	return kind == PRIVATE || kind == IN_PLACE;
}

struct options {
	int cpus, memory;		/* MiB */
	int seconds;			/* to come up in */
	bool shell;
	bool movable;			/* the memory of its guest_memfd */
	const char *append, *cpu;
	const char *dir;		/* where QEMU and its files are */
};

struct token {
	uint32_t first;
	uint64_t digest;
	bool known;
};

/* One guest. */
struct vm {
	enum kind kind;
	const struct options *opt;
	pid_t pid;
	int in, out;			/* console */
	char stderr_path[64], qmp_path[64];
	char line[1024];		/* of the console, being received */
	size_t len;
	char last[8][128];		/* lines of it */
	int lines;
	struct token secret, marker;
	int cpus, protected;
	char clock[32], release[64];
	int share[2], nonsense, left;	/* what boot.rom was answered */
	bool ready, intact, failed;
	bool counting, counted;
	unsigned long counting_kib;
	unsigned long long passes;
	double up, total;		/* seconds */
};

/* account.c */
extern unsigned int checks, failures;
extern bool verbose;

void check(bool ok, const char *label, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void note(const char *label, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void die(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));
double seconds(void);
void print_file(const char *path);
long kib_of(const char *path, const char *name);

/* run.c */
extern const char *const kind_name[KINDS];

bool start(struct vm *vm, enum kind kind, const struct options *opt);
void run(enum kind kind, const struct options *opt);
void reset(enum kind kind, const struct options *opt);

/* summary.c */
struct result {
	bool known;
	unsigned int secret, marker;		/* how often root finds them */
	long long private, shared, huge;	/* KiB of the guest's memory */
	long long moved;			/* to another node and back */
	long rss;
	double up, total;			/* seconds */
};

struct result *result_of(enum kind kind);
void summary(void);

/* leak.c */
void leak(int boots, const struct options *opt);

/* vm.c */
bool vm_start(struct vm *vm, enum kind kind, const struct options *opt);
bool vm_wait_ready(struct vm *vm);
void vm_again(struct vm *vm);
bool vm_say(struct vm *vm, const char *text);
bool vm_ask(struct vm *vm, const char *text, const bool *answered);
bool vm_stop(struct vm *vm);
void vm_kill(struct vm *vm);
void vm_command(const struct options *opt, enum kind kind, char **argv);

/* emulator.c */
extern unsigned int lost;

void emulator_watch(void);
void emulator_look(const struct vm *vm);
bool emulator_lost(void);

/* scan.c */
struct scan {
	unsigned long long kib, unreadable_kib;
	unsigned int mappings, secret, marker;
};

void scan_process(pid_t pid, const struct token *secret,
		  const struct token *marker, struct scan *scan);

/* fdinfo.c */
struct gmem {
	int files, fd;			/* fd: of one of them, in the process */
	long long size, private, shared, resident, huge;	/* KiB */
};

void gmem_figures(pid_t pid, struct gmem *gmem);

/* move.c */
void move_enter(void);
bool move(struct vm *vm);
void move_leave(void);

/* qmp.c: the reply as text, in a static buffer; NULL if QEMU is gone. */
const char *qmp(const struct vm *vm, const char *command);
long long qmp_size(const struct vm *vm, const char *property);
const char *monitor(const struct vm *vm, const char *command);

#endif
