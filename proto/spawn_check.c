/* Messages between broker and spawner, wire -> judged.
 * Owns nothing; called by the spawner and the broker's supervisor.
 * TRUST: bytes of the broker (to_spawner), the more exposed of the two, or of the spawner (to_broker).
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/spawn.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "proto/base/limits.h"
#include "proto/base/status.h"
#include "proto/wire.h"
#include "schema/spawn.pb-c.h"

static int check_device(uint32_t wire, uint32_t *ret_device)
{
        if (wire >= LIMIT_WORKERS)
                return -EPROTO;
        *ret_device = wire;
        return 0;
}

/* 0 and negative numbers mean groups to kill(2). */
static int check_pid(uint32_t wire, uint32_t *ret_pid)
{
        if (wire < 1 || wire > INT32_MAX)
                return -EPROTO;
        *ret_pid = wire;
        return 0;
}

static int check_spawned(const Bulkhead__Spawn__Spawned *wire, struct spawn_to_broker *ret)
{
        if (wire->uid == UINT32_MAX) /* "no change" to setresuid(2) */
                return -EPROTO;
        ret->uid = wire->uid;
        if (check_device(wire->device, &ret->device) < 0)
                return -EPROTO;
        return check_pid(wire->pid, &ret->pid);
}

static int check_companion(const Bulkhead__Spawn__Companion *wire, struct spawn_to_broker *ret)
{
        if (wire->uid == UINT32_MAX)
                return -EPROTO;
        ret->uid = wire->uid;
        ret->starts = wire->starts;
        if (check_device(wire->device, &ret->device) < 0)
                return -EPROTO;
        return wire->pid == 0 ? 0 : check_pid(wire->pid, &ret->pid);
}

static int check_failed(const Bulkhead__Spawn__SpawnFailed *wire, struct spawn_to_broker *ret)
{
        if (wire->status == WIRE_STATUS_OK || wire->status >= WIRE_STATUS_COUNT_)
                return -EPROTO;
        ret->error = status_to_errno(wire->status);
        if (check_device(wire->device, &ret->device) < 0)
                return -EPROTO;
        return wire_copy_string(wire->reason, ret->reason, sizeof(ret->reason));
}

/* A name that can stand in a log line as it is. */
static bool call_name_ok(const char *name)
{
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

        return strspn(name, allowed) == strlen(name) && strlen(name) < SPAWN_CALL_NAME;
}

static int check_cause(const Bulkhead__Spawn__Exited *wire, struct spawn_cause *ret)
{
        if (wire->breach >= SPAWN_BREACH_COUNT_ || wire->gate >= SPAWN_GATE_COUNT_ ||
            wire_flag(wire->have_call, &ret->have_call) < 0 || wire_flag(wire->oom, &ret->oom) < 0)
                return -EPROTO;
        if (wire->n_arg != (ret->have_call ? SPAWN_CALL_ARGS : 0) || !call_name_ok(wire->call))
                return -EPROTO;
        ret->breach = (enum spawn_breach)wire->breach;
        ret->gate = (enum spawn_gate)wire->gate;
        ret->nr = wire->nr;
        ret->arch = wire->arch;
        ret->ip = wire->ip;
        for (size_t i = 0; i < wire->n_arg; i++)
                ret->args[i] = wire->arg[i];
        return wire_copy_string(wire->call, ret->call, sizeof(ret->call));
}

static int check_exited(const Bulkhead__Spawn__Exited *wire, struct spawn_to_broker *ret)
{
        if (wire_flag(wire->signaled, &ret->signaled) < 0)
                return -EPROTO;
        if (ret->signaled ? wire->code < 1 || wire->code >= NSIG : wire->code > 255)
                return -EPROTO;
        ret->code = wire->code;
        if (check_cause(wire, &ret->cause) < 0)
                return -EPROTO;
        if (check_device(wire->device, &ret->device) < 0)
                return -EPROTO;
        return check_pid(wire->pid, &ret->pid);
}

/* Kinds have the numbers of their oneof cases. */
static int check_to_broker(const Bulkhead__Spawn__ToBroker *wire, struct spawn_to_broker *ret)
{
        ret->kind = (enum spawn_kind_to_broker)wire->kind_case;
        switch (wire->kind_case) {
        case BULKHEAD__SPAWN__TO_BROKER__KIND_SPAWNED:
                return check_spawned(wire->spawned, ret);
        case BULKHEAD__SPAWN__TO_BROKER__KIND_SPAWN_FAILED:
                return check_failed(wire->spawn_failed, ret);
        case BULKHEAD__SPAWN__TO_BROKER__KIND_EXITED:
                return check_exited(wire->exited, ret);
        case BULKHEAD__SPAWN__TO_BROKER__KIND_TERMINATE:
                return 0;
        case BULKHEAD__SPAWN__TO_BROKER__KIND_COMPANION:
                return check_companion(wire->companion, ret);
        case BULKHEAD__SPAWN__TO_BROKER__KIND_RENEWED:
                return check_device(wire->renewed->device, &ret->device);
        default:
                return -EPROTO;
        }
}

static int check_to_spawner(const Bulkhead__Spawn__ToSpawner *wire, struct spawn_to_spawner *ret)
{
        ret->kind = (enum spawn_kind_to_spawner)wire->kind_case;
        switch (wire->kind_case) {
        case BULKHEAD__SPAWN__TO_SPAWNER__KIND_SPAWN:
                return check_device(wire->spawn->device, &ret->device);
        case BULKHEAD__SPAWN__TO_SPAWNER__KIND_REAP:
                return check_device(wire->reap->device, &ret->device);
        case BULKHEAD__SPAWN__TO_SPAWNER__KIND_STOP:
                return 0;
        default:
                return -EPROTO;
        }
}

int spawn_check_to_spawner(struct arena *arena, const uint8_t *bytes, size_t len,
                           struct spawn_to_spawner *ret)
{
        struct spawn_to_spawner message = {0};
        ProtobufCMessage *wire;
        int r;

        r = wire_unpack(&bulkhead__spawn__to_spawner__descriptor, arena, bytes, len, &wire);
        if (r < 0)
                return r;
        r = check_to_spawner((const Bulkhead__Spawn__ToSpawner *)wire, &message);
        if (r < 0)
                return r;
        *ret = message;
        return 0;
}

int spawn_check_to_broker(struct arena *arena, const uint8_t *bytes, size_t len, struct spawn_to_broker *ret)
{
        struct spawn_to_broker message = {0};
        ProtobufCMessage *wire;
        int r;

        r = wire_unpack(&bulkhead__spawn__to_broker__descriptor, arena, bytes, len, &wire);
        if (r < 0)
                return r;
        r = check_to_broker((const Bulkhead__Spawn__ToBroker *)wire, &message);
        if (r < 0)
                return r;
        *ret = message;
        return 0;
}

_Static_assert((int)SPAWN_SPAWN == (int)BULKHEAD__SPAWN__TO_SPAWNER__KIND_SPAWN, "kinds are cases");
_Static_assert((int)SPAWN_STOP == (int)BULKHEAD__SPAWN__TO_SPAWNER__KIND_STOP, "kinds are cases");
_Static_assert((int)SPAWN_SPAWNED == (int)BULKHEAD__SPAWN__TO_BROKER__KIND_SPAWNED, "kinds are cases");
_Static_assert((int)SPAWN_RENEWED == (int)BULKHEAD__SPAWN__TO_BROKER__KIND_RENEWED, "kinds are cases");
_Static_assert((int)SPAWN_TERMINATE == (int)BULKHEAD__SPAWN__TO_BROKER__KIND_TERMINATE, "kinds are cases");
