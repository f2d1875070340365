/* SPDX-License-Identifier: MIT */
/* aod-shim: namespaces, the init, limits, users, capabilities, Landlock, the filter's listener, and control groups. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/util.h"
#include "shim-rig.h"
#include "shim/spec.h"

#define NEEDS_ROOT SKIP_UNLESS(getuid() == 0, "this needs root")

/* ---- helpers ---- */

static void
open_rig(struct rig *r, unsigned ns)
{
	rig_open(r);
	assert_int_equal(chmod(r->dir, 0755), 0);
	if (ns)
		spec_add(r, "ns=%x", ns);
	if (ns & CLONE_NEWPID)
		spec_add(r, "mount=proc 0 /proc");
}

static void
as_agent(struct rig *r)
{
	spec_add(r, "uid=%d", AGENT);
	spec_add(r, "gid=%d", AGENT);
}

/* ---- the pid namespace ---- */

#define NS_STRICT (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS)

static void
test_init(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	open_rig(&r, NS_STRICT);
	as_agent(&r);
	spec_add(&r, "env=SECRET=hidden");
	rig_run_sh(&r, "echo pid $$; cat /proc/1/comm; grep -E '^(Cap(Prm|Eff|Bnd)|Uid)' /proc/1/status; cat /proc/1/environ; ls /proc/1/fd;"
		   "kill -9 1; tr '\\0' ' ' < /proc/1/cmdline; echo; exit 7");
	assert_out(&r, "pid 2\naod-init\nUid:\t61200\t61200\t61200\t61200\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
		       "CapBnd:\t0000000000000000\naod-shim \n");
	assert_says(r.err.data, "/proc/1/environ: Permission denied");
	assert_int_equal(r.status, 7 << 8);
	assert_int_equal(r.left, 0);
	rig_close(&r);
}

/* The pid of FRAME_START is the shim's namespace's, and the agent's: it can be found by it and signalled. */
static void
test_agent_pid_and_signal(void **state)
{
	char path[64], link[64] = "";
	struct rig r;

	NEEDS_ROOT;
	open_rig(&r, NS_STRICT);
	rig_start_sh(&r, "trap 'echo usr; exit 3' USR1; sleep 1000 & echo ready; while :; do wait; done");
	rig_wait_out(&r, "ready\n");
	assert_true(atoll(r.start) > 0);
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)r.agent);
	assert_true(readlink(path, link, sizeof(link) - 1) > 0);
	assert_says(link, "sh");
	rig_order(&r, FRAME_SIGNAL, SIGUSR1);
	rig_finish(&r);
	assert_out(&r, "ready\nusr\n");
	assert_int_equal(r.status, 3 << 8);
	assert_true(r.left >= 1);
	rig_close(&r);
}

static void
test_status_out_of_init(void **state)
{
	static const struct {
		const char *script;
		int status;
	} cases[] = {{"exit 42", 42 << 8}, {"kill -TERM $$", SIGTERM}, {"kill -SEGV $$", SIGSEGV}, {"exit 0", 0}};
	struct rig r;

	NEEDS_ROOT;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		open_rig(&r, NS_STRICT);
		rig_run_sh(&r, cases[i].script);
		assert_int_equal(r.status & 0xff7f, cases[i].status); /* with or without a core */
		rig_close(&r);
	}
}

static void
test_exec_fails_below_init(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	open_rig(&r, NS_STRICT);
	rig_files(&r);
	spec_add(&r, "argv=/no/such/program");
	rig_start(&r);
	rig_finish(&r);
	assert_int_equal(r.exec_errno, ENOENT);
	assert_string_equal(r.exec_step, "exec");
	assert_int_equal(r.status, 127 << 8);
	rig_close(&r);
	open_rig(&r, NS_STRICT);
	spec_add(&r, "cwd=/no/such/directory");
	rig_start_sh(&r, "echo never");
	rig_finish(&r);
	assert_string_equal(r.exec_step, "cwd");
	rig_close(&r);
}

#define ESCAPES                                                                                    \
	"(setsid sh -c 'trap \"\" TERM; echo up; exec sleep 1000' &);"                             \
	"(setsid sh -c '(trap \"\" TERM; sh -c \"echo up; exec sleep 1000\" &)' &);"

static void
wait_two_ups(struct rig *r)
{
	do
		rig_wait_out(r, "up\n");
	while (!strstr(strstr(r->out.data, "up\n") + 1, "up\n") && (rig_next(r, mono_us() + DEADLINE_US), true));
}

/* All pidfds of processes that the shim has below itself now. */
static int
tree_pidfds(pid_t pid, int *fds, int n, int max)
{
	pid_t children[64];
	int count = proc_children(pid, children, 64);

	for (int i = 0; i < count && n < max; i++) {
		fds[n] = (int)syscall(SYS_pidfd_open, children[i], 0);
		if (fds[n] >= 0)
			n++;
		n = tree_pidfds(children[i], fds, n, max);
	}
	return n;
}

static void
test_stop_namespace(void **state)
{
	int fds[32], n;
	struct rig r;

	NEEDS_ROOT;
	for (int polite = 0; polite < 2; polite++) {
		open_rig(&r, NS_STRICT);
		rig_start_sh(&r, ESCAPES "trap 'echo bye; exit 4' TERM; while :; do sleep 1000 & wait; done");
		wait_two_ups(&r);
		n = tree_pidfds(r.pid, fds, 0, 32);
		assert_true(n >= 4);
		rig_order(&r, FRAME_STOP, polite ? 300 : 0);
		rig_finish(&r);
		assert_int_equal(r.status, polite ? 4 << 8 : SIGKILL);
		assert_int_equal(strstr(r.out.data, "bye\n") != NULL, polite);
		assert_gone(fds, n);
		rig_close(&r);
	}
}

/* A kill of the shim, or of the init, is the end of everybody. */
/* Whoever is made yet does not hear of it, and who has been made is told: nobody waits for the end of the grace. */
static void
test_stop_before_exec(void **state)
{
	static const unsigned cases[] = {0, NS_STRICT};
	struct rig r;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (cases[i])
			NEEDS_ROOT;
		open_rig(&r, cases[i]);
		rig_order(&r, FRAME_STOP, 3600 * 1000);
		rig_start_sh(&r, "exec sleep 1000");
		rig_finish(&r);
		assert_int_equal(r.status, SIGTERM);
		rig_close(&r);
	}
}

static void
test_kill_from_outside(void **state)
{
	int fds[32], n;
	pid_t init;
	struct rig r;

	NEEDS_ROOT;
	for (int i = 0; i < 2; i++) {
		open_rig(&r, NS_STRICT);
		as_agent(&r);
		rig_start_sh(&r, ESCAPES "trap '' TERM; while :; do sleep 1000 & wait; done");
		wait_two_ups(&r);
		n = tree_pidfds(r.pid, fds, 0, 32);
		assert_true(n >= 4);
		assert_int_equal(proc_children(r.pid, &init, 1), 1);
		assert_int_not_equal(init, r.agent);
		if (i == 0) {
			kill(init, SIGKILL);
			rig_finish(&r);
			assert_int_equal(r.status, SIGKILL);
		} else {
			rig_kill(&r);
		}
		assert_gone(fds, n);
		rig_close(&r);
	}
}

/* Orphans are reaped: a thousand of them leave no zombie. */
static void
test_no_zombies(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	open_rig(&r, NS_STRICT);
	rig_run_sh(&r, "i=0; while [ $i -lt 300 ]; do (sh -c : & ) ; i=$((i+1)); done; until ! grep -qs '^State:.Z' /proc/[0-9]*/status; do :; done;"
		   "echo clean");
	assert_out(&r, "clean\n");
	rig_close(&r);
}

/* ---- other namespaces ---- */

static void
test_hostname_and_net(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	open_rig(&r, CLONE_NEWUTS | CLONE_NEWNET);
	spec_add(&r, "hostname=agent-7");
	rig_run_sh(&r, "uname -n; grep -c : /proc/net/dev; cat /sys/class/net/lo/operstate >/dev/null; grep -c 0100007F /proc/net/fib_trie ||"
		   "grep -c 127.0.0.1 /proc/net/fib_trie");
	assert_says(r.out.data, "agent-7\n1\n");
	assert_null(strstr(r.out.data, "\n0\n0\n"));
	rig_close(&r);
}

static void
test_join_net(void **state)
{
	char want[64], got[64] = "", path[64];
	struct rig r;
	pid_t holder;
	int p[2];

	NEEDS_ROOT;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	holder = fork();
	if (holder == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) < 0 || write(p[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(p[0], want, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)holder);
	assert_true(readlink(path, got, sizeof(got) - 1) > 0);
	open_rig(&r, 0);
	r.netns_fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(r.netns_fd >= 0);
	spec_add(&r, "netns=1");
	rig_run_sh(&r, "readlink /proc/self/ns/net; [ -e /proc/$$/fd/5 ] || echo closed");
	snprintf(want, sizeof(want), "%s\nclosed\n", got);
	assert_out(&r, want);
	close(r.netns_fd);
	rig_close(&r);
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);
	close(p[0]);
	close(p[1]);
}

/* As an ordinary user: a user namespace is what gives the right to all others. */
static void
test_user_namespace_unprivileged(void **state)
{
	struct rig r;
	uid_t user = getuid() == 0 ? 1000 : getuid();

	open_rig(&r, CLONE_NEWUSER | NS_STRICT);
	if (getuid() == 0)
		rig_user(&r, user);
	spec_add(&r, "uid_map=%d %d 1", (int)user, (int)user);
	spec_add(&r, "gid_map=%d %d 1", (int)user, (int)user);
	spec_add(&r, "mount_src=/usr");
	spec_add(&r, "mount=bind 1 /usr");
	spec_add(&r, "mount=tmpfs 0 /mnt");
	spec_add(&r, "mount=dev 0 /dev");
	spec_add(&r, "mount=hide 0 /etc/hostname");
	spec_add(&r, "cred=a=b");
	spec_add(&r, "mount=credentials 0 /mnt/c");
	spec_add(&r, "caps=0");
	spec_add(&r, "no_new_privs=1");
	rig_start_sh(&r, "id -u; id -g; echo $$; touch /usr/x; touch /mnt/x && echo mnt; cat /etc/hostname; cat /mnt/c/a; echo;"
			 "cat /proc/self/uid_map | tr -s ' '; grep CapEff /proc/self/status; echo n > /dev/null && cat /proc/self/setgroups");
	rig_finish(&r);
	if (r.exec_errno == EPERM && strcmp(r.exec_step, "namespace") == 0)
		rig_close(&r);
	SKIP_UNLESS(strcmp(r.exec_step, "namespace") != 0, "no user namespaces for ordinary users here");
	if (r.exec_errno)
		fail_msg("%s: %s", r.exec_step, strerror(r.exec_errno));
	assert_out(&r, user == 1000 ? "1000\n1000\n2\nmnt\nb\n 1000 1000 1\nCapEff:\t0000000000000000\ndeny\n" : r.out.data);
	assert_says(r.err.data, "'/usr/x': ");
	assert_says(r.err.data, "/etc/hostname: Permission denied");
	rig_close(&r);
}

/* As root the user namespace comes last: mounts are not the agent's to undo, and limits are as root set them. */
static void
test_user_namespace_of_root(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	open_rig(&r, CLONE_NEWUSER | NS_STRICT);
	spec_add(&r, "uid_map=0 %d 1", AGENT);
	spec_add(&r, "gid_map=0 %d 1", AGENT);
	spec_add(&r, "uid=0");
	spec_add(&r, "gid=0");
	spec_add(&r, "mount_src=/usr");
	spec_add(&r, "mount=bind 1 /usr");
	spec_add(&r, "rlimit=%d 64 64", RLIMIT_NOFILE);
	rig_run_sh(&r, "id -u; ulimit -n; cat /proc/self/uid_map | tr -s ' '; umount /usr; mount -o remount,rw,bind /usr; echo done");
	assert_out(&r, "0\n64\n 0 61200 1\ndone\n");
	assert_says(r.err.data, "umount");
	assert_says(r.err.data, "mount");
	rig_close(&r);
}

/* A plain chroot, where "/" is no mount. */
static void
test_in_chroot(void **state)
{
	char path[128];
	struct rig r;
	int root;

	NEEDS_ROOT;
	open_rig(&r, CLONE_NEWNS);
	/* Everything a shell needs, in a directory that is not a mount itself: this test goes into a mount namespace and the chroot with the shim. */
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mount("none", "/mnt", "tmpfs", 0, NULL), 0);
	assert_int_equal(mkdir("/mnt/root", 0755), 0);
	static const char *const dirs[] = {"bin", "lib", "lib64", "usr", "etc", "proc", "dev", "tmp"};
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		char from[64];

		snprintf(path, sizeof(path), "/mnt/root/%s", dirs[i]);
		snprintf(from, sizeof(from), "/%s", dirs[i]);
		assert_int_equal(mkdir(path, 0755), 0);
		if (access(from, F_OK) == 0)
			assert_int_equal(mount(from, path, NULL, MS_BIND | MS_REC, NULL), 0);
	}
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(chroot("/mnt/root"), 0);
	spec_add(&r, "mount=attr 1 /");
	spec_add(&r, "mount=hide 0 /etc/hostname");
	rig_start_sh(&r, "echo $(ls / | wc -l); touch /x; cat /etc/hostname | wc -c; ls -di / /..");
	assert_int_equal(fchdir(root), 0);
	assert_int_equal(chroot("."), 0);
	rig_finish(&r);
	close(root);
	assert_int_equal(umount2("/mnt", MNT_DETACH), 0);
	if (r.exec_errno)
		fail_msg("%s: %s", r.exec_step, strerror(r.exec_errno));
	assert_int_equal(strncmp(r.out.data, "8\n0\n", 4), 0);
	assert_says(r.err.data, "'/x': Read-only");
	rig_close(&r);
}

/* ---- limits, users, capabilities ---- */

static void
test_limits(void **state)
{
	struct rig r;

	open_rig(&r, 0);
	spec_add(&r, "rlimit=%d 100 200", RLIMIT_NOFILE);
	spec_add(&r, "rlimit=%d 0 0", RLIMIT_CORE);
	spec_add(&r, "rlimit=%d 18446744073709551615 18446744073709551615", RLIMIT_CPU);
	spec_add(&r, "nice=5");
	spec_add(&r, "oom_score_adj=300");
	rig_run_sh(&r, "grep -E '^Max (open|core|cpu)' /proc/self/limits | tr -s ' '; nice; cat /proc/self/oom_score_adj /proc/$PPID/oom_score_adj");
	assert_out(&r, "Max cpu time unlimited unlimited seconds \nMax core file size 0 0 bytes \nMax open files 100 200 files \n5\n300\n0\n");
	rig_close(&r);
}

static void
test_limit_beyond_what_there_is(void **state)
{
	struct rlimit have;
	struct rig r;
	char want[64];

	assert_int_equal(getrlimit(RLIMIT_NPROC, &have), 0);
	SKIP_UNLESS(have.rlim_max != RLIM_INFINITY, "there is no limit here that could be exceeded");
	open_rig(&r, 0);
	spec_add(&r, "rlimit=%d 18446744073709551615 18446744073709551615", RLIMIT_NPROC);
	rig_run_sh(&r, "grep -E '^Max processes' /proc/self/limits | tr -s ' ' | cut -d' ' -f4");
	snprintf(want, sizeof(want), "%llu\n", (unsigned long long)have.rlim_max);
	assert_true(strcmp(r.out.data, want) == 0 || strcmp(r.out.data, "unlimited\n") == 0);
	rig_close(&r);
}

static void
test_bad_limits(void **state)
{
	static const char *const bad[] = {"rlimit=", "rlimit=7", "rlimit=7 1", "rlimit=7 1 x", "rlimit=99 1 1", "rlimit=7 2 1"};
	struct rig r;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		open_rig(&r, 0);
		spec_add(&r, "%s", bad[i]);
		rig_start_sh(&r, "echo never");
		rig_finish(&r);
		assert_int_equal(r.exec_errno, EINVAL);
		assert_string_equal(r.exec_step, "limits");
		rig_close(&r);
	}
}

#define CAP_NET_BIND 0x400
#define CAPS "grep -E '^(Cap|NoNew)' /proc/self/status | tr '\\t\\n' ' ,'"

static void
test_capabilities(void **state)
{
	static const struct {
		const char *caps, *ambient;
		bool user;
		const char *want;
	} cases[] = {
		/* root keeps what is in the bounding set */
		{"400", NULL, false, "CapInh: 0000000000000000,CapPrm: 0000000000000400,CapEff: 0000000000000400,CapBnd: 0000000000000400,CapAmb: "
				     "0000000000000000,NoNewPrivs: 0,"},
		{"0", NULL, false, "CapInh: 0000000000000000,CapPrm: 0000000000000000,CapEff: 0000000000000000,CapBnd: 0000000000000000,CapAmb: "
				   "0000000000000000,NoNewPrivs: 0,"},
		/* a user has none, */
		{"400", NULL, true, "CapInh: 0000000000000000,CapPrm: 0000000000000000,CapEff: 0000000000000000,CapBnd: 0000000000000400,CapAmb: "
				    "0000000000000000,NoNewPrivs: 0,"},
		/* but ambient ones */
		{"400", "400", true, "CapInh: 0000000000000400,CapPrm: 0000000000000400,CapEff: 0000000000000400,CapBnd: 0000000000000400,CapAmb: "
				     "0000000000000400,NoNewPrivs: 0,"},
		{"ffffffffffffffff", "400", true, NULL},
	};
	struct rig r;

	NEEDS_ROOT;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		open_rig(&r, 0);
		spec_add(&r, "caps=%s", cases[i].caps);
		if (cases[i].ambient)
			spec_add(&r, "ambient=%s", cases[i].ambient);
		if (cases[i].user)
			as_agent(&r);
		rig_run_sh(&r, CAPS);
		if (cases[i].want)
			assert_out(&r, cases[i].want);
		else
			assert_says(r.out.data, "CapEff: 0000000000000400");
		rig_close(&r);
	}
}

static void
test_no_new_privs(void **state)
{
	struct rig r;

	open_rig(&r, 0);
	spec_add(&r, "no_new_privs=1");
	spec_add(&r, "caps=0");
	rig_run_sh(&r, CAPS);
	assert_says(r.out.data, "NoNewPrivs: 1,");
	rig_close(&r);
}

/* ---- landlock ---- */

static bool
has_landlock(int version)
{
	return syscall(444 /* landlock_create_ruleset */, NULL, 0, 1) >= version;
}

static void
test_landlock(void **state)
{
	struct rig r;

	SKIP_UNLESS(has_landlock(1), "no Landlock");
	open_rig(&r, 0);
	spec_add(&r, "no_new_privs=1");
	spec_add(&r, "landlock_ro=/usr");
	spec_add(&r, "landlock_ro=/bin");
	spec_add(&r, "landlock_ro=/lib");
	spec_add(&r, "landlock_ro=/lib64");
	spec_add(&r, "landlock_ro=/no/such/tree");
	spec_add(&r, "landlock_rw=%s", r.dir);
	spec_add(&r, "landlock_rw=/dev/null");
	spec_add(&r, "cwd=%s", r.dir);
	rig_run_sh(&r, "mkdir a b && echo x > a/f && mv a/f b/g && ln b/g a/h && cat a/h; echo n > /dev/null && echo null; cat /etc/passwd; ls /; "
		   "touch /usr/x; :");
	if (has_landlock(2))
		assert_out(&r, "x\nnull\n");
	else
		assert_says(r.out.data, "null\n");
	assert_says(r.err.data, "/etc/passwd: Permission denied");
	assert_says(r.err.data, "'/': Permission denied");
	assert_says(r.err.data, "'/usr/x': ");
	rig_close(&r);
}

static void
test_landlock_scope(void **state)
{
	struct rig r;

	SKIP_UNLESS(has_landlock(6), "this kernel's Landlock knows no scopes");
	open_rig(&r, 0);
	spec_add(&r, "no_new_privs=1");
	spec_add(&r, "landlock_scope=1");
	spec_add(&r, "env=TESTER=%d", (int)getpid());
	rig_run_sh(&r, "kill -0 $TESTER; sleep 100 & kill $! && echo own; cat /etc/passwd > /dev/null && echo files");
	assert_out(&r, "own\nfiles\n");
	assert_says(r.err.data, "ermi");
	rig_close(&r);
}

/* ---- the listener ---- */

static int
notify_filter(int nr)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return memfd_with("filter", program, sizeof(program));
}

static int
count_lines(const struct buf *b)
{
	int n = 0;

	for (size_t i = 0; i < b->len; i++)
		n += b->data[i] == '\n';
	return n;
}

static void
test_denied(void **state)
{
	struct rig r;

	for (int i = 0; i < 3; i++) {
		if (i > 0 && getuid() != 0)
			continue;
		open_rig(&r, i ? NS_STRICT : 0);
		if (i == 2)
			as_agent(&r);
		r.seccomp_fd = notify_filter(SYS_sethostname);
		spec_add(&r, "seccomp=notify");
		/* The same program twice, and another one. */
		rig_run_sh(&r, "python3 -c 'import socket\nfor i in range(3):\n try: socket.sethostname(\"x\")\n except OSError as e: print(e.errno)';"
			   "hostname y; grep Seccomp: /proc/self/status");
		assert_says(r.out.data, "1\n1\n1\nSeccomp:\t2\n");
		assert_int_equal(count_lines(&r.denied), 2);
		assert_says(r.denied.data, "nr=170 arch=3221225534 pid=");
		assert_says(r.denied.data, " comm=python3 args=");
		assert_says(r.denied.data, " comm=hostname args=");
		rig_close(&r);
	}
}

static void
test_denied_errno(void **state)
{
	struct rig r;

	open_rig(&r, 0);
	r.seccomp_fd = notify_filter(SYS_sethostname);
	spec_add(&r, "seccomp=notify");
	spec_add(&r, "notify_errno=%d", ENOSYS);
	rig_run_sh(&r, "python3 -c 'import socket\ntry: socket.sethostname(\"x\")\nexcept OSError as e: print(e.errno)'");
	assert_out(&r, "38\n");
	rig_close(&r);
	open_rig(&r, 0);
	r.seccomp_fd = notify_filter(SYS_socket);
	spec_add(&r, "seccomp=notify");
	rig_run_sh(&r, "python3 -c 'import socket\ntry: socket.socket()\nexcept OSError as e: print(e.errno)'");
	assert_out(&r, "97\n");
	rig_close(&r);
}

/* No room for the frame is no reason to let a caller wait; what could not be told is told with the next one. */
static void
test_denied_on_a_full_disk(void **state)
{
	char path[120], junk[4096] = "";
	struct rig r;
	int fd;

	NEEDS_ROOT;
	open_rig(&r, 0);
	snprintf(path, sizeof(path), "%s/disk", r.dir);
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(mount("none", path, "tmpfs", 0, "size=64k"), 0);
	snprintf(r.spool, sizeof(r.spool), "%s/disk/1.spool", r.dir);
	snprintf(path, sizeof(path), "%s/disk/ballast", r.dir);
	r.seccomp_fd = notify_filter(SYS_sethostname);
	spec_add(&r, "seccomp=notify");
	spec_add(&r, "env=DIR=%s", r.dir);
	rig_start_sh(&r, "echo ready; read x; i=0; while [ $i -lt 20 ]; do hostname x 2>/dev/null; i=$((i+1)); done; echo through > $DIR/through;"
			 "read y; hostname y; echo end");
	rig_wait_out(&r, "ready\n");
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, junk, sizeof(junk)) > 0)
		continue;
	assert_int_equal(errno, ENOSPC);
	close(fd);
	rig_input(&r, FRAME_INPUT, "\n", 1);
	snprintf(junk, sizeof(junk), "%s/through", r.dir);
	for (int64_t deadline = mono_us() + DEADLINE_US; access(junk, F_OK) < 0; poll(NULL, 0, 1))
		assert_true(mono_us() < deadline);
	assert_int_equal(unlink(path), 0);
	rig_input(&r, FRAME_INPUT, "\n", 1);
	rig_finish(&r);
	assert_out(&r, "ready\nend\n");
	assert_int_equal(count_lines(&r.denied), 1);
	snprintf(path, sizeof(path), "%s/disk", r.dir);
	assert_int_equal(umount(path), 0);
	rig_close(&r);
}

static void
test_bad_namespaces(void **state)
{
	struct rig r;

	open_rig(&r, 0);
	spec_add(&r, "ns=80");
	rig_start_sh(&r, "echo never");
	rig_finish(&r);
	assert_int_equal(r.exec_errno, EINVAL);
	assert_string_equal(r.exec_step, "namespace");
	rig_close(&r);
}

/* Callers that die while they wait for their answer are no trouble. */
static void
test_denied_and_dead(void **state)
{
	struct rig r;

	open_rig(&r, 0);
	r.seccomp_fd = notify_filter(SYS_sethostname);
	spec_add(&r, "seccomp=notify");
	rig_run_sh(&r, "i=0; while [ $i -lt 50 ]; do hostname x 2>/dev/null & kill -9 $! 2>/dev/null; i=$((i+1)); done; wait; hostname y; echo end");
	assert_says(r.out.data, "end\n");
	assert_true(count_lines(&r.denied) <= 2);
	rig_close(&r);
}

/* ---- control groups ---- */

/* A group of this test's own in a hierarchy, below the one that it is in itself; NULL when that cannot be had. */
static const char *
make_group(const char *hierarchy)
{
	static char paths[4][256];
	static int n;
	char line[512], *p = paths[n++ % 4];
	FILE *f = fopen("/proc/self/cgroup", "re");
	char own[200] = "/";

	while (f && fgets(line, sizeof(line), f)) {
		char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		if (strcmp(names + 1, strcmp(hierarchy, "unified") == 0 ? "" : hierarchy) == 0)
			snprintf(own, sizeof(own), "%s", path);
	}
	if (f)
		fclose(f);
	if (strcmp(hierarchy, "unified") == 0 && access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0)
		hierarchy = "";
	snprintf(p, sizeof(paths[0]), "/sys/fs/cgroup/%.20s%.150s/aod-test-%d-%d", hierarchy, strcmp(own, "/") ? own : "", (int)getpid(), n);
	return mkdir(p, 0755) == 0 ? p : NULL;
}

static void
drop_group(const char *group)
{
	int64_t deadline = mono_us() + DEADLINE_US;

	if (!group)
		return;
	/* An exit is on its way out of the group for a moment after it was waited for. */
	while (rmdir(group) < 0 && errno == EBUSY && mono_us() < deadline)
		poll(NULL, 0, 1);
	assert_int_equal(access(group, F_OK), -1);
}

static void
write_to(const char *group, const char *file, const char *text)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", group, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int
count_in(const char *group)
{
	struct buf b = BUF_INIT;
	char path[300];
	int n;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	assert_int_equal(file_read(path, 1u << 20, &b, NULL), 0);
	n = count_lines(&b);
	buf_free(&b);
	return n;
}

struct groups {
	const char *v2, *freezer, *pids;
};

#define V2 1
#define V1 2

static bool
open_groups(struct rig *r, struct groups *g, int which)
{
	*g = (struct groups){0};
	if ((which & V2) && (g->v2 = make_group("unified")) != NULL)
		spec_add(r, "cgroup=%s", g->v2);
	if ((which & V1) && (g->freezer = make_group("freezer")) != NULL)
		spec_add(r, "cgroup_v1=%s", g->freezer);
	if ((which & V1) && (g->pids = make_group("pids")) != NULL)
		spec_add(r, "cgroup_v1=%s", g->pids);
	return (!(which & V2) || g->v2) && (!(which & V1) || (g->freezer && g->pids));
}

static void
close_groups(struct groups *g)
{
	drop_group(g->v2);
	drop_group(g->freezer);
	drop_group(g->pids);
}

#define NEEDS_GROUPS(r, g, which)                                                                  \
	do {                                                                                       \
		if (!open_groups(r, g, which)) {                                                   \
			close_groups(g);                                                           \
			rig_close(r);                                                              \
			print_message("# skipped: no such control groups here\n");                 \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

static void
groups_case(int which, unsigned ns)
{
	int fds[32], n;
	struct groups g;
	struct rig r;

	open_rig(&r, ns);
	NEEDS_GROUPS(&r, &g, which);
	rig_start_sh(&r, "cat /proc/self/cgroup;" ESCAPES "trap '' TERM; while :; do sleep 1000 & wait; done");
	wait_two_ups(&r);
	if (g.v2)
		assert_says(r.out.data, strrchr(g.v2, '/'));
	if (g.pids)
		assert_says(r.out.data, strrchr(g.pids, '/'));
	assert_true(count_in(g.v2 ? g.v2 : g.pids) >= 4);
	n = tree_pidfds(r.pid, fds, 0, 32);
	rig_order(&r, FRAME_STOP, 0);
	rig_finish(&r);
	assert_int_equal(r.status, SIGKILL);
	assert_gone(fds, n);
	assert_int_equal(count_in(g.v2 ? g.v2 : g.pids), 0);
	close_groups(&g);
	rig_close(&r);
}

static void
test_cgroup_v1(void **state)
{
	NEEDS_ROOT;
	groups_case(V1, 0);
	groups_case(V1, NS_STRICT);
}

static void
test_cgroup_v2(void **state)
{
	NEEDS_ROOT;
	groups_case(V2, 0);
	groups_case(V2, NS_STRICT);
}

static void
test_cgroup_both(void **state)
{
	NEEDS_ROOT;
	groups_case(V2 | V1, 0);
}

/* Frozen by aod, and then stopped: SIGTERM is heard, and SIGKILL kills. */
static void
test_stop_frozen(void **state)
{
	static const int kinds[] = {V1, V2};
	struct groups g;
	struct rig r;

	NEEDS_ROOT;
	for (size_t i = 0; i < ARRAY_LEN(kinds) * 2; i++) {
		bool polite = i & 1;

		open_rig(&r, 0);
		NEEDS_GROUPS(&r, &g, kinds[i / 2]);
		rig_start_sh(&r, "trap 'echo bye; exit 6' TERM; echo ready; while :; do sleep 1000 & wait; done");
		rig_wait_out(&r, "ready\n");
		if (g.v2)
			write_to(g.v2, "cgroup.freeze", "1");
		else
			write_to(g.freezer, "freezer.state", "FROZEN");
		rig_order(&r, FRAME_STOP, polite ? 15000 : 0);
		rig_finish(&r);
		assert_int_equal(r.status, polite ? 6 << 8 : SIGKILL);
		close_groups(&g);
		rig_close(&r);
	}
}

/* Somebody else's child that was moved into the group goes with the agent. */
static void
test_stranger_in_group(void **state)
{
	static const int kinds[] = {V1, V2};
	struct groups g;
	struct rig r;
	char text[24];
	pid_t stranger;
	int status;

	NEEDS_ROOT;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		open_rig(&r, 0);
		NEEDS_GROUPS(&r, &g, kinds[i]);
		rig_start_sh(&r, "echo ready; read x; exit 3");
		rig_wait_out(&r, "ready\n");
		/* Before the fork, so that it is deaf from its birth. */
		signal(SIGTERM, SIG_IGN);
		stranger = fork();
		if (stranger == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
		signal(SIGTERM, SIG_DFL);
		snprintf(text, sizeof(text), "%d", (int)stranger);
		write_to(g.v2 ? g.v2 : g.freezer, "cgroup.procs", text);
		rig_input(&r, FRAME_INPUT, "\n", 1);
		rig_finish(&r);
		assert_int_equal(r.status, 3 << 8);
		assert_int_equal(waitpid(stranger, &status, 0), stranger);
		assert_int_equal(status, SIGKILL);
		close_groups(&g);
		rig_close(&r);
	}
}

/* From the order to stop to the exit frame, in microseconds. */
static int64_t
stop_time(struct rig *r)
{
	int64_t t = mono_us();

	rig_order(r, FRAME_STOP, 0);
	rig_finish(r);
	return mono_us() - t;
}

static void
test_large_tree(void **state)
{
	static const struct {
		int groups;
		unsigned ns;
	} cases[] = {{V1, 0}, {V2, 0}, {0, NS_STRICT}};
	struct groups g;
	struct rig r;
	int64_t took;

	NEEDS_ROOT;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		open_rig(&r, cases[i].ns);
		NEEDS_GROUPS(&r, &g, cases[i].groups);
		rig_start_sh(&r, "i=0; while [ $i -lt 500 ]; do (trap '' TERM; exec sleep 1000) & i=$((i+1)); done; echo going; wait");
		rig_wait_out(&r, "going\n");
		took = stop_time(&r);
		print_message("# 500 processes, groups %d, namespaces %x: gone after %d ms\n", cases[i].groups, cases[i].ns, (int)(took / 1000));
		assert_int_equal(r.status, SIGKILL);
		/* 100 ms on an idle machine; this one may be busy. */
		assert_true(took < DEADLINE_US / 3);
		close_groups(&g);
		rig_close(&r);
	}
}

static void
test_fork_bomb(void **state)
{
	static const struct {
		int groups;
		unsigned ns;
	} cases[] = {{V1, 0}, {V1, NS_STRICT}};
	struct groups g;
	struct rig r;
	int64_t took, deadline;

	NEEDS_ROOT;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		open_rig(&r, cases[i].ns);
		NEEDS_GROUPS(&r, &g, cases[i].groups);
		write_to(g.pids, "pids.max", "300");
		rig_start_sh(&r, "echo going; trap '' TERM; b() { b & b & wait; }; b 2>/dev/null");
		rig_wait_out(&r, "going\n");
		deadline = mono_us() + DEADLINE_US;
		while (count_in(g.pids) < 200)
			assert_true(mono_us() < deadline);
		took = stop_time(&r);
		print_message("# a fork bomb of 300, namespaces %x: gone after %d ms\n", cases[i].ns, (int)(took / 1000));
		assert_int_equal(r.status, SIGKILL);
		assert_true(took < DEADLINE_US / 3);
		close_groups(&g);
		rig_close(&r);
	}
}

/* All keys at once, as a strict session has them. */
static void
test_everything(void **state)
{
	static const char *const mounts[] = {
		"=attr 1 /", "_opt=mode=0755,size=4m", "=tmpfs 7 /mnt", "=hide 0 /root", "=hide 0 /etc/hostname", "=dev 1 /dev", "_opt=hidepid=2",
		"=proc 0 /proc", "_opt=agent:x:61200:61200::/:/bin/sh\n", "=file 1 /etc/passwd", "=credentials 0 /mnt/credentials"};
	char project[96];
	struct groups g;
	struct stat st;
	struct rig r;

	NEEDS_ROOT;
	open_rig(&r, 0);
	NEEDS_GROUPS(&r, &g, V1);
	snprintf(project, sizeof(project), "%s/project", r.dir);
	assert_int_equal(mkdir(project, 0700), 0);
	assert_int_equal(chown(project, 1234, 1234), 0);
	spec_add(&r, "ns=%x", (unsigned)(NS_STRICT | CLONE_NEWNET | CLONE_NEWCGROUP | CLONE_NEWUSER));
	spec_add(&r, "uid_map=%d %d 1", AGENT, AGENT);
	spec_add(&r, "gid_map=%d %d 1", AGENT, AGENT);
	as_agent(&r);
	for (size_t i = 0; i < ARRAY_LEN(mounts); i++)
		spec_add(&r, "mount%s", mounts[i]);
	spec_add(&r, "mount_src=%s", project);
	spec_add(&r, "mount=bind 26 %s", project);
	spec_add(&r, "cred=key=value");
	spec_add(&r, "cwd=%s", project);
	spec_add(&r, "hostname=agent");
	spec_add(&r, "caps=0");
	spec_add(&r, "rlimit=%d 0 0", RLIMIT_CORE);
	spec_add(&r, "oom_score_adj=200");
	spec_add(&r, "nice=1");
	spec_add(&r, "no_new_privs=1");
	spec_add(&r, "landlock_rw=/");
	spec_add(&r, "landlock_scope=1");
	r.seccomp_fd = notify_filter(SYS_sethostname);
	spec_add(&r, "seccomp=notify");
	rig_run_sh(&r, "whoami; id -u; uname -n; cat /mnt/credentials/key; echo; touch made && stat -c %u made; grep pids /proc/self/cgroup | cut -d: -f3;"
		   "cat /proc/self/oom_score_adj; nice; ls /root; hostname z; ls -d /proc/[0-9]* | wc -l; touch /usr/x; exit 9");
	assert_says(r.out.data, "agent\n61200\nagent\nvalue\n61200\n/\n200\n1\n");
	assert_says(r.err.data, "'/usr/x': Read-only");
	assert_says(r.err.data, "/root");
	assert_int_equal(count_lines(&r.denied), 1);
	assert_int_equal(r.status, 9 << 8);
	snprintf(project, sizeof(project), "%s/project/made", r.dir);
	assert_int_equal(stat(project, &st), 0);
	assert_int_equal(st.st_uid, 1234);
	close_groups(&g);
	rig_close(&r);
}

static void
test_cgroup_missing(void **state)
{
	struct rig r;

	for (int i = 0; i < 2; i++) {
		open_rig(&r, 0);
		spec_add(&r, "%s=%s/no/such/group", i ? "cgroup" : "cgroup_v1", r.dir);
		rig_start_sh(&r, "echo never");
		rig_finish(&r);
		assert_int_equal(r.exec_errno, ENOENT);
		assert_string_equal(r.exec_step, "cgroup");
		assert_out(&r, "");
		rig_close(&r);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_init, clean_up),
		cmocka_unit_test_teardown(test_agent_pid_and_signal, clean_up),
		cmocka_unit_test_teardown(test_status_out_of_init, clean_up),
		cmocka_unit_test_teardown(test_exec_fails_below_init, clean_up),
		cmocka_unit_test_teardown(test_stop_namespace, clean_up),
		cmocka_unit_test_teardown(test_stop_before_exec, clean_up),
		cmocka_unit_test_teardown(test_kill_from_outside, clean_up),
		cmocka_unit_test_teardown(test_no_zombies, clean_up),
		cmocka_unit_test_teardown(test_hostname_and_net, clean_up),
		cmocka_unit_test_teardown(test_join_net, clean_up),
		cmocka_unit_test_teardown(test_user_namespace_unprivileged, clean_up),
		cmocka_unit_test_teardown(test_user_namespace_of_root, clean_up),
		cmocka_unit_test_teardown(test_limits, clean_up),
		cmocka_unit_test_teardown(test_limit_beyond_what_there_is, clean_up),
		cmocka_unit_test_teardown(test_bad_limits, clean_up),
		cmocka_unit_test_teardown(test_capabilities, clean_up),
		cmocka_unit_test_teardown(test_no_new_privs, clean_up),
		cmocka_unit_test_teardown(test_landlock, clean_up),
		cmocka_unit_test_teardown(test_landlock_scope, clean_up),
		cmocka_unit_test_teardown(test_denied, clean_up),
		cmocka_unit_test_teardown(test_denied_errno, clean_up),
		cmocka_unit_test_teardown(test_denied_and_dead, clean_up),
		cmocka_unit_test_teardown(test_bad_namespaces, clean_up),
		cmocka_unit_test_teardown(test_cgroup_v1, clean_up),
		cmocka_unit_test_teardown(test_cgroup_v2, clean_up),
		cmocka_unit_test_teardown(test_cgroup_both, clean_up),
		cmocka_unit_test_teardown(test_stop_frozen, clean_up),
		cmocka_unit_test_teardown(test_stranger_in_group, clean_up),
		cmocka_unit_test_teardown(test_large_tree, clean_up),
		cmocka_unit_test_teardown(test_fork_bomb, clean_up),
		cmocka_unit_test_teardown(test_everything, clean_up),
		cmocka_unit_test_teardown(test_cgroup_missing, clean_up),
		/* Last, because they give this process a mount namespace of its own. */
		cmocka_unit_test_teardown(test_denied_on_a_full_disk, clean_up),
		cmocka_unit_test_teardown(test_in_chroot, clean_up),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (!rig_program())
		return 1;
	return cmocka_run_group_tests_name("shim-confine", tests, NULL, NULL);
}
