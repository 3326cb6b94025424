/* bulkhead doctor: what this host lacks, before anything is started.
 * Owns the JSON tree while it runs; called by ctl_main.c.
 * TRUST: the kernel's answers; the configuration is the operator's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "broker/ctl/config_open.h"
#include "broker/ctl/ctl.h"
#include "broker/ctl/doctor_facts.h"
#include "broker/ctl/doctor_rules.h"
#include "proto/base/cleanup.h"

struct doctor {
        json_t *rows;     /* NULL: lines */
        bool kvm;         /* what a VM of the broker's own needs counts */
        size_t n_missing; /* that counts */
};

static bool counts(const struct doctor *doctor, const struct doctor_row *row)
{
        return row->verdict == DOCTOR_MISSING && (row->need == DOCTOR_NEED_ALL || doctor->kvm);
}

static int visit_json(const struct doctor *doctor, const struct doctor_row *row)
{
        json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s}", "check", row->check, "verdict",
                                   doctor_verdict_name(row->verdict), "found", row->found, "remedy",
                                   row->remedy, "needed_by", row->need == DOCTOR_NEED_KVM ? "kvm" : "all");

        return json_array_append_new(doctor->rows, object) < 0 ? -ENOMEM : 0;
}

static int visit(void *context, const struct doctor_row *row)
{
        struct doctor *doctor = context;

        if (counts(doctor, row))
                doctor->n_missing++;
        if (doctor->rows)
                return visit_json(doctor, row);
        printf("%-8s %-26s %s%s%s%s\n", doctor_verdict_name(row->verdict), row->check, row->found,
               row->remedy[0] ? ": " : "", row->remedy,
               row->need == DOCTOR_NEED_KVM && row->verdict == DOCTOR_MISSING && !doctor->kvm
                   ? " (only frontend kvm needs it)"
                   : "");
        return 0;
}

static int print_json(struct doctor *doctor)
{
        json_t *root = json_pack("{s:b, s:I, s:O}", "ok", doctor->n_missing == 0, "missing",
                                 (json_int_t)doctor->n_missing, "checks", doctor->rows);
        int r = root && json_dumpf(root, stdout, JSON_INDENT(2)) == 0 ? 0 : -ENOMEM;

        printf("\n");
        json_decref(root);
        return r;
}

/* False: it has mistakes, which have been said. */
static bool open_config(const struct ctl_args *args, struct vm_config *config)
{
        const struct config_wish wish = {.run_dir = args->option[CTL_OPTION_RUN_DIR], .host = true};

        return !args->operand || config_open(args->operand, &wish, config) == 0;
}

int verb_doctor(const struct ctl_args *args)
{
        _cleanup_(vm_config_done) struct vm_config config = {0};
        struct doctor doctor = {.rows = args->option[CTL_OPTION_JSON] ? json_array() : NULL};
        bool good = open_config(args, &config);
        struct doctor_facts facts;
        int r;

        doctor.kvm = config.frontend == VM_FRONTEND_KVM;
        doctor_facts_measure("", &facts);
        r = doctor_rules_apply(&facts, visit, &doctor);
        if (r == 0 && args->operand && good)
                r = doctor_vm_apply(&facts, &config, visit, &doctor);
        if (r == 0 && doctor.rows)
                r = print_json(&doctor);
        json_decref(doctor.rows);
        if (r < 0)
                fprintf(stderr, "bulkhead: doctor: %s\n", strerror(-r));
        return r < 0 || !good || doctor.n_missing > 0 ? CTL_FAILED : CTL_OK;
}
