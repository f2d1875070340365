/* SPDX-License-Identifier: MIT */
/* The tables' main(): see attack.h. */
#include "attack.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t starter;
static char said[300];
static char facts[65536];

void
say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
	for (char *p = said; *p; p++)
		if (*p == '\n' || *p == '\t')
			*p = ' ';
}

const char *
fact(const char *key)
{
	static char values[8][512];
	static int next;
	size_t n = strlen(key);

	for (const char *p = facts; *p; p += strcspn(p, "\n"), p += *p == '\n')
		if (strncmp(p, key, n) == 0 && p[n] == '=') {
			char *v = values[next++ % 8];

			snprintf(v, sizeof(values[0]), "%.*s", (int)strcspn(p + n + 1, "\n"), p + n + 1);
			return v;
		}
	return "";
}

long
fact_number(const char *key)
{
	return strtol(fact(key), NULL, 0);
}

int
done(const char *call, long rc)
{
	int error = errno;

	if (rc >= 0) {
		say("%s worked", call);
		return 0;
	}
	say("%s: %s", call, strerrorname_np(error));
	return -error;
}

int
reached(const char *call, long rc)
{
	int error = errno;

	if (rc >= 0 || error == EPERM || error == EACCES || error == ENOSYS) {
		errno = error;
		return done(call, rc);
	}
	say("%s came to the kernel (%s)", call, strerrorname_np(error));
	return 0;
}

int
can_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);
	int rc = done(path, fd);

	if (fd >= 0)
		close(fd);
	return rc;
}

int
can_read(const char *path)
{
	char c;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, &c, 1);
	int rc = done(path, n);

	if (rc == 0 && n == 0) {
		say("%s is empty", path);
		rc = -ENODATA;
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

int
each_process(int (*f)(long pid))
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int rc = -ESRCH;

	while (d && rc != 0 && (e = readdir(d))) {
		long pid = strtol(e->d_name, NULL, 10);

		if (pid > 0 && pid != getpid())
			rc = f(pid);
	}
	if (d)
		closedir(d);
	return rc;
}

void
apart(void)
{
	if (unshare(CLONE_NEWNS) == 0)
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static int
load_facts(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, facts, sizeof(facts) - 1);

	if (n < 0)
		perror(path);
	if (fd >= 0)
		close(fd);
	return n < 0 ? -1 : 0;
}

/* For programs that are set-user-ID, or have capabilities: what whoever runs them gets. */
static int
tell_privileges(void)
{
	char line[256];
	unsigned long long caps = 0;
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	if (f)
		fclose(f);
	if (getuid() != geteuid() || caps)
		printf("gained user %d, capabilities %llx\n", geteuid(), caps);
	else
		printf("nothing was gained\n");
	return 0;
}

static void
attempt(const struct attack *a)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int rc;

		alarm(20);
		rc = a->run();
		printf("%s\t%s\t%s\n", a->name, rc == 0 ? "got" : rc == CANNOT ? "cannot" : "refused", said);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("%s\trefused\tkilled by SIG%s\n", a->name, sigabbrev_np(WTERMSIG(status)));
}

int
main(int argc, char **argv)
{
	const struct attack *const tables[] = { file_attacks, process_attacks, kernel_attacks };

	if (argc == 2 && strcmp(argv[1], "--privileges") == 0)
		return tell_privileges();
	if (argc < 2 || load_facts(argv[1]) < 0)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	starter = strcmp(fact("control"), "1") == 0 ? getppid() : 1;
	for (int t = 0; t < 3; t++)
		for (const struct attack *a = tables[t]; a->name; a++) {
			int i = 2;

			while (i < argc && strcmp(argv[i], a->name) != 0)
				i++;
			if (argc == 2 || i < argc)
				attempt(a);
		}
	printf("end\tof\tattacks\n");
	return 0;
}
