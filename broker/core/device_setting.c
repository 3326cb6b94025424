/* What the operator sets at a device.
 *
 * How it works: a setting goes to the worker that serves, and is kept when that one has taken it. A new worker is told what is
 * kept while it is primed, after the guest's own features and config, so that it serves as its predecessor did. It is the
 * operator's, not the guest's: a reset does not undo it, and does not replace a worker that was told nothing else.
 *
 * Owns the kept settings; device_set is for who speaks for the operator, on the main thread; device_worker.c
 * primes. TRUST: settings are judged by
 * control_setting_ok; what a worker says of one is passed on.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "broker/core/device_state.h"

static void setting_keep(struct device *device, const struct control_setting *setting)
{
        for (unsigned i = 0; i < device->n_settings; i++) {
                struct control_setting *kept = &device->settings[i];

                if (kept->id == setting->id && kept->index == setting->index) {
                        *kept = *setting;
                        return;
                }
        }
        if (device->n_settings < LIMIT_SETTINGS) /* there are no more: one a port, and one */
                device->settings[device->n_settings++] = *setting;
}

static void on_set(void *context, int error)
{
        struct device *device = context;

        device->setting_busy = false;
        if (error == 0)
                setting_keep(device, &device->setting);
        device->setting_done(device->setting_context, error == -ECANCELED ? -EAGAIN : error);
}

static int send_setting(struct device *device, const struct control_setting *setting, worker_link_done done)
{
        struct control_to_worker message = {.kind = CONTROL_SET, .set = *setting};

        return supervisor_send(&device->supervisor, &message, done, device);
}

int device_set(struct device *device, const struct control_setting *setting,
               void (*done)(void *context, int error), void *context)
{
        uint64_t now_ms = uv_now(device->loop);
        int r;

        if (device->setting_busy ||
            (device->setting_ms > 0 && now_ms - device->setting_ms < LIMIT_SETTING_MS))
                return -EBUSY;
        if (device->supervisor.state != WORKER_SERVING)
                return -EAGAIN;
        device->setting = *setting;
        device->setting_done = done;
        device->setting_context = context;
        r = send_setting(device, setting, on_set);
        if (r < 0)
                return -EAGAIN;
        device->setting_busy = true;
        device->setting_ms = now_ms;
        return 0;
}

/* A predecessor has taken it, and this one describes the same device. If it will not, it serves without. */
static void on_primed(void *context, int error)
{
        struct device *device = context;

        if (error != -ECANCELED)
                supervisor_try_serving(&device->supervisor);
}

void device_setting_prime(struct device *device)
{
        for (unsigned i = 0; i < device->n_settings; i++)
                send_setting(device, &device->settings[i], on_primed);
}
