/* SPDX-License-Identifier: MIT */
/* Any text as a blueprint: no crash, problems within their cap, and what is shown means the same when it is read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/util.h"
#include "model/blueprint-old.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool ok)
{
	if (!ok)
		abort();
}

/* A value that ends in a backslash would join the line after it. Only the last line of a text can have one. */
static bool
ends_in_backslash(const char *shown)
{
	return strstr(shown, "\\\n") != NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct blueprint_problem p[5];
	struct blueprint *a = blueprint_new("a", "a.blueprint"), *b = blueprint_new("b", NULL);
	struct buf first = BUF_INIT, second = BUF_INIT, json = BUF_INIT;
	struct json_object *o;
	int n = blueprint_parse(a, (const char *)data, size, p, 5);

	require(n >= 0 && n <= 5);
	for (int i = 0; i < n; i++)
		require(strnlen(p[i].text, sizeof(p[i].text)) < sizeof(p[i].text) && p[i].line >= 0 && p[i].column >= 0);
	blueprint_show(&first, a);
	blueprint_json(&json, a);
	o = json_tokener_parse(json.data);
	require(o != NULL);
	json_object_put(o);
	if (!ends_in_backslash(first.data)) {
		require(blueprint_parse(b, first.data, first.len, p, 5) == 0);
		blueprint_show(&second, b);
		require(strcmp(first.data, second.data) == 0);
	}
	blueprint_free(a);
	blueprint_free(b);
	buf_free(&first);
	buf_free(&second);
	buf_free(&json);
	return 0;
}
