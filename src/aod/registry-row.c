/* SPDX-License-Identifier: MIT */
/* What the database is told of a blueprint. See registry.h. */
#include "config.h"

#include <string.h>

#include "aod/registry.h"
#include "base/util.h"

void
registry_shown_free(struct registry_shown *s)
{
	buf_free(&s->json);
	buf_free(&s->settings);
	buf_free(&s->problems);
	buf_free(&s->text);
	buf_free(&s->files);
}

/* As `systemctl cat` shows files. */
static void
put_file(struct buf *out, const struct unit_file *u)
{
	if (out->len)
		buf_putc(out, '\n');
	buf_puts(out, "# ");
	buf_puts(out, u->path);
	buf_putc(out, '\n');
	buf_put(out, u->text, u->len);
	if (u->len && u->text[u->len - 1] != '\n')
		buf_putc(out, '\n');
}

void
registry_show_texts(struct registry_shown *s, const struct blueprint_files *f)
{
	buf_reset(&s->text);
	buf_reset(&s->files);
	buf_putc(&s->files, '[');
	s->unit_bytes = 0;
	for (int i = 0; i < f->count; i++) {
		const struct unit_file *u = &f->v[i];

		put_file(&s->text, u);
		if (u->kind != UNIT_SIDE)
			s->unit_bytes = s->text.len;
		buf_puts(&s->files, i ? ",{\"path\":" : "{\"path\":");
		buf_put_json_str(&s->files, u->path);
		buf_puts(&s->files, ",\"text\":");
		buf_put_json(&s->files, u->text, u->len);
		buf_putc(&s->files, '}');
	}
	buf_putc(&s->files, ']');
}

void
registry_show(struct registry_shown *s, const struct blueprint_files *f, const struct blueprint *b,
	      int64_t version, int64_t created_us)
{
	const struct unit_file *prompt = blueprint_side_file(f, D_SystemPromptFile),
			       *mcp = blueprint_side_file(f, D_McpConfigFile);
	char *const *tags = blueprint_words(b, D_Tags);

	s->status = f->masked                               ? "masked"
		    : f->problems.errors                    ? "bad"
		    : blueprint_tri(b, D_Enabled) == TRI_NO ? "inactive"
							    : "active";
	buf_reset(&s->json);
	blueprint_agent_json(&s->json, b, prompt ? prompt->text : NULL, mcp ? mcp->text : NULL,
			     s->status, created_us, f->last_us);
	s->json.len--; /* more members follow */
	buf_printf(&s->json, ",\"version\":%lld,\"path\":", (long long)version);
	buf_put_json_str(&s->json, f->main_path);
	if (tags && *tags) {
		buf_puts(&s->json, ",\"tags\":[");
		for (size_t i = 0; tags[i]; i++) {
			buf_puts(&s->json, i ? "," : "");
			buf_put_json_str(&s->json, tags[i]);
		}
		buf_putc(&s->json, ']');
	}
	buf_putc(&s->json, '}');
	buf_reset(&s->settings);
	blueprint_settings_json(&s->settings, b);
	buf_reset(&s->problems);
	blueprint_problems_json(&s->problems, &f->problems);
}
