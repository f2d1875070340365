/* SPDX-License-Identifier: MIT */
/*
 * The supervisor's own state, and the transaction that every turn of its loop ends with.
 *
 * Start-up has three phases, also after a crash: load (read live sessions, no side effects), adopt (find their shims, catch up with their
 * spools), run. A transaction that fails is rolled back and the same phases are gone through again, in the same process: what
 * aod holds in memory is never ahead of the database for long.
 *
 * Within one turn of the loop any number of requests and spool chunks write to one open transaction; before the loop blocks,
 * it is committed, and only then are answers and bells sent and shims started.
 */
#ifndef AOD_AOD_MANAGER_H
#define AOD_AOD_MANAGER_H

#include <dirent.h>
#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "aod/host.h"
#include "base/buf.h"
#include "base/err.h"
#include "model/event.h"
#include "model/permission.h"
#include "store/store.h"
#include "wire/peer.h"

enum port { P_RUNTIME, P_CONTEXT, P_REGISTRY, P_DASHBOARD, P_COUNT };

struct config {
	bool private_mode;  /* --root: everything below one directory */
	bool drain;	    /* at a clean end: let runs come to their ends first, for drain_us at most */
	bool leave;	    /* then leave the agents running (their shims keep them), or stop them */
	int64_t drain_us;
	char *etc, *run, *state, *cache; /* directories */
	char *libexec, *blueprints, *www;
	char *listen;
	char *cgroup;	    /* auto, none, v1, or a path; NULL: auto */
	char *tls_cert, *tls_key; /* files; NULL: plain HTTP, on loopback only */
	char **allow_hosts;	  /* further names in Host: */
	struct access access;	  /* who may do what without a token */
	char *http_user;    /* "" = do not change */
	int64_t max_document, document_quota; /* bytes; quota 0: none */
	int port_base;	    /* -1: the standard ports; 0: any */
	int spares;	    /* of each kind, see spare.h */
	int log_level;
	int64_t max_sessions, max_queue; /* max_sessions 0: no limit */
	int admit_memory, admit_pressure; /* per cent over which nothing is started; 0 and 100: any */
	struct rlimit nofile; /* as aod found it: agents get it back */
};

struct admission;
struct run;
struct front;
struct registry;
struct documents;
struct reply;
struct cgroups;
struct dynusers;
struct netns_pool;
struct quota;
struct seccomp_cache;
struct service;
struct slices;
struct spares;
struct timers;
struct old_group;

#define RUN_BUCKETS 1024

struct manager {
	struct ev_loop *loop;
	const struct config *cfg;
	struct store *store;
	struct front *front;
	int64_t commits; /* transactions that went well */
	struct registry *registry; /* NULL until registry_open() */
	struct service *service;
	struct admission *admission;
	struct timers *timers;	 /* NULL until the state was read */
	struct documents *documents; /* NULL until documents_open() */
	bool loaded;	/* live sessions are in memory; requests are served */
	bool draining;	/* it is about to end: nothing is started any more */
	bool quitting;	/* and requests are no longer served */
	struct err broken; /* code != 0: the open transaction failed and can only be rolled back */

	struct run *runs[RUN_BUCKETS]; /* live runs by session number */
	int run_count;
	struct run *dirty;   /* runs whose spool may have something new */
	struct run *given;   /* runs with input to be written once it is committed */
	struct run *unspawned; /* runs to start once they are committed */
	struct run *ended;   /* runs to free once their end is committed */
	struct audit_note *audits; /* requests whose answers are written down */
	bool telling; /* some agents are told what was answered after the commit; ask.c */
	bool tokens_gone; /* some ended in this transaction: aod-http is told after the commit */
	struct reply *replies; /* answers that wait for the commit, newest first */

	int up_fd; /* the FIFO that shims ring */
	int shim_fd;
	char boot_id[37];

	/* for containing agents, contain_open() */
	struct host gives;
	struct limit_totals totals;
	struct cgroups *cgroups;
	char cgroup_why[256]; /* what they lack here, or "" */
	struct seccomp_cache *seccomp;
	struct dynusers *dynusers;
	struct netns_pool *netns;
	struct quota *quota;
	struct slices *slices;
	struct spares *spares;
	struct old_group *old_groups; /* of runs that have ended */
	ev_timer groups_w;
	ev_idle warm_w;
	int warm; /* the profile whose filter is made next, from SANDBOX_STRICT down; then -1 */

	char *search_path, *home, *user, *uid, *host;
	char *user_home; /* by the user database, NULL: it does not know; home may be another */
	char *socket, *agents_socket; /* paths: for people, by what user they are; for agents, by the token of their run */
	char *iobuf; /* SPOOL_READ_MAX bytes, for reading spools */
	struct event event; /* for events that aod itself makes */

	ev_periodic due_w; /* sessions that are started again; next.c */
	int64_t due_us;	   /* of the first of them; INT64_MAX: none */
	bool due_changed;  /* in this transaction */

	ev_prepare commit_w;
	ev_io up_w;
	ev_timer more_w; /* started with 0: spools had more than one turn's budget */
	ev_timer retry_w;
	ev_timer quit_w;
	ev_timer sweep_w, purge_w;
	ev_timer trash_w;
	pid_t trash_pid; /* of the child that empties the trash, 0 = none */
	bool trash_more; /* something was put there since it began */
	DIR *sweep; /* while directories are being looked through */
};

/* Sets up everything but the front and what contains agents. The store is open already. */
int manager_init(struct manager *m, struct ev_loop *loop, const struct config *cfg, struct store *store, struct err *e);
/* Load and adopt. On failure nothing is in memory; may be called again. */
int manager_load(struct manager *m, struct err *e);
void manager_done(struct manager *m);

/* Make sure that a transaction is open. */
int manager_begin(struct manager *m, struct err *e);
/* Note that a write failed: the transaction will be rolled back. Returns rc. */
int manager_check(struct manager *m, int rc, const struct err *e);

/*
 * Answer request `id` with status and body (a JSON text, copied; NULL = no body) after the commit. When the commit fails
 * the client gets that error instead.
 */
void manager_reply(struct manager *m, int64_t id, int status, const char *body, size_t len);
void manager_reply_error(struct manager *m, int64_t id, const struct err *e);
/* The HTTP status for an error value. */
int err_http_status(const struct err *e);

struct run *manager_find_run(struct manager *m, int64_t session);
void manager_add_run(struct manager *m, struct run *r);
void manager_remove_run(struct manager *m, struct run *r);
/* Events of deleted sessions may be left: remove them by and by. */
void manager_purge(struct manager *m);
/* The spool of r may have something new: read it in this turn of the loop. */
void manager_mark_dirty(struct manager *m, struct run *r);

#endif
