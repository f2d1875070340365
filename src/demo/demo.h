/* SPDX-License-Identifier: MIT */
/* Shared by the files of aod-demo-agent: what it is about (main), what it says (speak), what a prompt can have it do (script), and those
 * commands that ask (ask). */
#ifndef AOD_DEMO_DEMO_H
#define AOD_DEMO_DEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "base/util.h"

#define FLUSH_AT (64u << 10)
#define STATE_MAX                                                                                  \
	(256u << 20) /* bytes in the file of a conversation, or in the output of a command */
#define TURN_INPUT_TOKENS 100 /* each turn costs the same, so that sums are easy to check */
#define TURN_OUTPUT_TOKENS 20
#define TURN_COST_USD 0.001

/* The one agent that this process is. */
struct demo {
	char **argv;
	/* how it was started */
	const char *model, *mcp_config, *permission_mode;
	char *session_id;
	bool resume, stream_out, stream_in, json_out, replay_users, keep;
	/* the conversation: {"turns":[{"uuid","prompt","answer"}],"tries":N,"total_usd","total_input","total_output"} */
	char *state_path;
	struct json_object *state;
	/* stdin */
	struct buf in;
	char **waiting; /* prompts that came during a turn */
	char **answers; /* answers to questions, until they are asked for */
	bool eof;
	/* stdout */
	struct buf out;
	bool torn; /* a line without its newline was printed */
	/* this turn */
	struct buf answer;
	struct json_object *denials;
	int messages, results;
	bool failed, late_task, task_asks, interrupted, in_turn;
	const char *uuid; /* of its prompt, or NULL */
	/* what it used, beside what every turn does */
	int64_t more_input, more_output;
	double more_usd;
	char **failed_here; /* uuids of turns that failed in this process */
	char *fail_subtype;
	int64_t fail_status, started_us;
	/* of the process */
	int exit_code;
};
extern struct demo me;

/* ---- aod-demo-agent.c: stdin and the conversation
 * --------------------------------------------------------- */

/* The text, or the member, of a JSON object; NULL when it is not there. Borrowed. */
const char *get_text(struct json_object *o, const char *key);
struct json_object *get_object(struct json_object *o, const char *key);
/* The answer to control request id, owned by the caller; NULL when stdin ended first, or the turn was interrupted. */
struct json_object *wait_answer(const char *id);
/* Wait for so long, or (fd >= 0) until something can be read there, or until the turn is interrupted; ms < 0: without end. */
void wait_busy(int64_t ms, int fd);

/* ---- speak.c: stdout
 * --------------------------------------------------------------------------------------- */

void out_flush(void);
void put_bytes(const void *p, size_t n);
/* End the line that `nonl` left open. */
void line_begin(void);
/* Begin a message of the stream; msg_end() completes it. One at a time. In the text modes nothing
 * of it is printed. */
struct buf *msg_begin(const char *type, const char *subtype);
void msg_end(struct buf *msg);
void put_member(struct buf *b, const char *name, const char *text);
/* An assistant message with one content block, which is given as JSON. */
void say_block(const struct buf *block);
/* The same, with these tokens. */
void say_block_used(const struct buf *block, int64_t input, int64_t output);
void say_n(const char *text, size_t n);
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The call of a tool; its id is put into id[ID_SIZE]. */
void tool_use(const char *name, const char *input, char *id);
void tool_result(const char *id, const char *text, size_t n, bool is_error);
void put_result(const char *subtype, const char *text, size_t n, bool is_error, const char *origin);
void put_init(void);
void put_lifecycle(const char *uuid, const char *state);

/* ---- script.c: the commands
 * -------------------------------------------------------------------------------- */

/* What a command is given: its line after the word, and the arguments that its spec asks for. */
struct call {
	const char *text; /* rest of the line after the numbers and words; "" when there is none */
	int64_t number[2];
	char word[2][4096];
};

/* A command that cannot be done ends the turn as a failure of the agent. */
void fail_with(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* For the list of refusals that the result has. */
void note_denial(const char *tool, const char *use_id);
void do_ask(struct call *c);
void do_asks(struct call *c);
/* Ask for permission to use a tool, and say the answer. */
void ask_for(const char *tool, const char *input);
void do_choose(struct call *c);
/* Do what the prompt says. */
void run_script(const char *prompt);
/* The turn that nobody asked for: a task has ended, the model hears of it. */
void finish_task(void);
/* The list of commands, for --help. */
void print_commands(void);

#endif
