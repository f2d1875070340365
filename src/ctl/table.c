/* SPDX-License-Identifier: MIT */
/* The rows of aoctl's commands, options and exit statuses. See table.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "ctl/table.h"

#include <limits.h>
#include <string.h>

#include "base/util.h"

#define B(c) (1ull << CMD_##c)

const struct ctl_command ctl_commands[CMD_COUNT] = {
	[CMD_RUN] = { "run", "new", "[NAME] [-] [-- COMMAND [ARG...]]", 0, 2, true, false,
		      "Start a session with a prompt or a command, follow it, print its result.",
		      "The events of the session (but for those of type control) are shown on standard error as they come, and its result is "
		      "printed on standard output at the end. The prompt is TEXT of -p, or standard input when "
		      "there is no -p and no COMMAND and standard input is not a terminal, or in any case with a "
		      "single -; without any it is Prompt= of the blueprint. NAME is the session's; it is made up when it is missing. Ctrl-C leaves "
		      "the session running." },
	[CMD_RESUME] = { "resume", NULL, "NAME [-]", 1, 2, false, false, NULL,
			 "The prompt is given and the run is followed as with run, until all that is queued is done. A persistent session (Lifecycle= of its "
			 "blueprint) that is idle begins at once; one that is at work has it when its turn has ended." },
	[CMD_INTERRUPT] = { "interrupt", NULL, "NAME...", 1, -1, false, false, "End the turns that sessions work on, but not the sessions.",
			    "An agent is asked to end its turn; a command gets SIGINT. What is queued has its turn then; a persistent session without "
			    "anything queued is idle, and another one ends, as if it had been stopped." },
	[CMD_PROMPTS] = { "prompts", NULL, "NAME", 1, 1, false, false, "List what a session was and is to be asked.", NULL },
	[CMD_STOP] = { "stop", NULL, "NAME...", 1, -1, false, false, NULL,
		       "Returns when the session has ended, unless --no-wait is given." },
	[CMD_RESTART] = { "restart", NULL, "NAME...", 1, -1, false, false, NULL,
			  "An agent whose turn had not ended is given its prompt again, which it knows by its uuid; one that had ended its turn goes on in its "
			  "conversation with RestartPrompt=. A command runs again. RestartMode=fresh starts over." },
	[CMD_RESET_FAILED] = { "reset-failed", NULL, "[NAME...]", 0, -1, false, false, "Forget that sessions failed, and how often they were started again.",
			       "Without a NAME it is all that failed. They count as stopped then; `resume` works with and without it." },
	[CMD_FREEZE] = { "freeze", NULL, "NAME...", 1, -1, false, false, NULL,
			 "It stays frozen, also across restarts of aod, until it is thawed or stopped; the times that limit it stand still." },
	[CMD_THAW] = { "thaw", NULL, "NAME...", 1, -1, false, false, NULL, NULL },
	[CMD_SET_PROPERTY] = { "set-property", NULL, "NAME KEY=VALUE...", 2, -1, false, false, NULL,
			       "Keys and values are those of [Resources] that can change while processes run, such as MemoryMax=1G, "
			       "CPUQuota=50% or TasksMax=infinity. Further runs of the session get what the blueprint says." },
	[CMD_USAGE] = { "usage", "top", "[NAME...]", 0, -1, false, false, "Show what live sessions use.",
			"Memory now and at its peak, processor time, tasks, what was read from and written to disks, and for how much of the "
			"last ten seconds some of it waited for memory. What this host does not count is shown as -." },
	[CMD_SLICES] = { "slices", NULL, "", 0, 0, false, false, "List slices: groups of sessions with limits of their own.",
			 "NAME.slice is a file among the blueprints, with the sections [Slice] and [Resources]; Slice=NAME in a "
			 "blueprint puts its sessions there." },
	[CMD_LIST_TIMERS] = { "list-timers", NULL, "", 0, 0, false, false, "List timers: blueprints whose sessions are started by the clock.",
			      "The next time, how long it is until then, the last one, how long ago it was, and the session that it started, or why "
			      "there is none." },
	[CMD_QUEUE] = { "queue", NULL, "", 0, 0, false, false, "List the sessions that wait to be started, and what for.",
			"In the order in which they are started: greater priority first, then who waits for longer; one whose own blueprint or slice is "
			"full does not hold up those behind it. Below it are the limits and what is used of them." },
	[CMD_QUESTIONS] = { "questions", NULL, "[NAME]", 0, 1, false, false, "List what sessions ask and wait to be answered.",
			    "Who asks, the question's id, how long ago it was asked, how long it waits for an answer, and what it is." },
	[CMD_ANSWER] = { "answer", NULL, "NAME [QUESTION] allow|deny|choose LABEL...", 2, -1, false, false, "Answer a question of a session.",
			 "QUESTION is its id, or the beginning of it, and can be left out when the session asks one thing only. A choice takes a LABEL for each "
			 "of its questions, in their order." },
	[CMD_LIST] = { "list", NULL, "[SESSION]", 0, 1, false, false, NULL,
		       "With --tree each session is below the one that started it; a SESSION, which goes with that, is the one that the tree begins with." },
	[CMD_COST] = { "cost", NULL, "[BLUEPRINT]", 0, 1, false, false, "Show what sessions used, by day and blueprint.",
		       "Turns, tokens in and out, and US dollars, as the agents themselves say, counted on the local day on which it was used. Budgets such as "
		       "DailyMaxCostUSD= are held against these figures." },
	[CMD_STATUS] = { "status", NULL, "NAME", 1, 1, false, false,
			 "Show how a session is doing, with its last events.",
			 "Exit status 0 means that it is live or finished well, 3 that it failed or was stopped, 4 "
			 "that there is no such session." },
	[CMD_LOGS] = { "logs", NULL, "NAME", 1, 1, false, false, "Show the events of a session, one line each.",
		       "With -f the events are followed as they come, until the session ends, across restarts of "
		       "aod. On a terminal long lines are cut; -l shows all of them." },
	[CMD_RESULT] = { "result", NULL, "NAME", 1, 1, false, false, NULL,
			 "Of a command it is the end of its standard output, at most 64 KiB; logs -o cat has all of it." },
	[CMD_WAIT] = { "wait", NULL, "NAME...", 1, -1, false, false, "Wait until sessions have ended.",
		       "Exit status 0 means that all of them succeeded, 1 that one did not, 124 that the time ran "
		       "out." },
	[CMD_DELETE] = { "delete", NULL, "NAME... | --all", 0, -1, false, false, NULL,
			 "With -b the names are those of blueprints: their files and drop-ins go. One that ships with aod "
			 "is masked instead." },
	[CMD_SHOW] = { "show", NULL, "NAME", 1, 1, false, false, NULL,
		       "Prints one Key=value line for each property, for scripts. A line break in a value is "
		       "written \\n. With -b NAME is a blueprint, and its settings are shown as they are in effect." },
	[CMD_PLAN] = { "plan", NULL, "NAME | -a BLUEPRINT [-- COMMAND [ARG...]]", 0, 1, true, false,
		       "Show how a session's run was started, or what a blueprint would run.",
		       "Without NAME nothing is run: aod says what run with the same options would start." },
	[CMD_BLUEPRINTS] = { "blueprints", NULL, "", 0, 0, false, false, "List blueprints.", NULL },
	[CMD_CAT] = { "cat", NULL, "NAME...", 1, -1, false, false, "Show the files of a blueprint, its drop-ins included.",
		      "Each file stands under a comment line with its path." },
	[CMD_EDIT] = { "edit", NULL, "NAME", 1, 1, false, false, "Edit a blueprint, by default in a drop-in.",
		       "Starts the editor of VISUAL or EDITOR. What is written is checked before it is saved; when it is wrong, "
		       "nothing is changed and the editor is offered again. A drop-in holds only what is to be different, so that "
		       "the file that it changes can still be updated; one whose text is deleted is removed." },
	[CMD_ENABLE] = { "enable", NULL, "NAME...", 1, -1, false, false, "Let sessions of blueprints be started.", NULL },
	[CMD_DISABLE] = { "disable", NULL, "NAME...", 1, -1, false, false, "Refuse to start sessions of blueprints.",
			  "Writes Enabled=no; sessions that run go on." },
	[CMD_MASK] = { "mask", NULL, "NAME...", 1, -1, false, false, "Hide blueprints, as if there were none of these names.",
		       "Makes a link to /dev/null, which stands before the file that ships." },
	[CMD_UNMASK] = { "unmask", NULL, "NAME...", 1, -1, false, false, "Undo mask.", NULL },
	[CMD_VERIFY] = { "verify", NULL, "FILE...", 1, -1, false, false, "Check files of blueprints; needs no aod.",
			 "A FILE.blueprint is checked with the drop-ins of FILE.blueprint.d, and with the .conf files that are named "
			 "after it. All errors and warnings are printed as file:line:column: text. Exit status 1 means that "
			 "there are errors." },
	[CMD_HISTORY] = { "history", NULL, "NAME", 1, 1, false, false, "List the versions of a blueprint, newest first.", NULL },
	[CMD_DIFF] = { "diff", NULL, "NAME [FROM [TO]]", 1, 3, false, false, "Show what differs between versions of a blueprint.",
		       "Without TO it is the newest, without FROM the one before." },
	[CMD_REVERT] = { "revert", NULL, "NAME VERSION", 2, 2, false, false, "Bring an earlier version of a blueprint back.",
			 "It becomes the newest version; no version is lost." },
	[CMD_IMPORT] = { "import", NULL, "DIR | DATABASE...", 1, -1, false, false, "Take over an older installation: agents, sessions, documents.",
			 "DIR is where it was: its agents (agents/), sessions (observability.db) and documents (documents.db and the files beside it) "
			 "are looked for there, below .agent-orchestrator/ and document-data/. A directory without any of these holds one directory for "
			 "each agent (or is one), with agent.json, agent.system-prompt.md, agent.mcp.json and .disabled. A DATABASE is one of the two. "
			 "Ids and times are kept; sessions that never finished are stopped. One line for each says what was done: created, updated, unchanged "
			 "or skipped, with the reason. It may be repeated, and goes on where it was broken off. Exit status 1 means that something was "
			 "skipped." },
	[CMD_SECURITY] = { "security", NULL, "[NAME]", 0, 1, false, false, "Show how much of the host blueprints leave to their agents.",
			   "NAME is a blueprint, or a session, whose blueprint is looked at as it is now. The exposure is from 0 (nothing) to 10, in the "
			   "manner of systemd-analyze security; each line says what it is made of, and what would mend it. Without NAME there is "
			   "a line for each blueprint." },
	[CMD_DOC] = { "doc", NULL, "COMMAND [ARGUMENT...]", 0, 0, true, false, "Documents that agents share: push, pull, read, search and more.",
		      "The same as the commands doc-push, doc-pull and so on, which see below." },
	[CMD_TOKEN] = { "token", NULL, "create NAME | list | revoke NAME...", 1, -1, false, false, "Make, list and revoke tokens, which say who asks over TCP.",
			"create prints the text of the token, which is shown this once and kept nowhere; what it is good for is said by its role. Who has "
			"it gives it as --token or in AOD_TOKEN." },
	[CMD_AUDIT] = { "audit", NULL, "", 0, 0, false, false, NULL,
			"Oldest first; COUNT is how often the same was done or refused in a row. For operators only." },
	[CMD_DOCTOR] = { "doctor", NULL, "", 0, 0, false, false, NULL,
			 "Exit status 1 means that a check failed." },
	[CMD_HELP] = { "help", NULL, "[COMMAND]", 0, 1, false, false, "Show this help, or that of a command.", NULL },
	[CMD_VERSION] = { "version", NULL, "", 0, 0, false, false, "Print the version.", NULL },
	[CMD_COMPLETE] = { "__complete", NULL, "[COMMAND | keys | old [NAME]]", 0, 2, false, true, "Words for completion.", NULL },
};

const struct ctl_option ctl_options[] = {
	{ OPT_PROMPT, 'p', "prompt", "TEXT", "prompt", B(RUN) | B(RESUME) | B(PLAN),
	  "What the agent is to do; - reads it from standard input." },
	{ OPT_AGENT, 'a', "agent", "BLUEPRINT", "agent_name", B(RUN) | B(PLAN),
	  "Blueprint to run; default claude, or command when a COMMAND is given." },
	{ OPT_PROJECT_DIR, 'C', "project-dir", "DIR", "project_dir", B(RUN) | B(PLAN),
	  "Working directory of the agent; default the current directory." },
	{ OPT_PRIORITY, 0, "priority", "N", "priority", B(RUN),
	  "Where it has to wait for room: greater ones, up to 1000, are started first; default QueuePriority= of the blueprint." },
	{ OPT_LINES, 'n', "limit", "N", "limit", B(QUEUE), "At most so many, the first." },
	{ OPT_DETACH, 'd', "detach", NULL, NULL, B(RUN) | B(RESUME),
	  "Print the name of the session and return at once." },
	{ OPT_QUEUE, 0, "queue", NULL, NULL, B(RESUME),
	  "Queue the prompt where the session is still running, also when it is not persistent." },
	{ OPT_CLEAR, 0, "clear", NULL, NULL, B(INTERRUPT), "Cancel what is queued, too." },
	{ OPT_CANCEL, 0, "cancel", "ID|all", NULL, B(PROMPTS), "Cancel this prompt, which is queued, or all that are." },
	{ OPT_TIMEOUT, 't', "timeout", "SECONDS", NULL, B(STOP),
	  "Time between SIGTERM and SIGKILL, instead of the blueprint's TimeoutStopSec=; 0 kills at once." },
	{ OPT_NO_WAIT, 0, "no-wait", NULL, NULL, B(STOP), "Return at once." },
	{ OPT_TIMEOUT, 't', "timeout", "SECONDS", NULL, B(WAIT), "Wait at most this long, then exit with status 124." },
	{ OPT_LIVE, 0, "live", NULL, NULL, B(LIST), "Only sessions that have not ended." },
	{ OPT_ENDED, 0, "ended", NULL, NULL, B(LIST), "Only sessions that have ended." },
	{ OPT_STATE, 0, "state", "STATE", "state", B(LIST), "Only sessions in this state." },
	{ OPT_DAYS, 0, "days", "N", "days", B(COST), "Today and the days before it, so many in all; default 7." },
	{ OPT_RESULT, 0, "result", "RESULT", "result", B(LIST), "Only sessions that ended so: success, timeout, ..." },
	{ OPT_TREE, 0, "tree", NULL, NULL, B(LIST), "Draw the tree of the sessions, the oldest first." },
	{ OPT_TREE, 0, "tree", NULL, NULL, B(STOP) | B(FREEZE) | B(THAW) | B(DELETE) | B(INTERRUPT),
	  "With all sessions that it started, theirs, and so on." },
	{ OPT_PARENT, 0, "parent", "SESSION", "parent", B(LIST), "Only those that this session started." },
	{ OPT_PARENT, 0, "parent", "SESSION", "parent_session_name", B(RUN), "The session that it works for; default the one that the command is run in." },
	{ OPT_CALLBACK, 0, "callback", NULL, NULL, B(RUN) | B(RESUME), "Give its result to the session that it works for, as a prompt; implies --detach." },
	{ OPT_STOP_WITH_PARENT, 0, "stop-with-parent", NULL, NULL, B(RUN), "Stop it when the session that it works for has ended." },
	{ OPT_LINES, 'n', "limit", "N", "limit", B(LIST), "At most so many, the newest." },
	{ OPT_LINES, 'n', "lines", "N", NULL, B(STATUS), "Show so many events; default 10." },
	{ OPT_LINES, 'n', "lines", "N", NULL, B(LOGS), "Begin with the last so many events; default all." },
	{ OPT_FOLLOW, 'f', "follow", NULL, NULL, B(LOGS), "Go on as events come, until the session ends." },
	{ OPT_AFTER, 0, "after", "SEQ", NULL, B(LOGS), "Only events with a greater seq." },
	{ OPT_OUTPUT, 'o', "output", "FORM", NULL, B(LOGS),
	  "short: time, type and text (default); cat: the text alone; json: one JSON object a line; raw: the lines that "
	  "the agent printed." },
	{ OPT_TEXT, 0, "text", "TEXT", NULL, B(ANSWER), "What the agent is told with a refusal." },
	{ OPT_FULL, 'l', "full", NULL, NULL, B(LOGS) | B(STATUS) | B(RUN) | B(RESUME),
	  "Do not cut long lines on a terminal." },
	{ OPT_ALL, 0, "all", NULL, NULL, B(DELETE), "Every session; asks before it does so." },
	{ OPT_FORCE, 'f', "force", NULL, NULL, B(DELETE), "Do not ask." },
	{ OPT_PROPERTY, 'p', "property", "KEY,...", NULL, B(SHOW), "Only these properties." },
	{ OPT_RUN, 'r', "run", "N", "run", B(PLAN), "An earlier run of the session." },
	{ OPT_BLUEPRINT, 'b', "blueprint", NULL, NULL, B(SHOW) | B(DELETE), "NAME is a blueprint." },
	{ OPT_WHOLE, 0, "full", NULL, NULL, B(EDIT), "Edit the whole file; one that ships is copied first." },
	{ OPT_DROP_IN, 0, "drop-in", "NAME", NULL, B(EDIT), "The drop-in to edit; default override." },
	{ OPT_NEW, 'f', "force", NULL, NULL, B(EDIT), "With --full: make a blueprint that is not there yet." },
	{ OPT_STDIN, 0, "stdin", NULL, NULL, B(EDIT), "Take the text from standard input instead of an editor." },
	{ OPT_STRICT, 0, "strict", NULL, NULL, B(VERIFY), "Warnings count as errors." },
	{ OPT_AT, 0, "at", "VERSION", NULL, B(CAT), "Show the files as they were in an earlier version." },
	{ OPT_LINES, 'n', "limit", "N", NULL, B(HISTORY), "At most so many, the newest." },
	{ OPT_LINES, 'n', "limit", "N", "limit", B(AUDIT), "At most so many, the newest; default 100." },
	{ OPT_THRESHOLD, 0, "threshold", "N", NULL, B(SECURITY),
	  "Exit with status 1 when an exposure is over N, which is 0 to 100: ten times the exposure." },
	{ OPT_DRY_RUN, 'n', "dry-run", NULL, NULL, B(IMPORT), "Say what would be done, and do nothing." },
	{ OPT_ROLE, 0, "role", "ROLE", NULL, B(TOKEN), "create: operator, who may do everything; reader, who sees everything (default); or session." },
	{ OPT_EXPIRES, 0, "expires", "SPAN", NULL, B(TOKEN), "create: how long it is good, such as 12h or 90d; default until it is revoked." },
	{ OPT_SESSION, 0, "session", "NAME", NULL, B(TOKEN), "create: the session whose token it is, for role session; it ends with that." },
	{ OPT_FILES, 0, "files", "DIR", NULL, B(IMPORT), "Where the contents of documents are, by their ids." },

	{ OPT_URL, 0, "url", "URL", NULL, CTL_EVERY, "Talk to aod over TCP, such as http://127.0.0.1:8765." },
	{ OPT_SOCKET, 0, "socket", "PATH", NULL, CTL_EVERY, "Talk to aod over this unix socket." },
	{ OPT_ROOT, 0, "root", "DIR", NULL, CTL_EVERY, "The same as --socket DIR/run/aod.sock." },
	{ OPT_TOKEN, 0, "token", "TOKEN", NULL, CTL_EVERY, "Token to show; default AOD_TOKEN, or with --url the file aod/token of ~/.config." },
	{ OPT_CACERT, 0, "cacert", "FILE", NULL, CTL_EVERY, "Certificates to trust with https://, instead of the system's." },
	{ OPT_JSON, 0, "json", NULL, NULL, CTL_EVERY, "Print what the server says, as JSON." },
	{ OPT_NO_COLOR, 0, "no-color", NULL, NULL, CTL_EVERY, "No colours." },
	{ OPT_QUIET, 'q', "quiet", NULL, NULL, CTL_EVERY, "Print only what was asked for, and errors." },
	{ OPT_HELP, 'h', "help", NULL, NULL, CTL_EVERY, "Show help." },
	{ OPT_VERSION, 0, "version", NULL, NULL, CTL_EVERY, "Print the version." },
	{ 0 },
};

const struct ctl_exit ctl_exits[] = {
	{ 0, "Success." },
	{ 1, "Failure: aod refused the request, the session did not succeed, verify found errors, or an exposure is over the threshold." },
	{ EXIT_USAGE, "The command line is wrong." },
	{ EXIT_NOT_RUNNING, "status: the session failed or was stopped." },
	{ EXIT_NO_SESSION, "status: there is no such session." },
	{ EXIT_NO_AOD, "aod cannot be reached, or says that it cannot serve now." },
	{ EXIT_TIMED_OUT, "wait: the time ran out." },
	{ EXIT_INTERRUPTED, "Interrupted by Ctrl-C; the session goes on." },
	{ 0 },
};

const struct verb *
ctl_verb(enum ctl_cmd cmd)
{
	const struct verb *v;

	for (v = verbs; v->name; v++)
		if (v->cli && !strcmp(v->cli, ctl_commands[cmd].name))
			return v;
	return NULL;
}

const char *
ctl_summary(enum ctl_cmd cmd)
{
	const struct verb *v = ctl_verb(cmd);

	if (ctl_commands[cmd].summary || !v)
		return ctl_commands[cmd].summary;
	return v->summary;
}

int
ctl_command_find(const char *name)
{
	int i;

	for (i = 0; i < CMD_COUNT; i++) {
		const struct ctl_command *c = &ctl_commands[i];

		if (!strcmp(c->name, name) || (c->alias && !strcmp(c->alias, name)))
			return i;
	}
	return -1;
}

/* Keeps the nearer of the two; more than a third of the letters wrong is no likeness, the first three or more of them are the best. */
static void
nearer(const char *typed, const char *candidate, int *best, const char **near)
{
	int max = (int)strlen(typed) / 3 + 1, d;

	if (max >= *best)
		max = *best - 1;
	d = strlen(typed) >= 3 && !strncmp(typed, candidate, strlen(typed)) ? 0 : str_distance(typed, candidate, max);
	if (d > max)
		return;
	*best = d;
	*near = candidate;
}

const char *
ctl_command_near(const char *name)
{
	const char *near = NULL;
	int best = INT_MAX, i;

	for (i = 0; i < CMD_COUNT; i++) {
		if (ctl_commands[i].hidden)
			continue;
		nearer(name, ctl_commands[i].name, &best, &near);
		if (ctl_commands[i].alias)
			nearer(name, ctl_commands[i].alias, &best, &near);
	}
	return near;
}

const char *
ctl_option_near(enum ctl_cmd cmd, const char *name)
{
	const struct ctl_option *o;
	const char *near = NULL;
	int best = INT_MAX;

	for (o = ctl_options; o->name; o++)
		if (o->commands == CTL_EVERY || (cmd < CMD_COUNT && o->commands & (1ull << cmd)))
			nearer(name, o->name, &best, &near);
	return near;
}
