/* SPDX-License-Identifier: MIT */
/* The commands that a prompt of aod-demo-agent is made of. One row of commands[] each gives parser
 * and help. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "demo/demo.h"

/* A command that cannot be done ends the turn as a failure of the agent. */
void
fail_with(const char *fmt, ...)
{
	va_list ap;

	buf_reset(&me.answer);
	va_start(ap, fmt);
	buf_vprintf(&me.answer, fmt, ap);
	va_end(ap);
	me.failed = true;
}

static void
do_say(struct call *c)
{
	say_n(c->text, strlen(c->text));
}

static void
do_think(struct call *c)
{
	struct buf block = BUF_INIT, *m = msg_begin("system", "thinking_tokens");

	buf_puts(m, ",\"estimated_tokens\":3,\"estimated_tokens_delta\":3");
	msg_end(m);
	buf_puts(&block, "{\"type\":\"thinking\",\"thinking\":");
	buf_put_json_str(&block, c->text);
	buf_puts(&block, ",\"signature\":\"ZGVtbw==\"}");
	say_block(&block);
	buf_free(&block);
}

static void
do_stream(struct call *c)
{
	for (int64_t i = 1; i <= c->number[0] && !me.interrupted; i++) {
		if (i > 1)
			wait_busy(c->number[1], -1);
		say("%s %lld", *c->text ? c->text : "line", (long long)i);
	}
}

static void
do_lines(struct call *c)
{
	size_t width = (size_t)c->number[1];
	struct buf b = BUF_INIT;

	for (int64_t i = 1; i <= c->number[0]; i++) {
		buf_reset(&b);
		buf_printf(&b, "line %lld", (long long)i);
		if (b.len < width)
			buf_putc(&b, ' ');
		while (b.len < width)
			buf_putc(&b, 'x');
		say_n(b.data, b.len);
	}
	buf_free(&b);
}

static void
do_tool(struct call *c)
{
	struct json_object *input = json_tokener_parse(*c->text ? c->text : "{}");
	char id[ID_SIZE];

	if (!json_object_is_type(input, json_type_object)) {
		fail_with("tool: the input is no JSON object: %s", c->text);
	} else {
		tool_use(c->word[0], json_object_to_json_string_ext(input, JSON_C_TO_STRING_PLAIN),
			 id);
		tool_result(id, "ok", 2, false);
	}
	json_object_put(input);
}

/* An interrupt kills its session. */
static void
wait_child(pid_t pid, int *status)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (pidfd >= 0)
		wait_busy(-1, pidfd);
	/* By itself, too: it may not have begun its session yet. */
	if (me.interrupted) {
		kill(pid, SIGKILL);
		kill(-pid, SIGKILL);
	}
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	if (pidfd >= 0)
		close(pidfd);
}

/* Run a command line as claude does: in a session of its own, its output in a file, waiting for the
 * shell only. */
static int
run_shell(const char *command, struct buf *out)
{
	int fd = memfd_create("output", MFD_CLOEXEC), status = 0;
	pid_t pid;

	out_flush();
	pid = fd < 0 ? -1 : fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDONLY);

		setsid();
		dup2(null, 0);
		dup2(fd, 1);
		dup2(fd, 2);
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		signal(SIGHUP, SIG_DFL);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		wait_child(pid, &status);
	if (fd >= 0) {
		lseek(fd, 0, SEEK_SET);
		fd_read_all(fd, STATE_MAX, out);
		close(fd);
	}
	return pid < 0 ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void
do_bash(struct call *c)
{
	struct buf out = BUF_INIT, input = BUF_INIT;
	char id[ID_SIZE];
	int rc;

	buf_puts(&input, "{\"command\":");
	buf_put_json_str(&input, c->text);
	buf_puts(&input, "}");
	tool_use("Bash", input.data, id);
	rc = run_shell(c->text, &out);
	while (out.len && out.data[out.len - 1] == '\n')
		out.len--;
	if (rc) {
		struct buf text = BUF_INIT;

		buf_printf(&text, "Exit code %d\n", rc);
		buf_put(&text, out.data, out.len);
		tool_result(id, text.data, text.len, true);
		buf_free(&text);
	} else {
		tool_result(id, out.data ? out.data : "", out.len, false);
	}
	buf_free(&input);
	buf_free(&out);
}

static void
do_big(struct call *c)
{
	struct buf b = BUF_INIT;

	while ((int64_t)b.len < c->number[0])
		buf_putc(&b, "0123456789abcdef"[b.len % 16]);
	say_n(b.data ? b.data : "", b.len);
	buf_free(&b);
}

static void
do_stderr(struct call *c)
{
	out_flush();
	fprintf(stderr, "%s\n", c->text);
}

static void
do_raw(struct call *c)
{
	line_begin();
	put_bytes(c->text, strlen(c->text));
	put_bytes("\n", 1);
}

/* Bytes of every value, NUL and such that are no UTF-8 among them; the same ones each time. */
static void
do_garbage(struct call *c)
{
	uint32_t x = 2463534242u;

	line_begin();
	for (int64_t i = 0; i < c->number[0]; i++) {
		char byte;

		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		byte = (char)(i % 97 == 1 ? 0 : i % 97 == 2 ? 0xff : x >> 11);
		put_bytes(&byte, 1);
	}
	put_bytes("\n", 1);
}

static void
do_nonl(struct call *c)
{
	char piece[4096];

	memset(piece, 'x', sizeof(piece));
	for (int64_t left = c->number[0]; left > 0; left -= (int64_t)sizeof(piece))
		put_bytes(piece, left < (int64_t)sizeof(piece) ? (size_t)left : sizeof(piece));
	me.torn = true;
}

static void
do_unknown(struct call *c)
{
	struct buf *m = msg_begin("demo_new_type", "demo_new_subtype");

	buf_puts(m,
		 ",\"payload\":{\"nested\":[1,2,{\"three\":null}]},\"text\":\"from the future\"");
	msg_end(m);
	m = msg_begin("system", "demo_new_subtype");
	buf_puts(m, ",\"demo_new_key\":true");
	msg_end(m);
	m = msg_begin("assistant", NULL);
	buf_puts(m, ",\"demo_new_key\":[],\"message\":{\"id\":\"msg_demo\",\"role\":\"assistant\","
		    "\"demo_new_key\":1,\"content\":["
		    "{\"type\":\"demo_new_block\",\"data\":\"x\"},{\"type\":\"text\",\"text\":"
		    "\"known beside unknown\",\"demo_new_key\":{}}]}");
	msg_end(m);
}

static void
do_retry(struct call *c)
{
	for (int64_t i = 1; i <= c->number[0]; i++) {
		struct buf *m = msg_begin("system", "api_retry");

		buf_printf(m,
			   ",\"attempt\":%lld,\"max_retries\":10,\"retry_delay_ms\":1,\"error_"
			   "status\":529,\"error\":\"overloaded\"",
			   (long long)i);
		msg_end(m);
		wait_busy(1, -1);
	}
}

static void
do_deny(struct call *c)
{
	static const char text[] = "demo needs approval";
	struct buf *m;
	char use[ID_SIZE];

	tool_use("Bash", "{\"command\":\"touch x\"}", use);
	m = msg_begin("system", "permission_denied");
	buf_printf(m, ",\"tool_name\":\"Bash\",\"tool_use_id\":\"toolu_%s\",\"message\":\"%s\"",
		   use, text);
	msg_end(m);
	tool_result(use, text, sizeof(text) - 1, true);
	note_denial("Bash", use);
}

static void
put_task(const char *subtype, const char *rest)
{
	struct buf *m = msg_begin("system", subtype);

	buf_printf(m, ",\"task_id\":\"demo1\",\"tool_use_id\":\"toolu_demo1\"%s", rest);
	msg_end(m);
}

/* The turn that nobody asked for: a task has ended, the model hears of it. */
void
finish_task(void)
{
	struct buf before = me.answer;
	struct json_object *denials = me.denials;
	int messages = me.messages;
	static const char done[] = "I heard that the task is done";

	me.answer = (struct buf)BUF_INIT;
	me.denials = json_object_new_array();
	me.messages = 0;
	put_task("task_updated", ",\"patch\":{\"status\":\"completed\"}");
	put_task("task_notification", ",\"status\":\"completed\",\"summary\":\"Background command "
				      "completed (exit code 0)\"");
	put_init();
	say_n(done, sizeof(done) - 1);
	put_result("success", done, sizeof(done) - 1, false, "task-notification");
	buf_free(&me.answer);
	me.answer = before;
	json_object_put(me.denials);
	me.denials = denials;
	me.messages = messages;
}

static void
do_task(struct call *c)
{
	put_task("task_started", ",\"description\":\"demo "
				 "task\",\"is_backgrounded\":true,\"task_type\":\"local_bash\"");
	me.task_asks = strcmp(c->word[0], "ask") == 0;
	if (strcmp(c->word[0], "early") == 0)
		finish_task();
	else
		me.late_task = true;
}

static void
do_fail(struct call *c)
{
	/* The two arguments come in either order: `fail 529`, `fail error_max_turns`. */
	for (int i = 0; i < 2; i++) {
		if (!*c->word[i] || parse_i64(c->word[i], 100, 999, &me.fail_status))
			continue;
		free(me.fail_subtype);
		me.fail_subtype = xstrdup(c->word[i]);
	}
	if (me.fail_status)
		fail_with("API Error: %lld demo", (long long)me.fail_status);
	else
		fail_with("the demo agent was told to fail");
}

/* A limit that is lifted so many seconds from now, told as claude tells it. */
static void
do_limit(struct call *c)
{
	struct buf *m = msg_begin("rate_limit_event", NULL);

	buf_printf(m, ",\"rate_limit_info\":{\"status\":\"rejected\",\"resetsAt\":%lld,\"rateLimitType\":\"five_hour\"}",
		   (long long)(now_us() / 1000000 + c->number[0]));
	msg_end(m);
	me.fail_status = 429;
	fail_with("API Error: Request rejected (429) demo");
}

/* A message that says what it used. */
static void
do_usage(struct call *c)
{
	struct buf block = BUF_INIT;
	char *end = c->word[0];
	double usd = *c->word[0] ? strtod(c->word[0], &end) : 0;

	if (*end || !(usd >= 0 && usd < 1e6)) {
		fail_with("usage: not an amount of USD: %s", c->word[0]);
		return;
	}
	buf_puts(&block, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"ZGVtbw==\"}");
	say_block_used(&block, c->number[0], c->number[1]);
	me.more_input += c->number[0];
	me.more_output += c->number[1];
	me.more_usd += usd;
	buf_free(&block);
}

static void run_line(const char *line);

static void
do_first(struct call *c)
{
	if (json_object_get_int64(get_object(me.state, "tries")) <= c->number[0])
		run_line(c->text);
}

static void
do_once(struct call *c)
{
	int fd = open(c->word[0], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd >= 0) {
		close(fd);
		run_line(c->text);
	} else if (errno != EEXIST) {
		fail_with("once: %s: %s", c->word[0], strerror(errno));
	}
}

static void
do_busy(struct call *c)
{
	int64_t end = mono_us() + c->number[0] * 1000;

	out_flush();
	while (mono_us() < end)
		;
}

/* Like hang, but an interrupt ends the turn. */
static void
do_wait(struct call *c)
{
	wait_busy(-1, -1);
}

static void
die_of(int sig)
{
	struct rlimit none = {0, 0};

	out_flush();
	setrlimit(RLIMIT_CORE, &none);
	signal(sig, SIG_DFL);
	kill(getpid(), sig);
	for (;;)
		pause();
}

static void
do_crash(struct call *c)
{
	die_of(SIGSEGV);
}

static void
do_kill(struct call *c)
{
	int64_t n;

	if (parse_i64(c->word[0], 1, 64, &n))
		die_of((int)n);
	for (int i = 1; i < NSIG; i++) {
		const char *name = sigabbrev_np(i);

		if (name &&
		    strcasecmp(name,
			       c->word[0] + (strncasecmp(c->word[0], "SIG", 3) == 0 ? 3 : 0)) == 0)
			die_of(i);
	}
	fail_with("kill: no such signal: %s", c->word[0]);
}

static void
do_exit(struct call *c)
{
	out_flush();
	_exit((int)c->number[0]);
}

static void
do_hang(struct call *c)
{
	out_flush();
	for (;;)
		pause();
}

static void
do_deaf(struct call *c)
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	do_hang(c);
}

/* A process that sleeps for ever, which way set says. It keeps stdout open, except a daemon, which
 * is what makes one. */
static pid_t
leave_child(const char *way)
{
	bool daemon_way = strcmp(way, "daemon") == 0;
	pid_t pid = -1;
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -1;
	if (fork() == 0) {
		signal(SIGTERM, SIG_DFL);
		if (*way)
			setsid();
		if (daemon_way && fork() != 0)
			_exit(0);
		pid = getpid();
		if (write(p[1], &pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		if (daemon_way) {
			int null = open("/dev/null", O_RDWR);

			for (int i = 0; i < 3; i++)
				dup2(null, i);
		}
		for (;;)
			pause();
	}
	close(p[1]);
	if (read(p[0], &pid, sizeof(pid)) != sizeof(pid))
		pid = -1;
	close(p[0]);
	if (daemon_way)
		wait(NULL);
	return pid;
}

static void
do_children(struct call *c)
{
	struct buf b = BUF_INIT;

	if (*c->word[0] && strcmp(c->word[0], "setsid") != 0 && strcmp(c->word[0], "daemon") != 0) {
		fail_with("children: %s is neither setsid nor daemon", c->word[0]);
		return;
	}
	out_flush();
	buf_puts(&b, "children:");
	for (int64_t i = 0; i < c->number[0]; i++)
		buf_printf(&b, " %d", (int)leave_child(c->word[0]));
	say_n(b.data, b.len);
	buf_free(&b);
}

static void
do_memory(struct call *c)
{
	size_t n = (size_t)c->number[0] << 20;
	volatile char *p = xmalloc(n ? n : 1);

	/* Never freed: the point is to hold it. */
	for (size_t i = 0; i < n; i += 4096)
		p[i] = 1;
	say("memory: %lld MiB", (long long)c->number[0]);
}

static void
do_sleep(struct call *c)
{
	wait_busy(c->number[0], -1);
}

static void
do_env(struct call *c)
{
	const char *v = getenv(c->word[0]);

	say("%s", v ? v : "(unset)");
}

static void
do_cwd(struct call *c)
{
	char cwd[4096];

	say("%s", getcwd(cwd, sizeof(cwd)) ? cwd : strerror(errno));
}

static void
do_args(struct call *c)
{
	struct buf b = BUF_INIT;

	for (char **a = me.argv; *a; a++) {
		buf_puts(&b, a == me.argv ? "[" : ",");
		buf_put_json_str(&b, *a);
	}
	buf_putc(&b, ']');
	say_n(b.data, b.len);
	buf_free(&b);
}

static void
put_file(struct call *c, int flags)
{
	int fd = open(c->word[0], O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
	CLEANUP_FREE char *line = xasprintf("%s\n", c->text);
	int r = fd < 0 ? -errno : fd_write_all(fd, line, strlen(line));

	if (fd >= 0)
		close(fd);
	if (r < 0)
		fail_with("%s: %s", c->word[0], strerror(-r));
}

static void
do_write(struct call *c)
{
	put_file(c, O_TRUNC);
}

static void
do_append(struct call *c)
{
	put_file(c, O_APPEND);
}

static void
do_count(struct call *c)
{
	say("%zu", json_object_array_length(get_object(me.state, "turns")));
}

static void
do_result(struct call *c)
{
	buf_reset(&me.answer);
	buf_puts(&me.answer, c->text);
}

/* Arguments: n number, N number or none, w word, W word or none, t text, T text or none. */
static const struct command {
	const char *name, *spec, *args, *doc;
	void (*run)(struct call *);
} commands[] = {
	{"say", "t", "TEXT", "an assistant message; the last one is the answer", do_say},
	{"result", "t", "TEXT", "the answer, instead of the last thing said", do_result},
	{"think", "t", "TEXT", "a thinking block", do_think},
	{"stream", "nnT", "N MS [TEXT]",
	 "N messages \"TEXT 1\", \"TEXT 2\", ... one each MS milliseconds; TEXT is \"line\" by "
	 "default",
	 do_stream},
	{"lines", "nN", "N [BYTES]",
	 "N messages \"line 1\", \"line 2\", ... as fast as it goes, each filled up to BYTES",
	 do_lines},
	{"big", "n", "BYTES", "one message of this size, which is the answer", do_big},
	{"tool", "wT", "NAME [JSON]", "the call of a tool with this input, and its result \"ok\"",
	 do_tool},
	{"bash", "t", "COMMAND",
	 "really run a shell command, in a session of its own, as tool Bash", do_bash},
	{"ask", "wT", "TOOL [JSON]", "ask for permission to use a tool with this input, wait for the answer, say it",
	 do_ask},
	{"asks", "nw", "N TOOL", "ask so many times at once, then wait for the answers, and say them", do_asks},
	{"choose", "t", "QUESTION | LABEL ...", "ask which of the labels it is to be, as tool AskUserQuestion; say the answers as JSON", do_choose},
	{"deny", "", "", "use a tool, and be denied it", do_deny},
	{"retry", "n", "N", "tell of N requests that are tried again (529)", do_retry},
	{"task", "W", "[early|ask]",
	 "a background task; it ends after the answer (early: before; ask: when it has asked for permission to use Bash) in a turn with a "
	 "result of its own",
	 do_task},
	{"unknown", "", "", "messages, keys and blocks of kinds that nobody knows", do_unknown},
	{"fail", "WW", "[SUBTYPE] [STATUS]",
	 "end the turn with is_error, subtype success or SUBTYPE, api_error_status STATUS",
	 do_fail},
	{"limit", "n", "SECONDS", "end the turn by a rate limit (429) that is lifted so many seconds from now", do_limit},
	{"usage", "nnW", "INPUT OUTPUT [USD]", "use so many more tokens, which a message tells at once, and so much more money, which the result tells",
	 do_usage},
	{"first", "nt", "N COMMAND", "this command, but only in the conversation's first N tries to work on a prompt", do_first},
	{"once", "wt", "PATH COMMAND", "this command, unless there is such a file, which is made", do_once},
	{"count", "", "", "say how many turns this conversation has, this one included", do_count},
	{"env", "w", "NAME", "say the value of an environment variable", do_env},
	{"cwd", "", "", "say the working directory", do_cwd},
	{"args", "", "", "say the program's arguments, as JSON", do_args},
	{"write", "wt", "PATH TEXT", "write a file", do_write},
	{"append", "wt", "PATH TEXT", "append a line to a file", do_append},
	{"sleep", "n", "MS", "wait", do_sleep},
	{"wait", "", "", "wait for an interrupt", do_wait},
	{"busy", "n", "MS", "keep a processor busy for so long", do_busy},
	{"memory", "n", "MIB", "use this much memory until the end", do_memory},
	{"children", "nW", "N [setsid|daemon]",
	 "leave N processes behind that sleep for ever, and say their pids", do_children},
	{"stderr", "t", "TEXT", "a line on stderr", do_stderr},
	{"raw", "t", "TEXT", "this line on stdout, as it stands", do_raw},
	{"garbage", "n", "N", "N bytes of any value on stdout, then a newline", do_garbage},
	{"nonl", "n", "BYTES",
	 "so many bytes on stdout without a newline (the next message begins with it)", do_nonl},
	{"exit", "n", "CODE", "exit at once, without a result", do_exit},
	{"crash", "", "", "die of SIGSEGV", do_crash},
	{"kill", "w", "SIGNAL", "die of this signal", do_kill},
	{"hang", "", "", "wait for ever, also when interrupted; SIGTERM ends it", do_hang},
	{"deaf", "", "", "wait for ever; only SIGKILL ends it", do_deaf},
	{0},
};

/* Take the next word of *s into out. */
static bool
take_word(const char **s, char *out, size_t size)
{
	size_t n = strcspn(*s, " \t");

	if (n == 0 || n >= size)
		return false;
	memcpy(out, *s, n);
	out[n] = '\0';
	*s += n;
	*s += strspn(*s, " \t");
	return true;
}

/* The command of a line, with its arguments in *c; NULL when the line is none. */
static const struct command *
parse_command(const char *line, struct call *c)
{
	const struct command *cmd = commands;
	int numbers = 0, words = 0;
	char word[64];

	memset(c, 0, sizeof(*c));
	if (!take_word(&line, word, sizeof(word)))
		return NULL;
	while (cmd->name && strcmp(cmd->name, word) != 0)
		cmd++;
	for (const char *s = cmd->name ? cmd->spec : ""; *s; s++) {
		if (*s == 't' || *s == 'T') {
			c->text = line;
			if (*s == 't' && !*line)
				return NULL;
			return cmd;
		}
		if (isupper((unsigned char)*s) && !*line)
			break;
		if (tolower((unsigned char)*s) == 'w' &&
		    !take_word(&line, c->word[words++], sizeof(c->word[0])))
			return NULL;
		if (tolower((unsigned char)*s) == 'n' &&
		    (!take_word(&line, word, sizeof(word)) ||
		     !parse_i64(word, 0, 1LL << 40, &c->number[numbers++])))
			return NULL;
	}
	c->text = "";
	return cmd->name && !*line ? cmd : NULL;
}

/* A command within a command. */
static void
run_line(const char *line)
{
	struct call *c = xcalloc(1, sizeof(*c));
	const struct command *cmd = parse_command(line, c);

	if (cmd)
		cmd->run(c);
	else
		fail_with("not a command: %s", line);
	free(c);
}

void
run_script(const char *prompt)
{
	CLEANUP_FREE char *text = xstrdup(prompt);
	struct call *c = xcalloc(1, sizeof(*c));
	bool first = true;

	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line && !me.failed && !me.interrupted;
	     line = strtok_r(NULL, "\n", &save)) {
		line += strspn(line, " \t\r");
		line[strcspn(line, "\r")] = '\0';
		if (!*line || *line == '#')
			continue;
		if (first && !parse_command(line, c)) {
			say("You said: %s", prompt);
			break;
		}
		run_line(line);
		out_flush();
		first = false;
	}
	free(c);
}

void
print_commands(void)
{
	for (const struct command *c = commands; c->name; c++) {
		CLEANUP_FREE char *head = xasprintf("%s %s", c->name, c->args);

		printf("  %-26s %s\n", head, c->doc);
	}
}
