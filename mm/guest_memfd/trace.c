// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: where its trace events are defined.
 */

#define CREATE_TRACE_POINTS
#include <trace/events/guest_memfd.h>
