// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest of each kind: boot it, search it, ask for it, reset it.
 */
#include <stdio.h>
#include <string.h>

#include "account.h"

const char *const kind_name[KINDS] = {
	"ordinary", "gmem", "private", "in-place", "debian",
};

static bool try_start(struct vm *vm, enum kind kind, const struct options *opt)
{
	emulator_watch();
	vm_start(vm, kind, opt);
	return vm_wait_ready(vm) && !vm->failed;
}

static void print_last(const struct vm *vm)
{
	int i;

	for (i = vm->lines > 8 ? vm->lines - 8 : 0; i < vm->lines; i++)
		printf("    | %s\n", vm->last[i % 8]);
	print_file(vm->stderr_path);
}

/* A guest that does not answer: why not? */
static void print_why(const struct vm *vm)
{
	print_last(vm);
	emulator_look(vm);
	emulator_lost();
}

/* A guest that the emulator loses has another try, one. */
bool start(struct vm *vm, enum kind kind, const struct options *opt)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (try_start(vm, kind, opt))
			return true;
		note("not up", "after %.1f s; last of the console, QEMU, last exits:", vm->up);
		print_last(vm);
		emulator_look(vm);
		vm_kill(vm);
		if (!emulator_lost())
			break;
		note("again", "the emulator lost the guest: an exit from inside the host's VMRUN");
		lost++;
	}
	check(false, "boot", "no userspace");
	return false;
}

static bool running(const struct vm *vm)
{
	const char *reply = qmp(vm, "{\"execute\":\"query-status\"}");

	return reply && strstr(reply, "\"running\": true");
}

/* The VMM's own access to a private page: an error, and it goes on. */
static void check_access(const struct vm *vm)
{
	const char *reply;

	reply = monitor(vm, "xp /4wx 0x1000000");
	check(reply && strstr(reply, "private to the guest") &&
	      strstr(reply, "Cannot access memory"), "QEMU looks at it",
	      "%.*s", reply ? (int)strcspn(reply + 12, "\r\n\\}") : 20,
	      reply ? reply + 12 : "QEMU is gone");
	reply = monitor(vm, "xp /4wx 0x9f000");
	check(reply && strstr(reply, "9f000: 0x"), "its shared page",
	      "%.*s", reply ? (int)strcspn(reply + 12, "\r\n\\}") : 20,
	      reply ? reply + 12 : "QEMU is gone");
	check(running(vm), "QEMU goes on", "the guest is running");
}

/* What QEMU thinks of the addresses, and what the kernel says of the files. */
static void check_sizes(const struct vm *vm)
{
	long long private = qmp_size(vm, "private-size");
	long long shared = qmp_size(vm, "shared-size");
	long long memory = vm->opt->memory * 1024ll;
	struct result *result = result_of(vm->kind);
	struct gmem gmem;

	gmem_figures(vm->pid, &gmem);
	result->private = private < 0 ? 0 : private;
	result->shared = memory - result->private;
	result->huge = gmem.huge;
	if (vm->kind == ORDINARY || vm->kind == DEBIAN) {
		check(!gmem.files, "guest_memfd", "none");
		return;
	}
	if (is_private(vm->kind))
		check(private + shared == memory && shared == 4, "guest memory",
		      "%lld KiB private, %lld KiB shared", private, shared);
	/* What is shared is in the file, or beside it. */
	if (vm->kind != IN_PLACE)
		private = vm->kind == PRIVATE ? memory : 0;
	check(gmem.size == memory && gmem.resident > 0 && gmem.private == private &&
	      gmem.shared == memory - private,
	      "guest_memfd",
	      "%d of %lld KiB: %lld private, %lld shared; %lld resident, %lld of it huge",
	      gmem.files, gmem.size, gmem.private, gmem.shared, gmem.resident, gmem.huge);
	/* Its own pages of 4 KiB are the image, and what is next to shared ones. */
	check(gmem.huge >= gmem.resident / 4, "huge pages", "%lld of %lld KiB",
	      gmem.huge, gmem.resident);
}

static void check_boot(const struct vm *vm)
{
	check(vm->cpus == vm->opt->cpus && !strcmp(vm->clock, "kvm-clock"), "boot",
	      "Linux %s, %d CPUs, clock %s, userspace after %.1f s",
	      vm->release, vm->cpus, vm->clock, vm->up);
	check(vm->protected == is_private(vm->kind), "guest", vm->protected ?
	      "knows that KVM protects its memory from the VMM" :
	      "knows that its memory is not protected");
	check(vm->secret.known && vm->marker.known, "guest",
	      "has a secret, and a message in the page that it shares");
	if (is_private(vm->kind))
		check(!vm->share[0] && !vm->share[1] && !vm->left && vm->nonsense < 0,
		      "conversions", "shared, private, shared: emptied; nonsense gets error %d",
		      -vm->nonsense);
}

static void check_secrecy(const struct vm *vm)
{
	struct result *result = result_of(vm->kind);
	struct scan scan;
	char path[64];

	scan_process(vm->pid, &vm->secret, &vm->marker, &scan);
	snprintf(path, sizeof(path), "/proc/%d/status", vm->pid);
	result->secret = scan.secret;
	result->marker = scan.marker;
	result->rss = kib_of(path, "VmRSS");
	note("root searches", "/proc/%d/mem: %llu KiB in %u mappings; %llu KiB unreadable",
	     vm->pid, scan.kib, scan.mappings, scan.unreadable_kib);
	note("", "VmRSS of QEMU: %ld KiB", result->rss);
	check(is_private(vm->kind) ? !scan.secret : scan.secret >= TOKEN_COPIES,
	      "root finds", "the secret %u times%s", scan.secret,
	      is_private(vm->kind) ? "" : ", as expected: nothing is private here");
	check(scan.marker >= 1, "root finds", "the shared message %u times", scan.marker);
}

static void stop(struct vm *vm, double begin)
{
	bool ended = vm_stop(vm);

	check(vm->intact && ended, "end", "the guest's secret is intact, QEMU ends; %.1f s in all",
	      seconds() - begin);
	if (!ended)
		print_last(vm);
}

static void look_and_move(struct vm *vm, double begin)
{
	check_boot(vm);
	check_secrecy(vm);
	check_sizes(vm);
	if (is_private(vm->kind))
		check_access(vm);
	if (!vm->opt->movable || move(vm)) {
		stop(vm, begin);
	} else {
		print_why(vm);
		vm_kill(vm);
	}
	result_of(vm->kind)->up = vm->up;
	result_of(vm->kind)->total = seconds() - begin;
}

/* Memory that is in a guest_memfd shall be movable, and moves. */
void run(enum kind kind, const struct options *opt)
{
	struct options movable = *opt;
	static struct vm vm;
	double begin = seconds();

	movable.movable = kind == GMEM || is_private(kind);
	printf("%s guest, %d CPUs, %d MiB\n", kind_name[kind], opt->cpus, opt->memory);
	if (movable.movable)
		move_enter();
	if (start(&vm, kind, &movable))
		look_and_move(&vm, begin);
	if (movable.movable)
		move_leave();
}

/* From now on a guest that resets starts anew, or ends its QEMU again. */
static bool set_reboot(const struct vm *vm, const char *action)
{
	char text[128];
	const char *reply;

	snprintf(text, sizeof(text),
		 "{\"execute\":\"set-action\",\"arguments\":{\"reboot\":\"%s\"}}", action);
	reply = qmp(vm, text);
	return reply && strstr(reply, "return");
}

/*
 * A private guest that resets itself, and that the VMM resets: it comes up with
 * all its memory private again, and the page shared again.
 */
void reset(enum kind kind, const struct options *opt)
{
	static const char *const who[] = { "the guest", "the VMM" };
	static struct vm vm;
	double begin = seconds();
	uint64_t old;
	int i;

	printf("%s guest, reset, %d CPUs, %d MiB\n", kind_name[kind], opt->cpus,
	       opt->memory);
	if (!start(&vm, kind, opt))
		return;
	check_boot(&vm);
	check(set_reboot(&vm, "reset"), "QEMU", "restarts the guest from now on");
	for (i = 0; i < 2; i++) {
		note("reset", "by %s", who[i]);
		emulator_watch();
		old = vm.secret.digest;
		vm_again(&vm);
		if (i ? !qmp(&vm, "{\"execute\":\"system_reset\"}") : !vm_say(&vm, "\n")) {
			check(false, "reset", "QEMU is gone");
			break;
		}
		if (!vm_wait_ready(&vm) || vm.failed) {
			check(false, "reset", "no userspace after %.1f s", vm.up);
			print_why(&vm);
			break;
		}
		check_boot(&vm);
		check(vm.secret.digest != old && (i || vm.intact), "secrets",
		      "a new one%s", i ? "" : "; the old one was intact");
		vm.intact = false;
		check_secrecy(&vm);
		check_sizes(&vm);
	}
	if (i < 2) {
		vm_kill(&vm);
		return;
	}
	check(set_reboot(&vm, "shutdown"), "QEMU", "ends with the guest from now on");
	stop(&vm, begin);
}
