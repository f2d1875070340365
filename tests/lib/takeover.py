# SPDX-License-Identifier: MIT
"""Code run in another process, as whoever found a hole in it would: by ptrace(2), system calls of the test's choice are made with the process's own
rights, filters and files. x86-64 only."""
import ctypes
import errno
import os
import signal
import struct
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

PTRACE_CONT, PTRACE_SINGLESTEP, PTRACE_GETREGS, PTRACE_SETREGS = 7, 9, 12, 13
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207

NAMES = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs").split()

# asm/unistd_64.h
NR = {"read": 0, "write": 1, "open": 2, "mmap": 9, "mprotect": 10, "socket": 41, "connect": 42, "sendto": 44, "sendmsg": 46, "recvmsg": 47, "bind": 49, "clone": 56, "fork": 57, "vfork": 58,
      "execve": 59, "kill": 62, "fcntl": 72, "rename": 82, "mkdir": 83, "unlink": 87, "symlink": 88, "chmod": 90, "ptrace": 101, "setuid": 105,
      "prctl": 157, "setrlimit": 160, "mount": 165, "tkill": 200, "io_setup": 206, "tgkill": 234, "openat": 257, "unshare": 272, "memfd_create": 319, "bpf": 321,
      "execveat": 322, "userfaultfd": 323, "process_vm_readv": 310, "pidfd_open": 434, "pidfd_send_signal": 424, "io_uring_setup": 425, "clone3": 435,
      "accept4": 288, "socketpair": 53, "listen": 50, "flock": 73, "setns": 308, "keyctl": 250, "capset": 126, "geteuid": 107, "close": 3}


class Regs(ctypes.Structure):
    _fields_ = [(n, ctypes.c_ulonglong) for n in NAMES]


def _ptrace(what, pid, addr=0, data=0):
    if libc.ptrace(what, pid, addr, data) < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))


class Takeover:
    """with Takeover(pid) as t: t.call("openat", -100, "/etc/shadow", 0) gives what the call gave, negative errors as -errno."""

    def __init__(self, pid):
        self.pid = pid

    def _wait_stop(self):
        while True:
            _, status = os.waitpid(self.pid, 0x40000000)  # __WALL
            if not os.WIFSTOPPED(status):
                raise ProcessLookupError("it ended: status %d" % status)
            return status

    def __enter__(self):
        _ptrace(PTRACE_SEIZE, self.pid)
        self.mem = os.open("/proc/%d/mem" % self.pid, os.O_RDWR)
        self.saved = Regs()
        deadline = time.monotonic() + 60
        while not self._stop_in_syscall():  # it is at work at that moment, and has to come to its end with it
            if time.monotonic() > deadline:
                raise TimeoutError("process %d never waits in a system call" % self.pid)
            _ptrace(PTRACE_CONT, self.pid)
            time.sleep(0.002)
        self.free = (self.saved.rsp - 65536) & ~0xfff  # far below what it uses
        return self

    def _stop_in_syscall(self):
        """Whether it was stopped where it waits in a system call: the instruction that made it is right before."""
        _ptrace(PTRACE_INTERRUPT, self.pid)
        self._wait_stop()
        _ptrace(PTRACE_GETREGS, self.pid, 0, ctypes.addressof(self.saved))
        return os.pread(self.mem, 2, self.saved.rip - 2) == b"\x0f\x05"

    def put(self, data):
        """Bytes in its memory; their address."""
        self.free = (self.free - len(data)) & ~0xf
        os.pwrite(self.mem, data, self.free)
        return self.free

    def get(self, address, n):
        return os.pread(self.mem, n, address)

    def call(self, name, *args):
        """Strings and bytes are put into its memory, lists of them as a vector that ends with NULL."""
        def value(a):
            if isinstance(a, str):
                a = a.encode() + b"\0"
            if isinstance(a, bytes):
                return self.put(a)
            if isinstance(a, list):
                return self.put(struct.pack("=%dQ" % (len(a) + 1), *[value(x) for x in a], 0))
            return a & (1 << 64) - 1

        mark = self.free
        values = [value(a) for a in args] + [0] * (6 - len(args))
        regs = Regs.from_buffer_copy(self.saved)
        regs.rip, regs.rax, regs.orig_rax = self.saved.rip - 2, NR[name], (1 << 64) - 1
        regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9 = values
        _ptrace(PTRACE_SETREGS, self.pid, 0, ctypes.addressof(regs))
        while True:
            _ptrace(PTRACE_SINGLESTEP, self.pid)
            status = self._wait_stop()
            if os.WSTOPSIG(status) == signal.SIGTRAP:
                break
        _ptrace(PTRACE_GETREGS, self.pid, 0, ctypes.addressof(regs))
        self.free = mark
        return ctypes.c_long(regs.rax).value

    def _message(self, data, control):
        """A struct msghdr, the addresses of its bytes and of its control bytes."""
        at, beside = self.put(data), self.put(control)
        iov = self.put(struct.pack("=QQ", at, len(data)))
        return self.put(struct.pack("=QQQQQQQ", 0, 0, iov, 1, beside, len(control), 0)), beside

    def send_fd(self, sock, data, fd):
        """SCM_RIGHTS: what sendmsg(2) gave."""
        mark = self.free
        msg, _ = self._message(data, struct.pack("=Qiiii", 20, 1, 1, fd, 0))
        rc = self.call("sendmsg", sock, msg, 0)
        self.free = mark
        return rc

    def receive_fd(self, sock):
        """The number of the descriptor that came with a message."""
        mark = self.free
        msg, control = self._message(b" ", b"\0" * 24)
        rc = self.call("recvmsg", sock, msg, 0)
        assert rc == 1, rc
        size, level, kind, fd = struct.unpack("=Qiii", self.get(control, 20))
        assert (size, level, kind) == (20, 1, 1)
        self.free = mark
        return fd

    def __exit__(self, *exc):
        try:
            _ptrace(PTRACE_SETREGS, self.pid, 0, ctypes.addressof(self.saved))
            _ptrace(PTRACE_DETACH, self.pid)
        except OSError as e:
            if e.errno != errno.ESRCH:
                raise
        os.close(self.mem)
