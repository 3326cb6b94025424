/* The latch of a VM's end.
 * Owns nothing; called by vCPU threads, devices of the bus and the front end. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/ending.h"

void kvm_ending_report(struct kvm_ending *ending, enum kvm_end end, const char *why)
{
        if (atomic_fetch_add_explicit(&ending->reports, 1, memory_order_acq_rel) == 0)
                ending->ended(ending->context, end, why);
}
