/* SPDX-License-Identifier: MIT */
/*
 * The command adapter: any program. What it prints are `output` events, its last output is the
 * result, its exit status the outcome. It keeps nothing between lines.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <string.h>

#include "adapter/common.h"
#include "base/util.h"

static int
command_plan(const struct plan_request *rq, struct plan *p, struct err *e)
{
	char *const *argv = rq->command ? rq->command : blueprint_words(rq->blueprint, D_ExecStart);

	if (!argv || !argv[0])
		return err_set_status(e, 422, -EINVAL,
				      "blueprint '%s' has no ExecStart=: give a command, or use a "
				      "blueprint with ExecStart=",
				      blueprint_name(rq->blueprint));
	p->argv = strv_dup(argv);
	if (rq->prompt)
		buf_puts(&p->input, rq->prompt);
	p->close_stdin = true;
	return 0;
}

static void
command_line(void *st, int stream, int64_t time_us, const char *s, size_t n, int piece,
	     bool partial, struct adapter_out *out)
{
	adapter_output_event(out, stream, time_us, s, n, partial);
}

static void
command_end(void *st, const struct run_exit *x, struct adapter_out *out, struct run_result *r)
{
	run_result_from_exit(x, r);
	r->result_from_output = r->outcome != OUTCOME_RESOURCES;
	if (x->stop_requested)
		run_result_cancel(r);
}

static void *
command_state_new(void)
{
	return NULL;
}

static void
command_state_free(void *st)
{
}

static void
command_save(void *st, struct buf *out)
{
}

static void
command_restore(void *st, const char *json, size_t n)
{
}

const struct adapter adapter_command = {
	.name = "command",
	.doc = "Any program: its output lines are events, its last output is the result, its exit "
	       "status the outcome.",
	.line_max = 1u << 20,
	.needs_prompt = false,
	.plan = command_plan,
	.state_new = command_state_new,
	.state_free = command_state_free,
	.line = command_line,
	.end = command_end,
	.save = command_save,
	.restore = command_restore,
};
