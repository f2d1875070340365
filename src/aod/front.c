/* SPDX-License-Identifier: MIT */
/* Listening sockets, the aod-http process, and the wire to it. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aod/action.h"
#include "aod/asker.h"
#include "aod/documents.h"
#include "aod/front.h"
#include "aod/service.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/systemd.h"
#include "base/util.h"
#include "model/permission.h"
#include "wire/wire.h"

#define BACKLOG 1024
#define FIRST_FD 4	    /* of the sockets in aod-http; WIRE_FD is before */
#define PORTS_RETRY_S 0.5    /* a disk that is full now may have room again */
#define RESTART_MAX_S 5.0   /* the longest pause before a further start */
#define GOOD_RUN_US 5000000 /* a front that lived this long is started again at once */
#define QUIT_MS 2500
#define ID_BITS 48 /* of a front's own numbers; above them stands which front it was */
#define HELLO "{\"hello\":" /* its first word: requests are answered */
#define WIRE_BACKLOG_MAX (256u << 20) /* bytes of answers that a front may leave unread */

static const struct {
	const char *name;
	int port; /* the standard one */
} ports[P_COUNT] = {
	[P_RUNTIME] = { "runtime", 8765 },
	[P_CONTEXT] = { "context", 8766 },
	[P_REGISTRY] = { "registry", 8767 },
	[P_DASHBOARD] = { "dashboard", 3000 },
};

/* Listening sockets: the ports, and the two unix sockets. */
enum { UNIX = P_COUNT, AGENTS, FDS };

struct front {
	struct manager *m;
	int fds[FDS];
	bool passed[FDS]; /* systemd opened it, and keeps it */
	int bound[P_COUNT];
	pid_t pid;
	int64_t started_us; /* monotonic */
	int64_t starts;	    /* each front counts its requests from 1 */
	double pause_s;
	bool have_wire, closing;
	bool told, ready; /* where it answers; that all is taken over, too */
	struct wire wire;
	struct askers askers;
	ev_io read_w, write_w;
	ev_timer restart_w, ports_w;
};

/* ---- sockets ---------------------------------------------------------------------------------------------- */

static int
open_tcp(const char *address, int port, int *bound, struct err *e)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	socklen_t len = sizeof(sa);
	int one = 1, rc, fd;

	if (inet_pton(AF_INET, address, &sa.sin_addr) != 1)
		return err_set(e, -EINVAL, "--listen %s: not an IPv4 address", address);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(e, -errno, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0) {
		rc = -errno;
		close(fd);
		if (rc == -EADDRINUSE)
			return err_set(e, rc, "port %d on %s is in use by another program: stop that one, or give another --port-base",
				       port, address);
		return err_errno(e, rc, "port %d on %s", port, address);
	}
	*bound = ntohs(sa.sin_port);
	return fd;
}

/* Who may connect at all; what those may do, is asked of the kernel (SO_PEERCRED), or the token says it. */
static int
open_unix(const char *path, mode_t mode, gid_t gid, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd, rc;

	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(e, -ENAMETOOLONG, "%s: longer than the %zu bytes a unix socket may have: use a shorter --root", path,
			       sizeof(sa.sun_path) - 1);
	memcpy(sa.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(e, -errno, "socket");
	/* The lock says that no other aod has it. */
	unlink(path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || (gid != (gid_t)-1 && chown(path, (uid_t)-1, gid) < 0) ||
	    chmod(path, mode) < 0 || listen(fd, BACKLOG) < 0) {
		rc = err_errno(e, -errno, "%s", path);
		close(fd);
		return rc;
	}
	return fd;
}

static int
write_ports(const struct front *f, struct err *e)
{
	CLEANUP_FREE char *path = xasprintf("%s/ports.json", f->m->cfg->run);
	struct buf b = BUF_INIT;
	int rc;

	buf_printf(&b, "{\"pid\":%d", (int)getpid());
	for (int i = 0; i < P_COUNT; i++)
		buf_printf(&b, ",\"%s\":%d", ports[i].name, f->bound[i]);
	buf_printf(&b, ",\"tls\":%s,\"socket\":", f->m->cfg->tls_cert ? "true" : "false");
	buf_put_json_str(&b, f->m->socket);
	buf_puts(&b, "}\n");
	rc = file_write_atomic(path, b.data, b.len, 0644, false, e);
	buf_free(&b);
	return rc;
}

/* ---- sockets that systemd opened ------------------------------------------------------------------------- */

static const char *
slot_name(int slot)
{
	return slot < P_COUNT ? ports[slot].name : slot == UNIX ? "unix" : "agents";
}

/* 0: any. */
static int
slot_port(const struct config *cfg, int slot)
{
	return cfg->port_base < 0 ? ports[slot].port : cfg->port_base == 0 ? 0 : cfg->port_base + slot;
}

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_un un;
	struct sockaddr_storage storage;
};

/* Which it is: by its name, else by where it listens. -1: none of ours. */
static int
find_slot(const struct front *f, const char *name, const union address *a)
{
	const struct manager *m = f->m;

	for (int i = 0; i < FDS; i++)
		if (!strcmp(name, slot_name(i)))
			return i;
	for (int i = 0; i < P_COUNT; i++)
		if (a->sa.sa_family == AF_INET && slot_port(m->cfg, i) == ntohs(a->in.sin_port))
			return i;
	if (a->sa.sa_family != AF_UNIX)
		return -1;
	return !strcmp(a->un.sun_path, m->socket) ? UNIX : !strcmp(a->un.sun_path, m->agents_socket) ? AGENTS : -1;
}

/* The rules for --listen hold for what somebody else opened, too. */
static int
check_passed(const struct front *f, int slot, const char *name, int fd, const union address *a, struct err *e)
{
	int type = 0, listens = 0;
	socklen_t n = sizeof(int), k = sizeof(int);

	if (slot < 0)
		return err_set(e, -EINVAL, "systemd passed a socket '%.60s', which is none of runtime, context, registry, dashboard, unix, agents, and listens "
					   "where none of them does", name);
	if (f->fds[slot] >= 0)
		return err_set(e, -EINVAL, "systemd passed two sockets for '%s'", slot_name(slot));
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &k) < 0 ||
	    type != SOCK_STREAM || !listens)
		return err_set(e, -EINVAL, "systemd's socket '%s' does not listen for streams: ListenStream=, and Accept=no", slot_name(slot));
	if (slot >= P_COUNT)
		return a->sa.sa_family == AF_UNIX && a->un.sun_path[0] == '/' ? 0 :
			err_set(e, -EINVAL, "systemd's socket '%s' is no unix socket with a path", slot_name(slot));
	if (a->sa.sa_family != AF_INET)
		return err_set(e, -EINVAL, "systemd's socket '%s' is not of IPv4: give ListenStream= an address, as in 127.0.0.1:%d", slot_name(slot),
			       ports[slot].port);
	if (!f->m->cfg->tls_cert && ntohl(a->in.sin_addr.s_addr) >> 24 != 127)
		return err_set(e, -EINVAL, "systemd's socket '%s' is not on a loopback address: give --tls-cert and --tls-key, too, or let it listen on 127.0.0.1",
			       slot_name(slot));
	return 0;
}

static int
take_passed(struct front *f, struct systemd_socket *s, struct err *e)
{
	union address a;
	socklen_t len = sizeof(a);
	int slot, rc;

	memset(&a, 0, sizeof(a));
	if (getsockname(s->fd, &a.sa, &len) < 0)
		return err_errno(e, -errno, "systemd's socket '%.60s'", s->name);
	slot = find_slot(f, s->name, &a);
	rc = check_passed(f, slot, s->name, s->fd, &a, e);
	if (rc == 0 && fcntl(s->fd, F_SETFL, fcntl(s->fd, F_GETFL) | O_NONBLOCK) < 0)
		rc = err_errno(e, -errno, "systemd's socket '%s'", slot_name(slot));
	if (rc < 0)
		return rc;
	f->fds[slot] = s->fd;
	f->passed[slot] = true;
	s->fd = -1;
	if (slot < P_COUNT) {
		f->bound[slot] = ntohs(a.in.sin_port);
	} else {
		char **path = slot == UNIX ? &f->m->socket : &f->m->agents_socket;

		free(*path);
		*path = xstrdup(a.un.sun_path);
	}
	return 0;
}

static int
take_all_passed(struct front *f, struct err *e)
{
	int count, rc = 0;
	struct systemd_socket *s = systemd_sockets(&count);

	for (int i = 0; i < count && rc == 0; i++)
		rc = take_passed(f, &s[i], e);
	return rc;
}

static int
open_rest(struct front *f, struct err *e)
{
	struct manager *m = f->m;

	for (int i = 0; i < FDS; i++) {
		if (f->fds[i] >= 0)
			continue;
		if (i < P_COUNT)
			f->fds[i] = open_tcp(m->cfg->listen, slot_port(m->cfg, i), &f->bound[i], e);
		else if (i == UNIX)
			f->fds[i] = open_unix(m->socket, m->cfg->access.socket_others ? 0666 : 0660, m->cfg->access.gid, e);
		else
			f->fds[i] = open_unix(m->agents_socket, 0666, (gid_t)-1, e);
		if (f->fds[i] < 0)
			return f->fds[i];
	}
	return 0;
}

int
front_open(struct manager *m, struct err *e)
{
	struct front *f = xcalloc(1, sizeof(*f));
	int rc;

	m->front = f;
	f->m = m;
	for (int i = 0; i < FDS; i++)
		f->fds[i] = -1;
	rc = peer_init(e);
	if (rc == 0)
		rc = take_all_passed(f, e);
	return rc < 0 ? rc : open_rest(f, e);
}

/* ---- the wire --------------------------------------------------------------------------------------------- */

static void
drop_wire(struct front *f)
{
	if (!f->have_wire)
		return;
	ev_io_stop(f->m->loop, &f->read_w);
	ev_io_stop(f->m->loop, &f->write_w);
	wire_done(&f->wire);
	askers_clear(&f->askers);
	f->have_wire = false;
}

static void
flush(struct front *f)
{
	int rc = wire_flush(&f->wire);

	if (rc == 1)
		ev_io_start(f->m->loop, &f->write_w);
	else
		ev_io_stop(f->m->loop, &f->write_w);
	/* A front that is gone is noticed by its SIGCHLD; one that does not read must not take aod's memory. */
	if (rc == 1 && f->wire.out.len - f->wire.out_done > WIRE_BACKLOG_MAX && f->pid > 0) {
		log_error("aod-http does not read its answers: ending it");
		kill(f->pid, SIGKILL);
	}
}

int64_t
front_request_id(const struct front *f, int64_t id)
{
	return (int64_t)((uint64_t)f->starts << ID_BITS) | (id & (((int64_t)1 << ID_BITS) - 1));
}

void
front_answer(struct front *f, int64_t id, int status, const char *body, size_t len)
{
	struct buf b = BUF_INIT;

	if (!f || !f->have_wire || id >> ID_BITS != f->starts)
		return;
	buf_printf(&b, "{\"id\":%lld,\"status\":%d,\"body\":", (long long)(id & (((int64_t)1 << ID_BITS) - 1)), status);
	if (body)
		buf_put(&b, body, len);
	else
		buf_puts(&b, "null");
	buf_putc(&b, '}');
	wire_send(&f->wire, b.data, b.len);
	buf_free(&b);
	flush(f);
}

void
front_bell(struct front *f, int64_t last_id)
{
	if (!f || !f->have_wire)
		return;
	wire_bell(&f->wire, last_id);
	flush(f);
}

void
front_tokens_gone(struct front *f)
{
	static const char text[] = "{\"tokens\":true}";

	if (!f || !f->have_wire)
		return;
	wire_send(&f->wire, text, sizeof(text) - 1);
	flush(f);
}

/* Until it is written, clients look where the aod before this one was. */
static void
on_ports(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct front *f = CONTAINER_OF(w, struct front, ports_w);

	if (write_ports(f, NULL) == 0)
		ev_timer_stop(loop, w);
}

static void
tell_ports(struct front *f)
{
	struct err e = { 0 };

	if (f->told)
		return;
	f->told = true;
	if (write_ports(f, &e) == 0)
		return;
	log_error("%s: trying again", e.text);
	ev_timer_init(&f->ports_w, on_ports, PORTS_RETRY_S, PORTS_RETRY_S);
	ev_timer_start(f->m->loop, &f->ports_w);
}

void
front_look(struct front *f)
{
	char word[sizeof(HELLO) - 1];

	if (f && !f->told && f->have_wire && recv(f->wire.fd, word, sizeof(word), MSG_PEEK | MSG_DONTWAIT) == sizeof(word) &&
	    !memcmp(word, HELLO, sizeof(word)))
		tell_ports(f);
}

static void
on_hello(struct front *f)
{
	tell_ports(f);
	if (f->ready)
		return;
	f->ready = true;
	service_ready(f->m);
	log_note("ready: http%s://%s:%d", f->m->cfg->tls_cert ? "s" : "", f->m->cfg->listen, f->bound[P_RUNTIME]);
}

/* {"conn":N}, with a descriptor, and {"gone":N} */
static void
on_conn(struct front *f, const char *number, bool gone)
{
	CLEANUP_CLOSE int fd = gone ? -1 : wire_take_fd(&f->wire);
	struct door doors[FDS];
	uint64_t n = strtoull(number, NULL, 10);

	for (int i = 0; i < FDS; i++)
		doors[i] = (struct door){ f->fds[i], i == AGENTS || (i < P_COUNT && f->m->cfg->tls_cert) };
	if (gone)
		askers_gone(&f->askers, n);
	else if (!askers_note(&f->askers, n, fd, doors, FDS, &f->m->cfg->access))
		log_error("aod-http has a connection number %" PRIu64 ", %d are the most", n, ASKERS_MAX);
}

const struct asker *
front_asker(const struct front *f, uint64_t number)
{
	return askers_find(&f->askers, number);
}

static void
on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct front *f = CONTAINER_OF(w, struct front, read_w);
	const char *text;
	size_t len;
	int rc = wire_read(&f->wire);

	while ((text = wire_next(&f->wire, &len))) {
		if (str_starts(text, HELLO))
			on_hello(f);
		else if (str_starts(text, "{\"conn\":") || str_starts(text, "{\"gone\":"))
			on_conn(f, text + 8, text[2] == 'g');
		else if (str_starts(text, "{\"refused\":") || str_starts(text, "{\"used\":"))
			action_notice(f->m, text, len);
		else
			action_request(f->m, text, len);
	}
	if (rc < 0)
		drop_wire(f);
}

static void
on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
	flush(CONTAINER_OF(w, struct front, write_w));
}

/* ---- the process ------------------------------------------------------------------------------------------ */

static void
child(const struct front *f, char *const *argv, int wire_fd, pid_t parent)
{
	int moved[FDS + 1];
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(112);
	moved[0] = fcntl(wire_fd, F_DUPFD_CLOEXEC, 64);
	for (int i = 0; i < FDS; i++)
		moved[i + 1] = fcntl(f->fds[i], F_DUPFD_CLOEXEC, 64);
	for (int i = 0; i < FDS + 1; i++)
		if (moved[i] < 0 || dup2(moved[i], WIRE_FD + i) < 0)
			_exit(112);
	execv(argv[0], argv);
	_exit(112);
}

static char **
add_option(char **v, const char *name, const char *value)
{
	return value ? strv_add(strv_add(v, name), value) : v;
}

/* Who is who: see http/auth.h. */
static char **
add_access(char **v, const struct config *cfg)
{
	CLEANUP_FREE char *uid = xasprintf("%u", (unsigned)cfg->access.uid);
	CLEANUP_FREE char *members = access_members_text(&cfg->access);
	CLEANUP_FREE char *gid = cfg->access.gid == (gid_t)-1 ? NULL : xasprintf("%u", (unsigned)cfg->access.gid);

	v = add_option(v, "--operator-uid", uid);
	v = add_option(v, "--operator-gid", gid);
	v = add_option(v, "--operator-users", cfg->access.member_count > 0 ? members : NULL);
	v = add_option(v, "--socket-others", role_name(cfg->access.socket_others));
	v = add_option(v, "--tcp-others", role_name(cfg->access.tcp_others));
	v = add_option(v, "--tls-cert", cfg->tls_cert);
	v = add_option(v, "--tls-key", cfg->tls_key);
	for (char **h = cfg->allow_hosts; h && *h; h++)
		v = add_option(v, "--allow-host", *h);
	return v;
}

static char **
make_argv(const struct front *f)
{
	const struct config *cfg = f->m->cfg;
	CLEANUP_FREE char *program = xasprintf("%s/aod-http", cfg->libexec);
	CLEANUP_FREE char *db = xasprintf("%s/aod.db", cfg->state);
	CLEANUP_FREE char *documents = xasprintf("%s/documents", cfg->state);
	CLEANUP_FREE char *uploads = xasprintf("%s/uploads", cfg->state);
	CLEANUP_FREE char *max = xasprintf("%lld", (long long)cfg->max_document);
	char **v = strv_add(NULL, program);

	v = strv_add(v, "--db");
	v = strv_add(v, db);
	v = strv_add(v, "--www");
	v = strv_add(v, cfg->www);
	v = strv_add(v, "--documents");
	v = strv_add(v, documents);
	v = strv_add(v, "--uploads");
	v = strv_add(v, uploads);
	v = strv_add(v, "--max-document");
	v = strv_add(v, max);
	if (geteuid() == 0 && *cfg->http_user) {
		v = strv_add(v, "--user");
		v = strv_add(v, cfg->http_user);
	}
	v = add_access(v, cfg);
	for (int i = 0; i < FDS; i++) {
		CLEANUP_FREE char *arg = xasprintf("%s=%d", slot_name(i), FIRST_FD + i);

		v = strv_add(v, "--listen");
		v = strv_add(v, arg);
	}
	return v;
}

static void
set_environment(const struct front *f)
{
	CLEANUP_FREE char *origin = xasprintf("http%s://%s:%d", f->m->cfg->tls_cert ? "s" : "", f->m->cfg->listen, f->bound[P_DASHBOARD]);
	CLEANUP_FREE char *runtime = xasprintf("%d", f->bound[P_RUNTIME]);

	setenv("AOD_DASHBOARD_ORIGIN", origin, 1);
	setenv("AOD_RUNTIME_PORT", runtime, 1);
}

int
front_start(struct manager *m, struct err *e)
{
	struct front *f = m->front;
	CLEANUP_CLOSE int theirs = -1;
	char **argv = make_argv(f);
	pid_t parent = getpid();
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		strv_free(argv);
		return err_errno(e, -errno, "socketpair");
	}
	theirs = pair[1];
	set_environment(f);
	f->started_us = mono_us();
	f->starts = (f->starts + 1) & 0x7fff;
	f->pid = fork();
	if (f->pid == 0)
		child(f, argv, theirs, parent);
	strv_free(argv);
	if (f->pid < 0) {
		close(pair[0]);
		return err_errno(e, -errno, "cannot start aod-http");
	}
	wire_init(&f->wire, pair[0]);
	f->have_wire = true;
	ev_io_init(&f->read_w, on_readable, pair[0], EV_READ);
	ev_io_init(&f->write_w, on_writable, pair[0], EV_WRITE);
	ev_io_start(m->loop, &f->read_w);
	return 0;
}

static void
on_restart(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct front *f = CONTAINER_OF(w, struct front, restart_w);
	struct err e = { 0 };

	if (front_start(f->m, &e) == 0)
		return;
	log_error("%s: trying again", e.text);
	ev_timer_set(&f->restart_w, 1., 0.);
	ev_timer_start(loop, &f->restart_w);
}

bool
front_reaped(struct manager *m, pid_t pid, int status)
{
	struct front *f = m->front;

	if (!f || pid != f->pid)
		return false;
	f->pid = 0;
	drop_wire(f);
	documents_sweep_uploads(m);
	if (f->closing)
		return true;
	if (WIFSIGNALED(status))
		log_warn("aod-http was killed by signal %d: starting it again", WTERMSIG(status));
	else
		log_warn("aod-http ended with status %d: starting it again", WEXITSTATUS(status));
	/* One death is an accident; several in a row are not cured by haste. */
	if (mono_us() - f->started_us > GOOD_RUN_US)
		f->pause_s = 0;
	ev_timer_init(&f->restart_w, on_restart, f->pause_s, 0.);
	ev_timer_start(m->loop, &f->restart_w);
	f->pause_s = f->pause_s == 0 ? 0.1 : f->pause_s * 2 > RESTART_MAX_S ? RESTART_MAX_S : f->pause_s * 2;
	return true;
}

void
front_close(struct manager *m)
{
	CLEANUP_FREE char *path = xasprintf("%s/ports.json", m->cfg->run);
	struct front *f = m->front;

	if (!f)
		return;
	f->closing = true;
	if (f->have_wire && f->pid > 0) {
		wire_send(&f->wire, "{\"quit\":true}", 13);
		wire_flush(&f->wire);
		for (int ms = 0; f->pid > 0 && ms < QUIT_MS; ms += 5) {
			if (waitpid(f->pid, NULL, WNOHANG) == f->pid)
				f->pid = 0;
			else
				usleep(5000);
		}
	}
	if (f->pid > 0) {
		kill(f->pid, SIGKILL);
		waitpid(f->pid, NULL, 0);
	}
	drop_wire(f);
	ev_timer_stop(m->loop, &f->restart_w);
	ev_timer_stop(m->loop, &f->ports_w);
	for (int i = 0; i < FDS; i++)
		if (f->fds[i] >= 0)
			close(f->fds[i]);
	if (f->told)
		unlink(path);
	if (!f->passed[UNIX])
		unlink(m->socket);
	if (!f->passed[AGENTS])
		unlink(m->agents_socket);
	free(f);
	m->front = NULL;
}
