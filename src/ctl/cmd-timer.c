/* SPDX-License-Identifier: MIT */
/* list-timers. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <json-c/json.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "ctl/command.h"
#include "ctl/output.h"

/* "Mon 2026-11-23 08:00:00 CET" and the time from then to now or from now to then; "-" where there is none. */
static void
put_when(struct buf *when, struct buf *span, struct json_object *o, const char *key, int64_t now)
{
	const char *iso = js_str(o, key);
	char text[80];
	struct tm tm;
	time_t t;
	int64_t us;

	if (!iso || !time_parse_iso(iso, &us)) {
		buf_puts(when, "-");
		buf_puts(span, "-");
		return;
	}
	t = (time_t)(us / 1000000);
	if (!localtime_r(&t, &tm) || strftime(text, sizeof(text), "%a %Y-%m-%d %H:%M:%S %Z", &tm) == 0)
		text[0] = '\0';
	buf_puts(when, text);
	put_span(span, us > now ? us - now : now - us);
}

static void
put_timer_row(struct table *t, struct json_object *o)
{
	struct buf next = BUF_INIT, left = BUF_INIT, last = BUF_INIT, passed = BUF_INIT, note = BUF_INIT;
	const char *error = js_str(o, "error"), *session = js_str(o, "session_name");
	int64_t skipped = js_int(o, "skipped", 0), now = now_us();

	put_when(&next, &left, o, "next", now);
	put_when(&last, &passed, o, "last", now);
	buf_puts(&note, error ? error : session ? session : "-");
	if (skipped > 0)
		buf_printf(&note, " (still live, %lld skipped)", (long long)skipped);
	table_row(t, (const char *[]){ next.data, left.data, last.data, passed.data, js_str(o, "blueprint"), note.data }, error ? 5 : -1,
		  error ? COL_RED : COL_NONE);
	buf_free(&next);
	buf_free(&left);
	buf_free(&last);
	buf_free(&passed);
	buf_free(&note);
}

int
cmd_list_timers(struct ctl *c)
{
	static const char *const heads[] = { "NEXT", "LEFT", "LAST", "PASSED", "BLUEPRINT", "SESSION" };
	static const struct ctl_table table = { "timers", heads, ARRAY_LEN(heads), put_timer_row };

	return ctl_get_table(c, NULL, ctl_verb(CMD_LIST_TIMERS)->path, &table);
}
