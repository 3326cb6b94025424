/* Layers that a test build can leave out, so that each of the others is seen to hold on its own. Only a
 * library compiled with BULKHEAD_TEST_LAYERS asks anybody (tests/hostile_worker/layers.c); in what ships every
 * layer is on, there is nothing to ask, and a test looks for the name in the shipped programs.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#ifdef BULKHEAD_TEST_LAYERS
/* Names are those of the jail's stages, and "namespaces", "cgroup", "spawner rights", "run filter",
 * "lockdown landlock" and "lockdown dumpable". Async-signal-safe. */
bool layer_is_on(const char *layer);
#else
#define layer_is_on(layer) true
#endif
