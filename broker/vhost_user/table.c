/* The table of messages that are served.
 * Owns nothing; read by the session's dispatch. TRUST: what has no row here, or comes with another length,
 * number of descriptors or state than its row permits, or without the protocol feature that it needs, ends
 * the session.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/table.h"

#include "broker/vhost_user/message.h"
#include "broker/vhost_user/serve_iotlb.h"
#include "broker/vhost_user/serve_negotiation.h"
#include "broker/vhost_user/serve_rings.h"
#include "broker/vhost_user/session.h"
#include "proto/base/checked.h"

#define OPEN       (1u << SESSION_NEGOTIATING | 1u << SESSION_CONFIGURED)
#define CONFIGURED (1u << SESSION_CONFIGURED)

#define NEEDS(feature) (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##feature)

#define U64 .min_len = 8, .max_len = 8
#define STATE                                                                                                \
        .min_len = sizeof(struct vhost_user_vring_state), .max_len = sizeof(struct vhost_user_vring_state)
#define ADDR .min_len = sizeof(struct vhost_user_vring_addr), .max_len = sizeof(struct vhost_user_vring_addr)
#define REGION                                                                                               \
        .min_len = sizeof(struct vhost_user_single_region), .max_len = sizeof(struct vhost_user_single_region)
#define TABLE                                                                                                \
        .min_len = offsetof(struct vhost_user_memory_table, regions),                                        \
        .max_len = sizeof(struct vhost_user_memory_table)
#define CONFIG                                                                                               \
        .min_len = offsetof(struct vhost_user_config, bytes), .max_len = sizeof(struct vhost_user_config)
#define IOTLB         .min_len = sizeof(struct vhost_user_iotlb), .max_len = sizeof(struct vhost_user_iotlb)
#define FDS(min, max) .min_fds = (min), .max_fds = (max)

#define ROW(request, ...) [VHOST_USER_##request] = {.name = #request, __VA_ARGS__}

static const struct rpc_row rows[VHOST_USER_REQUEST_COUNT_] = {
    /* negotiation: GET_FEATURES is also the barrier of front ends without REPLY_ACK */
    ROW(GET_FEATURES, .states = OPEN, .answers = true, .handler = serve_get_features),
    ROW(SET_FEATURES, U64, .states = OPEN, .handler = serve_set_features),
    ROW(SET_OWNER, .states = OPEN, .handler = serve_ignored),
    ROW(RESET_OWNER, .states = OPEN, .handler = serve_ignored),
    ROW(GET_PROTOCOL_FEATURES, .states = OPEN, .answers = true, .handler = serve_get_protocol_features),
    ROW(SET_PROTOCOL_FEATURES, U64, .states = OPEN, .handler = serve_set_protocol_features),
    ROW(GET_QUEUE_NUM, .states = OPEN, .answers = true, .needs = NEEDS(MQ), .handler = serve_get_queue_num),
    ROW(SET_BACKEND_REQ_FD, FDS(1, 1), .states = OPEN, .needs = NEEDS(BACKEND_REQ),
        .handler = serve_set_backend_req_fd),

    /* the device */
    ROW(GET_CONFIG, CONFIG, .states = OPEN, .answers = true, .needs = NEEDS(CONFIG),
        .handler = serve_get_config),
    ROW(SET_CONFIG, CONFIG, .states = OPEN, .needs = NEEDS(CONFIG), .handler = serve_set_config),
    ROW(RESET_DEVICE, .states = OPEN, .needs = NEEDS(RESET_DEVICE), .handler = serve_reset_device),
    ROW(GET_SHMEM_CONFIG, .states = OPEN, .answers = true, .needs = NEEDS(SHMEM),
        .handler = serve_get_shmem_config),

    /* guest memory: both ways are open to a front end that has agreed to slots */
    ROW(SET_MEM_TABLE, TABLE, FDS(0, LIMIT_VHOST_USER_FDS), .states = OPEN, .handler = serve_set_mem_table),
    ROW(GET_MAX_MEM_SLOTS, .states = OPEN, .answers = true, .needs = NEEDS(CONFIGURE_MEM_SLOTS),
        .handler = serve_get_max_mem_slots),
    ROW(ADD_MEM_REG, REGION, FDS(1, 1), .states = OPEN, .needs = NEEDS(CONFIGURE_MEM_SLOTS),
        .handler = serve_add_mem_reg),
    ROW(REM_MEM_REG, REGION, FDS(0, 1), .states = OPEN, .needs = NEEDS(CONFIGURE_MEM_SLOTS),
        .handler = serve_rem_mem_reg),

    /* translations of it, also when none are agreed (any more): what is taken back is not there */
    ROW(IOTLB_MSG, IOTLB, .states = OPEN, .answers = true, .needs = NEEDS(BACKEND_REQ) | NEEDS(REPLY_ACK),
        .handler = serve_iotlb_msg),

    /* rings: descriptors and ENABLE may come before the features, the rest may not */
    ROW(SET_VRING_NUM, STATE, .states = CONFIGURED, .handler = serve_set_vring_num),
    ROW(SET_VRING_ADDR, ADDR, .states = CONFIGURED, .handler = serve_set_vring_addr),
    ROW(SET_VRING_BASE, STATE, .states = CONFIGURED, .handler = serve_set_vring_base),
    ROW(GET_VRING_BASE, STATE, .states = OPEN, .answers = true, .handler = serve_get_vring_base),
    ROW(SET_VRING_KICK, U64, FDS(0, 1), .states = CONFIGURED, .handler = serve_set_vring_kick),
    ROW(SET_VRING_CALL, U64, FDS(0, 1), .states = OPEN, .handler = serve_set_vring_call),
    ROW(SET_VRING_ERR, U64, FDS(0, 1), .states = OPEN, .handler = serve_set_vring_err),
    ROW(SET_VRING_ENABLE, STATE, .states = OPEN, .handler = serve_set_vring_enable),
};
static_assert(array_size(rows) <= 64, "rpc_peer.seen has 64 bits");

const struct rpc_table message_table = {.rows = rows, .n_rows = array_size(rows)};
