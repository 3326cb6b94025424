/* Broker and worker of the micro-bench take turns: one of them runs, the other waits at its end of a socket,
 * so that what each does depends on nothing but its input, and the number of instructions repeats exactly.
 *
 * A byte gives the turn. A worker that was given none yet runs freely: until the first it is only being
 * configured.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define GATE_RUN   'r' /* to the worker: your turn, not counted */
#define GATE_COUNT 'c' /* to the worker: your turn, counted */
#define GATE_DUMP  'd' /* to the worker: write down what was counted; a byte of length and a name follow */
#define GATE_BACK  'b' /* to the broker: nothing is left to read */

#define GATE_NAME 64u
#define GATE_ROOM (1 << 20) /* bytes asked for in each of a lane's pipes: no write waits inside a turn */
