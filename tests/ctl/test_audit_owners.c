/* What audit says of a worker whose share has a range of owners, or that is the owner itself.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/audit_owners.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/ctl/audit_rules.h"
#include "proto/base/checked.h"

#define OWN   1879048195u
#define KEPT  0xcbu /* chown, dac_override, fowner, setgid, setuid */
#define FACTS 3u

static struct audit_vm vm;
static struct proc_facts self;
static struct proc_facts *const worker = &vm.workers[0];

static const char *const facts[FACTS] = {"capabilities", "ids", "uid"};
static struct audit_row rows[FACTS];

/* A worker of a share of one owner's, as it should be. */
static int setup(void **state)
{
        (void)state;
        vm = (struct audit_vm){.status = {.spawner_pid = 1, .spawner_alive = true, .n_devices = 1}};
        strcpy(vm.status.devices[0].type, "fs");
        *worker = (struct proc_facts){
            .pid = 3,
            .status = {.uid = {OWN, OWN, OWN, OWN}, .gid = {OWN, OWN, OWN, OWN}},
            .ids = {.first = OWN, .n = 1, .n_all = 1, .root_is_mapped = true},
        };
        return 0;
}

static void set_capabilities(uint64_t set)
{
        for (size_t i = 0; i < PROC_CAP_COUNT_; i++)
                worker->status.capabilities[i] = set;
}

/* A worker of a share with owners, as it should be. */
static int setup_many(void **state)
{
        setup(state);
        worker->ids = (struct proc_ids){.first = 100000, .n = 65536, .n_all = 65537, .root_is_mapped = true};
        set_capabilities(KEPT);
        return 0;
}

static int keep(void *context, const struct audit_row *row)
{
        (void)context;
        for (size_t i = 0; i < FACTS; i++)
                if (strcmp(row->fact, facts[i]) == 0)
                        rows[i] = *row;
        return 0;
}

static void expect(enum audit_verdict capabilities, enum audit_verdict ids, enum audit_verdict uid)
{
        const struct audit_scene scene = {.vms = &vm, .n_vms = 1, .self = &self};
        const struct audit_subject subject = {.role = AUDIT_WORKER,
                                              .vm = &vm,
                                              .facts = worker,
                                              .device = &vm.status.devices[0],
                                              .scene = &scene};

        assert_int_equal(audit_rules_apply(&subject, keep, NULL), 0);
        assert_int_equal(rows[0].verdict, capabilities);
        assert_int_equal(rows[1].verdict, ids);
        assert_int_equal(rows[2].verdict, uid);
}

static void capabilities_over_a_range_of_owners_are_weaker_and_named(void **state)
{
        setup(state);
        vm.spawner.status.uid[1] = 0;
        expect(AUDIT_OK, AUDIT_OK, AUDIT_OK);
        setup_many(state);
        expect(AUDIT_WEAKER, AUDIT_WEAKER, AUDIT_OK);
        assert_string_equal(rows[0].measured,
                            "chown, dac_override, fowner, setgid, setuid over 100000+65536 alone: owners");
        assert_non_null(strstr(rows[1].measured, "100000+65536"));
        worker->status.uid[3] = worker->status.gid[3] = 100005; /* in the middle of making something */
        expect(AUDIT_WEAKER, AUDIT_WEAKER, AUDIT_OK);
        worker->status.uid[3] = 99999;
        expect(AUDIT_WEAKER, AUDIT_WEAKER, AUDIT_LOOSE);
        setup_many(state);
        set_capabilities(1u << 2); /* dac_read_search: a read-only one */
        expect(AUDIT_WEAKER, AUDIT_WEAKER, AUDIT_OK);
}

static void no_other_capability_and_no_unbounded_range_is_excused(void **state)
{
        setup_many(state);
        set_capabilities(KEPT | 1u << 21);
        expect(AUDIT_LOOSE, AUDIT_WEAKER, AUDIT_OK);
        setup_many(state);
        worker->status.capabilities[PROC_CAP_BOUNDING] = KEPT | 4;
        expect(AUDIT_LOOSE, AUDIT_WEAKER, AUDIT_OK);
        setup_many(state);
        worker->ids.first = 0; /* the host's root is among them */
        expect(AUDIT_LOOSE, AUDIT_LOOSE, AUDIT_OK);
        setup_many(state);
        worker->ids.n_all++; /* and somebody else */
        expect(AUDIT_LOOSE, AUDIT_LOOSE, AUDIT_OK);
        setup_many(state);
        worker->ids_error = -EACCES;
        expect(AUDIT_LOOSE, AUDIT_UNKNOWN, AUDIT_OK);
        setup_many(state);
        worker->ids.root_is_mapped = false; /* the mount does not bound it */
        expect(AUDIT_LOOSE, AUDIT_LOOSE, AUDIT_WEAKER);
        setup_many(state);
        strcpy(vm.status.devices[0].type, "blk"); /* a disk has no owners */
        expect(AUDIT_LOOSE, AUDIT_LOOSE, AUDIT_OK);
}

static void a_worker_that_is_its_folders_owner_is_weaker_in_words(void **state)
{
        setup(state);
        worker->ids.root_is_mapped = false;
        expect(AUDIT_OK, AUDIT_OK, AUDIT_WEAKER);
        assert_non_null(strstr(rows[2].measured, "its folder's owner's: no id-mapped mount there"));
        memset(worker->status.uid, 0, sizeof(worker->status.uid));
        expect(AUDIT_OK, AUDIT_OK, AUDIT_LOOSE); /* but not root */
        setup(state);
        strcpy(vm.status.devices[0].type, "rng"); /* whose root is empty and of nobody's */
        worker->ids.root_is_mapped = false;
        expect(AUDIT_OK, AUDIT_OK, AUDIT_OK);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(capabilities_over_a_range_of_owners_are_weaker_and_named),
            cmocka_unit_test(no_other_capability_and_no_unbounded_range_is_excused),
            cmocka_unit_test(a_worker_that_is_its_folders_owner_is_weaker_in_words),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
