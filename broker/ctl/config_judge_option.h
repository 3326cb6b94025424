/* A device's options, judged where they stand in a document.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "broker/ctl/config_step.h"

/* Judges the options of judge->device, whose type and name are known, each at its line, then the type's rules between them
 * at the device's; options that its type has not are mistakes. If all are good judge->device->options become them; the texts
 * are its own, and freed with the judge. 0, or -ENOMEM. */
int judge_options(struct judge *judge, const yaml_node_t *mapping);

/* What judge->device has until then: the presets of its type. 0, or -ENOMEM. */
int judge_preset_options(struct judge *judge);
