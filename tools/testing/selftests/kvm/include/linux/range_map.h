/* SPDX-License-Identifier: GPL-2.0 */
/* For range_map_test.c, which compiles lib/range_map.c. */
#include "../../../../../../include/linux/range_map.h"
