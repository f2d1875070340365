/* SPDX-License-Identifier: MIT */
/*
 * What a filter program says of a call, without a kernel: the instructions that libseccomp and seccomp.c write, over struct
 * seccomp_data. For tests, which ask for every call there is.
 */
#include "config.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aod/seccomp-internal.h"
#include "base/util.h"

bool
seccomp_jumps(const struct sock_filter *i, uint32_t a)
{
	switch (BPF_OP(i->code)) {
	case BPF_JEQ:
		return a == i->k;
	case BPF_JGT:
		return a > i->k;
	case BPF_JGE:
		return a >= i->k;
	default: /* BPF_JSET */
		return (a & i->k) != 0;
	}
}

static uint32_t
run(const struct sock_filter *prog, size_t n, const struct seccomp_data *d)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *i = &prog[pc];

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (i->k % 4 || i->k > sizeof(*d) - 4)
				return SECCOMP_RET_KILL_PROCESS;
			memcpy(&a, (const char *)d + i->k, 4);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			break;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
		case BPF_JMP | BPF_JGT | BPF_K:
		case BPF_JMP | BPF_JGE | BPF_K:
		case BPF_JMP | BPF_JSET | BPF_K:
			pc += seccomp_jumps(i, a) ? i->jt : i->jf;
			break;
		case BPF_RET | BPF_K:
			return i->k;
		default:
			return SECCOMP_RET_KILL_PROCESS;
		}
	}
	return SECCOMP_RET_KILL_PROCESS;
}

uint32_t
seccomp_simulate(int fd, uint32_t arch, uint32_t nr, const uint64_t args[6])
{
	static struct sock_filter prog[BPF_MAXINSNS];
	struct seccomp_data d = { .nr = (int)nr, .arch = arch };
	ssize_t n = pread(fd, prog, sizeof(prog), 0);

	for (int i = 0; args && i < 6; i++)
		d.args[i] = args[i];
	return n < 0 ? SECCOMP_RET_KILL_PROCESS : run(prog, (size_t)n / sizeof(*prog), &d);
}
