/* Descriptors of this process, to compare before and after.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

unsigned count_fds(void);
