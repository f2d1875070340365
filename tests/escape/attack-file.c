/* SPDX-License-Identifier: MIT */
/* Attacks on files: secrets of others are read, and what is not the agent's is written. */
#include "attack.h"

#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define READS(name, key)                                                                                                                   \
	static int name(void) { return can_read(fact(key)); }

READS(database, "database")
READS(other_file, "other_file")
READS(other_spool, "other_spool")
READS(other_tmp, "other_tmp")
READS(aod_config, "config")
READS(host_tmp, "host_tmp")
READS(host_home, "host_home")
READS(credential, "credential")

static int
shadow(void)
{
	return can_read("/etc/shadow");
}

static int
host_ssh_keys(void)
{
	static const char *const files[] = { "/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_rsa_key", "/etc/gshadow", "/etc/sudoers" };
	int rc = CANNOT;

	for (size_t i = 0; rc != 0 && i < sizeof(files) / sizeof(*files); i++)
		rc = can_read(files[i]);
	return rc;
}

/* Names of other sessions. */
static int
sessions(void)
{
	const char *own = getenv("AOD_SESSION_ID");
	DIR *d = opendir(fact("sessions"));
	struct dirent *e;
	int n = 0;

	if (!d)
		return done("opendir of the sessions", -1);
	while ((e = readdir(d)))
		n += *e->d_name != '.' && (!own || strcmp(e->d_name, own) != 0);
	closedir(d);
	say("%d other sessions are seen", n);
	return n ? 0 : -ENOENT;
}

static int
connect_to(const char *name, const char *path, size_t n)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (n >= sizeof(a.sun_path))
		return CANNOT;
	memcpy(a.sun_path, path, n);
	return done(name, fd < 0 ? -1 : connect(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)));
}

static int
aod_socket(void)
{
	return connect_to("aod's socket", fact("socket"), strlen(fact("socket")) + 1);
}

static int
other_socket(void)
{
	return connect_to("another's socket", fact("other_socket"), strlen(fact("other_socket")) + 1);
}

static int
abstract_socket(void)
{
	char name[108] = "";
	size_t n = (size_t)snprintf(name + 1, sizeof(name) - 1, "%s", fact("abstract")) + 1;

	return connect_to("another's abstract socket", name, n);
}

/* ---- writing ---- */

static int
write_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	return done(path, fd < 0 ? -1 : write(fd, "x", 1));
}

static int
write_outside(void)
{
	return write_file(fact("canary"));
}

static int
create_outside(void)
{
	char path[600];
	int rc;

	snprintf(path, sizeof(path), "%s/made", fact("outside"));
	rc = write_file(path);
	unlink(path);
	return rc;
}

/* A file without a name does no harm where it works. */
static int
write_system(void)
{
	static const char *const trees[] = { "/etc", "/usr", "/usr/bin", "/var/lib", "/opt", "/srv", "/boot", "/root", "/home", "/lib", "/sbin" };
	int rc = -ENOENT;

	for (size_t i = 0; rc != 0 && i < sizeof(trees) / sizeof(*trees); i++)
		rc = can_open(trees[i], O_TMPFILE | O_WRONLY);
	return rc;
}

static int
by_symlink(void)
{
	char link[64], path[80];
	int rc;

	snprintf(link, sizeof(link), "link-%d", getpid());
	snprintf(path, sizeof(path), "%s/canary", link);
	if (symlink(fact("outside"), link) < 0)
		return CANNOT;
	rc = write_file(path);
	unlink(link);
	return rc;
}

static int
by_hard_link(void)
{
	char path[64];
	int rc;

	snprintf(path, sizeof(path), "hard-%d", getpid());
	rc = done("link(2) to a file outside", link(fact("canary"), path));
	if (rc == 0)
		rc = write_file(path);
	unlink(path);
	return rc;
}

static int
by_rename(void)
{
	char from[64], to[600];
	int fd, rc;

	snprintf(from, sizeof(from), "mine-%d", getpid());
	snprintf(to, sizeof(to), "%s/moved", fact("outside"));
	fd = open(from, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	if (fd < 0)
		return CANNOT;
	close(fd);
	rc = done("rename(2) to the outside", rename(from, to));
	unlink(from);
	unlink(to);
	return rc;
}

static int
remove_outside(void)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/to-remove", fact("outside"));
	return done("unlink(2) outside", unlink(path));
}

static int
truncate_outside(void)
{
	return done("truncate(2) outside", truncate(fact("canary"), 1));
}

static int
chmod_outside(void)
{
	return done("chmod(2) outside", chmod(fact("canary"), 0644));
}

static int
process_root(long pid)
{
	char path[700];

	snprintf(path, sizeof(path), "/proc/%ld/root%s", pid, fact("canary"));
	return write_file(path);
}

static int
by_process_root(void)
{
	return each_process(process_root);
}

static int
process_cwd(long pid)
{
	char path[64], real[512];
	ssize_t n;
	int rc;

	snprintf(path, sizeof(path), "/proc/%ld/cwd", pid);
	n = readlink(path, real, sizeof(real) - 1);
	if (n < 0)
		return done(path, -1);
	real[n] = '\0';
	/* Only of those who are elsewhere. */
	if (strncmp(real, fact("project"), strlen(fact("project"))) == 0)
		return -ENOTDIR;
	rc = can_open(path, O_TMPFILE | O_WRONLY);
	return rc;
}

static int
by_process_cwd(void)
{
	return each_process(process_cwd);
}

/* Whatever another process has open, and is not ours anyway. */
static int
process_fds(long pid)
{
	char path[300], real[512];
	struct dirent *e;
	DIR *d;
	int rc = -ENOENT;

	snprintf(path, sizeof(path), "/proc/%ld/fd", pid);
	d = opendir(path);
	if (!d)
		return done(path, -1);
	while (rc != 0 && (e = readdir(d))) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%ld/fd/%s", pid, e->d_name);
		n = readlink(path, real, sizeof(real) - 1);
		if (n <= 0 || *real != '/' || strncmp(real, "/dev/", 5) == 0)
			continue;
		real[n] = '\0';
		if (strncmp(real, fact("project"), strlen(fact("project"))) != 0)
			rc = can_open(path, O_RDONLY);
	}
	closedir(d);
	return rc;
}

static int
by_process_fd(void)
{
	/* Our relatives in this session hold what we hold. */
	return process_fds(fact_number("victim")) == 0 ? 0 : process_fds(fact_number("aod"));
}

static int
by_handle(void)
{
	struct {
		struct file_handle h;
		char room[128];
	} f = { .h = { .handle_bytes = sizeof(f.room) } };
	int mount_id, at = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (name_to_handle_at(AT_FDCWD, fact("project"), &f.h, &mount_id, 0) < 0)
		return done("name_to_handle_at(2)", -1);
	return reached("open_by_handle_at(2)", open_by_handle_at(at, &f.h, O_RDONLY));
}

static int
git_hook(void)
{
	return write_file(".git/hooks/post-checkout");
}

static int
git_config(void)
{
	return write_file(".git/config");
}

static int
git_rename(void)
{
	int rc = done("rename(2) of .git", rename(".git", ".git-old"));

	if (rc == 0)
		rename(".git-old", ".git");
	return rc;
}

const struct attack file_attacks[] = {
	{ "read-database", database },
	{ "read-aod-config", aod_config },
	{ "list-sessions", sessions },
	{ "read-other-session", other_file },
	{ "read-other-spool", other_spool },
	{ "read-other-tmp", other_tmp },
	{ "read-other-credential", credential },
	{ "read-host-tmp", host_tmp },
	{ "read-host-home", host_home },
	{ "read-shadow", shadow },
	{ "read-host-secrets", host_ssh_keys },
	{ "connect-aod-socket", aod_socket },
	{ "connect-other-socket", other_socket },
	{ "connect-abstract-socket", abstract_socket },
	{ "write-outside", write_outside },
	{ "create-outside", create_outside },
	{ "write-system", write_system },
	{ "write-by-symlink", by_symlink },
	{ "write-by-hard-link", by_hard_link },
	{ "write-by-rename", by_rename },
	{ "write-by-proc-root", by_process_root },
	{ "write-by-proc-cwd", by_process_cwd },
	{ "read-by-proc-fd", by_process_fd },
	{ "open-by-handle", by_handle },
	{ "chmod-outside", chmod_outside },
	{ "truncate-outside", truncate_outside },
	{ "remove-outside", remove_outside },
	{ "git-hook", git_hook },
	{ "git-config", git_config },
	{ "git-rename", git_rename },
	{ NULL, NULL },
};
