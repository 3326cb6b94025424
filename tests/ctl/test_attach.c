/* What VMMs are told: no device type is forgotten.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/attach.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"

static const char *const names[] = {"qemu", "libvirt", "cloud-hypervisor", "crosvm"};

static void each_vmm_has_a_row_for_each_device_type(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(names); i++) {
                const struct attach_vmm *vmm = attach_find(names[i]);

                assert_non_null(vmm);
                assert_string_equal(vmm->name, names[i]);
                for (unsigned t = 0; t < DEVICE_TYPE_COUNT_; t++) {
                        const struct attach_row *row = attach_find_row(vmm, device_types[t].name);

                        if (!row || !row->print == !row->cannot)
                                fail_msg("%s is not told how to attach %s, nor why not", names[i],
                                         device_types[t].name);
                        if (row->cannot)
                                assert_non_null(strchr(row->cannot, ':'));
                }
        }
        assert_null(attach_find("xen"));
        assert_null(attach_find(""));
}

/* What QEMU itself refuses is said where its arguments are made; what it is passed on must be there. */
static void what_libvirt_passes_on_qemu_knows(void **state)
{
        const struct attach_vmm *vmm = attach_find("libvirt");

        (void)state;
        for (size_t i = 0; i < vmm->n_rows; i++) {
                const struct attach_row *row = attach_find_row(attach_find("qemu"), vmm->rows[i].type);

                if (!vmm->rows[i].print)
                        continue;
                assert_non_null(row);
                assert_non_null(row->print);
        }
}

static void options_are_found_by_their_keys(void **state)
{
        struct device_config device = {.name = "disk0", .type = DEVICE_TYPE_BLK};
        const unsigned path = option_find(&device_types[DEVICE_TYPE_BLK], "path");
        const unsigned read_only = option_find(&device_types[DEVICE_TYPE_BLK], "read_only");

        (void)state;
        device.options.value[path].text = "/i";
        assert_string_equal(attach_text(&device, "path"), "/i");
        assert_string_equal(attach_text(&device, "read_only"), "");
        assert_string_equal(attach_text(&device, "tag"), "");
        assert_false(attach_is_given(&device, "read_only"));
        assert_false(attach_is_given(&device, "mtu"));
        device.options.value[read_only].number = 1;
        assert_int_equal(attach_number(&device, "read_only"), 1);
        assert_int_equal(attach_number(&device, "mtu"), 0);
        assert_true(attach_is_given(&device, "read_only"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(each_vmm_has_a_row_for_each_device_type),
            cmocka_unit_test(what_libvirt_passes_on_qemu_knows),
            cmocka_unit_test(options_are_found_by_their_keys),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
