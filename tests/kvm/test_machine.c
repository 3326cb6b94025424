/* The machine under a guest of our own, on this host's /dev/kvm.
 * Owns a VM a test. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/kvm/rig.h"

static void guest_says_hello(enum kvm_boot_mode mode)
{
        struct rig rig;

        rig_open(&rig, 1);
        rig_boot(&rig, mode, "hello=7");
        rig_wait_output(&rig, "ok hello 7\nend\n");
        rig_wait_end(&rig, KVM_END_SHUTDOWN);
        assert_string_equal(rig.why, "the guest has switched itself off (ACPI S5)");
        rig_close(&rig);
}

static void guest_of_64_bits_runs_and_switches_itself_off(void **state)
{
        (void)state;
        guest_says_hello(KVM_BOOT_LINUX64);
}

static void guest_of_pvh_runs_and_switches_itself_off(void **state)
{
        (void)state;
        guest_says_hello(KVM_BOOT_PVH);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
            cmocka_unit_test(guest_of_64_bits_runs_and_switches_itself_off),
            cmocka_unit_test(guest_of_pvh_runs_and_switches_itself_off),
        };
        const char *missing = rig_missing();

        if (missing) {
                printf("skipped: %s\n", missing);
                return getenv("MUST_RUN") ? 1 : 77;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
