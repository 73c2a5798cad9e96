/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For range_map_test.c: sequence counters that order loads and stores as those
 * of the kernel do, and can be told not to.
 */
#ifndef SELFTEST_KVM_LINUX_SEQLOCK_H
#define SELFTEST_KVM_LINUX_SEQLOCK_H

#include <sched.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>

struct seqcount {
	unsigned int sequence;
};

struct seqcount_spinlock {
	struct seqcount seqcount;
};

/* As tools/include has spinlock_t. */
#define seqcount_t		struct seqcount
#define seqcount_spinlock_t	struct seqcount_spinlock

/* Readers take what they find for true. */
extern bool test_never_retry;
/* Of this thread. */
extern __thread unsigned long test_nr_retries;

/* Called with the lock held, in the middle of a change and after it. */
void test_amid_change(spinlock_t *lock);
void test_after_change(void);

#define lockdep_assert_held(lock)	test_amid_change(lock)

#define seqcount_spinlock_init(s, lock)	\
	((void)(lock), (void)(*(s) = (seqcount_spinlock_t) {}))

/* Either type begins with it. */
#define to_seqcount(s)			((seqcount_t *)(s))
#define read_seqcount_begin(s)		test_seqcount_begin(to_seqcount(s))
#define read_seqcount_retry(s, seq)	test_seqcount_retry(to_seqcount(s), seq)
#define write_seqcount_begin(s)		test_seqcount_write(to_seqcount(s))
#define write_seqcount_end(s)		test_seqcount_end(to_seqcount(s))

static inline unsigned int raw_seqcount_begin(const seqcount_t *s)
{
	return __atomic_load_n(&s->sequence, __ATOMIC_ACQUIRE) & ~1U;
}

static inline unsigned int test_seqcount_begin(const seqcount_t *s)
{
	unsigned int seq;

	while ((seq = __atomic_load_n(&s->sequence, __ATOMIC_ACQUIRE)) & 1)
		sched_yield();
	return seq;
}

static inline bool test_seqcount_retry(const seqcount_t *s, unsigned int seq)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (test_never_retry ||
	    __atomic_load_n(&s->sequence, __ATOMIC_RELAXED) == seq)
		return false;
	test_nr_retries++;
	return true;
}

static inline void test_seqcount_write(seqcount_t *s)
{
	__atomic_store_n(&s->sequence, s->sequence + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void test_seqcount_end(seqcount_t *s)
{
	__atomic_store_n(&s->sequence, s->sequence + 1, __ATOMIC_RELEASE);
	test_after_change();
}

#endif /* SELFTEST_KVM_LINUX_SEQLOCK_H */
