/* SPDX-License-Identifier: MIT */
/*
 * Any texts as a blueprint and its drop-ins (a byte 0x1e parts them): no crash, problems within
 * their cap, JSON that is JSON, and what is shown means the same when it is read again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/ini.h"
#include "base/util.h"
#include "model/blueprint.h"
#include "model/env-file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool ok)
{
	if (!ok)
		abort();
}

static void
require_json(struct buf *b)
{
	struct json_tokener *t = json_tokener_new();
	struct json_object *o;

	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(t, b->data, (int)b->len + 1);
	require(o != NULL);
	json_object_put(o);
	json_tokener_free(t);
	buf_free(b);
}

static void
add_all(struct blueprint *b, const char *s, size_t n, struct blueprint_problems *p)
{
	for (int i = 0; i < 4; i++) {
		const char *end = memchr(s, 0x1e, n);
		size_t len = end ? (size_t)(end - s) : n;
		int before = p->errors;

		require(blueprint_add(b, "a.blueprint", s, len, p) == p->errors - before);
		if (!end)
			break;
		n -= len + 1;
		s = end + 1;
	}
}

static void
check_problems(const struct blueprint_problems *p)
{
	struct buf out = BUF_INIT;
	struct err e = {0};

	require(p->count <= BLUEPRINT_PROBLEMS_MAX && p->count <= p->errors + p->warnings);
	for (int i = 0; i < p->count; i++) {
		require(strnlen(p->v[i].text, sizeof(p->v[i].text)) < sizeof(p->v[i].text));
		require(p->v[i].line >= 0 && p->v[i].column >= 0 && p->v[i].text[0]);
		blueprint_problem_format(&out, &p->v[i]);
	}
	buf_free(&out);
	require((blueprint_problems_err(p, &e) < 0) == (p->errors > 0));
	blueprint_problems_json(&out, p);
	require_json(&out);
}

static void
check_forms(const struct blueprint *a)
{
	struct buf out = BUF_INIT;

	blueprint_settings_json(&out, a);
	require_json(&out);
	blueprint_agent_json(&out, a, NULL, NULL, NULL, 0, 1);
	require_json(&out);
	for (int i = 0; i < D_COUNT; i++) {
		const struct directive *d = &blueprint_directives[i];

		if (!directive_is_list(d) && d->type != DT_COMMAND) {
			enum directive_id id = (enum directive_id)i;

			(void)blueprint_int(a, id);
			(void)blueprint_us(a, id);
			require(d->type != DT_SIZE || blueprint_bytes(a, id, 1 << 20) >= -1);
		}
	}
}

static void
check_expand(const struct blueprint *a)
{
	const struct specifiers s = {.name = "a@b",
				     .run_dir = "/r",
				     .state_dir = "/s",
				     .cache_dir = "/c",
				     .home = "/h",
				     .user = "u",
				     .uid = "0",
				     .host = "h",
				     .session = "s",
				     .session_id = "e",
				     .project_dir = "/p",
				     .session_dir = "/d"};
	const struct specifiers none = {.name = NULL};
	struct buf out = BUF_INIT;
	struct err e;
	struct blueprint *b = blueprint_expand(a, &s, &e);

	if (b)
		blueprint_show(&out, b, true);
	blueprint_free(b);
	blueprint_free(blueprint_expand(a, &none, &e));
	buf_free(&out);
}

/* What is shown means the same. */
static void
check_again(const struct blueprint *a)
{
	struct blueprint_problems p = BLUEPRINT_PROBLEMS_INIT;
	struct buf first = BUF_INIT, second = BUF_INIT;
	struct blueprint *b = blueprint_new("b", NULL);

	blueprint_show(&first, a, true);
	if (first.len < INI_VALUE_MAX) {
		require(blueprint_add(b, NULL, first.data, first.len, &p) == 0);
		blueprint_show(&second, b, true);
		require(strcmp(first.data, second.data) == 0);
		buf_reset(&first);
		buf_reset(&second);
		blueprint_settings_json(&first, a);
		blueprint_settings_json(&second, b);
		require(strcmp(first.data, second.data) == 0);
	}
	blueprint_free(b);
	buf_free(&first);
	buf_free(&second);
	blueprint_problems_free(&p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct blueprint_problems p = BLUEPRINT_PROBLEMS_INIT;
	struct blueprint *a = blueprint_new("a", "a.blueprint");
	char **env = NULL;

	add_all(a, (const char *)data, size, &p);
	blueprint_lint(a, &p);
	check_problems(&p);
	check_forms(a);
	check_expand(a);
	check_again(a);
	env_file_parse(&env, (const char *)data, size, NULL);
	strv_free(env);
	blueprint_free(a);
	blueprint_problems_free(&p);
	return 0;
}
