/* Copies, loads and stores that survive a page that is not there: a region may be truncated by its owner at
 * any moment, and that is an error on one request or queue, never a signal that kills.
 *
 * How it works: the accesses are a handful of small assembly routines; a SIGBUS or SIGSEGV whose program
 * counter lies in one of them resumes at its error exit. Any other fault keeps its default action.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Installs the handlers for the process. Once, before threads start; no thread may block SIGBUS or SIGSEGV
 * (the kernel kills at a blocked fault). 0 or negative errno. */
int fault_safe_install(void);

/* Copies n bytes; returns how many were NOT copied (0: all). Either side may fault. */
size_t fault_safe_copy(void *to, const void *from, size_t n);

/* Sets n bytes to zero; returns how many were not. */
size_t fault_safe_zero(void *to, size_t n);

/* One access of exactly this width, at a naturally aligned address. Loads have acquire, stores release order.
 * 0 or -EFAULT; *ret_value is untouched on failure. */
int fault_safe_load16(const void *at, uint16_t *ret_value);
int fault_safe_load32(const void *at, uint32_t *ret_value);
int fault_safe_load64(const void *at, uint64_t *ret_value);
int fault_safe_store16(void *at, uint16_t value);
int fault_safe_store32(void *at, uint32_t value);
int fault_safe_store64(void *at, uint64_t value);
