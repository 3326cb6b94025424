/* bulkhead: the operator's command. Finds the verb and runs it.
 * Owns the process. TRUST: the command line is the operator's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "broker/ctl/ctl.h"
#include "proto/base/checked.h"
#include "proto/base/log.h"

static int verb_help(const struct ctl_args *args);

static const struct ctl_verb verbs[] = {
    {"run", CTL_OPERAND_REQUIRED, "CONFIG", "check a configuration and serve its VM in the foreground",
     CTL_OPTION_BIT(CTL_OPTION_RUN_DIR) | CTL_OPTION_BIT(CTL_OPTION_VERBOSE) |
         CTL_OPTION_BIT(CTL_OPTION_NO_TRACE) | CTL_OPTION_BIT(CTL_OPTION_SECCOMP),
     "Checks CONFIG and becomes the VM's broker, which starts one jailed worker a device and, with frontend\n"
     "vhost-user, waits for a VMM to attach (see: bulkhead help attach). With frontend kvm it runs the VM;\n"
     "a terminal on its input is the guest's serial port then: Ctrl-A x ends the VM, Ctrl-A Ctrl-A is "
     "Ctrl-A,\n"
     "every other key is the guest's, Ctrl-C as well. Ends on SIGTERM or Ctrl-C else.",
     verb_run},
    {"check", CTL_OPERAND_REQUIRED, "CONFIG", "find every mistake; print the effective configuration",
     CTL_OPTION_BIT(CTL_OPTION_RUN_DIR),
     "Prints every mistake of CONFIG with its line and column on standard error and exits with 1, or prints "
     "the\n"
     "configuration with all defaults filled in.",
     verb_check},
    {"attach", CTL_OPERAND_REQUIRED, "CONFIG", "print the VMM's arguments for a configuration",
     CTL_OPTION_BIT(CTL_OPTION_RUN_DIR) | CTL_OPTION_BIT(CTL_OPTION_PRINT) |
         CTL_OPTION_BIT(CTL_OPTION_QEMU_VERSION) | CTL_OPTION_BIT(CTL_OPTION_MEMORY),
     "Prints what connects a VMM to the devices of CONFIG, one argument a line, for use as\n"
     "    qemu-system-x86_64 ... $(bulkhead attach CONFIG --print qemu)\n"
     "or, for libvirt, the parts of a domain's XML. When the VMM cannot have one of the devices, nothing is "
     "printed\n"
     "but that. QEMU's arguments are good from 7.2 on. With --qemu-version disks and networks also reconnect "
     "by\n"
     "themselves: QEMU has renamed the option for that, so it is left out when the version is not known; "
     "consoles\n"
     "need it to be 10.2 at least.",
     verb_attach},
    {"ps", CTL_OPERAND_NONE, NULL, "list VMs, devices and their workers",
     CTL_OPTION_BIT(CTL_OPTION_RUN_DIR) | CTL_OPTION_BIT(CTL_OPTION_JSON) | CTL_OPTION_BIT(CTL_OPTION_SHMEM),
     "Lists every VM of the run directory. What it prints is what each broker says; audit measures.",
     verb_ps},
    {"set", CTL_OPERAND_REQUIRED, "VM/DEVICE", "set something of a device that runs: its link, a size",
     CTL_OPTION_BIT(CTL_OPTION_RUN_DIR) | CTL_OPTION_BIT(CTL_OPTION_PORT),
     "Sets link=up or link=down of a network device, or size=COLUMNSxROWS of a console's port. Says nothing "
     "and\n"
     "exits with 0 when the device's worker has taken it. It stays over resets and workers, not over the "
     "broker.",
     verb_set, "SETTING=VALUE"},
    {"audit", CTL_OPERAND_NONE, NULL, "measure each worker's jail and compare it with its policy",
     CTL_OPTION_BIT(CTL_OPTION_RUN_DIR) | CTL_OPTION_BIT(CTL_OPTION_JSON),
     "Measures each process from /proc: guest memory mapped, capabilities, seccomp, namespaces, root, "
     "descriptors,\n"
     "uid, control group. Exits with 1 when anything is looser than its policy or cannot be measured.",
     verb_audit},
    {"doctor", CTL_OPERAND_OPTIONAL, "CONFIG", "find what this host lacks, before anything is started",
     CTL_OPTION_BIT(CTL_OPTION_RUN_DIR) | CTL_OPTION_BIT(CTL_OPTION_JSON),
     "Prints one line a thing that bulkhead needs or makes use of: ok, weaker or missing, and what to do. "
     "With\n"
     "CONFIG also whether that VM can run here. Exits with 1 when something is missing; what only frontend "
     "kvm\n"
     "needs counts when CONFIG has it.",
     verb_doctor},
    {"console", CTL_OPERAND_REQUIRED, "VM/DEVICE[:PORT]", "a port of a console on this terminal",
     CTL_OPTION_BIT(CTL_OPTION_RUN_DIR),
     "Connects this terminal to a port of a running VM's console: the one called console, or the only one, "
     "if\n"
     "none is named. Ctrl-A x leaves, Ctrl-A Ctrl-A is Ctrl-A, every other key is the guest's, Ctrl-C as "
     "well.\n"
     "A terminal's size is told to the guest. Without a terminal on its input it carries bytes as they are: "
     "when\n"
     "the input has ended it goes on until the guest closes the port. Exits with 0 when it was left or has "
     "ended\n"
     "so, with 1 when the port is in use, or the VM has ended.",
     verb_console},
    {"attack-demo", CTL_OPERAND_NONE, NULL, "let a worker attack, and see what stops it", 0,
     "Starts throw-away VMs in directories of their own whose block worker has been taken over by its "
     "guest,\n"
     "lets it try about 300 ways out, and explains each and what stopped it. Running VMs are not touched.\n"
     "Works as root and as an ordinary user; takes about a minute. Exits with 1 if anything got "
     "through.",
     verb_attack_demo},
    {"help", CTL_OPERAND_OPTIONAL, "VERB", "explain a verb", 0, "Explains VERB, or lists all.", verb_help},
};

static const struct ctl_verb *find_verb(const char *name)
{
        for (size_t i = 0; i < array_size(verbs); i++)
                if (strcmp(verbs[i].name, name) == 0)
                        return &verbs[i];
        return NULL;
}

static void print_help(void)
{
        printf("usage: bulkhead VERB [OPTION...]\n"
               "Virtio devices outside the VMM, one jailed process each.\n\n");
        for (size_t i = 0; i < array_size(verbs); i++) {
                char head[32];

                snprintf(head, sizeof(head), "%s%s%s", verbs[i].name, verbs[i].operand_name ? " " : "",
                         verbs[i].operand_name ? verbs[i].operand_name : "");
                printf("  %-14s %s\n", head, verbs[i].summary);
        }
        printf("\n  %-14s %s\n  %-14s %s\n", "--help", "say this", "--version", "say the version");
}

static void print_verb_help(const struct ctl_verb *verb)
{
        printf("usage: bulkhead %s", verb->name);
        if (verb->operand != CTL_OPERAND_NONE)
                printf(verb->operand == CTL_OPERAND_REQUIRED ? " %s" : " [%s]", verb->operand_name);
        if (verb->second_name)
                printf(" %s", verb->second_name);
        printf("%s\n%s\n\n", verb->options ? " [OPTION...]" : "", verb->text);
        for (size_t i = 0; i < CTL_OPTION_COUNT_; i++)
                if ((verb->options & CTL_OPTION_BIT(i)) || i == CTL_OPTION_HELP) {
                        char head[32];

                        snprintf(head, sizeof(head), "%s%s%s", ctl_options[i].name,
                                 ctl_options[i].value ? " " : "",
                                 ctl_options[i].value ? ctl_options[i].value : "");
                        printf("  %-20s %s\n", head, ctl_options[i].summary);
                }
}

static int unknown(const char *what, const char *word)
{
        char shown[128];

        fprintf(stderr, "bulkhead: unknown %s %s; try: bulkhead --help\n", what,
                log_escape(word, strlen(word), shown, sizeof(shown)));
        return CTL_USAGE;
}

static int verb_help(const struct ctl_args *args)
{
        const struct ctl_verb *verb;

        if (!args->operand) {
                print_help();
                return CTL_OK;
        }
        verb = find_verb(args->operand);
        if (!verb)
                return unknown("verb", args->operand);
        print_verb_help(verb);
        return CTL_OK;
}

/* A full disk or a closed pipe must not look like a good answer. */
static int finish(int code)
{
        if (fflush(stdout) == 0 && !ferror(stdout))
                return code;
        fprintf(stderr, "bulkhead: the output could not be written\n");
        return code == CTL_OK ? CTL_FAILED : code;
}

int main(int argc, char *argv[])
{
        const struct ctl_verb *verb;
        struct ctl_args args;
        char why[512];

        if (argc < 2) {
                fprintf(stderr, "bulkhead: a verb is missing; try: bulkhead --help\n");
                return CTL_USAGE;
        }
        if (strcmp(argv[1], "--version") == 0) {
                printf("bulkhead %s\n", BULKHEAD_VERSION);
                return finish(CTL_OK);
        }
        if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
                print_help();
                return finish(CTL_OK);
        }
        verb = find_verb(argv[1]);
        if (!verb)
                return unknown(argv[1][0] == '-' ? "option" : "verb", argv[1]);
        if (ctl_args_parse(verb, argc - 2, argv + 2, &args, why, sizeof(why)) < 0) {
                fprintf(stderr, "bulkhead: %s\n", why);
                return CTL_USAGE;
        }
        if (args.option[CTL_OPTION_HELP]) {
                print_verb_help(verb);
                return finish(CTL_OK);
        }
        return finish(verb->run(&args));
}
