/* SPDX-License-Identifier: MIT */
/* The types of values: how each is written, whether a text is one, and what its number is. Pure. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/ini.h"
#include "base/util.h"
#include "model/ask.h"
#include "model/blueprint-internal.h"
#include "model/calendar.h"
#include "model/session.h"

/* In the order of their numbers. */
static const char capabilities[] = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER "
				   "CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP "
				   "CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST "
				   "CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER "
				   "CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE "
				   "CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE "
				   "CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD "
				   "CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL CAP_SETFCAP "
				   "CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM "
				   "CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF "
				   "CAP_CHECKPOINT_RESTORE";
static const char namespaces[] = "cgroup ipc mnt net pid time user uts";
static const char families[] = "AF_UNIX AF_LOCAL AF_INET AF_INET6 AF_NETLINK AF_PACKET AF_VSOCK "
			       "AF_ALG AF_AX25 AF_BLUETOOTH AF_CAN AF_IB AF_ISDN "
			       "AF_KCM AF_KEY AF_LLC AF_NFC AF_PHONET AF_PPPOX AF_QIPCRTR AF_RDS "
			       "AF_RXRPC AF_SMC AF_TIPC AF_X25 AF_XDP";
static const char call_groups[] = "@aio @basic-io @chown @clock @cpu-emulation @debug @default "
				  "@file-system @io-event @ipc @keyring @known @memlock "
				  "@module @mount @network-io @obsolete @pkey @privileged @process "
				  "@raw-io @reboot @resources @sandbox @setuid @signal "
				  "@swap @sync @system-service @timer";

/* ---- types ---- */

static const struct {
	enum value_form form;
	const char *doc, *example;
} types[DT_COUNT_OF_TYPES] = {
	[DT_TEXT] =
		{FORM_TEXT,
		 "Takes a text; with quotes around all of it, C escapes such as \\n are replaced.",
		 "some text"},
	[DT_COMMAND] = {FORM_ARGV, "Takes a program and its arguments, with quotes as in a shell.",
			"/bin/echo \"two words\""},
	[DT_WORDS] = {FORM_WORDS, "Takes a list of words, with quotes as in a shell.",
		      "one \"two words\""},
	[DT_ENVIRONMENT] = {FORM_WORDS, "Takes a list of NAME=VALUE, with quotes as in a shell.",
			    "A=1 \"B=two words\""},
	[DT_NAMES] = {FORM_WORDS, "Takes a list of names of variables.", "KEY OTHER_KEY"},
	[DT_BOOL] = {FORM_RAW, "Takes yes or no.", "yes"},
	[DT_INT] = {FORM_RAW, "Takes a number.", "1"},
	[DT_FLOAT] = {FORM_RAW, "Takes a number, also with a decimal point.", "2.5"},
	[DT_TIMESPAN] =
		{FORM_RAW,
		 "Takes a time span such as 5s, 2min or infinity; a bare number is seconds.",
		 "1min 30s"},
	[DT_SIZE] = {FORM_RAW,
		     "Takes a number of bytes, also with K, M, G or T (of 1024), a percentage of "
		     "the host's memory, or infinity.",
		     "512M"},
	[DT_COUNT] = {FORM_RAW,
		      "Takes a number, a percentage of what the host allows, or infinity.", "512"},
	[DT_PERCENT] = {FORM_RAW, "Takes a percentage, which may be over 100%.", "150%"},
	[DT_WEIGHT] = {FORM_RAW, "Takes a number from 1 to 10000.", "100"},
	[DT_CPUS] = {FORM_WORDS, "Takes a list of numbers and ranges.", "0-3,5"},
	[DT_ENUM] = {FORM_RAW, NULL, NULL},
	[DT_ENUMS] = {FORM_WORDS, NULL, NULL},
	[DT_STATUSES] = {FORM_WORDS, "Takes a list of exit codes, names of signals, and results.",
			 "3 SIGTERM max-turns"},
	[DT_CALENDAR] = {FORM_TEXTS,
			 "Takes a calendar expression as in systemd.time(7); may be given more than once.",
			 "Mon..Fri 08:00"},
	[DT_PATH] = {FORM_TEXT, "Takes an absolute path.", "/srv/project"},
	[DT_FILE] = {FORM_TEXT, "Takes a path.", "file.txt"},
	[DT_FILES] = {FORM_TEXTS, "Takes a path; may be given more than once.",
		      "-/etc/default/agent"},
	[DT_PATHS] = {FORM_WORDS, "Takes a list of absolute paths.", "/srv -/opt/tools"},
	[DT_BINDS] = {FORM_WORDS, "Takes a list.", "/srv/data:/data"},
	[DT_TMPFS] = {FORM_WORDS, "Takes a list.", "/var/cache:size=64M"},
	[DT_MODE] = {FORM_RAW, "Takes an octal number.", "0077"},
	[DT_RLIMIT] = {FORM_RAW, NULL, "100"},
	[DT_BANDWIDTH] = {FORM_TUPLES,
			  "Takes a path and a number, also with K, M, G or T (of 1000); may be "
			  "given more than once.",
			  "/var 10M"},
	[DT_USER] = {FORM_RAW, "Takes a name or a number.", "nobody"},
	[DT_CAPABILITIES] = {FORM_WORDS, "Takes a list of names such as CAP_NET_RAW.",
			     "~CAP_SYS_ADMIN CAP_NET_RAW"},
	[DT_NAMESPACES] =
		{FORM_WORDS,
		 "Takes yes, no, or a list of cgroup, ipc, mnt, net, pid, time, user and uts.",
		 "~user net"},
	[DT_FAMILIES] = {FORM_WORDS, "Takes a list.", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"},
	[DT_SYSCALLS] = {FORM_WORDS, "Takes a list.", "~@mount ptrace:EPERM"},
	[DT_ERRNO] = {FORM_RAW, "Takes the name or the number of an error.", "EPERM"},
	[DT_CREDENTIALS] = {FORM_TEXTS, "May be given more than once.", "token:/etc/aod/token"},
	[DT_ASK_RULES] = {FORM_TEXTS, "Takes allow or deny and a tool, maybe with a pattern; may be given more than once.",
			  "allow Bash(git log:*)"},
	[DT_MCP_SERVERS] = {FORM_TUPLES,
			    "Takes a name, then an address or a program and its arguments, with "
			    "quotes as in a shell.",
			    "files npx -y \"some server\""},
};

enum value_form
value_form(const struct directive *d)
{
	return types[d->type].form;
}

bool
directive_is_list(const struct directive *d)
{
	return types[d->type].form == FORM_WORDS || directive_is_lines(d);
}

bool
directive_is_lines(const struct directive *d)
{
	return types[d->type].form == FORM_TEXTS || types[d->type].form == FORM_TUPLES;
}

const char *
directive_type_doc(enum directive_type t)
{
	switch (t) {
	case DT_ENUM:
		return "Takes one of these words:";
	case DT_ENUMS:
		return "Takes a list of these words:";
	case DT_RLIMIT:
		return "Takes a limit, or two with a colon between them (soft:hard), each a number "
		       "or infinity, counted in";
	default:
		return types[t].doc;
	}
}

const char *
directive_example(const struct directive *d)
{
	static char word[64];

	if (d->type == DT_ENUM || d->type == DT_ENUMS) {
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(d->values, " "), d->values);
		return word;
	}
	return types[d->type].example;
}

/* ---- texts ---- */

bool
utf8_valid(const char *s, size_t n)
{
	struct buf tmp = BUF_INIT;
	bool ok = true;

	for (size_t i = 0; i < n && ok; i++)
		ok = (signed char)s[i] >= 0;
	if (!ok) {
		ok = buf_put_json(&tmp, s, n) == 1;
		buf_free(&tmp);
	}
	return ok;
}

static bool
in_list(const char *list, const char *v, size_t n)
{
	for (const char *p = list; *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");

		if (len == n && memcmp(p, v, n) == 0)
			return true;
		p += len;
	}
	return false;
}

bool
value_in(const char *list, const char *v)
{
	return in_list(list, v, strlen(v));
}

/* The word of the list that is nearest to v, in out; false when none is near. */
static bool
nearest_word(const char *list, const char *v, char *out, size_t size)
{
	int best = strlen(v) < 4 ? 2 : 4;
	bool found = false;

	for (const char *p = list; *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");
		char word[64];
		int distance;

		snprintf(word, sizeof(word), "%.*s", (int)len, p);
		distance = strcasecmp(word, v) == 0 ? 0 : str_distance(v, word, best - 1);
		if (distance < best) {
			best = distance;
			found = true;
			snprintf(out, size, "%s", word);
		}
		p += len;
	}
	return found;
}

/* "wants a, b or c", or what v was meant to be. */
static const char *
why_one_of(const char *list, const char *v, const char *otherwise, char *why)
{
	char word[64];

	if (nearest_word(list, v, word, sizeof(word)))
		snprintf(why, VALUE_WHY, "did you mean '%s'?", word);
	else if (otherwise)
		snprintf(why, VALUE_WHY, "%s", otherwise);
	else
		snprintf(why, VALUE_WHY, "wants one of: %s", list);
	return why;
}

/* ---- numbers ---- */

int
value_capability(const char *v)
{
	int n = 0;

	for (const char *p = capabilities; *p; p += strspn(p, " "), n++) {
		size_t len = strcspn(p, " ");

		if (strncmp(p, v, len) == 0 && !v[len])
			return n;
		p += len;
	}
	return -1;
}

/* "12" or "12.5" at *s, which moves behind it. */
static bool
decimal(const char **s, double *out)
{
	double v = 0, scale = 1;
	const char *p = *s;

	if (!isdigit((unsigned char)*p))
		return false;
	for (; isdigit((unsigned char)*p); p++)
		v = v * 10 + (*p - '0');
	if (*p == '.') {
		if (!isdigit((unsigned char)*++p))
			return false;
		for (; isdigit((unsigned char)*p); p++)
			v += (*p - '0') * (scale /= 10);
	}
	*s = p;
	*out = v;
	return true;
}

int64_t
value_int(const char *v)
{
	int64_t n = 0;

	parse_i64(v + (*v == '+'), INT64_MIN, INT64_MAX, &n);
	return n;
}

double
value_float(const char *v)
{
	double n = 0;

	if (decimal(&v, &n) && *v == '%')
		n /= 100;
	return n;
}

static bool
parse_size(const char *v, int base, int64_t *out)
{
	static const char suffixes[] = "BKMGTPE";
	const char *suffix;
	double n;

	if (parse_i64(v, 0, INT64_MAX, out))
		return true;
	if (!decimal(&v, &n))
		return false;
	suffix = *v ? strchr(suffixes, *v) : NULL;
	if (!suffix || v[1])
		return false;
	for (; suffix > suffixes; suffix--)
		n *= base;
	if (n >= 9.2e18)
		return false;
	*out = (int64_t)n;
	return true;
}

static bool
parse_percent(const char *v, double max)
{
	double n;

	return decimal(&v, &n) && v[0] == '%' && !v[1] && n >= 0 && n <= max;
}

int64_t
value_size(const char *v, int base)
{
	int64_t n;

	if (strcmp(v, "infinity") == 0)
		return INT64_MAX;
	return parse_size(v, base, &n) ? n : -1;
}

static const char *
check_int(const struct directive *d, const char *v, char *why)
{
	char *end;
	int64_t min = strtoll(d->values, &end, 10), max = strtoll(end, NULL, 10), n;

	if (parse_i64(v, min, max, &n))
		return NULL;
	snprintf(why, VALUE_WHY, "wants a number from %lld to %lld", (long long)min,
		 (long long)max);
	return why;
}

static const char *
check_float(const struct directive *d, const char *v, char *why)
{
	char *end;
	int64_t min = strtoll(d->values, &end, 10), max = strtoll(end, NULL, 10);
	double n;

	if (decimal(&v, &n) && !*v && n >= (double)min && n <= (double)max)
		return NULL;
	snprintf(why, VALUE_WHY, "wants a number from %lld to %lld, such as 2.5", (long long)min,
		 (long long)max);
	return why;
}

static const char *
check_cpus(const char *v)
{
	static const char why[] = "wants numbers and ranges such as 0-3,5";

	for (;;) {
		int64_t range[2] = {0, 0};
		int i = 0;

		for (;; v++) {
			if (!isdigit((unsigned char)*v))
				return why;
			for (; isdigit((unsigned char)*v); v++)
				if ((range[i] = range[i] * 10 + (*v - '0')) > 8191)
					return why;
			if (*v != '-' || i++)
				break;
		}
		if (i && range[1] < range[0])
			return why;
		if (!*v)
			return NULL;
		if (*v++ != ',')
			return why;
	}
}

bool
value_limit(const char *unit, const char *v, int64_t *out)
{
	if (strcmp(v, "infinity") == 0) {
		*out = INT64_MAX;
		return true;
	}
	if (strcmp(unit, "bytes") == 0)
		return parse_size(v, 1024, out);
	if (strcmp(unit, "number") == 0)
		return parse_i64(v, 0, INT64_MAX, out);
	/* As in systemd: LimitRTTIME= alone has another unit. */
	if (strcmp(unit, "microseconds") == 0 && parse_i64(v, 0, INT64_MAX, out))
		return true;
	return parse_timespan(v, out);
}

static const char *
check_rlimit(const struct directive *d, const char *v, char *why)
{
	char soft[64];
	const char *colon = strchr(v, ':');
	int64_t a, b;

	snprintf(soft, sizeof(soft), "%.*s", colon ? (int)(colon - v) : 63, v);
	if (!value_limit(d->values, soft, &a) ||
	    (colon && !value_limit(d->values, colon + 1, &b))) {
		snprintf(why, VALUE_WHY, "wants a limit (%s) or infinity, or two as soft:hard",
			 d->values);
		return why;
	}
	return colon && a > b ? "wants a soft limit that is not above the hard one" : NULL;
}

/* ---- names ---- */

/* NAME as the shell has it. n: bytes of it. */
static bool
variable_valid(const char *s, size_t n)
{
	if (n == 0 || isdigit((unsigned char)s[0]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '_')
			return false;
	return true;
}

static const char *
check_user(const char *v)
{
	static const char why[] = "wants the name or the number of one";
	int64_t n;

	if (isdigit((unsigned char)*v))
		return parse_i64(v, 0, UINT32_MAX - 1, &n) && n != UINT16_MAX ? NULL : why;
	if (!isalpha((unsigned char)*v) && *v != '_')
		return why;
	for (size_t i = 0; v[i]; i++)
		if (i > 31 || (!isalnum((unsigned char)v[i]) && !strchr("_-.", v[i])))
			return why;
	return NULL;
}

static bool
errno_valid(const char *v, size_t n)
{
	char name[16];
	int64_t number;

	if (n >= sizeof(name))
		return false;
	memcpy(name, v, n);
	name[n] = 0;
	if (parse_i64(name, 1, 4095, &number) || strcmp(name, "kill") == 0)
		return true;
	if (strcmp(name, "EAGAIN") == 0 || strcmp(name, "EWOULDBLOCK") == 0 ||
	    strcmp(name, "ENOTSUP") == 0)
		return true;
	for (int i = 1; i < 134; i++) {
		const char *known = strerrorname_np(i);

		if (known && strcmp(known, name) == 0)
			return true;
	}
	return false;
}

static bool
signal_valid(const char *v)
{
	if (str_starts(v, "SIG"))
		v += 3;
	for (int i = 1; i < 32; i++) {
		const char *known = sigabbrev_np(i);

		if (known && strcmp(known, v) == 0)
			return true;
	}
	return false;
}

static const char *
check_status(const char *v)
{
	int64_t n;

	if (parse_i64(v, 0, 255, &n) || signal_valid(v))
		return NULL;
	for (int i = OUTCOME_NONE + 1; i < OUTCOME_COUNT; i++)
		if (strcmp(outcome_name((enum outcome)i), v) == 0)
			return NULL;
	return "wants exit codes (0 to 255), signals such as SIGTERM, or results such as max-turns";
}

static const char *
check_calendar(const char *v)
{
	struct calendar *c;
	struct err e = {0};

	if (calendar_parse(v, &c, &e) < 0)
		return "wants a calendar expression such as daily or Mon..Fri 08:00, see systemd.time(7)";
	calendar_free(c);
	return NULL;
}

/* ---- lists with ~ ---- */

static const char *
check_syscall(const char *v, char *why)
{
	size_t n = strcspn(v, ":");

	if (v[n] == ':' && !errno_valid(v + n + 1, strlen(v + n + 1)))
		return "wants NAME:ERRNO with an error such as EPERM behind the colon";
	if (*v == '@') {
		char group[40];

		if (in_list(call_groups, v, n))
			return NULL;
		snprintf(group, sizeof(group), "%.*s", (int)n, v);
		return why_one_of(
			call_groups, group,
			"is a group that is not known, see `systemd-analyze syscall-filter`", why);
	}
	/* Which names there are is known to the library that builds the filter. */
	for (size_t i = 0; i < n; i++)
		if (!islower((unsigned char)v[i]) && !isdigit((unsigned char)v[i]) && v[i] != '_')
			return "wants yes, no, or names of system calls and @groups";
	return n > 0 ? NULL : "wants yes, no, or names of system calls and @groups";
}

/* A word of a list in which ~ may stand in front of a word. */
static const char *
check_listed(const struct directive *d, const char *v, char *why)
{
	const char *w = v + (*v == '~');

	if (*v == '~' && !*w)
		return NULL;
	switch (d->type) {
	case DT_CAPABILITIES:
		return value_in(capabilities, w) || strcmp(v, "none") == 0
			       ? NULL
			       : why_one_of(capabilities, w, "wants none, or names such as CAP_NET_RAW",
					    why);
	case DT_NAMESPACES:
		return value_in(namespaces, w)
			       ? NULL
			       : why_one_of(
					 namespaces, w,
					 "wants yes, no, or cgroup ipc mnt net pid time user uts",
					 why);
	case DT_FAMILIES:
		if (strcmp(v, "none") == 0)
			return NULL;
		return value_in(families, w)
			       ? NULL
			       : why_one_of(families, w, "wants none, or names such as AF_UNIX",
					    why);
	default:
		return check_syscall(w, why);
	}
}

/* ---- paths ---- */

static const char *
check_bind(const char *v)
{
	static const char why[] = "wants SOURCE[:DESTINATION[:OPTIONS]] with absolute paths";
	const char *colon;

	v += *v == '-';
	if (*v != '/')
		return why;
	colon = strchr(v, ':');
	if (!colon)
		return NULL;
	if (colon[1] != '/')
		return why;
	colon = strchr(colon + 1, ':');
	return !colon || value_in("rbind norbind", colon + 1) ? NULL
							      : "wants rbind or norbind as options";
}

static const char *
check_bandwidth(const char *v)
{
	static const char why[] = "wants PATH NUMBER, such as /var 10M";
	const char *bad;
	char **words = ini_split_words(v, &bad);
	bool ok = words && strv_len(words) == 2 && words[0][0] == '/' &&
		  value_size(words[1], 1000) >= 0;

	strv_free(words);
	return ok ? NULL : why;
}

static const char *
check_credential(const struct directive *d, const char *v)
{
	size_t n = strcspn(v, ":");

	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)v[i]) && !strchr("_-.", v[i]))
			n = 0;
	if (n == 0 || n > 255 || !v[n] || v[0] == '.')
		return d->values ? "wants ID:TEXT" : "wants ID:PATH";
	return d->values || v[n + 1] == '/' ? NULL : "wants ID:PATH with an absolute path";
}

static const char *
check_mcp(const char *v)
{
	const char *bad, *why = NULL;
	char **words = ini_split_words(v, &bad);
	size_t n = strv_len(words);

	if (!words)
		why = bad;
	else if (n < 2 || !words[1][0])
		why = "wants NAME PROGRAM [ARGUMENT…] or NAME ADDRESS";
	else if (!name_valid(words[0]))
		why = "wants a name of letters, digits, hyphens and underscores first";
	else if (n > 2 && (str_starts(words[1], "http://") || str_starts(words[1], "https://")))
		why = "wants nothing behind an address";
	strv_free(words);
	return why;
}

/* ---- all of them ---- */

static const char *
usual_bool(const char *v)
{
	bool b;

	return parse_bool(v, &b) ? b ? "yes" : "no" : NULL;
}

static const char *
check_number(const struct directive *d, const char *v, char *why)
{
	int64_t n;

	switch (d->type) {
	case DT_INT:
		return check_int(d, v, why);
	case DT_FLOAT:
		return check_float(d, v, why);
	case DT_TIMESPAN:
		return parse_timespan(v, &n) ? NULL
					     : "wants a time span such as 10s, 500ms or infinity";
	case DT_SIZE:
		return parse_percent(v, 100) || value_size(v, 1024) >= 0
			       ? NULL
			       : "wants bytes such as 512M, a percentage or infinity";
	case DT_COUNT:
		if (strcmp(v, "infinity") == 0 || parse_percent(v, 100) ||
		    parse_i64(v, 1, INT64_MAX, &n))
			return NULL;
		return "wants a number from 1, a percentage or infinity";
	case DT_PERCENT:
		return parse_percent(v, 1e6) && value_float(v) > 0
			       ? NULL
			       : "wants a percentage such as 50%";
	case DT_WEIGHT:
		if (parse_i64(v, 1, 10000, &n) || (d->values && value_in(d->values, v)))
			return NULL;
		return d->values ? "wants a number from 1 to 10000, or idle"
				 : "wants a number from 1 to 10000";
	case DT_MODE:
		n = (int64_t)strlen(v);
		return n > 0 && n <= 5 && strspn(v, "01234567") == (size_t)n &&
				       strtol(v, NULL, 8) <= 07777
			       ? NULL
			       : "wants an octal number such as 0022";
	case DT_RLIMIT:
		return check_rlimit(d, v, why);
	default:
		return errno_valid(v, strlen(v))
			       ? NULL
			       : "wants an error such as EPERM, a number from 1 to 4095, or kill";
	}
}

static const char *
check_yes_no_or(const struct directive *d, const char *v, const char **usual, char *why)
{
	const char *b = usual_bool(v);
	bool takes = d->type == DT_BOOL || d->type == DT_NAMESPACES || d->type == DT_SYSCALLS ||
		     (d->type == DT_ENUM && value_in(d->values, "yes"));

	if (b && takes) {
		*usual = b;
		return NULL;
	}
	if (d->type == DT_BOOL)
		return "wants yes or no";
	if (d->type == DT_ENUM || d->type == DT_ENUMS)
		return value_in(d->values, v) ? NULL : why_one_of(d->values, v, NULL, why);
	return check_listed(d, v, why);
}

const char *
value_check(const struct directive *d, const char *v, const char **usual, char *why)
{
	const char *p = v;

	*usual = NULL;
	if (!utf8_valid(v, strlen(v)))
		return "is not valid UTF-8; write the file in UTF-8";
	switch (d->type) {
	case DT_TEXT:
	case DT_WORDS:
	case DT_COMMAND:
	case DT_FILE:
		return NULL;
	case DT_ENVIRONMENT:
		p = strchr(v, '=');
		return p && variable_valid(v, (size_t)(p - v)) ? NULL : "wants NAME=VALUE";
	case DT_NAMES:
		return variable_valid(v, strlen(v)) ? NULL : "wants names of variables";
	case DT_BOOL:
	case DT_ENUM:
	case DT_ENUMS:
	case DT_CAPABILITIES:
	case DT_NAMESPACES:
	case DT_FAMILIES:
	case DT_SYSCALLS:
		return check_yes_no_or(d, v, usual, why);
	case DT_CPUS:
		return check_cpus(v);
	case DT_STATUSES:
		return check_status(v);
	case DT_CALENDAR:
		return check_calendar(v);
	case DT_PATH:
		return *v == '/' ? NULL : "wants an absolute path";
	case DT_FILES:
		return v[*v == '-'] ? NULL : "wants a path";
	case DT_PATHS:
		p += *p == '-';
		p += *p == '+';
		return *p == '/' ? NULL : "wants absolute paths";
	case DT_BINDS:
		return check_bind(v);
	case DT_TMPFS:
		return *v == '/' && v[1] != ':' ? NULL
						: "wants PATH[:OPTIONS] with an absolute path";
	case DT_BANDWIDTH:
		return check_bandwidth(v);
	case DT_USER:
		return check_user(v);
	case DT_CREDENTIALS:
		return check_credential(d, v);
	case DT_ASK_RULES:
		return ask_rule_check(v);
	case DT_MCP_SERVERS:
		return check_mcp(v);
	default:
		return check_number(d, v, why);
	}
}
