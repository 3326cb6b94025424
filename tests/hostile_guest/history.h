/* Which class of old bugs each group of cases stands against.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Of a group as it is listed ("ring.loop"); NULL: there is no such group. */
const char *history_of(const char *group);
