/* SPDX-License-Identifier: MIT */
/* Attacks on other processes: seen, read, traced, signalled; and on what binds our own. */
#include "attack.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static long
victim(void)
{
	return fact_number("victim");
}

/* ---- seeing ---- */

static int
has_secret(const char *path)
{
	static char text[1 << 20];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	int rc = done(path, n);

	if (fd >= 0)
		close(fd);
	if (rc < 0)
		return rc;
	text[n] = '\0';
	for (ssize_t i = 0; i < n; i++)
		if (text[i] == '\0')
			text[i] = '\n';
	if (*fact("secret") && strstr(text, fact("secret"))) {
		say("the secret is in %s", path);
		return 0;
	}
	say("no secret in %s", path);
	return -ENOENT;
}

static int
process_environment(long pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/environ", pid);
	return has_secret(path);
}

static int
environments(void)
{
	return each_process(process_environment);
}

/* A file of the starter's in /proc. */
static const char *
of_starter(const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", starter, name);
	return path;
}

static int
environment_of_init(void)
{
	return can_open(of_starter("environ"), O_RDONLY);
}

static int
see_victim(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/cmdline", victim());
	return can_read(path);
}

static int
memory_of_victim(void)
{
	char path[64], text[64] = "";
	int fd, rc;

	snprintf(path, sizeof(path), "/proc/%ld/mem", victim());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	rc = done(path, fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, fact_number("address")));
	return rc == 0 && strcmp(text, fact("secret")) != 0 ? -ENODATA : rc;
}

static int
memory_of_init(void)
{
	return can_open(of_starter("mem"), O_RDWR);
}

static int
memory_of_aod(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/mem", fact_number("aod"));
	return can_open(path, O_RDWR);
}

static int
descriptors_of_init(void)
{
	return can_open(of_starter("fd/0"), O_RDONLY);
}

static int
init_root(void)
{
	return can_open(of_starter("root/"), O_RDONLY);
}

static int
init_namespace(void)
{
	return can_open(of_starter("ns/mnt"), O_RDONLY);
}

/* ---- tracing ---- */

static int
trace_victim(void)
{
	return done("PTRACE_ATTACH", ptrace(PTRACE_ATTACH, victim(), NULL, NULL));
}

static int
seize_init(void)
{
	return reached("PTRACE_SEIZE of init", ptrace(PTRACE_SEIZE, starter, NULL, (void *)~0UL));
}

static int
trace_child(void)
{
	pid_t pid = fork();
	int rc;

	if (pid == 0) {
		pause();
		_exit(0);
	}
	rc = done("PTRACE_ATTACH to a child", ptrace(PTRACE_ATTACH, pid, NULL, NULL));
	kill(pid, SIGKILL);
	return rc;
}

static int
read_victim(void)
{
	char text[64] = "";
	struct iovec mine = { text, sizeof(text) - 1 }, its = { (void *)fact_number("address"), sizeof(text) - 1 };

	return done("process_vm_readv(2)", process_vm_readv((pid_t)victim(), &mine, 1, &its, 1, 0));
}

static int
write_victim(void)
{
	char c = 'x';
	struct iovec mine = { &c, 1 }, its = { (void *)(fact_number("address") + 60), 1 };

	return done("process_vm_writev(2)", process_vm_writev((pid_t)victim(), &mine, 1, &its, 1, 0));
}

static int
take_descriptor(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, victim(), 0);

	if (pidfd < 0)
		return done("pidfd_open(2)", -1);
	return done("pidfd_getfd(2)", syscall(SYS_pidfd_getfd, pidfd, 0, 0));
}

static int
compare_victim(void)
{
	return done("kcmp(2)", syscall(SYS_kcmp, getpid(), victim(), 0 /* KCMP_FILE */, 0, 0));
}

/* ---- signalling ---- */

static int
signal_victim(void)
{
	return done("kill(2)", kill((pid_t)victim(), 0));
}

static int
signal_aod(void)
{
	return done("kill(2) of aod", kill((pid_t)fact_number("aod"), 0));
}

static int
signal_init(void)
{
	return done("kill(2) of init", kill(starter, 0));
}

static int
signal_by_pidfd(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, victim(), 0);

	if (pidfd < 0)
		return done("pidfd_open(2)", -1);
	return done("pidfd_send_signal(2)", syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0));
}

static int
limit_victim(void)
{
	struct rlimit r;

	return done("prlimit(2)", prlimit((pid_t)victim(), RLIMIT_NOFILE, NULL, &r));
}

static int
nice_victim(void)
{
	errno = 0;
	return done("setpriority(2)", setpriority(PRIO_PROCESS, (id_t)victim(), getpriority(PRIO_PROCESS, (id_t)victim())));
}

/* ---- control groups ---- */

/* Write our number into the group's list below path, at most depth folders down. */
static int
join_below(const char *path, int depth)
{
	static const char *const files[] = { "cgroup.procs", "tasks" };
	char name[512];
	struct dirent *e;
	DIR *d;
	int rc = -ENOENT;

	for (int i = 0; i < 2; i++) {
		int fd;

		snprintf(name, sizeof(name), "%s/%s", path, files[i]);
		fd = open(name, O_WRONLY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			continue;
		rc = done(name, fd < 0 ? -1 : write(fd, "0", 1));
		if (fd >= 0)
			close(fd);
		if (rc == 0)
			return 0;
	}
	d = depth > 0 ? opendir(path) : NULL;
	while (d && rc != 0 && (e = readdir(d)))
		if (*e->d_name != '.' && e->d_type == DT_DIR) {
			snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
			rc = join_below(name, depth - 1);
		}
	if (d)
		closedir(d);
	return rc;
}

static int
leave_group(void)
{
	return join_below("/sys/fs/cgroup", 2);
}

/* The files that hold us to our limits. */
static int
raise_limits(void)
{
	static const char *const files[] = { "memory.max", "pids.max", "memory.limit_in_bytes", "cpu.max", "cpu.cfs_quota_us" };
	char line[512], path[700];
	FILE *f = fopen("/proc/self/cgroup", "re");
	int rc = -ENOENT;

	/* "NUMBER:CONTROLLERS:PATH" */
	while (f && rc != 0 && fgets(line, sizeof(line), f)) {
		char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!group)
			continue;
		*group++ = '\0';
		group[strcspn(group, "\n")] = '\0';
		for (size_t i = 0; rc != 0 && i < sizeof(files) / sizeof(*files); i++) {
			snprintf(path, sizeof(path), "/sys/fs/cgroup/%s%s/%s", controllers[1] ? controllers + 1 : "unified", group, files[i]);
			if (can_open(path, O_RDONLY) == 0)
				rc = can_open(path, O_WRONLY);
		}
	}
	if (f)
		fclose(f);
	return rc;
}

static int
make_group(void)
{
	static const char *const places[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/memory" };
	int rc = -ENOENT;

	for (size_t i = 0; rc != 0 && i < sizeof(places) / sizeof(*places); i++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/attack-%d", places[i], getpid());
		rc = done(path, mkdir(path, 0755));
		rmdir(path);
	}
	return rc;
}

/* ---- privileges ---- */

/* A program that says which user and which capabilities it has when anybody runs it. */
static int
run_privileged(const char *path)
{
	int fds[2], status;
	char text[128] = "";
	pid_t pid;
	ssize_t n;

	if (!*path || pipe(fds) < 0)
		return CANNOT;
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], 1);
		execl(path, path, "--privileges", NULL);
		dprintf(1, "exec %s", strerrorname_np(errno));
		_exit(127);
	}
	close(fds[1]);
	n = read(fds[0], text, sizeof(text) - 1);
	waitpid(pid, &status, 0);
	say("%s said %s", path, n > 0 ? text : "nothing");
	return strncmp(text, "gained", 6) == 0 ? 0 : -EPERM;
}

static int
setuid_program(void)
{
	return run_privileged(fact("setuid_program"));
}

static int
capable_program(void)
{
	return run_privileged(fact("capable_program"));
}

static int
make_setuid(void)
{
	char path[64];
	int fd, rc;

	snprintf(path, sizeof(path), "suid-%d", getpid());
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
	if (fd < 0)
		return CANNOT;
	rc = done("chmod(2) to set-user-ID", fchmod(fd, 04755));
	close(fd);
	unlink(path);
	return rc;
}

static int
become_root(void)
{
	return done("setuid(0)", setuid(0));
}

static int
drop_groups(void)
{
	gid_t none = 0;

	return done("setgroups(2)", syscall(SYS_setgroups, 1, &none));
}

static int
raise_priority(void)
{
	return done("setpriority(-20)", setpriority(PRIO_PROCESS, 0, -20));
}

const struct attack process_attacks[] = {
	{ "read-environments", environments },
	{ "read-init-environment", environment_of_init },
	{ "see-process", see_victim },
	{ "read-memory", memory_of_victim },
	{ "open-init-memory", memory_of_init },
	{ "open-init-descriptor", descriptors_of_init },
	{ "open-aod-memory", memory_of_aod },
	{ "open-init-root", init_root },
	{ "open-init-namespace", init_namespace },
	{ "trace-process", trace_victim },
	{ "trace-init", seize_init },
	{ "trace-child", trace_child },
	{ "read-by-process-vm", read_victim },
	{ "write-by-process-vm", write_victim },
	{ "take-descriptor", take_descriptor },
	{ "compare-processes", compare_victim },
	{ "signal-process", signal_victim },
	{ "signal-by-pidfd", signal_by_pidfd },
	{ "signal-aod", signal_aod },
	{ "signal-init", signal_init },
	{ "read-limits", limit_victim },
	{ "change-priority", nice_victim },
	{ "leave-cgroup", leave_group },
	{ "raise-limits", raise_limits },
	{ "make-cgroup", make_group },
	{ "run-setuid", setuid_program },
	{ "run-capable", capable_program },
	{ "make-setuid", make_setuid },
	{ "become-root", become_root },
	{ "set-groups", drop_groups },
	{ "raise-priority", raise_priority },
	{ NULL, NULL },
};
