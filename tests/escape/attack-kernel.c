/* SPDX-License-Identifier: MIT */
/* Attacks on the kernel's own: namespaces, mounts, sockets, devices, and calls that agents have no use for. */
#include "attack.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- mounts ---- */

static int
mount_tmpfs(void)
{
	apart();
	return done("mount(2)", mount("none", fact("project"), "tmpfs", 0, NULL));
}

static int
mount_bind(void)
{
	apart();
	return done("mount(2) with MS_BIND", mount("/", fact("project"), NULL, MS_BIND | MS_REC, NULL));
}

static int
mount_writable(void)
{
	apart();
	return done("mount(2) with MS_REMOUNT", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
}

static int
unmount(void)
{
	apart();
	return done("umount2(2) of /proc", umount2("/proc", MNT_DETACH));
}

static int
mount_by_new_calls(void)
{
	int fd = (int)syscall(SYS_fsopen, "tmpfs", 0);

	return done("fsopen(2)", fd);
}

static int
clone_tree(void)
{
	apart();
	return done("open_tree(2)", syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */));
}

static int
change_mount(void)
{
	uint64_t attr[4] = { 0, MS_RDONLY, 0, 0 };

	apart();
	return reached("mount_setattr(2)", syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, attr, sizeof(attr)));
}

static int
pivot(void)
{
	apart();
	return reached("pivot_root(2)", syscall(SYS_pivot_root, "/", "/"));
}

static int
change_root(void)
{
	return done("chroot(2)", chroot("/"));
}

/* ---- namespaces ---- */

static int
enter_namespace(void)
{
	static const char *const names[] = { "mnt", "pid", "net", "user", "ipc", "uts", "cgroup" };
	long pids[] = { 1, fact_number("aod"), fact_number("victim"), getpid() };
	int rc = -ENOENT;

	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; rc != 0 && k < 7; k++) {
			char path[64];
			int fd;

			snprintf(path, sizeof(path), "/proc/%ld/ns/%s", pids[i], names[k]);
			fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd >= 0)
				rc = done("setns(2)", setns(fd, 0));
		}
	return rc;
}

static int
each_namespace(int (*f)(int flag))
{
	static const int flags[] = { CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP, 0x80 };
	int rc = -EPERM;

	for (size_t i = 0; rc != 0 && i < 8; i++)
		rc = f(flags[i]);
	return rc;
}

static int
unshare_one(int flag)
{
	return done("unshare(2)", unshare(flag));
}

static int
unshare_any(void)
{
	return each_namespace(unshare_one);
}

static int
clone_one(int flag)
{
	long pid;

	/* Among the bits that are a signal there. */
	if (flag == 0x80)
		return -EINVAL;
	pid = syscall(SYS_clone, (unsigned long)flag | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return done("clone(2)", pid);
}

static int
clone_any(void)
{
	return each_namespace(clone_one);
}

static int
clone3_user(void)
{
	uint64_t args[11] = { CLONE_NEWUSER, 0, 0, 0, SIGCHLD };
	long pid = syscall(SYS_clone3, args, 64);

	if (pid == 0)
		_exit(0);
	return done("clone3(2)", pid);
}

/* ---- sockets ---- */

static int
can_socket(const char *name, int family, int type, int protocol)
{
	int fd = (int)syscall(SYS_socket, family, type, protocol);

	/* There is none in this kernel. */
	if (fd < 0 && errno == EAFNOSUPPORT && strcmp(fact("control"), "1") == 0)
		return CANNOT;
	return done(name, fd);
}

static int
packet_socket(void)
{
	return can_socket("socket(AF_PACKET)", AF_PACKET, SOCK_RAW, 0);
}

static int
high_bits(void)
{
	long fd = syscall(SYS_socket, 0x4000000000L | AF_PACKET, (long)SOCK_RAW, 0L);

	return done("socket(AF_PACKET) with high bits", fd);
}

static int
raw_socket(void)
{
	return can_socket("socket(SOCK_RAW)", AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static int
vsock(void)
{
	return can_socket("socket(AF_VSOCK)", AF_VSOCK, SOCK_STREAM, 0);
}

static int
alg_socket(void)
{
	return can_socket("socket(AF_ALG)", AF_ALG, SOCK_SEQPACKET, 0);
}

static int
key_socket(void)
{
	return can_socket("socket(AF_KEY)", AF_KEY, SOCK_RAW, 2);
}

/* A link is to be made, of no kind: whoever may do such things at all is told so. */
static int
change_network(void)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
	} ask = { .h = { .nlmsg_len = sizeof(ask), .nlmsg_type = RTM_NEWLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE } };
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || send(fd, &ask, sizeof(ask), 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < 0)
		return done("netlink", -1);
	errno = -answer.e.error;
	return reached("RTM_NEWLINK", answer.e.error ? -1 : 0);
}

/* ---- aod's own interface ---- */

static int
by_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)fact_number("port")), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 ? fd : -1;
}

static int
by_socket(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const char *path = getenv("AOD_SOCKET");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path ? path : "");
	return fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 ? fd : -1;
}

/* Send a request and read the answer; its status, or -1. */
static int
ask_aod(int fd, const char *token, const char *method, const char *path, const char *body, char *text, size_t size)
{
	char ask[2048];
	size_t len = 0;
	ssize_t n;

	snprintf(ask, sizeof(ask), "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s%s%s\r\n%s",
		 method, path, strlen(body), token ? "Authorization: Bearer " : "", token ? token : "", token ? "\r\n" : "", body);
	if (fd < 0 || send(fd, ask, strlen(ask), MSG_NOSIGNAL) < 0)
		return -1;
	while (len + 1 < size && (n = recv(fd, text + len, size - 1 - len, 0)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fd);
	return len > 12 ? atoi(text + 9) : -1;
}

/* Ask over aod's port, as a process of this host and with the session's token, and over the socket that agents have: an answer with want in it is got. */
static int
try_aod(const char *method, const char *path, const char *body, const char *want)
{
	static const char *const ways[] = { "the port", "the port with a token", "the socket" };
	static char text[1 << 18];
	int status[3];

	for (int i = 0; i < 3; i++) {
		status[i] = ask_aod(i < 2 ? by_port() : by_socket(), i ? getenv("AOD_TOKEN") : NULL, method, path, body, text, sizeof(text));
		if (status[i] == 200 && strstr(text, want)) {
			say("%s answered", ways[i]);
			return 0;
		}
	}
	say("HTTP %d by port, %d with a token, %d by socket", status[0], status[1], status[2]);
	return -EACCES;
}

static int
list_by_http(void)
{
	return try_aod("GET", "/sessions?limit=1000", "", fact("other"));
}

static int
events_by_http(void)
{
	char path[300];

	snprintf(path, sizeof(path), "/sessions/%s/events", fact("other"));
	return try_aod("GET", path, "", fact("other"));
}

static int
write_by_http(void)
{
	char path[300];

	snprintf(path, sizeof(path), "/sessions/%s/metadata", fact("other"));
	return try_aod("PATCH", path, "{\"session_name\":\"renamed\"}", "");
}

/* A session without a sandbox, that is. */
static int
start_by_http(void)
{
	return try_aod("POST", "/sessions", "{\"command\":[\"/bin/true\"],\"async_mode\":true}", "session_id");
}

/* The blueprint that runs its prompt. */
static int
shell_by_http(void)
{
	return try_aod("POST", "/sessions", "{\"agent_name\":\"shell\",\"prompt\":\"true\"}", "session_id");
}

/* ---- calls that agents have no use for ---- */

#define CALL(name, number, ...)                                                                                                            \
	static int name(void) { return reached(&#number[4], syscall(number, __VA_ARGS__)); }

CALL(io_uring, SYS_io_uring_setup, 1, NULL)
CALL(keys, SYS_keyctl, 0, 0, 0, 0, 0)
CALL(add_a_key, SYS_add_key, "user", "aod-attack", "x", 1, -2)
CALL(bpf, SYS_bpf, 0, NULL, 0)
CALL(perf, SYS_perf_event_open, NULL, 0, -1, -1, 0)
CALL(fault, SYS_userfaultfd, 0)
CALL(module, SYS_init_module, NULL, 0, "")
CALL(module_by_file, SYS_finit_module, -1, "", 0)
CALL(kexec, SYS_kexec_load, 0, 0x7fff, NULL, 0xffffUL << 16)
CALL(restart, SYS_reboot, 0, 0, 0, NULL)
CALL(swap, SYS_swapon, "", 0)
CALL(accounting, SYS_acct, "")
CALL(quota, SYS_quotactl, 0, NULL, 0, NULL)
CALL(set_time, SYS_settimeofday, NULL, NULL)
CALL(set_clock, SYS_clock_settime, 0, NULL)
CALL(kernel_log, SYS_syslog, 10, NULL, 0)
CALL(hang_up, SYS_vhangup, 0)
CALL(watch_all, SYS_fanotify_init, 0, 0)
CALL(secret_memory, SYS_memfd_secret, 0)

#ifdef SYS_ioperm
CALL(ports, SYS_ioperm, 0x80, 1, 1)
#endif

static int
domain(void)
{
	return done("personality(ADDR_NO_RANDOMIZE)", personality(ADDR_NO_RANDOMIZE));
}

static int
realtime(void)
{
	struct sched_param p = { .sched_priority = 1 };

	return done("sched_setscheduler(SCHED_FIFO)", sched_setscheduler(0, SCHED_FIFO, &p));
}

static int
host_name(void)
{
	char name[256];

	gethostname(name, sizeof(name));
	return done("sethostname(2)", sethostname(name, strlen(name)));
}

static int
type_into_terminal(void)
{
	return reached("TIOCSTI", ioctl(0, TIOCSTI, "x"));
}

static int
type_with_high_bits(void)
{
	return reached("TIOCSTI with high bits", syscall(SYS_ioctl, 0L, 0x100000000L | TIOCSTI, "x"));
}

/* Listen to a filter of one's own, and say of each refused call that it may go on. */
static int
own_listener(void)
{
	struct { unsigned short code; unsigned char jt, jf; unsigned k; } allow = { 6, 0, 0, 0x7fff0000 };
	struct { unsigned short len; void *filter; } prog = { 1, &allow };

	syscall(SYS_prctl, 38 /* PR_SET_NO_NEW_PRIVS */, 1, 0, 0, 0);
	return done("seccomp(2) with a listener", syscall(SYS_seccomp, 1, 8 /* NEW_LISTENER */, &prog));
}

#ifdef __x86_64__
static int
x32_call(void)
{
	long rc = syscall(0x40000000 | SYS_getppid);

	say("an x32 call returned %ld", rc);
	return 0;
}

static int
old_call(void)
{
	long rc;

	/* getppid of i386 */
	__asm__ volatile("int $0x80" : "=a"(rc) : "a"(64L) : "memory", "r8", "r9", "r10", "r11");
	say("int 0x80 returned %ld", rc);
	return 0;
}
#endif

/* ---- devices, /proc and /sys ---- */

static int
memory_device(void)
{
	return can_open("/dev/mem", O_RDONLY);
}

static int
log_device(void)
{
	return can_open("/dev/kmsg", O_RDWR);
}

static int
other_devices(void)
{
	static const char *const paths[] = { "/dev/fuse", "/dev/net/tun", "/dev/kvm", "/dev/vsock", "/dev/loop-control", "/dev/userfaultfd", "/dev/snapshot",
					     "/dev/hwrng", "/dev/port", "/dev/console", "/dev/tty1", NULL };
	int rc = -ENOENT;

	for (const char *const *p = paths; rc != 0 && *p; p++)
		rc = can_open(*p, O_RDWR | O_NOCTTY);
	return rc;
}

/* The disks: what /dev has, and what one can make. */
static int
disks(void)
{
	struct stat st;
	DIR *d = opendir("/dev");
	struct dirent *e;
	int rc = -ENOENT;

	while (d && rc != 0 && (e = readdir(d))) {
		char path[300];

		snprintf(path, sizeof(path), "/dev/%s", e->d_name);
		if (stat(path, &st) == 0 && S_ISBLK(st.st_mode))
			rc = can_open(path, O_RDONLY);
	}
	if (d)
		closedir(d);
	return rc;
}

static int
make_device(void)
{
	char path[64];
	int rc;

	snprintf(path, sizeof(path), "dev-%d", getpid());
	rc = done("mknod(2) of /dev/mem's kind", mknod(path, S_IFCHR | 0600, makedev(1, 1)));
	unlink(path);
	return rc;
}

static int
any_open(const char *const *paths, int flags)
{
	int rc = -ENOENT;

	for (; rc != 0 && *paths; paths++)
		rc = can_open(*paths, flags);
	return rc;
}

/* Opened only: nothing is written where it works. */
static int
kernel_variables(void)
{
	static const char *const paths[] = { "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/drop_caches", "/proc/sys/kernel/hostname",
					     "/proc/sys/net/ipv4/ip_forward", "/proc/sys/fs/file-max", "/proc/sys/kernel/pid_max", NULL };

	return any_open(paths, O_WRONLY);
}

static int
system_request(void)
{
	static const char *const paths[] = { "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity", NULL };

	return any_open(paths, O_WRONLY);
}

static int
kernel_memory(void)
{
	static const char *const paths[] = { "/proc/kcore", "/proc/kpagecount", "/proc/kpageflags", NULL };

	return any_open(paths, O_RDONLY);
}

static int
kernel_objects(void)
{
	static const char *const paths[] = { "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/power/state", "/sys/kernel/uevent_helper",
					     "/sys/module/kernel/parameters/panic", "/sys/kernel/profiling", NULL };

	return any_open(paths, O_WRONLY);
}

static int
kernel_trace(void)
{
	static const char *const paths[] = { "/sys/kernel/tracing/trace", "/sys/kernel/debug/sched/features", "/sys/kernel/debug/gpio",
					     "/sys/kernel/slab/kmalloc-64/alloc_calls", NULL };

	return any_open(paths, O_RDONLY);
}

const struct attack kernel_attacks[] = {
	{ "mount", mount_tmpfs },
	{ "mount-bind", mount_bind },
	{ "remount-writable", mount_writable },
	{ "umount", unmount },
	{ "fsopen", mount_by_new_calls },
	{ "open-tree", clone_tree },
	{ "mount-setattr", change_mount },
	{ "pivot-root", pivot },
	{ "chroot", change_root },
	{ "setns", enter_namespace },
	{ "unshare", unshare_any },
	{ "clone-namespace", clone_any },
	{ "clone3-namespace", clone3_user },
	{ "packet-socket", packet_socket },
	{ "packet-socket-high-bits", high_bits },
	{ "raw-socket", raw_socket },
	{ "vsock", vsock },
	{ "alg-socket", alg_socket },
	{ "key-socket", key_socket },
	{ "change-network", change_network },
	{ "list-by-http", list_by_http },
	{ "events-by-http", events_by_http },
	{ "write-by-http", write_by_http },
	{ "start-by-http", start_by_http },
	{ "start-shell-by-http", shell_by_http },
	{ "io-uring", io_uring },
	{ "keyctl", keys },
	{ "add-key", add_a_key },
	{ "bpf", bpf },
	{ "perf", perf },
	{ "userfaultfd", fault },
	{ "init-module", module },
	{ "finit-module", module_by_file },
	{ "kexec", kexec },
	{ "reboot", restart },
	{ "swap", swap },
	{ "acct", accounting },
	{ "quotactl", quota },
	{ "settimeofday", set_time },
	{ "clock-settime", set_clock },
	{ "syslog", kernel_log },
	{ "vhangup", hang_up },
	{ "fanotify", watch_all },
	{ "memfd-secret", secret_memory },
#ifdef SYS_ioperm
	{ "ioperm", ports },
#endif
	{ "personality", domain },
	{ "realtime", realtime },
	{ "sethostname", host_name },
	{ "tiocsti", type_into_terminal },
	{ "tiocsti-high-bits", type_with_high_bits },
	{ "own-listener", own_listener },
#ifdef __x86_64__
	{ "x32-call", x32_call },
	{ "int80-call", old_call },
#endif
	{ "dev-mem", memory_device },
	{ "dev-kmsg", log_device },
	{ "other-devices", other_devices },
	{ "block-devices", disks },
	{ "mknod", make_device },
	{ "proc-sys", kernel_variables },
	{ "sysrq", system_request },
	{ "kcore", kernel_memory },
	{ "sys", kernel_objects },
	{ "tracing", kernel_trace },
	{ NULL, NULL },
};
