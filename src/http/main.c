/* SPDX-License-Identifier: MIT */
/*
 * aod-http: the HTTP side of aod. Reads the database with a connection of its own and serves it;
 * what changes something is passed on to aod over a socket pair. Started by aod with its listening
 * sockets; keeps nothing of its own, so it may be killed at any time. Here: arguments, privileges,
 * signals.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include "base/log.h"
#include "base/util.h"
#include "http/cage.h"
#include "http/forward.h"
#include "http/documents.h"
#include "http/live.h"
#include "http/parse.h"
#include "http/reply.h"
#include "http/route.h"
#include "http/server.h"
#include "http/site.h"
#include "http/statics.h"
#include "http/upload.h"
#include "http/tls.h"
#include "http/watch.h"
#include "wire/peer.h"
#include "wire/wire.h"

/* A connection may have a file open, or be drained through a second descriptor. */
#define DESCRIPTORS (2 * (MAX_CONNECTIONS + 2 * MAX_UNIX_CONNECTIONS))
#define MMAP_THRESHOLD (128 << 10)
#define LOG_ROOM (64 << 20) /* the log may be a file, too, and be longer than the largest document */

struct options {
	const char *db, *www, *user, *documents, *uploads, *tls_cert, *tls_key;
	int64_t max_document;
	char **listen;
	struct access auth;
};

static const char usage[] = "usage: aod-http --db FILE --documents DIR --uploads DIR [--max-document BYTES] [--www DIR] [--user NAME] "
			    "--listen NAME=FD…";

static int
parse_options(int argc, char **argv, struct options *o, struct err *e)
{
	static const struct option longs[] = {
		{"db", required_argument, NULL, 'd'},   {"www", required_argument, NULL, 'w'},
		{"user", required_argument, NULL, 'u'}, {"listen", required_argument, NULL, 'l'},
		{"documents", required_argument, NULL, 'o'},
		{"uploads", required_argument, NULL, 'p'},
		{"max-document", required_argument, NULL, 'm'},
		{"debug", no_argument, NULL, 'D'},      {"operator-uid", required_argument, NULL, 'U'},
		{"operator-gid", required_argument, NULL, 'G'}, {"socket-others", required_argument, NULL, 's'},
		{"operator-users", required_argument, NULL, 'M'},
		{"tcp-others", required_argument, NULL, 't'}, {"tls-cert", required_argument, NULL, 'c'},
		{"tls-key", required_argument, NULL, 'k'}, {"allow-host", required_argument, NULL, 'h'},
		{0},
	};
	int64_t number;
	int c, role;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'd':
			o->db = optarg;
			break;
		case 'w':
			o->www = optarg;
			break;
		case 'u':
			o->user = optarg;
			break;
		case 'l':
			o->listen = strv_add(o->listen, optarg);
			break;
		case 'o':
			o->documents = optarg;
			break;
		case 'p':
			o->uploads = optarg;
			break;
		case 'm':
			if (!parse_i64(optarg, 1, INT64_MAX, &o->max_document))
				return err_set(e, -EINVAL, "--max-document %s: no size", optarg);
			break;
		case 'D':
			log_init("aod-http", LOG_DBG);
			break;
		case 'U':
		case 'G':
			if (!parse_i64(optarg, 0, UINT32_MAX - 1, &number))
				return err_set(e, -EINVAL, "'%s' is not a number of a user or group", optarg);
			if (c == 'U')
				o->auth.uid = (uid_t)number;
			else
				o->auth.gid = (gid_t)number;
			break;
		case 'M':
			if (!access_parse_members(&o->auth, optarg))
				return err_set(e, -EINVAL, "--operator-users %s: want numbers of users, with commas between", optarg);
			break;
		case 's':
		case 't':
			if ((role = role_parse(optarg)) < 0)
				return err_set(e, -EINVAL, "'%s' is not a role", optarg);
			*(c == 's' ? &o->auth.socket_others : &o->auth.tcp_others) = (enum role)role;
			break;
		case 'c':
			o->tls_cert = optarg;
			break;
		case 'k':
			o->tls_key = optarg;
			break;
		case 'h':
			site_allow_host(optarg);
			break;
		default:
			return err_set(e, -EINVAL, "%s", usage);
		}
	}
	if (!o->db || !o->documents || !o->uploads || optind < argc)
		return err_set(e, -EINVAL, "%s", usage);
	return 0;
}

/* As many descriptors as we may have, for MAX_CONNECTIONS. */
static void
raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max < DESCRIPTORS ? r.rlim_max : DESCRIPTORS;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	/* Bodies are large and rare: give their memory back. */
	mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
	mallopt(M_TRIM_THRESHOLD, 2 * MMAP_THRESHOLD);
}

static h2o_socket_t *signal_sock;

static void
on_signal(h2o_socket_t *sock, const char *err)
{
	struct signalfd_siginfo info;

	if (read(h2o_socket_get_fd(sock), &info, sizeof(info)) == sizeof(info))
		server_quit(strsignal((int)info.ssi_signo));
}

static int
init_signals(struct err *e)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_errno(e, -errno, "signalfd");
	signal_sock = h2o_evloop_socket_create(front.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
	h2o_socket_read_start(signal_sock, on_signal);
	return 0;
}

/* Directories of documents: opened with the rights of the start, as files in them are later, through these descriptors. */
static int
open_documents(const struct options *o, struct err *e)
{
	int dir = open(o->documents, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int uploads = open(o->uploads, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0 || uploads < 0)
		return err_errno(e, -errno, "%s", dir < 0 ? o->documents : o->uploads);
	documents_init(dir);
	upload_init(uploads, o->max_document);
	parse_init(o->max_document);
	return 0;
}

static int
start(int argc, char **argv, struct err *e)
{
	struct options o = {.max_document = 1LL << 30, .auth = {.uid = geteuid(), .gid = (gid_t)-1}};
	struct cage cage;
	int r;

	if ((r = parse_options(argc, argv, &o, e)) < 0)
		return r;
	raise_limits();
	if ((r = store_open_read(o.db, &front.store, e)) < 0)
		return err_wrap(e, "cannot open the database");
	if ((r = statics_load(o.www, e)) < 0)
		return err_wrap(e, "--www");
	if ((r = open_documents(&o, e)) < 0)
		return r;
	if (o.tls_cert && (r = tls_load(o.tls_cert, o.tls_key, &front.tls, e)) < 0)
		return r;
	if ((r = auth_init(&o.auth, e)) < 0)
		return r;
	watch_init();
	live_init();
	if ((r = server_init(o.listen, e)) < 0 || (r = init_signals(e)) < 0)
		return r;
	strv_free(o.listen);
	cage = (struct cage){o.user, o.db, o.documents, o.uploads, o.max_document + LOG_ROOM};
	if ((r = cage_close(&cage, e)) < 0)
		return r;
	reply_init();
	route_init();
	forward_init(WIRE_FD);
	return 0;
}

int
main(int argc, char **argv)
{
	struct err e = {0};

	log_init("aod-http", LOG_INFO);
	if (start(argc, argv, &e) < 0) {
		log_error("%s", e.text);
		return 1;
	}
	server_run();
	h2o_socket_close(signal_sock);
	store_close(front.store);
	return 0;
}
