/* SPDX-License-Identifier: MIT */
/* aod: arguments, directories, the lock, and the phases of a start. */
#include "config.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aod/contain.h"
#include "aod/documents.h"
#include "aod/front.h"
#include "aod/manager.h"
#include "aod/quit.h"
#include "aod/registry.h"
#include "aod/service.h"
#include "aod/spare.h"
#include "aod/trash.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/systemd.h"
#include "base/util.h"

#define LOCK_FD_MIN 200
#define LOCK_TRIES 2500 /* of 2 ms: an aod-http of one that was killed goes within milliseconds */

static const char usage[] =
	"Usage: aod [OPTION…]\n"
	"Supervise AI agents: sessions over HTTP, each a supervised process tree.\n"
	"\n"
	"  --root DIR        private mode: everything that is written goes below DIR\n"
	"  --port-base N     ports N (runtime), N+1 (context store), N+2 (registry), N+3 (dashboard);\n"
	"                    0: any free ones, see run/ports.json; default 8765 8766 8767 3000\n"
	"  --listen ADDRESS  IPv4 address to listen on (default 127.0.0.1); any that is not loopback needs TLS\n"
	"  --tls-cert FILE, --tls-key FILE  certificate chain and key (PEM); everything over TCP then needs a token\n"
	"  --socket-others WHAT  what users over aod.sock may who are not root, aod's own or in group aod: none (default), reader\n"
	"  --tcp-others WHAT what other local users over TCP may without a token: none (default), reader, operator, which is to be aod's user\n"
	"  --allow-host NAME a name that clients over TCP may call this host by, beside localhost and addresses; repeated\n"
	"  --on-stop WHAT    stop or leave the agents when aod is ended (default: stop with --root, else leave); or drain: let them come to their ends\n"
	"                    first, and start nothing more; drain-stop and drain-leave say what then becomes of those that have not\n"
	"  --drain-timeout SPAN  how long that may take (default 5min)\n"
	"  --cgroup WHERE    control groups of agents: auto (default), none, v1, or the path of a group that is aod's\n"
	"  --max-sessions N  sessions with a process at once, further ones wait in the queue (default 0: no limit)\n"
	"  --max-queue N     sessions that may wait, further ones are refused (default 10000)\n"
	"  --admit-memory PERCENT    start nothing while more of the host's memory is used (default 95%; 100% or 0: any)\n"
	"  --admit-pressure PERCENT  start nothing while something waits for memory for more of the time (PSI, some avg10; default 60%; 100% or 0: any)\n"
	"  --libexec DIR     where aod-http and aod-shim are\n"
	"  --blueprints DIR  blueprints that ship with aod\n"
	"  --www DIR         files of the dashboard\n"
	"  --http-user NAME  user of aod-http where aod is root (default aod-http, else nobody; '' for none)\n"
	"  --max-document SIZE    largest document, in bytes or with K, M, G (default 1G)\n"
	"  --document-quota SIZE  all contents of documents together (default 0: no limit)\n"
	"  --spares N        shims of each kind that are born before their runs (default 2, 0: none)\n"
	"  --log-level N     3 errors … 6 info (default) 7 debug\n"
	"  --help, --version\n";

struct program {
	struct config cfg;
	struct manager m;
	ev_signal sigs[4];
	bool terminal; /* it was started from one, whose end is its end */
};

static struct program program;

static char *
path_in(const char *variable, const char *fallback)
{
	const char *dir = getenv(variable), *home = getenv("HOME");

	if (dir && *dir == '/')
		return xasprintf("%s/aod", dir);
	return xasprintf("%s/%s/aod", home && *home == '/' ? home : "/", fallback);
}

static char *
absolute(const char *path)
{
	char cwd[4096];

	if (*path == '/' || !getcwd(cwd, sizeof(cwd)))
		return xstrdup(path);
	return xasprintf("%s/%s", cwd, path);
}

static void
set_directories(struct config *c, const char *root)
{
	if (root) {
		CLEANUP_FREE char *top = absolute(root);

		c->private_mode = true;
		c->etc = xasprintf("%s/etc", top);
		c->run = xasprintf("%s/run", top);
		c->state = xasprintf("%s/state", top);
		c->cache = xasprintf("%s/cache", top);
	} else if (geteuid() == 0) {
		c->etc = xstrdup(AOD_SYSCONFDIR "/aod");
		c->run = xstrdup("/run/aod");
		c->state = xstrdup("/var/lib/aod");
		c->cache = xstrdup("/var/cache/aod");
	} else {
		c->etc = path_in("XDG_CONFIG_HOME", ".config");
		c->run = path_in("XDG_RUNTIME_DIR", ".cache/run");
		c->state = path_in("XDG_STATE_HOME", ".local/state");
		c->cache = path_in("XDG_CACHE_HOME", ".cache");
	}
}

static void
set_text(char **field, const char *value)
{
	free(*field);
	*field = absolute(value);
}

static int
bad_usage(const char *option, const char *value, const char *want)
{
	fprintf(stderr, "aod: %s %s: %s\n", option, value, want);
	return -EINVAL;
}

static int
set_number(const char *option, const char *value, int64_t max, int *out)
{
	int64_t v;

	if (!parse_i64(value, 0, max, &v))
		return bad_usage(option, value, "not a number in range");
	*out = (int)v;
	return 0;
}

/* Bytes, or with K, M, G, T as in powers of 1024. */
static int
set_size(const char *option, const char *value, int64_t min, int64_t *out)
{
	static const char units[] = "KMGT";
	size_t n = strlen(value);
	const char *unit = n > 0 ? strchr(units, value[n - 1]) : NULL;
	int shift = unit && *unit ? 10 * (int)(unit - units + 1) : 0;
	CLEANUP_FREE char *digits = xstrndup(value, shift ? n - 1 : n);

	if (!parse_i64(digits, min, INT64_MAX >> shift, out))
		return bad_usage(option, value, "want a size as in 1048576, 512M or 1G");
	*out <<= shift;
	return 0;
}

static int
set_count(const char *option, const char *value, int64_t *out)
{
	return parse_i64(value, 0, 1000000, out) ? 0 : bad_usage(option, value, "want a number from 0 to 1000000");
}

/* "95%", or "95". */
static int
set_percent(const char *option, const char *value, int *out)
{
	size_t n = strlen(value);
	CLEANUP_FREE char *digits = xstrndup(value, n > 0 && value[n - 1] == '%' ? n - 1 : n);
	int64_t v;

	if (!parse_i64(digits, 0, 100, &v))
		return bad_usage(option, value, "want 0% to 100%");
	*out = (int)v;
	return 0;
}

static int
set_role(const char *option, const char *value, enum role most, enum role *out)
{
	int r = role_parse(value);

	if (r < 0 || r == ROLE_SESSION || r > (int)most)
		return bad_usage(option, value, most == ROLE_OPERATOR ? "want operator, reader or none" : "want reader or none");
	*out = (enum role)r;
	return 0;
}

/* What goes over a wire that others may listen to is encrypted, and nobody is trusted for being there. */
static int
check_listen(const struct config *c)
{
	if (!c->tls_cert != !c->tls_key)
		return bad_usage(c->tls_cert ? "--tls-cert" : "--tls-key", c->tls_cert ? c->tls_cert : c->tls_key,
				 "--tls-cert and --tls-key go together");
	if (!c->tls_cert && !str_starts(c->listen, "127."))
		return bad_usage("--listen", c->listen,
				 "is not a loopback address, so that others could read along and nobody knows who they are: give --tls-cert "
				 "and --tls-key, too, and make tokens with `aoctl token create`; or listen on 127.0.0.1");
	return 0;
}

static int
set_span(const char *option, const char *value, int64_t *out)
{
	return parse_timespan(value, out) ? 0 : bad_usage(option, value, "want a span such as 90s, 5min or infinity");
}

/* What it does not say stays as it is. */
static int
set_on_stop(const char *value, struct config *c)
{
	static const struct {
		const char *word;
		bool drain;
		int leave; /* -1: not said */
	} words[] = { { "stop", false, 0 }, { "leave", false, 1 }, { "drain", true, -1 }, { "drain-stop", true, 0 }, { "drain-leave", true, 1 } };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (!strcmp(value, words[i].word)) {
			c->drain = words[i].drain;
			c->leave = words[i].leave < 0 ? c->leave : words[i].leave;
			return 0;
		}
	return bad_usage("--on-stop", value, "want stop, leave, drain, drain-stop or drain-leave");
}

/* 0 go on, 1 done, negative: usage. */
static int
parse_args(int argc, char **argv, struct config *c)
{
	enum {
		ROOT = 256, PORT_BASE, LISTEN, ON_STOP, DRAIN_TIMEOUT, LIBEXEC, BLUEPRINTS, WWW, HTTP_USER, LOG_LEVEL, MAX_DOCUMENT, DOCUMENT_QUOTA, CGROUP, HELP, VERSION_,
		TLS_CERT, TLS_KEY, SOCKET_OTHERS, TCP_OTHERS, ALLOW_HOST, MAX_SESSIONS, MAX_QUEUE, ADMIT_MEMORY, ADMIT_PRESSURE,
		SPARES,
	};
	static const struct option options[] = {
		{ "root", 1, NULL, ROOT },	   { "port-base", 1, NULL, PORT_BASE }, { "listen", 1, NULL, LISTEN },
		{ "on-stop", 1, NULL, ON_STOP },   { "libexec", 1, NULL, LIBEXEC },	{ "blueprints", 1, NULL, BLUEPRINTS },
		{ "www", 1, NULL, WWW },	   { "http-user", 1, NULL, HTTP_USER }, { "log-level", 1, NULL, LOG_LEVEL },
		{ "max-document", 1, NULL, MAX_DOCUMENT }, { "document-quota", 1, NULL, DOCUMENT_QUOTA },
		{ "spares", 1, NULL, SPARES },
		{ "cgroup", 1, NULL, CGROUP },
		{ "tls-cert", 1, NULL, TLS_CERT }, { "tls-key", 1, NULL, TLS_KEY }, { "socket-others", 1, NULL, SOCKET_OTHERS },
		{ "tcp-others", 1, NULL, TCP_OTHERS }, { "allow-host", 1, NULL, ALLOW_HOST },
		{ "on-exit", 1, NULL, ON_STOP }, /* its name before it could drain */
		{ "drain-timeout", 1, NULL, DRAIN_TIMEOUT },
		{ "max-sessions", 1, NULL, MAX_SESSIONS }, { "max-queue", 1, NULL, MAX_QUEUE },
		{ "admit-memory", 1, NULL, ADMIT_MEMORY }, { "admit-pressure", 1, NULL, ADMIT_PRESSURE },
		{ "help", 0, NULL, HELP },	   { "version", 0, NULL, VERSION_ },	{ 0 },
	};
	const char *root = NULL, *on_stop = NULL;
	int o, rc = 0;

	while (rc == 0 && (o = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (o) {
		case ROOT: root = optarg; break;
		case PORT_BASE: rc = set_number("--port-base", optarg, 65535 - 3, &c->port_base); break;
		case LISTEN: free(c->listen); c->listen = xstrdup(optarg); break;
		case ON_STOP: on_stop = optarg; break;
		case DRAIN_TIMEOUT: rc = set_span("--drain-timeout", optarg, &c->drain_us); break;
		case LIBEXEC: set_text(&c->libexec, optarg); break;
		case BLUEPRINTS: set_text(&c->blueprints, optarg); break;
		case WWW: set_text(&c->www, optarg); break;
		case HTTP_USER: free(c->http_user); c->http_user = xstrdup(optarg); break;
		case CGROUP: free(c->cgroup); c->cgroup = xstrdup(optarg); break;
		case LOG_LEVEL: rc = set_number("--log-level", optarg, 7, &c->log_level); break;
		case MAX_DOCUMENT: rc = set_size("--max-document", optarg, 1, &c->max_document); break;
		case DOCUMENT_QUOTA: rc = set_size("--document-quota", optarg, 0, &c->document_quota); break;
		case MAX_SESSIONS: rc = set_count("--max-sessions", optarg, &c->max_sessions); break;
		case MAX_QUEUE: rc = set_count("--max-queue", optarg, &c->max_queue); break;
		case ADMIT_MEMORY: rc = set_percent("--admit-memory", optarg, &c->admit_memory); break;
		case ADMIT_PRESSURE: rc = set_percent("--admit-pressure", optarg, &c->admit_pressure); break;
		case SPARES: rc = set_number("--spares", optarg, SPARES_MAX, &c->spares); break;
		case TLS_CERT: set_text(&c->tls_cert, optarg); break;
		case TLS_KEY: set_text(&c->tls_key, optarg); break;
		case SOCKET_OTHERS: rc = set_role("--socket-others", optarg, ROLE_READER, &c->access.socket_others); break;
		case TCP_OTHERS: rc = set_role("--tcp-others", optarg, ROLE_OPERATOR, &c->access.tcp_others); break;
		case ALLOW_HOST: c->allow_hosts = strv_add(c->allow_hosts, optarg); break;
		case 'h':
		case HELP: fputs(usage, stdout); return 1;
		case VERSION_: puts("aod " PACKAGE_VERSION); return 1;
		default: rc = -EINVAL;
		}
	}
	if (rc == 0 && optind < argc)
		rc = bad_usage("argument", argv[optind], "aod takes options only");
	if (rc == 0)
		rc = check_listen(c);
	set_directories(c, root);
	c->leave = !c->private_mode;
	return rc == 0 && on_stop ? set_on_stop(on_stop, c) : rc;
}

/* ---- directories and the lock ---------------------------------------------------------------------------- */

/* The group of the front's user: it reads the database. */
static gid_t
choose_http_user(struct config *c)
{
	const struct passwd *pw;

	if (!c->http_user) {
		pw = getpwnam("aod-http");
		c->http_user = xstrdup(pw ? "aod-http" : "nobody");
	}
	pw = *c->http_user ? getpwnam(c->http_user) : NULL;
	if (!pw && *c->http_user)
		log_warn("no user '%s': aod-http runs as root", c->http_user);
	if (!pw)
		c->http_user[0] = '\0';
	return pw ? pw->pw_gid : getegid();
}

/* Members of group aod are operators of the system's aod; one below a directory, or a user's own, is its user's alone. */
static gid_t
find_operators(const struct config *c)
{
	const struct group *gr = c->private_mode || geteuid() != 0 ? NULL : getgrnam("aod");

	return gr ? gr->gr_gid : (gid_t)-1;
}

/* A link on the way to a directory of ours is its owner's matter; below it, where agents write, none is followed. */
static void
without_links(char **path)
{
	char *real = realpath(*path, NULL);

	if (!real)
		return;
	free(*path);
	*path = real;
}

static int
make_directories(struct config *c, struct err *e)
{
	CLEANUP_FREE char *blueprints = xasprintf("%s/blueprints", c->etc);
	CLEANUP_FREE char *sessions = xasprintf("%s/sessions", c->state);
	CLEANUP_FREE char *agents = xasprintf("%s/agents", c->run); /* shown in sandboxes: a socket that a later aod makes in it is seen there, too */
	CLEANUP_FREE char *credentials = xasprintf("%s/credentials", c->run); /* a place to mount them at, always empty */
	gid_t gid = geteuid() == 0 ? choose_http_user(c) : getegid();
	int rc = mkdir_p(c->run, 0755, e);

	/* Other users' agents look for their socket here; what is not theirs has a mode of its own. */
	if (rc == 0 && chmod(c->run, 0755) < 0)
		rc = err_errno(e, -errno, "%s", c->run);
	if (rc == 0)
		rc = mkdir_p(credentials, 0755, e);
	if (rc == 0)
		rc = mkdir_p(agents, 0711, e);
	if (rc == 0 && chmod(agents, 0711) < 0)
		rc = err_errno(e, -errno, "%s", agents);
	if (rc == 0)
		rc = mkdir_p(c->state, 0750, e);
	if (rc == 0)
		rc = mkdir_p(sessions, 0700, e);
	if (rc == 0 && c->private_mode)
		rc = mkdir_p(blueprints, 0755, e);
	if (rc < 0)
		return rc;
	c->access.gid = find_operators(c);
	access_find_members(&c->access);
	without_links(&c->etc);
	without_links(&c->run);
	without_links(&c->state);
	/* setgid, so that -wal and -shm get the readers' group, too. */
	if (geteuid() == 0 && (chown(c->state, (uid_t)-1, gid) < 0 || chmod(c->state, 02750) < 0))
		return err_errno(e, -errno, "%s", c->state);
	return 0;
}

/*
 * One aod for each root. The descriptor is inherited by aod-http, so that the lock says: everything of the former instance is gone, and
 * its ports with it.
 */
static int
take_lock(const struct config *c, struct err *e)
{
	CLEANUP_FREE char *path = xasprintf("%s/lock", c->run);
	CLEANUP_CLOSE int low = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	/* Above the numbers that aod-http gets, and on purpose not close-on-exec. Shims close it first thing. */
	int fd = low < 0 ? -1 : fcntl(low, F_DUPFD, LOCK_FD_MIN);
	char pid[32] = "";

	if (fd < 0)
		return err_errno(e, -errno, "%s", path);
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK || i == LOCK_TRIES) {
			if (pread(fd, pid, sizeof(pid) - 1, 0) < 0)
				pid[0] = '\0';
			close(fd);
			return err_set(e, -EBUSY, "another aod (pid %.*s) runs here: %s is locked", (int)strcspn(pid, "\n"), pid, path);
		}
		usleep(2000);
	}
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, strlen(pid), 0) < 0)
		log_debug("%s: %s", path, strerror(errno));
	return fd;
}

/* ---- loop ------------------------------------------------------------------------------------------------ */

static void
on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct manager *m = w->data;
	int status;
	pid_t pid;

	if (w->signum == SIGHUP && !program.terminal) {
		service_reload(m);
		return;
	}
	if (w->signum != SIGCHLD) {
		log_note("signal %d: ending", w->signum);
		quit_begin(m);
		return;
	}
	/* Shims are watched through their pidfds; what else ends here is an orphan of one that was killed. */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (!front_reaped(m, pid, status))
			trash_reaped(m, pid);
}

static void
watch_signals(struct program *p, struct ev_loop *loop)
{
	static const int numbers[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP };
	CLEANUP_CLOSE int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);


	p->terminal = tty >= 0;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		ev_signal_init(&p->sigs[i], on_signal, numbers[i]);
		p->sigs[i].data = &p->m;
		ev_signal_start(loop, &p->sigs[i]);
	}
}

static void
prepare_process(struct config *c)
{
	struct rlimit l;

	signal(SIGPIPE, SIG_IGN);
	umask(027);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		c->nofile = l;
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

static int
serve(struct program *p, struct store *store, struct err *e)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_NOENV | EVFLAG_NOSIGMASK);
	int rc = manager_init(&p->m, loop, &p->cfg, store, e);

	service_open(&p->m);
	if (rc == 0)
		rc = front_open(&p->m, e);
	if (rc == 0)
		rc = documents_open(&p->m, e);
	/* What can be answered from the database is, while the sessions are taken over; the rest waits for the loop. */
	if (rc == 0) {
		watch_signals(p, loop);
		rc = front_start(&p->m, e);
	}
	if (rc == 0)
		rc = contain_open(&p->m, e);
	if (rc == 0) {
		registry_open(&p->m);
		rc = manager_load(&p->m, e);
	}
	if (rc == 0)
		contain_warm(&p->m);
	if (rc == 0)
		ev_run(loop, 0);
	front_close(&p->m);
	service_close(&p->m);
	manager_done(&p->m);
	ev_loop_destroy(loop);
	return rc;
}

int
main(int argc, char **argv)
{
	struct program *p = &program;
	struct store *store = NULL;
	struct err e = { 0 };
	int rc;

	p->cfg = (struct config){
		.port_base = -1,
		.max_document = 1LL << 30,
		.max_queue = 10000,
		.drain_us = INT64_C(300) * 1000000,
		/*
		 * Nobody is held up in vain: 95 per cent without what the page cache could give is a host about to swap or to kill, and a healthy one has a
		 * pressure of a few per cent even when it is full; at 60 it mostly waits for memory, and one more agent makes all of them slower.
		 */
		.admit_memory = 95,
		.admit_pressure = 60,
		.spares = SPARES_DEFAULT,
		.log_level = LOG_INFO,
		.listen = xstrdup("127.0.0.1"),
		.access = { .uid = geteuid(), .gid = (gid_t)-1, .socket_others = ROLE_NONE, .tcp_others = ROLE_NONE },
		.libexec = xstrdup(AOD_LIBEXECDIR),
		.blueprints = xstrdup(AOD_BLUEPRINTDIR),
		.www = xstrdup(AOD_WWWDIR),
	};
	systemd_init();
	rc = parse_args(argc, argv, &p->cfg);
	if (rc)
		return rc > 0 ? 0 : 2;
	log_init("aod", p->cfg.log_level);
	prepare_process(&p->cfg);
	rc = make_directories(&p->cfg, &e);
	if (rc == 0)
		rc = take_lock(&p->cfg, &e);
	if (rc >= 0) {
		CLEANUP_FREE char *db = xasprintf("%s/aod.db", p->cfg.state);

		rc = store_open(db, &store, &e);
	}
	if (rc >= 0)
		rc = serve(p, store, &e);
	store_close(store);
	if (rc < 0) {
		log_error("%s", e.text);
		return 1;
	}
	log_note("ended");
	return 0;
}
