/* Messages between broker and spawner, struct -> wire.
 * Owns nothing; called by the spawner and the broker's supervisor.
 * TRUST: everything here is our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/spawn.h"

#include <errno.h>

#include "proto/base/status.h"
#include "proto/wire.h"
#include "schema/spawn.pb-c.h"

ssize_t spawn_make_to_spawner(const struct spawn_to_spawner *message, uint8_t *buf, size_t size)
{
        Bulkhead__Spawn__ToSpawner wire = BULKHEAD__SPAWN__TO_SPAWNER__INIT;
        Bulkhead__Spawn__Spawn spawn = BULKHEAD__SPAWN__SPAWN__INIT;
        Bulkhead__Spawn__Reap reap = BULKHEAD__SPAWN__REAP__INIT;
        Bulkhead__Spawn__Stop stop = BULKHEAD__SPAWN__STOP__INIT;

        switch (message->kind) {
        case SPAWN_SPAWN:
                spawn.device = message->device;
                wire.kind_case = BULKHEAD__SPAWN__TO_SPAWNER__KIND_SPAWN;
                wire.spawn = &spawn;
                break;
        case SPAWN_REAP:
                reap.device = message->device;
                wire.kind_case = BULKHEAD__SPAWN__TO_SPAWNER__KIND_REAP;
                wire.reap = &reap;
                break;
        case SPAWN_STOP:
                wire.kind_case = BULKHEAD__SPAWN__TO_SPAWNER__KIND_STOP;
                wire.stop = &stop;
                break;
        default:
                return -EINVAL;
        }
        return wire_pack(&wire.base, buf, size);
}

static ssize_t make_spawned(const struct spawn_to_broker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Spawn__ToBroker wire = BULKHEAD__SPAWN__TO_BROKER__INIT;
        Bulkhead__Spawn__Spawned body = BULKHEAD__SPAWN__SPAWNED__INIT;

        body.device = message->device;
        body.pid = message->pid;
        body.uid = message->uid;
        wire.kind_case = BULKHEAD__SPAWN__TO_BROKER__KIND_SPAWNED;
        wire.spawned = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t make_failed(const struct spawn_to_broker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Spawn__ToBroker wire = BULKHEAD__SPAWN__TO_BROKER__INIT;
        Bulkhead__Spawn__SpawnFailed body = BULKHEAD__SPAWN__SPAWN_FAILED__INIT;

        body.device = message->device;
        body.status = status_from_errno(message->error);
        body.reason = (char *)message->reason;
        wire.kind_case = BULKHEAD__SPAWN__TO_BROKER__KIND_SPAWN_FAILED;
        wire.spawn_failed = &body;
        return wire_pack(&wire.base, buf, size);
}

static void make_cause(const struct spawn_cause *cause, Bulkhead__Spawn__Exited *ret)
{
        ret->breach = cause->breach;
        ret->have_call = cause->have_call;
        ret->nr = cause->nr;
        ret->arch = cause->arch;
        ret->n_arg = cause->have_call ? SPAWN_CALL_ARGS : 0;
        ret->arg = (uint64_t *)cause->args;
        ret->call = (char *)cause->call;
        ret->gate = cause->gate;
        ret->ip = cause->ip;
        ret->oom = cause->oom;
}

static ssize_t make_exited(const struct spawn_to_broker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Spawn__ToBroker wire = BULKHEAD__SPAWN__TO_BROKER__INIT;
        Bulkhead__Spawn__Exited body = BULKHEAD__SPAWN__EXITED__INIT;

        body.device = message->device;
        body.pid = message->pid;
        body.code = message->code;
        body.signaled = message->signaled;
        make_cause(&message->cause, &body);
        wire.kind_case = BULKHEAD__SPAWN__TO_BROKER__KIND_EXITED;
        wire.exited = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t make_terminate(uint8_t *buf, size_t size)
{
        Bulkhead__Spawn__ToBroker wire = BULKHEAD__SPAWN__TO_BROKER__INIT;
        Bulkhead__Spawn__Terminate body = BULKHEAD__SPAWN__TERMINATE__INIT;

        wire.kind_case = BULKHEAD__SPAWN__TO_BROKER__KIND_TERMINATE;
        wire.terminate = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t make_companion(const struct spawn_to_broker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Spawn__ToBroker wire = BULKHEAD__SPAWN__TO_BROKER__INIT;
        Bulkhead__Spawn__Companion body = BULKHEAD__SPAWN__COMPANION__INIT;

        body.device = message->device;
        body.pid = message->pid;
        body.uid = message->uid;
        body.starts = message->starts;
        wire.kind_case = BULKHEAD__SPAWN__TO_BROKER__KIND_COMPANION;
        wire.companion = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t make_renewed(const struct spawn_to_broker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Spawn__ToBroker wire = BULKHEAD__SPAWN__TO_BROKER__INIT;
        Bulkhead__Spawn__Renewed body = BULKHEAD__SPAWN__RENEWED__INIT;

        body.device = message->device;
        wire.kind_case = BULKHEAD__SPAWN__TO_BROKER__KIND_RENEWED;
        wire.renewed = &body;
        return wire_pack(&wire.base, buf, size);
}

ssize_t spawn_make_to_broker(const struct spawn_to_broker *message, uint8_t *buf, size_t size)
{
        switch (message->kind) {
        case SPAWN_SPAWNED:
                return make_spawned(message, buf, size);
        case SPAWN_FAILED:
                return make_failed(message, buf, size);
        case SPAWN_EXITED:
                return make_exited(message, buf, size);
        case SPAWN_TERMINATE:
                return make_terminate(buf, size);
        case SPAWN_COMPANION:
                return make_companion(message, buf, size);
        case SPAWN_RENEWED:
                return make_renewed(message, buf, size);
        case SPAWN_TO_BROKER_COUNT_:
                break;
        }
        return -EINVAL;
}
