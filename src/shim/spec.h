/* SPDX-License-Identifier: MIT */
/*
 * What aod tells a shim at birth. The shim is started as `aod-shim` with
 *	fd 0, 1  /dev/null
 *	fd 2     aod's log
 *	fd 3     a sealed memfd: "key=value\0" pairs, below
 *	fd 4     a sealed memfd with a seccomp program (an array of struct sock_filter), when seccomp=1
 * and no other descriptor. Keys come in any order; argv, env, bind repeat. Unknown keys are ignored: an old
 * shim may be started by a newer aod only within one installation, but costs nothing to be tolerant.
 *
 *	spool=PATH       file of frames to append to (made by the shim, 0640); flock(2)ed LOCK_EX as long as the shim lives
 *	input=PATH       file of input frames, read from its start, and again whenever a byte comes in on bell
 *	bell=PATH        FIFO, made by aod: the shim reads wake-ups from it (opens it O_RDWR, so that it never ends)
 *	up=PATH          FIFO of aod: the shim writes one record, `key`, when there is something new in the spool. No reader
 *	                 (EPIPE, ENXIO) is fine: aod reads the spool when it comes back. A full FIFO is tried again.
 *	key=TEXT         what to write there: exactly UP_RECORD bytes are written: the text, padded with NUL
 *	argv=WORD        program and arguments; argv[0] has a slash
 *	env=NAME=VALUE   the whole environment
 *	cwd=PATH         working directory
 *	umask=OCTAL      default 0022
 *	uid= gid=        become this user before exec (no supplementary groups), when given
 *	private_tmp=DIR  a mount namespace of its own with DIR on /tmp and /var/tmp (bind mounts); made in a new user namespace
 *	                 when not root. Failing is an error: exec_step=private-tmp
 *	bind=PATH        keep this path visible where it was, although it lies below /tmp or /var/tmp
 *	seccomp=1        no_new_privs and the program from fd 4, last thing before exec
 *	stop_ms=N        what FRAME_STOP does when the agent's main process has ended and others are left: SIGTERM, then
 *	                 SIGKILL after this time; default 200
 *
 * Order of the child, each a value of exec_step when it fails: fork, setsid, private-tmp, cwd, user, seccomp, exec. The
 * child gets: a session of its own, PR_SET_PDEATHSIG SIGKILL, default signal dispositions and an empty mask, stdin, stdout
 * and stderr on pipes, nothing else open.
 */
#ifndef AOD_SHIM_SPEC_H
#define AOD_SHIM_SPEC_H

#define SHIM_SPEC_FD 3
#define SHIM_SECCOMP_FD 4
#define SHIM_SPEC_MAX (8u << 20) /* bytes */
#define UP_RECORD 16		 /* bytes of one record in the up FIFO, far below PIPE_BUF: atomic */

#endif
