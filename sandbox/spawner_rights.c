/* What the spawner keeps of root.
 * Owns nothing; called once before the first worker is started. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <cap-ng.h>
#include <errno.h>
#include <linux/securebits.h>
#include <sys/prctl.h>

#include "proto/base/checked.h"
#include "sandbox/process_rights.h"
#include "sandbox/test_layers.h"
#include "sandbox/spawner_device.h"

static const struct {
        unsigned capability;
        const char *reason;
} kept[] = {
    {CAP_SETUID, "act as the broker's uid while a worker's namespaces are made; write the worker's uid map"},
    {CAP_SETGID, "the same for the gid"},
    {CAP_KILL, "kill workers and the broker, which are other users, when all ends"},
    {CAP_DAC_OVERRIDE,
     "open the images that root's operator has named, whoever owns them; a worker's id maps"},
};

/* Capabilities must stay when the effective uid becomes the broker's for a moment. */
static int spawner_keep_over_ids(void)
{
        int bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);

        if (bits < 0)
                return -errno;
        return prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP, 0, 0, 0) < 0 ? -errno : 0;
}

int spawner_keep_rights(void)
{
        int r = spawner_keep_over_ids();

        if (r < 0 || !layer_is_on("spawner rights"))
                return r;
        capng_clear(CAPNG_SELECT_ALL);
        for (size_t i = 0; i < array_size(kept); i++)
                if (capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
                                 kept[i].capability) < 0)
                        return -EINVAL;
        if (capng_apply(CAPNG_SELECT_ALL) < 0)
                return -EPERM;
        return rights_no_new_privs();
}
