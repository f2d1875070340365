/* SPDX-License-Identifier: MIT */
/* The table of endings; see mime.h. Called by aod for documents without a type, and by aoctl. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "model/mime.h"

#include <string.h>
#include <strings.h>

#include "base/util.h"

static const struct {
	const char *ending, *type;
} types[] = {
	{"7z", "application/x-7z-compressed"},
	{"avif", "image/avif"},
	{"bash", "text/x-sh"},
	{"bmp", "image/bmp"},
	{"c", "text/x-c"},
	{"conf", "text/plain"},
	{"cpp", "text/x-c++"},
	{"css", "text/css"},
	{"csv", "text/csv"},
	{"diff", "text/x-diff"},
	{"doc", "application/msword"},
	{"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
	{"epub", "application/epub+zip"},
	{"gif", "image/gif"},
	{"go", "text/x-go"},
	{"gz", "application/gzip"},
	{"h", "text/x-c"},
	{"hpp", "text/x-c++"},
	{"htm", "text/html"},
	{"html", "text/html"},
	{"ico", "image/vnd.microsoft.icon"},
	{"ini", "text/plain"},
	{"java", "text/x-java"},
	{"jpeg", "image/jpeg"},
	{"jpg", "image/jpeg"},
	{"js", "text/javascript"},
	{"json", "application/json"},
	{"jsonl", "application/jsonl"},
	{"jsx", "text/javascript"},
	{"log", "text/plain"},
	{"lua", "text/x-lua"},
	{"markdown", "text/markdown"},
	{"md", "text/markdown"},
	{"mjs", "text/javascript"},
	{"mp3", "audio/mpeg"},
	{"mp4", "video/mp4"},
	{"odt", "application/vnd.oasis.opendocument.text"},
	{"ogg", "audio/ogg"},
	{"patch", "text/x-diff"},
	{"pdf", "application/pdf"},
	{"php", "text/x-php"},
	{"png", "image/png"},
	{"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
	{"py", "text/x-python"},
	{"rb", "text/x-ruby"},
	{"rs", "text/x-rust"},
	{"rst", "text/x-rst"},
	{"rtf", "application/rtf"},
	{"sh", "text/x-sh"},
	{"sql", "application/sql"},
	{"svg", "image/svg+xml"},
	{"tar", "application/x-tar"},
	{"tex", "text/x-tex"},
	{"tiff", "image/tiff"},
	{"toml", "application/toml"},
	{"ts", "text/typescript"},
	{"tsv", "text/tab-separated-values"},
	{"tsx", "text/typescript"},
	{"txt", "text/plain"},
	{"wasm", "application/wasm"},
	{"wav", "audio/x-wav"},
	{"webm", "video/webm"},
	{"webp", "image/webp"},
	{"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
	{"xml", "application/xml"},
	{"xz", "application/x-xz"},
	{"yaml", "text/yaml"},
	{"yml", "text/yaml"},
	{"zip", "application/zip"},
	{"zst", "application/zstd"},
};

const char *
mime_guess(const char *filename)
{
	const char *dot = strrchr(filename, '.');

	for (size_t i = 0; dot && i < ARRAY_LEN(types); i++)
		if (strcasecmp(dot + 1, types[i].ending) == 0)
			return types[i].type;
	return "application/octet-stream";
}
