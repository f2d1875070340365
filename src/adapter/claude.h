/* SPDX-License-Identifier: MIT */
/* What the claude adapter remembers of a run (claude-state.c), between the lines that it reads (claude.c). For these two alone. */
#ifndef AOD_ADAPTER_CLAUDE_H
#define AOD_ADAPTER_CLAUDE_H

#include "adapter/common.h"
#include "adapter/jv.h"

#define OPEN_MAX 256		   /* tool calls without a result that are remembered */
#define OPEN_INPUT_MAX (1u << 20)  /* bytes of the inputs of all of them; an input beyond it is not repeated in post_tool */
#define ASKS_MAX 64		   /* questions that are open at a time, */
#define ASKS_INPUT_MAX (32u << 20) /* and bytes of what they are about; one more is refused at once */
#define PROMPTS_MAX 64		   /* prompts that were taken and are not done yet; the oldest is forgotten */
#define SEEN_MAX 32		   /* API messages whose usage was counted that are remembered */

struct open_tool {
	char *id, *name;
	char *input; /* JSON or NULL */
	int64_t time_us;
	size_t input_len;
};

struct open_ask {
	char *id, *tool_name, *tool_use_id;
	char *input; /* JSON object: what allowing it sends back */
	size_t input_len;
};

/* A prompt that the program said it has queued or begun. */
struct prompt {
	char *uuid;
	bool started, answered; /* a result came after it was begun */
};

struct claude {
	struct open_tool *open; /* oldest first */
	int open_count, open_cap;
	size_t open_bytes;
	struct open_ask asks[ASKS_MAX];
	int ask_count;
	size_t ask_bytes;
	struct prompt prompts[PROMPTS_MAX];
	int prompt_count;
	bool answered; /* the latest turn that was asked for has ended; outcome, result, error and retry_us are its */
	bool interrupted; /* the turn was, by us */
	enum outcome outcome;
	char *result, *error;
	int64_t retry_us;
	int64_t limit_us, delay_us; /* of this turn: when the limit is lifted, and how long it waited before its last try; 0: not said */
	bool limited;
	double cost;	   /* sum of the costs since the last result */
	double cost_total; /* greatest total of results that do not say them */
	int64_t input_tokens, output_tokens, turns; /* of turns that have a result */
	struct usage turn;     /* of the turn in progress, by its messages */
	uint64_t seen[SEEN_MAX]; /* API messages that are in it: hashes of their ids */
	int64_t seen_output[SEEN_MAX];
	int seen_next;
	struct usage shown; /* the most that was ever told */
	char *last_stderr;
};

/* a + b, at most INT64_MAX. */
int64_t count_add(int64_t a, int64_t b);

/* input: JSON, or NULL. A call that is repeated replaces the one before. */
void open_add(struct claude *st, const char *id, const char *name, const char *input, size_t input_len, int64_t time_us);
int open_find(const struct claude *st, const char *id);
void open_drop(struct claude *st, int i);

/* false: there are too many, or it is too long. */
bool claude_ask_add(struct claude *st, const char *id, const char *tool_name, const char *tool_use_id, const char *input, size_t input_len);
int claude_ask_find(const struct claude *st, const char *id);
void claude_ask_drop(struct claude *st, int i);
int claude_answer(void *state, const char *ask_id, const struct ask_answer *a, struct buf *reply);

/* The program queued a prompt, or (started) began it. */
void prompt_begin(struct claude *st, const char *uuid, bool started);
/* It is done with it. true: without any result. */
bool prompt_end(struct claude *st, const char *uuid);
/* A result came for these (an array of uuids), or, where it names none, for all that were begun. */
void prompts_answered(struct claude *st, struct json_object *uuids);

/* A message of the API, each counted once; main: of the conversation itself, not of a subagent. */
void usage_message(struct claude *st, const char *id, struct json_object *usage, bool main);
/* The turn has ended, and these are its true figures. */
void usage_result(struct claude *st, struct json_object *result);

void *claude_state_new(void);
void claude_state_free(void *state);
void claude_save(void *state, struct buf *out);
void claude_restore(void *state, const char *json, size_t n);
void claude_usage(const void *state, struct usage *u);
int64_t claude_tool_since(const void *state);
void claude_shift(void *state, int64_t us);

#endif
