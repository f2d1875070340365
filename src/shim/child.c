/* SPDX-License-Identifier: MIT */
/*
 * The child, from its birth to exec: into its control group and namespaces, then what mounts.c and confine.c do. Each step fails by its name through
 * the exec pipe. The shim is single-threaded, so that the child may call what it likes. In a pid namespace there are two: the first process, which
 * makes the mounts and goes on as init.c says, and the agent, its child. The agent is in the control group, the init is with the shim: so it can be there
 * before there is a group, and does not count in it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/kernel.h"
#include "shim/shim.h"
#include "shim/spec.h"

#define NAMESPACES                                                                                                                   \
	((unsigned)(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET))

/* What the child has open: its ends, later close-on-exec. */
static struct {
	int stdio[3], exec, talk, known, gate;
	bool user_first; /* the user namespace was made with the others: aod is not root */
} ends;

static struct child_failure failure;
static struct child prepared; /* waits for its spec, when it has a pid */

/* What a prepared child is told first, with descriptors of the spec, the filter, the network namespace. */
struct second_part {
	bool seccomp, netns;
};

/* Then, with a descriptor of each. */
struct owners_part {
	int count;
	struct idmap_owner owners[OWNERS_MAX];
};

/* And then, when the agent is to be: with descriptors of the groups, of v2 first. */
struct last_part {
	bool v2;
	int v1_count;
};

void
child_step(const char *step, const char *name)
{
	char *p = put_text(failure.step, failure.step + STEP_MAX, step);

	if (name) {
		p = put_text(p, failure.step + STEP_MAX, " ");
		put_text(p, failure.step + STEP_MAX, name);
	}
}

void
child_fail(int error)
{
	failure.error = -error;
	if (write(ends.exec, &failure, sizeof(failure)) < 0)
		_exit(126);
	_exit(127);
}

static void
must(int r)
{
	if (r < 0)
		child_fail(r);
}

/* What the shim ignores, and its mask; it has made all others as they are by default. */
static void
default_signals(void)
{
	static const int ignored[] = SHIM_IGNORES;
	struct sigaction sa = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		sigaction(ignored[i], &sa, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Dies with its parent from here on; the kernel forgets this at each change of identity. The exec pipe tells a shim that is gone already. */
static void
die_with_parent(void)
{
	struct pollfd shim = {.fd = ends.exec, .events = 0};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (poll(&shim, 1, 0) == 1 && (shim.revents & POLLERR))
		_exit(127);
}

/* ---- namespaces ---- */

static int
loopback_up(void)
{
	struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	rc = ioctl(fd, SIOCSIFFLAGS, &r) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

/* The id maps of this process, which only the shim may write. */
static int
ask_for_maps(void)
{
	struct talk t = {.kind = TALK_MAPS};
	int r;

	/* Files of /proc belong to root while a process is not dumpable. */
	prctl(PR_SET_DUMPABLE, 1);
	r = talk_send(ends.talk, &t, -1, 0);
	if (r == 0)
		r = talk_await(ends.talk);
	prctl(PR_SET_DUMPABLE, 0);
	return r;
}

static int
enter_namespaces(const struct spec *spec)
{
	int r;

	if (ends.user_first && (r = ask_for_maps()) < 0)
		return r;
	if (spec->netns && setns(SHIM_NETNS_FD, CLONE_NEWNET) < 0)
		return -errno;
	if ((spec->ns & CLONE_NEWNET) && (r = loopback_up()) < 0)
		return r;
	if (spec->hostname && sethostname(spec->hostname, strlen(spec->hostname)) < 0)
		return -errno;
	return 0;
}

/* The namespace not at birth: its root would be the shim's group. */
static int
enter_cgroup(const struct spec *spec, bool born)
{
	int r = cgroup_enter(born);

	if (r == 0 && (spec->ns & CLONE_NEWCGROUP) && unshare(CLONE_NEWCGROUP) < 0)
		r = -errno;
	return r;
}

/* A root's user namespace is made last, so that what it mounts is mounted with all rights, and not the agent's to change. */
static int
late_user_namespace(const struct spec *spec)
{
	if (!(spec->ns & CLONE_NEWUSER) || ends.user_first)
		return 0;
	return unshare(CLONE_NEWUSER) < 0 ? -errno : ask_for_maps();
}

/* ---- the two processes ---- */

/* Until the run has begun: up to here it can be as if it had never been. Not behind the filter, which need not allow to wait. */
static void
await_begin(void)
{
	char byte;
	ssize_t n;

	if (ends.gate < 0)
		return;
	do
		n = read(ends.gate, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(127);
}

static _Noreturn void
run_agent(const struct spec *spec)
{
	struct talk t = {.kind = TALK_LISTENER};
	int listener;

	child_step("setsid", NULL);
	for (int i = 0; i < 3; i++)
		must(dup2(ends.stdio[i], i) < 0 ? -errno : 0);
	must(setsid() < 0 ? -errno : 0);
	child_step("cwd", NULL);
	if (spec->cwd)
		must(chdir(spec->cwd) < 0 ? -errno : 0);
	umask(spec->mask);
	child_step("limits", NULL);
	must(confine_limits(spec));
	child_step("nice", NULL);
	must(confine_nice(spec));
	child_step("user", NULL);
	must(late_user_namespace(spec));
	child_step("capabilities", NULL);
	must(confine_bounding(spec));
	child_step("user", NULL);
	must(confine_user(spec));
	child_step("capabilities", NULL);
	must(confine_capabilities(spec));
	die_with_parent();
	default_signals();
	child_step("landlock", NULL);
	must(landlock_apply(spec));
	await_begin();
	child_step("seccomp", NULL);
	must(confine_seccomp(spec, &listener));
	if (listener >= 0)
		must(talk_send(ends.talk, &t, listener, 0));
	child_step("exec", NULL);
	execve(spec->argv[0], spec->argv, spec->env);
	child_fail(-errno);
}

/* As fork(2), with namespaces, and in the v2 group where there is one and the kernel can: *born. */
static pid_t
give_birth(unsigned ns, bool *born)
{
	struct k_clone_args args = {.flags = ns, .exit_signal = SIGCHLD};
	long pid;

	*born = false;
	if (cgroup_fd() >= 0) {
		args.flags |= K_CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd();
		pid = syscall(SYS_clone3, &args, sizeof(args));
		*born = pid >= 0;
		if (pid >= 0 || (errno != ENOSYS && errno != EINVAL && errno != E2BIG && errno != EPERM))
			return (pid_t)pid;
	}
	return (pid_t)syscall(SYS_clone, ns | SIGCHLD, 0, 0, 0, 0);
}

/* What a failed birth was about. */
static const char *
birth_step(unsigned ns, int error)
{
	if (error == EAGAIN || error == ENOMEM)
		return "fork";
	return error == EACCES || error == EBUSY || error == EOPNOTSUPP || !ns ? "cgroup" : "namespace";
}

static void
keep_to_itself(void)
{
	die_with_parent();
	/* The ends of the pipes; later descriptors are close-on-exec from birth. Older kernels do without the flag. */
	syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
	umask(022);
}

/* The namespaces are entered and the mounts made: the agent is this process, or its child. */
static _Noreturn void
run_first(const struct spec *spec)
{
	pid_t agent;
	bool born;

	if (!(spec->ns & CLONE_NEWPID))
		run_agent(spec);
	agent = give_birth(0, &born);
	if (agent < 0) {
		child_step(birth_step(0, errno), NULL);
		child_fail(-errno);
	}
	if (agent == 0) {
		child_step("cgroup", NULL);
		must(enter_cgroup(spec, born));
		run_agent(spec);
	}
	init_run(spec, agent, ends.talk, ends.known);
}

static _Noreturn void
run_child(const struct spec *spec, bool born_in_cgroup)
{
	if (!(spec->ns & CLONE_NEWPID)) {
		child_step("cgroup", NULL);
		must(enter_cgroup(spec, born_in_cgroup));
	}
	keep_to_itself();
	child_step("namespace", NULL);
	must(enter_namespaces(spec));
	if (spec->ns & CLONE_NEWNS) {
		must(mounts_begin(spec));
		must(mounts_end());
	}
	run_first(spec);
}

/* ---- a child that is there before its run ---- */

static void
put_at(int fd, int number)
{
	if (dup3(fd, number, O_CLOEXEC) < 0)
		_exit(127);
	close(fd);
}

/* Ends with the shim. */
static void
take_second_part(struct spec *spec)
{
	struct second_part part;
	int fds[TALK_FDS_MAX], *next = fds, n = talk_receive_fds(ends.talk, &part, sizeof(part), fds);

	if (n != 1 + part.seccomp + part.netns)
		_exit(127);
	put_at(*next++, SHIM_SPEC_FD);
	if (part.seccomp)
		put_at(*next++, SHIM_SECCOMP_FD);
	if (part.netns)
		put_at(*next++, SHIM_NETNS_FD);
	spec_unload();
	spec_load(spec, true);
}

static void
take_owners(void)
{
	struct owners_part part;
	int fds[TALK_FDS_MAX], n = talk_receive_fds(ends.talk, &part, sizeof(part), fds);

	if (n != part.count)
		_exit(127);
	for (int i = 0; i < n; i++)
		part.owners[i].fd = fds[i];
	idmap_adopt(part.owners, n);
}

static void
take_last_part(void)
{
	struct last_part part;
	int fds[TALK_FDS_MAX], groups[CGROUPS_MAX] = {-1}, *next = fds, n = talk_receive_fds(ends.talk, &part, sizeof(part), fds);

	if (n != part.v2 + part.v1_count)
		_exit(127);
	if (part.v2)
		groups[0] = *next++;
	for (int i = 1; i <= part.v1_count; i++)
		groups[i] = *next++;
	cgroup_adopt(groups, 1 + part.v1_count);
}

static _Noreturn void
run_prepared(const struct spec *first, bool born_in_cgroup)
{
	struct talk ready = {.kind = TALK_READY};
	struct spec spec = *first;

	keep_to_itself();
	if (spec.ns & CLONE_NEWNS)
		must(mounts_begin(&spec));
	must(talk_send(ends.talk, &ready, -1, 0));
	take_second_part(&spec);
	child_step("namespace", NULL);
	must(enter_namespaces(&spec));
	take_owners();
	if (spec.ns & CLONE_NEWNS) {
		must(mounts_more(&spec));
		must(mounts_end());
	}
	take_last_part();
	run_first(&spec);
}

static int
send_second_part(const struct spec *spec, int spec_fd)
{
	struct second_part part = {.seccomp = spec->seccomp, .netns = spec->netns};
	int fds[TALK_FDS_MAX], *next = fds;

	*next++ = spec_fd;
	if (part.seccomp)
		*next++ = SHIM_SECCOMP_FD;
	if (part.netns)
		*next++ = SHIM_NETNS_FD;
	return talk_send_fds(prepared.talk, &part, sizeof(part), fds, (int)(next - fds));
}

static int
send_owners(void)
{
	struct owners_part part = {0};
	int fds[TALK_FDS_MAX];

	part.count = idmap_list(part.owners);
	for (int i = 0; i < part.count; i++)
		fds[i] = part.owners[i].fd;
	return talk_send_fds(prepared.talk, &part, sizeof(part), fds, part.count);
}

/* One that has failed meanwhile has said so in its own way. */
static void
send_last_part(void)
{
	int groups[CGROUPS_MAX], count = cgroup_list(groups);
	struct last_part part = {.v2 = groups[0] >= 0, .v1_count = count - 1};

	talk_send_fds(prepared.talk, &part, sizeof(part), groups + !part.v2, count - !part.v2);
}

/* ---- birth ---- */

/* What is between the two. */
static struct pair {
	int shim, child;
} pairs[] = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};

enum { IN, OUT, ERR, EXEC, KNOWN, GATE, TALK, PAIRS };

static int
make_pipe(struct pair *pair, bool child_reads, bool shim_waits)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	*pair = (struct pair){p[child_reads], p[!child_reads]};
	if (!shim_waits)
		fcntl(pair->shim, F_SETFL, fcntl(pair->shim, F_GETFL) | O_NONBLOCK);
	return 0;
}

static int
make_pairs(const struct spec *spec, struct child *c)
{
	int r = make_pipe(&pairs[IN], true, false), talk[2];

	for (int i = OUT; r == 0 && i <= EXEC; i++)
		r = make_pipe(&pairs[i], false, false);
	if (r == 0 && c->init)
		r = make_pipe(&pairs[KNOWN], true, true);
	if (r == 0 && c->waits)
		r = make_pipe(&pairs[GATE], true, true);
	if (r == 0 && (c->init || spec->notify || (spec->ns & CLONE_NEWUSER)) && (r = talk_pair(talk)) == 0)
		pairs[TALK] = (struct pair){talk[0], talk[1]};
	c->in = pairs[IN].shim;
	c->out = pairs[OUT].shim;
	c->err = pairs[ERR].shim;
	c->exec = pairs[EXEC].shim;
	c->known = pairs[KNOWN].shim;
	c->gate = pairs[GATE].shim;
	c->talk = pairs[TALK].shim;
	return r;
}

static void
close_ends(bool child)
{
	for (int i = 0; i < PAIRS; i++) {
		int fd = child ? pairs[i].child : pairs[i].shim;

		if (fd >= 0)
			close(fd);
	}
}

/* The child, which goes on in run. 0 or -errno. */
static int
bear(const struct spec *spec, unsigned ns, void (*run)(const struct spec *spec, bool born_in_cgroup), struct child *c, const char **step)
{
	bool born = false;
	int r;

	c->pid = c->init ? (pid_t)syscall(SYS_clone, ns | SIGCHLD, 0, 0, 0, 0) : give_birth(ns, &born);
	r = c->pid < 0 ? -errno : 0;
	if (c->pid == 0) {
		close_ends(false);
		spare_not_mine();
		for (int i = 0; i < 3; i++)
			ends.stdio[i] = pairs[i].child;
		ends.exec = pairs[EXEC].child;
		ends.known = pairs[KNOWN].child;
		ends.gate = pairs[GATE].child;
		ends.talk = pairs[TALK].child;
		run(spec, born);
	}
	close_ends(true);
	if (r < 0) {
		*step = birth_step(ns, -r);
		c->pid = 0;
	}
	return r;
}

/* What of the namespaces is made at birth. Root's user namespace is not, nor one of control groups. */
static unsigned
birth_namespaces(const struct spec *spec)
{
	return spec->ns & ~(unsigned)(CLONE_NEWCGROUP | (ends.user_first ? 0 : CLONE_NEWUSER));
}

int
child_prepare(const struct spec *first, struct child *c)
{
	const char *step;
	int r;

	c->init = true;
	r = make_pairs(first, c);
	if (r == 0)
		r = bear(first, birth_namespaces(first), run_prepared, c, &step);
	prepared = *c;
	return r < 0 ? r : idmap_ahead();
}

/* It reads that while the owners are looked for. */
static int
tell_prepared(const struct spec *spec, int spec_fd, const char **step)
{
	int r = send_second_part(spec, spec_fd);

	if (r == 0)
		r = idmap_prepare(spec, step);
	return r < 0 ? r : send_owners();
}

int
child_ready(const struct spec *spec, int spec_fd, struct child *c, const char **step)
{
	int r;

	ends.user_first = (spec->ns & CLONE_NEWUSER) && geteuid() != 0;
	*step = "namespace";
	if (spec->ns & ~NAMESPACES)
		return -EINVAL;
	if ((r = talk_keep_maps(spec)) < 0)
		return r;
	*step = "fork";
	if (prepared.pid)
		return tell_prepared(spec, spec_fd, step);
	c->init = spec->ns & CLONE_NEWPID;
	if ((r = idmap_prepare(spec, step)) < 0)
		return r;
	*step = "fork";
	return make_pairs(spec, c);
}

int
child_start(const struct spec *spec, struct child *c, const char **step)
{
	int r;

	*step = "cgroup";
	if ((r = cgroup_init(spec)) < 0)
		return r;
	if (!prepared.pid)
		return bear(spec, birth_namespaces(spec), run_child, c, step);
	send_last_part();
	*c = prepared;
	return 0;
}

void
child_go(int gate)
{
	ssize_t n = write(gate, "", 1);

	/* Who does not wait any more has failed, and says so. */
	(void)n;
	close(gate);
}

void
child_discard(struct child *c)
{
	int *fds[] = {&c->in, &c->out, &c->err, &c->exec, &c->talk, &c->known, &c->gate};

	if (c->pid > 0)
		kill(c->pid, SIGKILL);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	c->pid = 0;
	c->init = false;
}
