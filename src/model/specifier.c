/* SPDX-License-Identifier: MIT */
/* The specifiers, and replacing them. See specifier.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "model/specifier.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

const struct specifier specifier_table[] = {
	{'i', "The instance of a template: of task@one.blueprint it is one; else nothing."},
	{'I', "The same with each hyphen made a slash."},
	{'n', "The blueprint's full name, task@one.blueprint."},
	{'N', "The same without .blueprint."},
	{'p', "The name up to the @, task; the whole name when there is no @."},
	{'s', "The session's name."},
	{'e', "The session's id."},
	{'d', "The directory the session runs in: its project directory."},
	{'D', "The directory of the session's own, which goes with it."},
	{'t', "The directory for what lives until the next boot, such as /run/aod."},
	{'S', "The directory for state, such as /var/lib/aod."},
	{'C', "The directory for what can be made again, such as /var/cache/aod."},
	{'h', "The home directory of the user the agent runs as."},
	{'u', "The name of that user."},
	{'U', "The number of that user."},
	{'H', "The host's name."},
	{'%', "A per cent sign."},
	{0, NULL},
};

static bool
known(char c)
{
	for (const struct specifier *s = specifier_table; s->letter; s++)
		if (s->letter == c)
			return true;
	return false;
}

long
specifier_check(const char *s)
{
	for (const char *p = strchr(s, '%'); p; p = strchr(p + 2, '%'))
		if (!p[1] || !known(p[1]))
			return p - s;
	return -1;
}

/* The text of a letter that is part of the name; false when it is none of them. */
static bool
put_name(struct buf *out, char letter, const char *name)
{
	const char *at = strchr(name, '@');

	switch (letter) {
	case 'n':
		buf_puts(out, name);
		buf_puts(out, ".blueprint");
		return true;
	case 'N':
		buf_puts(out, name);
		return true;
	case 'p':
		buf_put(out, name, at ? (size_t)(at - name) : strlen(name));
		return true;
	case 'i':
		buf_puts(out, at ? at + 1 : "");
		return true;
	case 'I':
		for (const char *p = at ? at + 1 : ""; *p; p++)
			buf_putc(out, *p == '-' ? '/' : *p);
		return true;
	default:
		return false;
	}
}

static const char *
text_of(char letter, const struct specifiers *v)
{
	switch (letter) {
	case 's':
		return v->session;
	case 'e':
		return v->session_id;
	case 'd':
		return v->project_dir;
	case 'D':
		return v->session_dir;
	case 't':
		return v->run_dir;
	case 'S':
		return v->state_dir;
	case 'C':
		return v->cache_dir;
	case 'h':
		return v->home;
	case 'u':
		return v->user;
	case 'U':
		return v->uid;
	case 'H':
		return v->host;
	case '%':
		return "%";
	default:
		return NULL;
	}
}

int
specifier_expand(struct buf *out, const char *s, const struct specifiers *v, struct err *e)
{
	const char *p;

	for (; (p = strchr(s, '%')); s = p + 2) {
		const char *text;

		buf_put(out, s, (size_t)(p - s));
		if (!p[1] || !known(p[1]))
			return err_set_status(
				e, 422, -EINVAL,
				"'%.2s' is no specifier; write %%%% for a per cent sign", p);
		if (v->name && put_name(out, p[1], v->name))
			continue;
		text = text_of(p[1], v);
		if (!text)
			return err_set_status(e, 422, -EINVAL,
					      "nothing is known here that '%.2s' could stand for",
					      p);
		buf_puts(out, text);
	}
	buf_puts(out, s);
	return 0;
}

void
specifier_escape(struct buf *out, const char *text)
{
	for (const char *p; (p = strchr(text, '%')); text = p + 1) {
		buf_put(out, text, (size_t)(p - text));
		buf_puts(out, "%%");
	}
	buf_puts(out, text);
}

void
specifier_unescape(struct buf *out, const char *value)
{
	for (const char *p; (p = strstr(value, "%%")); value = p + 2)
		buf_put(out, value, (size_t)(p + 1 - value));
	buf_puts(out, value);
}
