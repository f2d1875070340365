/* SPDX-License-Identifier: MIT */
/*
 * clone3(2) with CLONE_VFORK and CLONE_VM is vfork(2) that also takes a control group. libc has no function for it, and its child must not return
 * into a frame that the parent goes on with; so it gets a stack of its own, by a few instructions. Where that cannot be, it is vfork(2), and the
 * child writes itself into the group.
 *
 * A child's table of descriptors is made for the highest number that its parent has, and stays so large when it runs another program: with a
 * thousand sessions 64 KiB for each shim. So the child shares the parent's at first, and leaves it with a copy of the low numbers only.
 */
#include "config.h"

#include "aod/birth.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/util.h"

#define EXIT_BIRTH 112 /* nobody runs it: the shim is gone without a word */

/* Numbers of ours that a child is given its descriptors at; the last one is always /dev/null, the others between two births. */
enum { LOW_PROGRAM = BIRTH_FDS, LOW_NULL, LOW_COUNT };
static struct {
	int fds[LOW_COUNT];
	unsigned end; /* the first number behind them; 0: there are none */
} low;

/* Between birth and exec: only system calls, no memory is written but locals. shared: the table of descriptors is still the parent's. */
static void
child(const struct birth *b, bool shared, bool join)
{
	static char *const envp[] = { NULL };
	int fds[BIRTH_FDS], program;
	sigset_t none;

	if (shared && syscall(SYS_close_range, low.end, ~0u, CLOSE_RANGE_UNSHARE) < 0)
		_exit(EXIT_BIRTH);
	program = fcntl(b->program, F_DUPFD_CLOEXEC, BIRTH_FDS);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (join) {
		int procs = openat(b->cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);

		if (procs < 0 || write(procs, "0", 1) < 0)
			_exit(EXIT_BIRTH);
	}
	/* aod needs many; programs that use select(2) must not get numbers beyond its reach. */
	setrlimit(RLIMIT_NOFILE, &b->nofile);
	/* First out of the way of the numbers that they are to have. */
	for (int i = 0; i < BIRTH_FDS; i++) {
		fds[i] = b->fds[i] < 0 ? -1 : fcntl(b->fds[i], F_DUPFD_CLOEXEC, BIRTH_FDS);
		if (b->fds[i] >= 0 && fds[i] < 0)
			_exit(EXIT_BIRTH);
	}
	for (int i = 0; i < BIRTH_FDS; i++)
		if (fds[i] >= 0 && dup2(fds[i], i) < 0)
			_exit(EXIT_BIRTH);
	syscall(SYS_execveat, program, "", b->argv, envp, AT_EMPTY_PATH);
	_exit(EXIT_BIRTH);
}

#if defined(__x86_64__) || defined(__aarch64__)
#define HAVE_OWN_STACK

static void
child_on_own_stack(void *arg)
{
	child(arg, low.end > 0, false);
}

/* As the system call: the pid, or -errno. The child runs f(arg) on the stack that args names. */
static long
clone3_call(struct clone_args *args, void (*f)(void *), void *arg)
{
#ifdef __x86_64__
	register void (*fn)(void *) __asm__("r8") = f;
	register void *fn_arg __asm__("r9") = arg;
	long ret;

	__asm__ volatile("syscall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xorl %%ebp, %%ebp\n\t"
			 "movq %%r9, %%rdi\n\t"
			 "callq *%%r8\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(ret)
			 : "0"((long)SYS_clone3), "D"(args), "S"(sizeof(*args)), "r"(fn), "r"(fn_arg)
			 : "rcx", "r11", "memory", "cc");
	return ret;
#else
	register long ret __asm__("x0") = (long)args;
	register long size __asm__("x1") = sizeof(*args);
	register long number __asm__("x8") = SYS_clone3;
	register void (*fn)(void *) __asm__("x9") = f;
	register void *fn_arg __asm__("x10") = arg;

	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, xzr\n\t"
			 "mov x0, x10\n\t"
			 "blr x9\n\t"
			 "brk #0\n"
			 "1:"
			 : "+r"(ret)
			 : "r"(size), "r"(number), "r"(fn), "r"(fn_arg)
			 : "memory", "cc");
	return ret;
#endif
}

/* A child that becomes another program leaves the marks of its frames behind, and the next one has the same stack. */
#ifdef __SANITIZE_ADDRESS__
void __asan_unpoison_memory_region(void const volatile *p, size_t n);
#define STACK_IS_FRESH(p, n) __asan_unpoison_memory_region(p, n)
#else
#define STACK_IS_FRESH(p, n) (void)(p)
#endif

static void
put_low(int at, int *fd)
{
	if (*fd >= 0 && dup3(*fd, low.fds[at], O_CLOEXEC) >= 0)
		*fd = low.fds[at];
}

static pid_t
birth_in_group(const struct birth *given)
{
	/* The parent waits meanwhile: one is enough. */
	static char stack[65536] __attribute__((aligned(16)));
	struct birth b = *given;
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | (low.end ? CLONE_FILES : 0) | (b.cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
		.exit_signal = SIGCHLD,
		.stack = (uint64_t)(uintptr_t)stack,
		.stack_size = sizeof(stack),
		.cgroup = b.cgroup >= 0 ? (uint64_t)b.cgroup : 0,
	};
	pid_t pid;

	for (int i = 0; low.end && i < BIRTH_FDS; i++)
		put_low(i, &b.fds[i]);
	if (low.end)
		put_low(LOW_PROGRAM, &b.program);
	STACK_IS_FRESH(stack, sizeof(stack));
	pid = (pid_t)clone3_call(&args, child_on_own_stack, &b);
	/* Nothing is kept open by us that the child closes. */
	for (int i = 0; low.end && i < LOW_NULL; i++)
		dup3(low.fds[LOW_NULL], low.fds[i], O_CLOEXEC);
	return pid;
}
#endif

void
birth_reserve(void)
{
	/* What is not open is closed, so that this only tells whether the kernel can. */
	if (low.end || syscall(SYS_close_range, ~0u, ~0u, CLOSE_RANGE_UNSHARE) < 0)
		return;
	for (int i = 0; i < LOW_COUNT; i++) {
		int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

		if (fd < 0)
			return;
		low.fds[i] = fd;
		if (i == LOW_NULL)
			low.end = (unsigned)fd + 1;
	}
}

pid_t
birth(const struct birth *b)
{
	pid_t pid = -ENOSYS;

#ifdef HAVE_OWN_STACK
	pid = birth_in_group(b);
#endif
	/* An old kernel, or a filter around aod that does not let it be. */
	if (pid == -ENOSYS || pid == -EPERM || pid == -E2BIG || pid == -EINVAL) {
		pid = vfork();
		if (pid == 0)
			child(b, false, b->cgroup >= 0);
		if (pid < 0)
			pid = -errno;
	}
	return pid;
}
