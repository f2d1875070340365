/* SPDX-License-Identifier: MIT */
/* aoctl edit: a blueprint's file or a drop-in goes to an editor, and what it wrote to aod, which checks it before it is saved. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/ini.h"
#include "base/util.h"
#include "ctl/cmd-blueprint.h"
#include "ctl/output.h"
#include "ctl/unit-text.h"

#define FILES_MAX 101 /* a main file and its drop-ins */

extern char **environ;

/* What is edited, and where it is while it is edited. */
struct edit {
	struct ctl *c;
	const char *name;
	bool full;
	bool is_new;	    /* there is no blueprint of this name yet */
	char *drop_in;	    /* without .conf */
	char *shown;	    /* the file's name in what is said of it */
	int64_t version;    /* that was edited; 0: not known */
	struct buf before;  /* its text as it is, "" for a new one */
	struct buf form;    /* what the editor gets */
	struct buf text;    /* what is to be saved */
	int above;	    /* lines that the editor has above it */
	char *dir, *path;   /* temporary; NULL: there is none */
	bool keep;	    /* the temporary file has what would be lost */
};

/* ---- what is there ------------------------------------------------------------------------------------- */

static bool
str_ends(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

static bool
is_drop_in(const struct edit *ed, const char *path, size_t n)
{
	CLEANUP_FREE char *end = xasprintf(".blueprint.d/%s.conf", ed->drop_in);
	size_t len = strlen(end);

	return n > len && !memcmp(path + n - len, end, len);
}

static void
take_files(struct edit *ed, const struct unit_file *files, int count)
{
	struct unit_file others[FILES_MAX];
	int i, other_count = 0;

	for (i = 0; i < count; i++) {
		if (ed->full ? i == 0 : is_drop_in(ed, files[i].path, files[i].path_len))
			buf_put(&ed->before, files[i].text, files[i].len);
		else
			others[other_count++] = files[i];
	}
	if (ed->full)
		buf_put(&ed->form, ed->before.data ? ed->before.data : "", ed->before.len);
	else
		drop_in_form(&ed->form, ed->shown, ed->before.data ? ed->before.data : "", ed->before.len, others, other_count);
}

/* Files that it names, such as a prompt, are listed as well. */
static bool
is_unit_file(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot && (!strcmp(dot, ".blueprint") || !strcmp(dot, ".conf"));
}

static int
list_files(struct json_object *list, struct unit_file *files)
{
	int i, count = 0, n = json_object_is_type(list, json_type_array) ? (int)json_object_array_length(list) : 0;

	for (i = 0; i < n && count < FILES_MAX; i++) {
		struct json_object *file = json_object_array_get_idx(list, (size_t)i), *text = js_get(file, "text");
		const char *path = js_str(file, "path");

		if (path && is_unit_file(path) && json_object_is_type(text, json_type_string))
			files[count++] = (struct unit_file){ .path = path, .path_len = strlen(path), .text = json_object_get_string(text),
							     .len = (size_t)json_object_get_string_len(text) };
	}
	return count;
}

/* The files one by one as the version has them; else taken from the text that shows all of them. */
static int
read_files(struct edit *ed, struct err *e)
{
	CLEANUP_FREE char *tail = xasprintf("?version=%" PRId64, ed->version);
	struct unit_file files[FILES_MAX];
	struct json_object *version = NULL;
	int count = 0;

	if (ed->version && ctl_blueprint_call(ed->c, "GET", ed->name, tail, NULL, e) == 0 && ctl_reply(ed->c, &version, e) == 0)
		count = list_files(js_get(version, "files"), files);
	if (!count) {
		if (ctl_blueprint_call(ed->c, "GET", ed->name, "?format=unit", NULL, e) < 0) {
			json_object_put(version);
			return e->code;
		}
		count = unit_files_split(ed->c->reply.data ? ed->c->reply.data : "", ed->c->reply.len, files, FILES_MAX);
	}
	take_files(ed, files, count);
	json_object_put(version);
	return 0;
}

static int
read_blueprint(struct edit *ed, struct err *e)
{
	struct json_object *agent = NULL;
	int r = ctl_blueprint_call(ed->c, "GET", ed->name, "", NULL, e);

	if (r == -ENOENT && ctl_has(&ed->c->args, OPT_NEW) && ed->full) {
		ed->is_new = true;
		buf_printf(&ed->form, "[Blueprint]\nDescription=\n\n[Agent]\nAdapter=claude\n");
		return 0;
	}
	if (r == -ENOENT)
		return err_set_status(e, 404, -ENOENT, "%s; aoctl edit --full --force %s makes it, aoctl blueprints shows those that are there",
				      e->text, ed->name);
	if (r == 0)
		r = ctl_reply(ed->c, &agent, e);
	if (r < 0)
		return r;
	ed->version = js_int(agent, "version", 0);
	json_object_put(agent);
	return read_files(ed, e);
}

/* ---- the editor ---------------------------------------------------------------------------------------- */

static int
make_temp(struct edit *ed, struct err *e)
{
	const char *tmp = getenv("TMPDIR");
	CLEANUP_FREE char *dir = xasprintf("%s/aoctl-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");

	if (!mkdtemp(dir))
		return err_errno(e, -errno, "a temporary directory %s", dir);
	ed->dir = xstrdup(dir);
	/* The end of the name tells editors what it is. */
	ed->path = ed->full ? xasprintf("%s/%s.blueprint", ed->dir, ed->name) : xasprintf("%s/%s.conf", ed->dir, ed->drop_in);
	return file_write_atomic(ed->path, ed->form.data ? ed->form.data : "", ed->form.len, 0600, false, e);
}

static void
drop_temp(struct edit *ed)
{
	if (ed->dir && !ed->keep)
		rm_rf(ed->dir, NULL);
	if (ed->dir && ed->keep)
		print_error("what you wrote is in %s", ed->path);
	free(ed->dir);
	free(ed->path);
}

static char **
editor_words(struct err *e)
{
	static const char *const names[] = { "VISUAL", "EDITOR" };
	const char *editor = NULL, *why = NULL;
	char **v;
	size_t i;

	for (i = 0; i < ARRAY_LEN(names) && (!editor || !*editor); i++)
		editor = getenv(names[i]);
	v = ini_split_words(editor && *editor ? editor : "editor", &why);
	if (v && *v)
		return v;
	strv_free(v);
	err_set(e, -EINVAL, "the editor \"%s\" of VISUAL or EDITOR: %s", editor ? editor : "", why ? why : "no program is named");
	return NULL;
}

static int
run_editor(struct edit *ed, struct err *e)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, was_int, was_quit;
	posix_spawnattr_t attr;
	sigset_t defaults;
	char **v = editor_words(e);
	int r, status = 0;
	pid_t pid;

	if (!v)
		return -EINVAL;
	v = strv_add(v, ed->path);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGINT);
	sigaddset(&defaults, SIGQUIT);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
	/* Ctrl-C is for the editor. */
	sigaction(SIGINT, &ignore, &was_int);
	sigaction(SIGQUIT, &ignore, &was_quit);
	r = posix_spawnp(&pid, v[0], NULL, &attr, v, environ);
	while (r == 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	sigaction(SIGINT, &was_int, NULL);
	sigaction(SIGQUIT, &was_quit, NULL);
	posix_spawnattr_destroy(&attr);
	if (r)
		err_errno(e, -r, "the editor %s (VISUAL or EDITOR names another one)", v[0]);
	else if (status)
		r = err_set(e, -EIO, "the editor %s failed; nothing was changed", v[0]);
	strv_free(v);
	return r ? e->code : 0;
}

/* ---- saving -------------------------------------------------------------------------------------------- */

static void
take_text(struct edit *ed, const char *p, size_t n)
{
	buf_reset(&ed->text);
	if (ed->full)
		buf_put(&ed->text, p, n);
	else
		ed->above = drop_in_text(&ed->text, p, n);
}

/* The text that is to be saved, from the editor or from standard input. */
static int
fetch_text(struct edit *ed, struct err *e)
{
	struct buf file = BUF_INIT;
	int r;

	if (ctl_has(&ed->c->args, OPT_STDIN)) {
		r = fd_read_all(STDIN_FILENO, INI_FILE_MAX, &file);
		if (r < 0)
			err_errno(e, r, "standard input");
	} else {
		r = run_editor(ed, e);
		if (r == 0)
			r = file_read(ed->path, INI_FILE_MAX, &file, e);
	}
	if (r == 0 && file.len && memchr(file.data, 0, file.len))
		r = err_set(e, -EINVAL, "the text has NUL bytes in it");
	if (r == 0)
		take_text(ed, file.data ? file.data : "", file.len);
	buf_free(&file);
	return r;
}

static bool
unchanged(const struct edit *ed)
{
	struct buf before = BUF_INIT;
	bool same;

	if (ed->is_new)
		return ed->text.len == ed->form.len && !memcmp(ed->text.data, ed->form.data, ed->text.len);
	if (ed->full)
		buf_put(&before, ed->before.data ? ed->before.data : "", ed->before.len);
	else
		drop_in_text(&before, ed->before.data ? ed->before.data : "", ed->before.len);
	same = before.len == ed->text.len && (!before.len || !memcmp(before.data, ed->text.data, before.len));
	buf_free(&before);
	return same;
}

static int
save(struct edit *ed, struct err *e)
{
	struct buf body = BUF_INIT, query = BUF_INIT;
	int r;

	buf_puts(&body, "{\"unit\":");
	buf_put_json(&body, ed->text.data ? ed->text.data : "", ed->text.len);
	buf_putc(&body, '}');
	if (!ed->full)
		ctl_put_param(&query, "dropin", ed->drop_in);
	/* So that what somebody else has written meanwhile is not lost. */
	if (ed->version)
		ctl_put_param_int(&query, "version", ed->version);
	CLEANUP_FREE char *tail = xasprintf("%s%s", query.len ? "?" : "", query.len ? query.data : "");

	r = ctl_blueprint_call(ed->c, "PUT", ed->name, tail, body.data, e);
	buf_free(&body);
	buf_free(&query);
	return r;
}

/* The problems of the last answer. Those of what was edited get the place that they have in the editor. */
static void
say_refused(struct edit *ed, const struct err *e)
{
	struct json_object *o = js_parse(ed->c->reply.data, ed->c->reply.len), *list = js_get(o, "problems");
	size_t i, n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	struct buf out = BUF_INIT;

	for (i = 0; i < n; i++) {
		struct json_object *p = json_object_array_get_idx(list, i);
		const char *file = js_str(p, "file");
		int64_t line = js_int(p, "line", 0);

		if (!file || !(ed->full ? str_ends(file, ed->shown) : is_drop_in(ed, file, strlen(file))))
			continue;
		json_object_object_add(p, "file", json_object_new_string(ed->path ? ed->path : ed->shown));
		if (line)
			json_object_object_add(p, "line", json_object_new_int64(line + ed->above));
	}
	if (!problems_put(&out, &look_err, list, NULL))
		print_error("%s: %s", ed->shown, e->text);
	fflush(stdout);
	fwrite(out.data ? out.data : "", 1, out.len, stderr);
	json_object_put(o);
	buf_free(&out);
}

/* Only somebody at a terminal can be asked; the answer that costs least is to edit again. */
static bool
edit_again(const struct edit *ed)
{
	char answer[16];

	if (ctl_has(&ed->c->args, OPT_STDIN) || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return false;
	fputs("It was not saved. Edit again? [Y/n] ", stderr);
	fflush(stderr);
	return fgets(answer, sizeof(answer), stdin) && answer[0] != 'n' && answer[0] != 'N';
}

static void
say_saved(struct edit *ed)
{
	struct json_object *o = js_parse(ed->c->reply.data, ed->c->reply.len);
	int64_t version = js_int(o, "version", 0);

	if (ctl_json(ed->c)) {
		print_json(ed->c->reply.data, ed->c->reply.len);
	} else {
		ctl_say_problems(ed->c, NULL); /* warnings */
		if (!ed->text.len)
			print_note("%s removed", ed->shown);
		else if (version)
			print_note("%s saved as version %" PRId64 " of %s", ed->shown, version, ed->name);
		else
			print_note("%s saved", ed->shown);
	}
	json_object_put(o);
}

static int
edit_and_save(struct edit *ed)
{
	struct err e = { 0 };

	for (;;) {
		if (fetch_text(ed, &e) < 0)
			return ctl_fail(NULL, &e);
		if (unchanged(ed)) {
			print_note("%s: nothing was changed", ed->shown);
			return 0;
		}
		/* A drop-in without a text goes; a blueprint does not by accident. */
		if (!ed->text.len && ed->full) {
			print_error("%s: the text is empty; nothing was changed (aoctl delete -b removes it, aoctl mask hides it)", ed->shown);
			return 1;
		}
		if (save(ed, &e) == 0) {
			say_saved(ed);
			return 0;
		}
		if (e.status != 422) {
			ed->keep = !ctl_has(&ed->c->args, OPT_STDIN);
			return ctl_blueprint_fail(ed->c, ed->name, &e);
		}
		say_refused(ed, &e);
		if (!edit_again(ed)) {
			ed->keep = !ctl_has(&ed->c->args, OPT_STDIN);
			return 1;
		}
	}
}

static int
check_words(const struct ctl_args *a, struct err *e)
{
	const char *drop_in = a->value[OPT_DROP_IN];

	if (ctl_has(a, OPT_WHOLE) && drop_in)
		return err_set(e, -EINVAL, "--full and --drop-in exclude each other");
	if (ctl_has(a, OPT_NEW) && !ctl_has(a, OPT_WHOLE))
		return err_set(e, -EINVAL, "--force makes a blueprint, and needs --full");
	if (strchr(a->words[0], '/'))
		return err_set(e, -EINVAL, "\"%s\" is no name of a blueprint; a file can be edited as it is, and checked with aoctl verify",
			       a->words[0]);
	if (drop_in && (!*drop_in || strchr(drop_in, '/') || *drop_in == '.'))
		return err_set(e, -EINVAL, "option --drop-in: \"%s\" is no name of a drop-in", drop_in);
	return 0;
}

int
cmd_edit(struct ctl *c)
{
	const char *drop_in = c->args.value[OPT_DROP_IN] ? c->args.value[OPT_DROP_IN] : "override";
	struct edit ed = { .c = c, .name = c->args.words[0], .full = ctl_has(&c->args, OPT_WHOLE) };
	struct err e = { 0 };
	size_t n = strlen(drop_in);
	int code;

	if (check_words(&c->args, &e) < 0)
		return ctl_usage(&e);
	ed.drop_in = xstrndup(drop_in, n > 5 && !strcmp(drop_in + n - 5, ".conf") ? n - 5 : n);
	ed.shown = ed.full ? xasprintf("%s.blueprint", ed.name) : xasprintf("%s.blueprint.d/%s.conf", ed.name, ed.drop_in);
	if (read_blueprint(&ed, &e) < 0)
		code = e.status == 404 ? ctl_fail(NULL, &e) : ctl_blueprint_fail(c, ed.name, &e);
	else if (!ctl_has(&c->args, OPT_STDIN) && make_temp(&ed, &e) < 0)
		code = ctl_fail(NULL, &e);
	else
		code = edit_and_save(&ed);
	drop_temp(&ed);
	free(ed.drop_in);
	free(ed.shown);
	buf_free(&ed.before);
	buf_free(&ed.form);
	buf_free(&ed.text);
	return code;
}
