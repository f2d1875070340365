/* SPDX-License-Identifier: MIT */
/* Runs a command of old: what all of them do before and after. See applet.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "ctl/applet-run.h"
#include "ctl/doc.h"
#include "ctl/output.h"
#include "ctl/table.h"

static const struct handler {
	int (*run)(struct applet_call *c);
	enum applet_server server;
} handlers[APPLET_COUNT] = {
	[APPLET_NEW] = { ao_new, SERVER_RUNTIME },
	[APPLET_RESUME] = { ao_resume, SERVER_RUNTIME },
	[APPLET_STATUS] = { ao_status, SERVER_RUNTIME },
	[APPLET_GET_RESULT] = { ao_get_result, SERVER_RUNTIME },
	[APPLET_LIST_SESSIONS] = { ao_list_sessions, SERVER_RUNTIME },
	[APPLET_LIST_AGENTS] = { ao_list_agents, SERVER_REGISTRY },
	[APPLET_SHOW_CONFIG] = { ao_show_config, SERVER_RUNTIME },
	[APPLET_CLEAN] = { ao_clean, SERVER_RUNTIME },
	[APPLET_DOC_PUSH] = { doc_push, SERVER_DOCUMENTS },
	[APPLET_DOC_PULL] = { doc_pull, SERVER_DOCUMENTS },
	[APPLET_DOC_READ] = { doc_read, SERVER_DOCUMENTS },
	[APPLET_DOC_INFO] = { doc_info, SERVER_DOCUMENTS },
	[APPLET_DOC_QUERY] = { doc_query, SERVER_DOCUMENTS },
	[APPLET_DOC_SEARCH] = { doc_search, SERVER_DOCUMENTS },
	[APPLET_DOC_DELETE] = { doc_delete, SERVER_DOCUMENTS },
	[APPLET_DOC_CREATE] = { doc_create, SERVER_DOCUMENTS },
	[APPLET_DOC_WRITE] = { doc_write, SERVER_DOCUMENTS },
	[APPLET_DOC_EDIT] = { doc_edit, SERVER_DOCUMENTS },
	[APPLET_DOC_LINK] = { doc_link, SERVER_DOCUMENTS },
};

/* Where they are when nothing says so and there is no socket of aod. */
static const char *const usual_urls[] = {
	[SERVER_RUNTIME] = "http://127.0.0.1:8765",
	[SERVER_REGISTRY] = "http://127.0.0.1:8767",
	[SERVER_DOCUMENTS] = "http://127.0.0.1:8766",
};

/* ---- what they say ------------------------------------------------------------------------------------- */

int
applet_fail(const struct applet_call *c, const char *fmt, ...)
{
	struct buf text = BUF_INIT, line = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	if (APPLET_IS_DOC(c->args.id)) {
		buf_puts(&line, "{\"error\": ");
		buf_put_json(&line, text.data, text.len);
		buf_puts(&line, "}\n");
	} else {
		buf_printf(&line, "Error: %s\n", text.data);
	}
	fflush(stdout);
	print_text(stderr, line.data, line.len);
	buf_free(&text);
	buf_free(&line);
	return 1;
}

void
applet_print(const char *s, size_t n)
{
	print_text(stdout, s, n);
}

static int
usage_error(const struct applet_args *a, const struct err *e)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "Usage: ");
	applet_put_usage(&b, a);
	buf_printf(&b, "\nTry '%s --help' for help.\n\nError: %s\n", a->called, e->text);
	print_text(stderr, b.data, b.len);
	buf_free(&b);
	return EXIT_USAGE;
}

static void
put_option(struct buf *out, const struct applet_option *o)
{
	size_t from = out->len;

	buf_puts(out, "  ");
	if (o->letter)
		buf_printf(out, "-%c, ", o->letter);
	buf_printf(out, "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
	buf_printf(out, "%*s", out->len - from < 26 ? (int)(26 - (out->len - from)) : 2, "");
	buf_printf(out, "%s%s\n", o->doc, o->required ? "  [required]" : "");
}

static int
print_help(const struct applet_args *a)
{
	const struct applet *t = &applets[a->id];
	const struct applet_option *o;
	struct buf b = BUF_INIT;

	buf_puts(&b, "Usage: ");
	applet_put_usage(&b, a);
	buf_printf(&b, "\n\n  %s\n", t->summary);
	if (t->details)
		buf_printf(&b, "\n  %s\n", t->details);
	buf_puts(&b, "\nOptions:\n");
	for (o = applet_options; o->name; o++)
		if (applet_takes(a->id, o))
			put_option(&b, o);
	fwrite(b.data, 1, b.len, stdout);
	buf_free(&b);
	return 0;
}

/* ---- running ------------------------------------------------------------------------------------------- */

int
applet_call_json(struct applet_call *c, const char *method, const char *path, const char *body, struct json_object **out, struct err *e)
{
	int r = client_call(c->client, method, path, body, 0, CLIENT_REPLY_MAX, &c->reply, e);

	if (r < 0 || !out)
		return r;
	*out = js_parse(c->reply.data ? c->reply.data : "", c->reply.len);
	return *out ? 0 : err_set(e, -EPROTO, "the server's answer is no JSON");
}

static const char *
either(const char *a, const char *b)
{
	return a ? a : b;
}

/* The command line first, then the variables of old, then those of aod and what is usual. */
static int
connect_call(struct applet_call *c, const struct client_where *outer, struct err *e)
{
	const char *const *v = c->args.value;
	enum applet_server server = handlers[c->args.id].server;
	struct client_where w = {
		.url = either(v[APT_URL], outer ? outer->url : NULL),
		.socket = either(v[APT_SOCKET], outer ? outer->socket : NULL),
		.root = either(v[APT_ROOT], outer ? outer->root : NULL),
		.token = either(v[APT_TOKEN], outer ? outer->token : NULL),
		.cacert = either(v[APT_CACERT], outer ? outer->cacert : NULL),
		.fallback = usual_urls[server],
	};
	bool told = w.url || w.socket || w.root;
	CLEANUP_FREE char *url = told ? NULL : applet_url(server);

	if (url)
		w.url = url;
	c->inside = !told && !url && !getenv("AOD_URL") && getenv("AOD_SOCKET");
	c->client = client_new(&w, e);
	return c->client ? 0 : e->code;
}

static int
run(struct applet_args *args, int argc, char **argv, const struct client_where *outer)
{
	struct applet_call c = { .args = *args };
	struct err e = { 0 };
	int code;

	look_init(true);
	if (applet_parse(argc, argv, &c.args, &e) < 0)
		return ctl_finish(usage_error(&c.args, &e));
	if (applet_has(&c.args, APT_HELP))
		return ctl_finish(print_help(&c.args));
	if (connect_call(&c, outer, &e) < 0)
		code = applet_fail(&c, "%s", e.text);
	else
		code = handlers[c.args.id].run(&c);
	client_free(c.client);
	buf_free(&c.reply);
	return ctl_finish(code);
}

int
applet_doc_main(int argc, char **argv, const struct client_where *where)
{
	CLEANUP_FREE char *name = argc ? xasprintf("doc-%s", argv[0]) : NULL, *called = argc ? xasprintf("aoctl doc %s", argv[0]) : NULL;
	struct applet_args args = { .called = called };
	int id = name ? applet_find(name, &args.later) : -1, i;

	if (id >= 0) {
		args.id = (enum applet_id)id;
		return run(&args, argc, argv, where);
	}
	if (argc && strcmp(argv[0], "--help") != 0 && strcmp(argv[0], "-h") != 0) {
		print_error("doc: unknown command \"%s\"; aoctl doc lists them", argv[0]);
		return ctl_finish(EXIT_USAGE);
	}
	printf("Usage: aoctl doc COMMAND [ARGUMENT...]\n\n");
	for (i = 0; i < APPLET_COUNT; i++)
		if (APPLET_IS_DOC(i))
			printf("  %-8s  %s\n", applets[i].name + strlen("doc-"), applets[i].summary);
	return ctl_finish(0);
}

int
applet_main(const char *name, int argc, char **argv)
{
	struct applet_args args = { .called = name };
	int id = applet_find(name, &args.later);

	if (id < 0)
		return -1;
	args.id = (enum applet_id)id;
	return run(&args, argc, argv, NULL);
}
