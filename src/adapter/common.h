/* SPDX-License-Identifier: MIT */
/* What the adapters of this folder share; for nobody else. */
#ifndef AOD_ADAPTER_COMMON_H
#define AOD_ADAPTER_COMMON_H

#include "adapter/adapter.h"

extern const struct adapter adapter_claude, adapter_command;

int claude_plan(const struct plan_request *rq, struct plan *p, struct err *e);
void claude_prompt(const char *text, const char *uuid, struct buf *out);

/* Set NAME=VALUE in the plan's environment, in the place of an earlier one of that name. */
void plan_set_env(struct plan *p, const char *name, const char *value);

/* A further question of this line, zeroed but for its empty buffer; valid until the next call. */
struct adapter_ask *adapter_ask_add(struct adapter_out *out);

/* An `output` event: stream, text, base64 when it was not UTF-8, partial. */
struct event *adapter_output_event(struct adapter_out *out, int stream, int64_t time_us,
				   const char *s, size_t n, bool partial);

/*
 * Fill in what the exit says by itself: outcome, exit_code, signal, error. Status 0 is
 * OUTCOME_SUCCESS here. A requested stop is not looked at.
 */
void run_result_from_exit(const struct run_exit *x, struct run_result *r);
/* The run was stopped by request: whatever its exit says is no error. */
void run_result_cancel(struct run_result *r);

/* The first line of a text, at most max bytes of it, cut between characters. The caller frees it.
 */
char *first_line(const char *s, size_t n, size_t max);

#endif
