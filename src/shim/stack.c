/* SPDX-License-Identifier: MIT */
/*
 * The stack of the waiting life. The kernel puts a process's stack far from its program, so that it takes three tables of pages of its own (12 KiB)
 * beside what the start has left on it. One within the program's data takes none. It is switched to once, when everything is started,
 * and the old one goes with all that was on it: arguments, environment, auxiliary vector.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/shim.h"

#define ROOM 131072
#define PLACES 16 /* pages, and then steps of 16 bytes in one, that it begins at by chance */
#define STEPS 64
#define OLD_MAX (1 << 20) /* what the old one can be at most; there is nothing else in so much below it */

static char room[ROOM] COLD;
static void (*go_on)(void);

/* ps(1) looks for the arguments where the kernel has put them, which is to be elsewhere. No right is needed, but CONFIG_CHECKPOINT_RESTORE. */
static void
keep_name(void)
{
	extern char __executable_start[], etext[], edata[], end[];
	static const char text[] = "aod-shim";
	static char name[sizeof(text)]; /* it looks at anonymous memory only */
	struct prctl_mm_map m = {
		.start_code = (uintptr_t)__executable_start,
		.end_code = (uintptr_t)etext,
		.start_data = (uintptr_t)etext,
		.end_data = (uintptr_t)edata,
		.start_brk = (uintptr_t)end,
		.brk = (uintptr_t)end,
		.start_stack = (uintptr_t)room,
		.arg_start = (uintptr_t)name,
		.arg_end = (uintptr_t)name + sizeof(name),
		.env_start = (uintptr_t)name + sizeof(name),
		.env_end = (uintptr_t)name + sizeof(name),
		.exe_fd = (uint32_t)-1,
	};

	memcpy(name, text, sizeof(name));
	syscall(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, &m, sizeof(m), 0);
}

/* The name of the program is the last thing on the old stack but for a word of zeros. */
static _Noreturn void
arrive(void)
{
	const char *last = (const char *)getauxval(AT_EXECFN);
	uintptr_t top;

	if (last) {
		top = ((uintptr_t)last + strlen(last) + 1 + sizeof(void *) + PAGE - 1) / PAGE * PAGE;
		keep_name();
		munmap((void *)(top - OLD_MAX), OLD_MAX);
	}
	go_on();
	_exit(SHIM_FAILED);
}

void
stack_leave(void (*f)(void))
{
	uint16_t chance = 0;
	char *top = room + ROOM;

	/* A fixed address is as good as known. Without chance it is fixed. */
	if (syscall(SYS_getrandom, &chance, sizeof(chance), 1 /* GRND_NONBLOCK */) == (long)sizeof(chance))
		top -= (size_t)(chance % PLACES) * PAGE + (size_t)(chance / PLACES % STEPS) * 16;
	go_on = f;
#if defined(__x86_64__)
	__asm__ volatile("movq %0, %%rsp\n\t"
			 "xorl %%ebp, %%ebp\n\t"
			 "callq *%1\n\t"
			 "hlt"
			 :
			 : "r"(top), "r"(arrive)
			 : "memory");
	__builtin_unreachable();
#elif defined(__aarch64__)
	__asm__ volatile("mov sp, %0\n\t"
			 "mov x29, xzr\n\t"
			 "mov x30, xzr\n\t"
			 "blr %1\n\t"
			 "brk #0"
			 :
			 : "r"(top), "r"(arrive)
			 : "memory");
	__builtin_unreachable();
#else
	/* On the old one, which stays. */
	(void)top;
	f();
	_exit(SHIM_FAILED);
#endif
}
