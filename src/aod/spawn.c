/* SPDX-License-Identifier: MIT */
/* The shim of a run: the files between it and aod, its start, and taking it over again after aod was away. */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "aod/birth.h"
#include "aod/cgroup.h"
#include "aod/run.h"
#include "aod/shim-spec.h"
#include "aod/spare.h"
#include "aod/token.h"
#include "base/fd.h"
#include "base/frame.h"
#include "base/log.h"
#include "base/util.h"
#include "shim/spec.h"

#define KILL_PASSES 10
#define EMPTY_SPOOL_TRIES 20 /* of 1 ms: a shim makes its spool and locks it within microseconds */

static int
open_input(struct run *r, struct err *e)
{
	CLEANUP_FREE char *path = NULL;

	if (r->input_fd >= 0)
		return 0;
	path = run_path(r, "in");
	r->input_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return r->input_fd < 0 ? err_errno(e, -errno, "%s", path) : 0;
}

static void
ring_shim(struct run *r)
{
	if (r->bell_fd < 0) {
		CLEANUP_FREE char *path = run_path(r, "bell");

		/* Without a reader (the shim is not there yet, or not any more) this fails, and need not be told. */
		r->bell_fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	}
	if (r->bell_fd >= 0 && write(r->bell_fd, "", 1) < 0)
		log_debug("session %s: bell: %s", r->s.row.name, strerror(errno));
}

#define NUMBER 8 /* bytes, in front of what a frame brings */
#define PIECE_MAX ((size_t)FRAME_MAX - NUMBER)

static void
put_frame(struct buf *out, uint8_t type, int64_t number, const void *p, size_t n)
{
	uint8_t head[FRAME_HEADER + NUMBER];

	for (int i = 0; i < NUMBER; i++)
		head[FRAME_HEADER + i] = (uint8_t)((uint64_t)number >> (8 * i));
	frame_header(head, type, 0, now_us(), head + FRAME_HEADER, NUMBER, p, n);
	buf_put(out, head, sizeof(head));
	buf_put(out, p, n);
}

/* All of it or nothing: a shim stops at a torn frame. */
static int
append(struct run *r, const struct buf *frames, struct err *e)
{
	off_t end = lseek(r->input_fd, 0, SEEK_END);
	int rc = fd_write_all(r->input_fd, frames->data, frames->len);

	if (rc < 0) {
		if (ftruncate(r->input_fd, end) < 0)
			log_error("session %s: its input file cannot be mended: %s", r->s.row.name, strerror(errno));
		return err_errno(e, rc, "input of session %s", r->s.row.name);
	}
	return 0;
}

size_t
run_input_frames(size_t n)
{
	return n <= PIECE_MAX ? 1 : (n + PIECE_MAX - 1) / PIECE_MAX;
}

int64_t
run_input_reserve(struct run *r, size_t n)
{
	int64_t first = r->input_seq + 1;

	r->input_seq += (int64_t)run_input_frames(n);
	return first;
}

int
run_input_as(struct run *r, int64_t first, size_t skip, uint8_t type, const void *p, size_t n, struct err *e)
{
	struct buf frames = BUF_INIT;
	int rc = open_input(r, e);

	for (size_t i = skip, count = run_input_frames(n); rc == 0 && i < count; i++) {
		size_t at = i * PIECE_MAX, piece = n - at < PIECE_MAX ? n - at : PIECE_MAX;

		put_frame(&frames, type, first + (int64_t)i, n ? (const char *)p + at : NULL, piece);
	}
	if (rc == 0)
		rc = append(r, &frames, e);
	buf_free(&frames);
	if (rc == 0)
		ring_shim(r);
	return rc;
}

int
run_input(struct run *r, uint8_t type, const void *p, size_t n, struct err *e)
{
	return run_input_as(r, run_input_reserve(r, n), 0, type, p, n, e);
}

/* ---- start ------------------------------------------------------------------------------------------------ */

/* Both of them have to be there before the shim is. */
static int
make_channel(struct run *r, struct err *e)
{
	CLEANUP_FREE char *bell = NULL;
	int rc;

	if (r->channel)
		return 0;
	bell = run_path(r, "bell");
	if (mkfifo(bell, 0600) < 0 && errno != EEXIST)
		return err_errno(e, -errno, "%s", bell);
	rc = open_input(r, e);
	r->channel = rc == 0;
	return rc;
}

/* What the agent is given first, once for each run that begins. */
static int
fill_input(struct run *r, struct err *e)
{
	struct stat st;
	int rc = make_channel(r, e);

	if (rc < 0 || r->filled)
		return rc;
	/* Left by an aod that died right here, perhaps in the middle of it: the same once more. A stop that came before the start stays. */
	if (fstat(r->input_fd, &st) == 0 && st.st_size > 0) {
		if (r->s.row.state == SESSION_STOPPING || r->in.why != OUTCOME_NONE)
			return 0;
		if (ftruncate(r->input_fd, 0) < 0)
			return err_errno(e, -errno, "input of session %s", r->s.row.name);
	}
	if (r->plan->input.len)
		rc = run_input(r, FRAME_INPUT, r->plan->input.data, r->plan->input.len, e);
	if (rc == 0 && r->plan->close_stdin)
		rc = run_input(r, FRAME_CLOSE, NULL, 0, e);
	r->closed = r->plan->close_stdin;
	/* What could not be written is tried once more for a shim of its own, which must not start without. */
	r->filled = rc == 0;
	return rc;
}

pid_t
shim_birth(const struct manager *m, int spec_fd, int seccomp_fd, int netns_fd)
{
	static char *const argv[] = { (char *)"aod-shim", NULL };
	CLEANUP_CLOSE int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct birth b = {
		.program = m->shim_fd,
		.argv = argv,
		.fds = { null_fd, null_fd, -1, spec_fd, seccomp_fd, netns_fd },
		.nofile = m->cfg->nofile,
		.cgroup = cgroup_shim_fd(m->cgroups),
	};

	_Static_assert(SHIM_SPEC_FD == 3 && SHIM_SECCOMP_FD == 4 && SHIM_NETNS_FD == 5, "birth.fds");
	return null_fd < 0 ? -errno : birth(&b);
}

static void
close_netns(struct shim_fds *fds)
{
	if (fds->netns >= 0)
		close(fds->netns);
	fds->netns = -1;
}

void
run_ready(struct run *r)
{
	struct shim_fds fds = { .netns = -1 };
	struct buf first = BUF_INIT;
	CLEANUP_FREE bool *of_run = NULL;
	CLEANUP_CLOSE int spec_fd = -1;
	struct err e = { 0 };

	if (shim_fds_get(r, &fds, &e) < 0)
		return;
	of_run = shim_spec_first(r, &fds, &first);
	r->spare = spare_take(r->m->spares, &first);
	if (r->spare)
		spec_fd = shim_spec_make(r, &fds, of_run, NULL, &e);
	/* What was wrong is said by the start. The groups are made while the shim is busy with what it was told first. */
	if (r->spare && (spec_fd < 0 || make_channel(r, &e) < 0 || spare_tell(r->spare, spec_fd, fds.seccomp, fds.netns) < 0 ||
			 contain_group(r, r->plan->sandbox, &e) < 0 || spare_groups(r->spare, r->in.lines) < 0)) {
		spare_end(r->spare);
		r->spare = NULL;
	}
	buf_free(&first);
	close_netns(&fds);
}

void
run_go(struct run *r)
{
	struct err e = { 0 };

	if (r->exited || !r->spare)
		return;
	/* One that cannot begin ends now: its agent would wait in the groups beside that of another one. */
	if (fill_input(r, &e) < 0)
		spare_end(r->spare);
	else
		r->shim_pid = spare_start(r->spare);
	r->spare = NULL;
}

/* Where there was no spare, or it is gone: then it has done nothing that counts. */
static int
spawn_shim(struct run *r, struct err *e)
{
	CLEANUP_CLOSE int spec_fd = -1;
	struct shim_fds fds = { .netns = -1 };
	pid_t pid;
	int rc = fill_input(r, e);

	if (rc == 0 && !r->in.lines)
		rc = contain_group(r, r->plan->sandbox, e);
	if (rc == 0)
		rc = token_note_group(r, e);
	if (rc == 0)
		rc = shim_fds_get(r, &fds, e);
	if (rc < 0)
		return rc;
	spec_fd = shim_spec_make(r, &fds, NULL, r->in.lines, e);
	pid = spec_fd < 0 ? spec_fd : shim_birth(r->m, spec_fd, fds.seccomp, fds.netns);
	if (spec_fd >= 0 && pid < 0)
		err_errno(e, pid, "cannot start a shim");
	close_netns(&fds);
	r->shim_pid = pid;
	return pid < 0 ? pid : 0;
}

int
run_spawn(struct run *r, struct err *e)
{
	bool spare = r->shim_pid > 0;
	uint64_t start = 0;
	int rc = spare ? 0 : spawn_shim(r, e);

	log_debug("session %s: %s shim", r->s.row.name, spare ? "a spare" : "a new");
	if (rc < 0)
		return rc;
	plan_free(r->plan);
	r->plan = NULL;
	contain_watch(r);
	proc_start_time((pid_t)r->shim_pid, &start);
	run_watch_shim(r, r->shim_pid, (int64_t)start);
	return 0;
}

int
run_watch_shim(struct run *r, int64_t pid, int64_t start)
{
	uint64_t now = 0;
	int fd;

	if (r->pidfd >= 0 && pid == r->shim_pid)
		return 0;
	r->shim_pid = pid;
	r->shim_start = start;
	fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (fd < 0)
		return -ESRCH;
	/* A pid alone names nobody: compare the start time after the pidfd holds it fast. A zombie has ended, too. */
	if (start && proc_start_time((pid_t)pid, &now) == 0 && (int64_t)now != start) {
		close(fd);
		return -ESRCH;
	}
	if (r->pidfd >= 0) {
		ev_io_stop(r->m->loop, &r->pid_w);
		close(r->pidfd);
	}
	r->pidfd = fd;
	ev_io_set(&r->pid_w, fd, EV_READ);
	ev_io_start(r->m->loop, &r->pid_w);
	return 0;
}

/* "7.spool": files that aod and the shim of run 7 share. */
static const char *const file_suffixes[] = { "spool", "in", "bell" };

void
run_signal_shim(const struct run *r, int sig)
{
	if (r->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, r->pidfd, sig, NULL, 0);
}

void
run_remove_files(const struct run *r)
{
	for (size_t i = 0; i < ARRAY_LEN(file_suffixes); i++) {
		CLEANUP_FREE char *path = run_path(r, file_suffixes[i]);

		unlink(path);
	}
}

void
run_remove_all_files(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *de;

	while (d && (de = readdir(d))) {
		size_t digits = strspn(de->d_name, "0123456789");

		for (size_t i = 0; i < ARRAY_LEN(file_suffixes); i++)
			if (digits && de->d_name[digits] == '.' && !strcmp(de->d_name + digits + 1, file_suffixes[i]))
				unlinkat(dirfd(d), de->d_name, 0);
	}
	if (d)
		closedir(d);
}

/* ---- taking over ------------------------------------------------------------------------------------------ */

static const char *
json_text(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_string))
		return NULL;
	return json_object_get_string(v);
}

static int64_t
json_number(struct json_object *o, const char *key, int64_t otherwise)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_int64(v) : otherwise;
}

static char **
words_of(struct json_object *v)
{
	char **words = NULL;

	if (!json_object_is_type(v, json_type_array))
		return NULL;
	for (size_t i = 0; i < json_object_array_length(v); i++)
		words = strv_add(words, json_object_get_string(json_object_array_get_idx(v, i)));
	return words;
}

static char **
json_words(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(o, key, &v) ? words_of(v) : NULL;
}

char **
run_command_words(const char *json)
{
	struct json_object *o = json ? json_tokener_parse(json) : NULL;
	char **words = words_of(o);

	json_object_put(o);
	return words;
}

/* Whether a shim holds the spool. */
static bool
spool_locked(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		return true;
	flock(fd, LOCK_UN);
	return false;
}

/* The state of the spool: 1 a shim has it, 0 nobody has it, -ENOENT there is none (no shim ever ran). */
static int
look_at_spool(struct run *r)
{
	CLEANUP_FREE char *path = run_path(r, "spool");
	struct stat st;

	r->spool_fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (r->spool_fd < 0)
		return -ENOENT;
	for (int i = 0; i < EMPTY_SPOOL_TRIES; i++) {
		if (spool_locked(r->spool_fd))
			return 1;
		if (fstat(r->spool_fd, &st) == 0 && st.st_size > 0)
			break;
		usleep(1000);
	}
	return 0;
}

static int64_t
number_of(const struct frame *f)
{
	uint64_t n = 0;

	for (int i = 0; i < NUMBER && f->len >= NUMBER; i++)
		n |= (uint64_t)(uint8_t)f->payload[i] << (8 * i);
	return (int64_t)n;
}

/* The numbers in the input file, and whether stdin was closed. What an aod that was killed has written half goes. */
static void
look_at_input(struct run *r)
{
	CLEANUP_FREE char *path = run_path(r, "in");
	struct buf b = BUF_INIT;
	struct frame f;
	size_t pos = 0;
	int64_t used = 0;

	if (file_read(path, 256u << 20, &b, NULL) == 0)
		while ((used = frame_parse(b.data + pos, b.len - pos, &f)) > 0) {
			pos += (size_t)used;
			turn_saw_input(r, number_of(&f));
			r->closed |= f.type == FRAME_CLOSE;
			r->w.stop_told |= f.type == FRAME_STOP;
		}
	if (used == 0 && pos < b.len && truncate(path, (off_t)pos) < 0)
		log_error("session %s: its input file cannot be mended: %s", r->s.row.name, strerror(errno));
	buf_free(&b);
}

static int
spawn_again(struct run *r, struct json_object *args, struct err *e)
{
	char **command = json_words(args, "command");
	char token[TOKEN_SIZE];
	struct run_args a = {
		.prompt = json_text(args, "prompt"),
		.prompt_uuid = json_text(args, "prompt_uuid"),
		.agent_session_id = json_text(args, "agent_session_id"),
		.command = command,
		.resume = json_number(args, "resume", 0) != 0,
		.token = token,
	};
	int rc;

	/* The text of the first one went with the aod that made it. */
	token_new(token, r->token_hash);
	rc = run_make_plan(r->m, &r->s.row, &a, &r->plan, e);
	if (rc == 0)
		rc = manager_begin(r->m, e);
	if (rc == 0)
		rc = token_store_run(r, e);
	strv_free(command);
	if (rc == 0)
		rc = contain_take(r, r->plan->sandbox, e);
	if (rc < 0)
		return rc;
	r->next_queued = r->m->unspawned;
	r->m->unspawned = r;
	return 0;
}

int
run_attach(struct run *r, const struct run_row *row, struct err *e)
{
	struct json_object *args = json_tokener_parse(row->args ? row->args : "{}"), *policy = NULL;
	int rc = 0, spool;

	for (int i = 0; i < 3; i++) {
		r->offset[i] = row->offset[i];
		if (i == 0 || r->offset[i] < r->read_at)
			r->read_at = r->offset[i];
	}
	r->logged = row->logged;
	r->started_us = row->started_us;
	if (row->adapter_state && r->adapter->restore)
		r->adapter->restore(r->adapter_state, row->adapter_state, row->adapter_state_len);
	r->agent_session_id = xstrdup(json_text(args, "agent_session_id"));
	r->timeout_stop_us = json_number(args, "timeout_stop_us", 10000000);
	r->result_grace_us = json_number(args, "result_grace_us", 10000000);
	r->success = json_words(args, "success");
	json_object_object_get_ex(args, "restart", &policy);
	restart_policy_parse(&r->restart, policy);
	r->blueprint = xstrdup(json_text(args, "blueprint"));
	if (!r->blueprint)
		r->blueprint = xstrdup(r->s.row.agent_name);
	contain_restore(r, args);
	watch_restore(r, args, row->watch);
	git_guard_restore(&r->git, args);
	r->input_seq = row->in_seq;
	rc = turn_restore(r, args, e);
	if (rc == 0)
		rc = ask_restore(r, args, e);
	look_at_input(r);
	r->other_boot = row->boot_id && *row->boot_id && strcmp(row->boot_id, r->m->boot_id);
	spool = look_at_spool(r);
	if (rc == 0 && spool == -ENOENT && !r->other_boot && (r->s.row.state == SESSION_PENDING || r->s.row.state == SESSION_STOPPING)) {
		rc = spawn_again(r, args, e);
	} else if (spool != 1) {
		r->shim_dead = true;
	} else if (row->shim_pid) {
		/* A number without a start time may be anybody's by now; the shim's first frame says who it is. */
		if (row->shim_start && run_watch_shim(r, row->shim_pid, row->shim_start) < 0)
			r->shim_dead = true; /* just now */
	}
	turn_attached(r, spool == 1);
	/* A stop that was on its way goes on. */
	if (spool == 1 && !r->w.stop_told && (r->s.row.state == SESSION_STOPPING || r->in.why != OUTCOME_NONE))
		run_stop(r, r->w.stop_us);
	watch_arm(r);
	if (r->closed && spool == 1 && strcmp(r->adapter->name, "command"))
		run_start_grace(r);
	json_object_put(args);
	return rc;
}

/* ---- what a lost shim left -------------------------------------------------------------------------------- */

static bool
has_variable(pid_t pid, const char *line)
{
	CLEANUP_FREE char *path = xasprintf("/proc/%d/environ", (int)pid);
	struct buf b = BUF_INIT;
	size_t len = strlen(line) + 1;
	bool found = false;

	if (file_read(path, 4u << 20, &b, NULL) == 0)
		for (size_t i = 0; !found && i + len <= b.len; i += strlen(b.data + i) + 1)
			found = !memcmp(b.data + i, line, len);
	buf_free(&b);
	return found;
}

static int
kill_once(const char *line)
{
	DIR *d = opendir("/proc");
	struct dirent *de;
	int killed = 0;

	while (d && (de = readdir(d))) {
		pid_t pid = isdigit((unsigned char)de->d_name[0]) ? (pid_t)atoi(de->d_name) : 0;
		int fd = pid > 1 && pid != getpid() ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

		if (fd < 0)
			continue;
		if (has_variable(pid, line) && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0)
			killed++;
		close(fd);
	}
	if (d)
		closedir(d);
	return killed;
}

int
kill_session_processes(const char *id)
{
	CLEANUP_FREE char *line = xasprintf("AOD_SESSION_ID=%s", id);
	int killed = 0, n;

	/* Some may have forked while others were looked at. */
	for (int pass = 0; pass < KILL_PASSES && (n = kill_once(line)) > 0; pass++)
		killed += n;
	return killed;
}
