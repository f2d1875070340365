/* SPDX-License-Identifier: MIT */
/* plan_make() with both adapters, and the plan as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "adapter/adapter.h"
#include "base/fd.h"
#include "base/util.h"
#include "model/env-file.h"

#define UUID "0190b0c0-0000-7000-8000-000000000001"

/* A directory with one program, foo, and one file that is none, bar. */
static char dir[] = "/tmp/aod-test-plan-XXXXXX";
static char search[64];
static struct err e;
static char *const aod_environ[] = { "LANG=C.UTF-8", "LC_TIME=C", "LANGUAGE=xx", "TZ=UTC", "AWS_SECRET=no", "KEY=sesame",
				     "PATH=/wrong", "HOME=/wrong", "broken", NULL };

static int
setup(void **state)
{
	struct stat st;
	CLEANUP_FREE char *foo = NULL, *bar = NULL;

	assert_non_null(mkdtemp(dir));
	foo = xasprintf("%s/foo", dir);
	bar = xasprintf("%s/bar", dir);
	assert_int_equal(file_write_atomic(foo, "#!/bin/sh\n", 10, 0755, false, &e), 0);
	assert_int_equal(file_write_atomic(bar, "", 0, 0644, false, &e), 0);
	assert_int_equal(stat(foo, &st), 0);
	assert_true(st.st_mode & 0100);
	snprintf(search, sizeof(search), "/nowhere::%s:/bin", dir);
	return 0;
}

static int
teardown(void **state)
{
	return rm_rf(dir, &e);
}

static struct blueprint *
blueprint(const char *text)
{
	struct blueprint *b = blueprint_new("bp", NULL);
	struct blueprint_problems p = BLUEPRINT_PROBLEMS_INIT;

	assert_int_equal(blueprint_add(b, NULL, text, strlen(text), &p), 0);
	return b;
}

static struct plan_request
request(const struct blueprint *b, const char *prompt)
{
	return (struct plan_request){ .blueprint = b,
				      .session_id = "sid",
				      .session_name = "sname",
				      .agent_session_id = UUID,
				      .prompt = prompt,
				      .prompt_uuid = "pid",
				      .session_dir = "/var/lib/aod/sessions/sid/agent",
				      .environ = aod_environ,
				      .home = "/home/user",
				      .user = "user",
				      .socket = "/run/aod/aod.sock",
				      .search_path = search };
}

static const char *
env(const struct plan *p, const char *name)
{
	const char *found = NULL;

	for (size_t i = 0; p->env[i]; i++)
		if (str_starts(p->env[i], name) && p->env[i][strlen(name)] == '=') {
			assert_null(found); /* once only */
			found = p->env[i] + strlen(name) + 1;
		}
	return found;
}

static void
assert_argv(char *const *argv, ...)
{
	va_list ap;
	const char *want;
	size_t i = 0;

	va_start(ap, argv);
	while ((want = va_arg(ap, const char *)) != NULL) {
		assert_non_null(argv[i]);
		assert_string_equal(argv[i++], want);
	}
	va_end(ap);
	assert_null(argv[i]);
}

static void
refused(const struct plan_request *rq, const char *says)
{
	struct plan *p = NULL;

	memset(&e, 0, sizeof(e));
	assert_true(plan_make(rq, &p, &e) < 0);
	assert_null(p);
	assert_int_equal(e.status, 422);
	if (!strstr(e.text, says))
		fail_msg("'%s' does not say '%s'", e.text, says);
	assert_true(plan_make(rq, &p, NULL) < 0);
}

static void
test_command(void **state)
{
	struct blueprint *b = blueprint("[Agent]\nAdapter=command\nExecStart=foo \"a b\"\n[Session]\nTimeoutStopSec=3s\nRuntimeMaxSec=2min\nWatchdogSec=0\n"
					"Lifecycle=persistent\nIdleTimeoutSec=5min\n");
	struct plan_request rq = request(b, "some input");
	struct plan *p;

	assert_int_equal(plan_make(&rq, &p, &e), 0);
	assert_string_equal(p->adapter, "command");
	assert_argv(p->argv, "foo", "a b", NULL);
	assert_true(str_starts(p->program, dir) && strstr(p->program, "/foo"));
	assert_string_equal(p->cwd, "/var/lib/aod/sessions/sid/agent/work");
	assert_string_equal(p->input.data, "some input");
	assert_true(p->close_stdin);
	assert_int_equal(p->timeout_stop_us, 3000000);
	assert_int_equal(p->may.runtime_us, 120000000);
	assert_true(p->persistent);
	assert_int_equal(p->idle_us, 300000000);
	/* 0 and infinity are no limit. */
	assert_true(p->may.watchdog_us == INT64_MAX && p->may.start_us == INT64_MAX && p->may.tool_us == INT64_MAX);
	assert_int_equal(p->file_count, 0);
	plan_free(p);
	/* The caller's command goes before the blueprint's. */
	rq.command = (char *const[]){ "/bin/echo", "x", NULL };
	rq.prompt = NULL;
	assert_int_equal(plan_make(&rq, &p, &e), 0);
	assert_argv(p->argv, "/bin/echo", "x", NULL);
	assert_string_equal(p->program, "/bin/echo");
	assert_int_equal(p->input.len, 0);
	plan_free(p);
	blueprint_free(b);
}

static void
test_environment(void **state)
{
	struct blueprint *b = blueprint("[Agent]\nAdapter=command\nExecStart=foo\nPassEnvironment=KEY UNSET HOME\n"
					"Environment=SHELL=/bin/bash \"X=1 2\"\n");
	struct plan_request rq = request(b, NULL);
	struct plan *p;
	size_t n = 0;

	assert_int_equal(plan_make(&rq, &p, &e), 0);
	assert_string_equal(env(p, "PATH"), search);
	assert_string_equal(env(p, "HOME"), "/wrong");
	assert_string_equal(env(p, "USER"), "user");
	assert_string_equal(env(p, "LOGNAME"), "user");
	assert_string_equal(env(p, "SHELL"), "/bin/bash");
	assert_string_equal(env(p, "TERM"), "dumb");
	assert_string_equal(env(p, "LANG"), "C.UTF-8");
	assert_string_equal(env(p, "LC_TIME"), "C");
	assert_string_equal(env(p, "TZ"), "UTC");
	assert_string_equal(env(p, "TMPDIR"), "/var/lib/aod/sessions/sid/agent/tmp");
	assert_string_equal(env(p, "AGENT_SESSION_ID"), "sid");
	assert_string_equal(env(p, "AOD_SESSION_ID"), "sid");
	assert_string_equal(env(p, "AOD_SESSION_NAME"), "sname");
	assert_string_equal(env(p, "AOD_SOCKET"), "/run/aod/aod.sock");
	assert_string_equal(env(p, "KEY"), "sesame");
	assert_string_equal(env(p, "X"), "1 2");
	/* Nothing else of aod's own. */
	while (p->env[n])
		n++;
	assert_int_equal(n, 16);
	assert_argv(p->secret_env, "KEY", "HOME", NULL);
	plan_free(p);
	blueprint_free(b);
}

static void
test_claude(void **state)
{
	struct blueprint *b = blueprint("[Agent]\nExecStart=foo --first\nModel=opus\nSystemPrompt=Be kind\nAllowedTools=Read \"Bash(git log:*)\"\n"
					"DisallowedTools=Write\nPermissionMode=plan\nMaxTurns=3\nMcpConfigFile=/etc/mcp.json\n"
					"Environment=DISABLE_AUTOUPDATER=0\n");
	struct plan_request rq = request(b, "say \"hi\"\n");
	struct plan *p;

	rq.mcp_config = "\n{\"mcpServers\":{}}\n";
	rq.project_dir = "/srv/project";
	assert_int_equal(plan_make(&rq, &p, &e), 0);
	assert_argv(p->argv, "foo", "--first", "--output-format", "stream-json", "--verbose", "--input-format", "stream-json",
		    "--setting-sources", "", "--strict-mcp-config", "--permission-prompt-tool", "stdio", "--mcp-config", "/var/lib/aod/sessions/sid/agent/mcp.json",
		    "--session-id", UUID, "--model", "opus", "--append-system-prompt", "Be kind", "--allowedTools",
		    "Read,Bash(git log:*)", "--disallowedTools", "Write", "--permission-mode", "plan", "--max-turns", "3", NULL);
	assert_string_equal(p->input.data, "{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":\"say \\\"hi\\\"\\n\"},"
					   "\"uuid\":\"pid\",\"parent_tool_use_id\":null,\"session_id\":\"\"}\n");
	assert_false(p->close_stdin);
	assert_string_equal(p->cwd, "/srv/project");
	assert_null(env(p, "TMPDIR"));
	assert_string_equal(env(p, "CLAUDE_CONFIG_DIR"), "/var/lib/aod/sessions/sid/agent/claude");
	assert_string_equal(env(p, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"), "1");
	assert_string_equal(env(p, "DISABLE_AUTOUPDATER"), "0");
	assert_int_equal(p->file_count, 1);
	assert_string_equal(p->files[0].path, "/var/lib/aod/sessions/sid/agent/mcp.json");
	assert_string_equal(p->files[0].text, rq.mcp_config);
	plan_free(p);
	blueprint_free(b);
}

static void
test_claude_resume(void **state)
{
	struct blueprint *b = blueprint("[Agent]\nExecStart=foo\n[Sandbox]\nPrivateTmp=no\nSystemCallFilter=no\n");
	struct plan_request rq = request(b, "next");
	struct plan *p;

	rq.resume = true;
	rq.prompt_uuid = NULL;
	assert_int_equal(plan_make(&rq, &p, &e), 0);
	assert_argv(p->argv, "foo", "--output-format", "stream-json", "--verbose", "--input-format", "stream-json",
		    "--setting-sources", "", "--strict-mcp-config", "--permission-prompt-tool", "stdio", "--resume", UUID, NULL);
	assert_null(strstr(p->input.data, "uuid"));
	assert_non_null(env(p, "TMPDIR"));
	plan_free(p);
	blueprint_free(b);
}

static void
test_refused(void **state)
{
	struct blueprint *cmd = blueprint("[Agent]\nAdapter=command\n"), *claude = blueprint("[Agent]\nExecStart=foo\n");
	struct plan_request rq = request(cmd, "x");
	CLEANUP_FREE char *bar = xasprintf("%s/bar", dir);

	refused(&rq, "blueprint 'bp' has no ExecStart=: give a command");
	rq.command = (char *const[]){ "no-such-program", NULL };
	refused(&rq, "program 'no-such-program' not found in aod's PATH: install it");
	refused(&rq, "install it, or give its full path");
	rq.command = (char *const[]){ "bar", NULL };
	refused(&rq, "program 'bar' not found in aod's PATH");
	rq.command = (char *const[]){ bar, NULL };
	refused(&rq, "is not executable: chmod +x it");
	rq.command = (char *const[]){ "/no/such/program", NULL };
	refused(&rq, "program '/no/such/program' not found: install it");
	rq.command = (char *const[]){ "", NULL };
	refused(&rq, "name is empty");
	rq.command = (char *const[]){ "foo", NULL };
	rq.project_dir = "relative/dir";
	refused(&rq, "project_dir 'relative/dir' is not an absolute path");
	rq.search_path = NULL;
	rq.project_dir = NULL;
	refused(&rq, "not found in aod's PATH");
	rq = request(claude, NULL);
	refused(&rq, "needs a prompt");
	rq.prompt = "";
	refused(&rq, "needs a prompt");
	rq.prompt = "x";
	rq.command = (char *const[]){ "foo", NULL };
	refused(&rq, "takes a prompt, not a command");
	rq.command = NULL;
	rq.mcp_config = "[not an object]";
	refused(&rq, "is not a JSON object");
	rq.mcp_config = "";
	refused(&rq, "is not a JSON object");
	blueprint_free(cmd);
	cmd = blueprint("[Agent]\nExecStart=missing-agent\n");
	rq = request(cmd, "x");
	refused(&rq, "or give its full path in ExecStart=");
	blueprint_free(cmd);
	blueprint_free(claude);
}

static void
test_relative_program(void **state)
{
	struct blueprint *b = blueprint("[Agent]\nAdapter=command\nExecStart=./foo\n");
	struct plan_request rq = request(b, NULL);
	struct plan *p;
	CLEANUP_FREE char *want = xasprintf("%s/./foo", dir);

	refused(&rq, "program './foo' not found");
	rq.project_dir = dir;
	assert_int_equal(plan_make(&rq, &p, &e), 0);
	assert_string_equal(p->program, want);
	assert_string_equal(p->argv[0], "./foo");
	plan_free(p);
	blueprint_free(b);
}

static struct json_object *
member(struct json_object *o, const char *key)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, key, &v))
		fail_msg("no %s", key);
	return v;
}

static void
test_json(void **state)
{
	struct blueprint *b = blueprint("[Agent]\nExecStart=foo\nPassEnvironment=KEY\nMcpConfigFile=/x\n[Session]\nTimeoutStopSec=infinity\n");
	struct plan_request rq = request(b, "secret words");
	struct plan *p;
	struct buf out = BUF_INIT;
	struct json_object *o;

	rq.mcp_config = "{\"mcpServers\":{\"x\":{\"env\":{\"TOKEN\":\"hidden\"}}}}";
	assert_int_equal(plan_make(&rq, &p, &e), 0);
	plan_json(&out, p);
	assert_null(strstr(out.data, "sesame"));
	assert_null(strstr(out.data, "hidden"));
	o = json_tokener_parse(out.data);
	assert_non_null(o);
	assert_null(member(member(o, "env"), "KEY"));
	assert_string_equal(json_object_get_string(member(member(o, "env"), "USER")), "user");
	assert_string_equal(json_object_get_string(member(o, "adapter")), "claude");
	assert_false(json_object_get_boolean(member(o, "close_stdin")));
	assert_null(member(o, "timeout_stop_us"));
	assert_int_equal(json_object_get_int64(member(o, "result_grace_us")), 10000000);
	assert_int_equal(json_object_get_int64(member(o, "input_bytes")), (int64_t)p->input.len);
	assert_int_equal(json_object_array_length(member(o, "files")), 1);
	json_object_put(o);
	buf_reset(&out);
	plan_free(p);
	p = plan_new();
	plan_json(&out, p);
	o = json_tokener_parse(out.data);
	assert_non_null(o);
	json_object_put(o);
	plan_free(p);
	plan_free(NULL);
	buf_free(&out);
	blueprint_free(b);
}

/* What comes from files that the blueprint names, and its own MCP servers. */
static void
test_files(void **state)
{
	struct blueprint *b = blueprint("[Agent]\nExecStart=foo\nSystemPrompt=One\nMcpServer=own prog \"a b\"\nEnvironment=B=own\n");
	static char *const file_environment[] = { (char *)(uintptr_t)"A=secret", (char *)(uintptr_t)"B=file", NULL };
	struct plan_request rq = request(b, "x");
	struct buf out = BUF_INIT;
	struct plan *p;

	rq.system_prompt = "Two";
	rq.mcp_config = "{\"mcpServers\":{\"theirs\":{\"url\":\"http://127.0.0.1:1/\"}}}";
	rq.file_environment = file_environment;
	assert_int_equal(plan_make(&rq, &p, &e), 0);
	assert_argv(p->argv, "foo", "--output-format", "stream-json", "--verbose", "--input-format", "stream-json", "--setting-sources", "",
		    "--strict-mcp-config", "--permission-prompt-tool", "stdio", "--mcp-config", "/var/lib/aod/sessions/sid/agent/mcp.json", "--session-id", UUID, "--append-system-prompt",
		    "One\n\nTwo", NULL);
	assert_string_equal(p->files[0].text, "{\"mcpServers\":{\"theirs\":{\"url\":\"http://127.0.0.1:1/\"},"
					      "\"own\":{\"type\":\"stdio\",\"command\":\"prog\",\"args\":[\"a b\"]}}}");
	assert_string_equal(env(p, "A"), "secret");
	assert_string_equal(env(p, "B"), "own");
	plan_json(&out, p);
	assert_null(strstr(out.data, "secret\""));
	plan_free(p);
	rq.mcp_config = "[";
	refused(&rq, "is not a JSON object");
	buf_free(&out);
	blueprint_free(b);
}

/* What a request may say in place of the blueprint. */
static void
test_override(void **state)
{
	char *const command[] = { (char *)(uintptr_t)"foo", NULL };
	struct blueprint *b = blueprint("[Blueprint]\nAllowOverride=none\n[Agent]\nAdapter=command\nExecStart=foo\n");
	struct plan_request rq = request(b, NULL);
	struct plan *p;

	assert_int_equal(plan_make(&rq, &p, &e), 0);
	plan_free(p);
	rq.project_dir = "/srv";
	refused(&rq, "does not let a request give a project_dir (AllowOverride=)");
	rq.project_dir = NULL;
	rq.command = command;
	refused(&rq, "does not let a request give a command (AllowOverride=)");
	blueprint_free(b);
	b = blueprint("[Blueprint]\nAllowOverride=none\nAllowOverride=command\n[Agent]\nAdapter=command\n");
	rq.blueprint = b;
	assert_int_equal(plan_make(&rq, &p, &e), 0);
	plan_free(p);
	blueprint_free(b);
}

static void
test_env_file(void **state)
{
	static const char text[] = "# comment\n A=1\nB=\"two words\"  \n; other\nC=plain text 'kept' \nD='x'\"y\"\nE=\nF=a\\\n b\n";
	static const char *const bad[] = { "A=1\nno\n", "[X]\nA=1\n", "1A=1\n", "A-B=1\n", "A=\"open\n", "export A=1\n" };
	char **vars = NULL;

	assert_int_equal(env_file_parse(&vars, text, strlen(text), &e), 0);
	assert_argv(vars, "A=1", "B=two words", "C=plain text 'kept'", "D=xy", "E=", "F=a b", NULL);
	strv_free(vars);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		vars = NULL;
		memset(&e, 0, sizeof(e));
		assert_true(env_file_parse(&vars, bad[i], strlen(bad[i]), &e) < 0);
		assert_int_equal(e.status, 422);
		assert_non_null(strstr(e.text, "line "));
		assert_null(strstr(e.text, "open"));
		strv_free(vars);
	}
}

/* The sandbox is made around what the plan found. */
static void
test_sandbox(void **state)
{
	static const struct sandbox_paths paths = { .state = "/var/lib/aod", .run = "/run/aod", .etc = "/etc/aod", .root = true };
	struct blueprint *b = blueprint("[Agent]\nExecStart=foo\n[Sandbox]\nSetCredential=key:sesame\n");
	struct plan_request rq = request(b, "do it");
	struct buf json = BUF_INIT;
	struct json_object *o, *v, *s;
	struct plan *p;

	rq.paths = &paths;
	rq.totals = (struct limit_totals){ INT64_C(4) << 30, 1000 };
	rq.project_dir = "/srv/project";
	assert_int_equal(plan_make(&rq, &p, &e), 0);
	assert_non_null(p->sandbox);
	assert_int_equal(p->sandbox->profile, SANDBOX_STRICT);
	assert_int_equal(p->sandbox->limits.memory_max, INT64_C(4) << 30);
	assert_string_equal(p->sandbox->landlock_rw[0], "/var/lib/aod/sessions/sid/agent");
	assert_string_equal(p->sandbox->landlock_rw[1], "/srv/project");
	assert_string_equal(env(p, "HOME"), "/var/lib/aod/sessions/sid/agent/home");
	assert_string_equal(env(p, "CREDENTIALS_DIRECTORY"), "/run/aod/credentials");
	assert_string_equal(env(p, "AOD_SESSION_ID"), "sid");
	assert_null(env(p, "TMPDIR"));
	plan_json(&json, p);
	assert_null(strstr(json.data, "sesame"));
	o = json_tokener_parse(json.data);
	assert_true(json_object_object_get_ex(o, "sandbox", &s));
	assert_true(json_object_object_get_ex(s, "profile", &v));
	assert_string_equal(json_object_get_string(v), "strict");
	json_object_put(o);
	buf_free(&json);
	plan_free(p);
	/* Where no namespace is to be had, /tmp is everybody's. */
	blueprint_free(b);
	b = blueprint("[Agent]\nExecStart=foo\nEnvironment=HOME=/srv/home\n");
	rq.blueprint = b;
	rq.paths = &(struct sandbox_paths){ .state = "/var/lib/aod", .run = "/run/aod", .etc = "/etc/aod", .no_namespaces = true };
	assert_int_equal(plan_make(&rq, &p, &e), 0);
	assert_string_equal(env(p, "TMPDIR"), "/var/lib/aod/sessions/sid/agent/tmp");
	assert_string_equal(env(p, "HOME"), "/srv/home");
	plan_free(p);
	/* What cannot be is told before anything runs. */
	rq.project_dir = "/etc";
	refused(&rq, "Sandbox=none");
	blueprint_free(b);
	/* Without a profile the home is the user's. */
	b = blueprint("[Agent]\nAdapter=command\nExecStart=foo\n");
	rq.blueprint = b;
	rq.project_dir = NULL;
	assert_int_equal(plan_make(&rq, &p, &e), 0);
	assert_int_equal(p->sandbox->mount_count, 0);
	assert_string_equal(env(p, "HOME"), "/home/user");
	plan_free(p);
	rq.paths = NULL;
	assert_int_equal(plan_make(&rq, &p, &e), 0);
	assert_null(p->sandbox);
	plan_json(&json, p);
	assert_non_null(strstr(json.data, "\"sandbox\":null"));
	buf_free(&json);
	plan_free(p);
	blueprint_free(b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command),	      cmocka_unit_test(test_environment),
		cmocka_unit_test(test_claude),	      cmocka_unit_test(test_claude_resume),
		cmocka_unit_test(test_refused),	      cmocka_unit_test(test_relative_program),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_files),	      cmocka_unit_test(test_override),
		cmocka_unit_test(test_env_file),	      cmocka_unit_test(test_sandbox),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
