/* SPDX-License-Identifier: MIT */
/* aod-shim: what it confines. Each key of its spec, seen in effect by an agent that runs. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/util.h"
#include "shim-rig.h"
#include "shim/spec.h"

#define NS_MOUNT 0x00020000
#define NS_UTS 0x04000000
#define NS_IPC 0x08000000
#define NS_USER 0x10000000
#define NS_PID 0x20000000
#define NS_NET 0x40000000

/* ---- helpers ---- */

static void
mount_line(struct rig *r, const char *op, const char *src, unsigned flags, const char *dst, const char *opt)
{
	if (src)
		spec_add(r, "mount_src=%s", src);
	if (opt)
		spec_add(r, "mount_opt=%s", opt);
	spec_add(r, "mount=%s %x %s", op, flags, dst);
}

/* A path below the test's directory, in one of a few buffers. */
static const char *
below(struct rig *r, const char *name)
{
	static char paths[8][300];
	static int n;
	char *p = paths[n++ % 8];

	snprintf(p, sizeof(paths[0]), "%s/%s", r->dir, name);
	return p;
}

static void
make_dir(struct rig *r, const char *name, uid_t owner, mode_t mode)
{
	const char *p = below(r, name);

	assert_int_equal(mkdir(p, mode), 0);
	assert_int_equal(chmod(p, mode), 0);
	if (getuid() == 0)
		assert_int_equal(chown(p, owner, owner), 0);
}

static void
make_file(struct rig *r, const char *name, const char *text)
{
	assert_int_equal(file_write_atomic(below(r, name), text, strlen(text), 0644, false, NULL), 0);
}

static uid_t
owner_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_uid;
}

#define NEEDS_ROOT SKIP_UNLESS(getuid() == 0, "mount namespaces without a user namespace need root")

/* The test's directory is private to root; the agent of another user must get through. */
static void
open_sandbox(struct rig *r, unsigned ns)
{
	rig_open(r);
	assert_int_equal(chmod(r->dir, 0755), 0);
	spec_add(r, "ns=%x", ns);
}

/* ---- mounts ---- */

static void
test_read_only(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	open_sandbox(&r, NS_MOUNT);
	make_dir(&r, "ro", 0, 0755);
	make_dir(&r, "ro/rw", 0, 0755);
	mount_line(&r, "bind", below(&r, "ro"), SHIM_MF_RO | SHIM_MF_NOSUID, below(&r, "ro"), NULL);
	mount_line(&r, "bind", below(&r, "ro/rw"), SHIM_MF_RW, below(&r, "ro/rw"), NULL);
	mount_line(&r, "attr", NULL, SHIM_MF_RO | SHIM_MF_NOREC, "/", NULL);
	spec_add(&r, "cwd=%s", r.dir);
	rig_run_sh(&r, "touch ro/x; touch ro/rw/y && echo written; touch /nothing; touch z; grep -c ro/rw /proc/self/mountinfo");
	assert_out(&r, "written\n1\n");
	assert_says(r.err.data, "ro/x'");
	assert_says(r.err.data, "'/nothing': Read-only");
	assert_int_equal(access(below(&r, "ro/rw/y"), F_OK), 0);
	assert_int_equal(access(below(&r, "ro/x"), F_OK), -1);
	rig_close(&r);
}

static void
test_hidden(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	open_sandbox(&r, NS_MOUNT);
	make_dir(&r, "secret", 0, 0755);
	make_file(&r, "secret/key", "k");
	make_file(&r, "file", "f");
	mount_line(&r, "hide", NULL, 0, below(&r, "secret"), NULL);
	mount_line(&r, "hide", NULL, 0, below(&r, "file"), NULL);
	mount_line(&r, "hide", NULL, SHIM_MF_OPTIONAL, below(&r, "missing"), NULL);
	spec_add(&r, "cwd=%s", r.dir);
	spec_add(&r, "uid=%d", AGENT);
	spec_add(&r, "gid=%d", AGENT);
	rig_run_sh(&r, "stat -c %a secret file; ls secret; cat file; ls / | grep -c hidden; ls /.. | grep -c hidden");
	assert_out(&r, "0\n0\n0\n0\n");
	assert_says(r.err.data, "secret");
	assert_says(r.err.data, "file: Permission denied");
	rig_close(&r);
}

static void
test_tmpfs_and_places(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	open_sandbox(&r, NS_MOUNT);
	make_dir(&r, "home", 0, 0755);
	make_dir(&r, "home/me", 0, 0755);
	make_dir(&r, "home/me/project", 0, 0755);
	make_file(&r, "home/me/project/file", "content\n");
	make_file(&r, "home/me/secret", "secret\n");
	mount_line(&r, "tmpfs", NULL, SHIM_MF_RO | SHIM_MF_NODEV, below(&r, "home"), "size=1m,mode=0755");
	/* Its place is gone by now, and is made again. */
	mount_line(&r, "bind", below(&r, "home/me/project"), 0, below(&r, "home/me/project"), NULL);
	mount_line(&r, "bind", below(&r, "home/me/project/file"), SHIM_MF_RO, below(&r, "home/other/deep/file"), NULL);
	spec_add(&r, "cwd=%s/home", r.dir);
	rig_run_sh(&r, "find . | sort; cat other/deep/file; touch me/x; touch me/project/new && echo made");
	assert_out(&r, ".\n./me\n./me/project\n./me/project/file\n./other\n./other/deep\n./other/deep/file\ncontent\nmade\n");
	assert_says(r.err.data, "Read-only");
	assert_int_equal(access(below(&r, "home/me/project/new"), F_OK), 0);
	assert_int_equal(access(below(&r, "home/other"), F_OK), -1);
	rig_close(&r);
}

static void
test_place_is_not_made_elsewhere(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	open_sandbox(&r, NS_MOUNT);
	mount_line(&r, "bind", "/usr", 0, below(&r, "not/there"), NULL);
	rig_start_sh(&r, "echo never");
	rig_finish(&r);
	assert_out(&r, "");
	assert_int_equal(r.exec_errno, ENOENT);
	assert_int_equal(strncmp(r.exec_step, "mount /tmp/aod-test-shim-", 25), 0);
	assert_int_equal(access(below(&r, "not"), F_OK), -1);
	rig_close(&r);
}

static void
test_optional(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	open_sandbox(&r, NS_MOUNT);
	mount_line(&r, "bind", below(&r, "none"), SHIM_MF_OPTIONAL, "/mnt", NULL);
	mount_line(&r, "attr", NULL, SHIM_MF_OPTIONAL | SHIM_MF_RO, below(&r, "none"), NULL);
	rig_run_sh(&r, "echo ran");
	assert_out(&r, "ran\n");
	rig_close(&r);
}

static void
test_file(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	open_sandbox(&r, NS_MOUNT);
	make_file(&r, "passwd", "old\n");
	mount_line(&r, "file", NULL, SHIM_MF_RO, below(&r, "passwd"), "root:x:0:0::/:/bin/sh\nnew:x:1:1::/:/bin/sh\n");
	mount_line(&r, "file", NULL, SHIM_MF_RO, "/etc/hostname", "another\n");
	spec_add(&r, "cwd=%s", r.dir);
	rig_run_sh(&r, "cat passwd /etc/hostname; stat -c %a passwd; echo x > passwd");
	assert_out(&r, "root:x:0:0::/:/bin/sh\nnew:x:1:1::/:/bin/sh\nanother\n444\n");
	assert_says(r.err.data, "Read-only");
	rig_close(&r);
}

static void
test_own_proc(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	open_sandbox(&r, NS_MOUNT | NS_PID);
	mount_line(&r, "proc", NULL, 0, "/proc", "hidepid=2,subset=pid");
	spec_add(&r, "uid=%d", AGENT);
	spec_add(&r, "gid=%d", AGENT);
	rig_run_sh(&r, "echo pid $$; cd /proc; ls -d [0-9]* | wc -l; [ -e meminfo ] || echo no meminfo; cat 1/environ; ls 1/fd");
	/* The shell and ls; init is another's business. */
	assert_says(r.out.data, "pid 2\n");
	assert_says(r.out.data, "no meminfo\n");
	assert_null(strstr(r.out.data, "pid 1"));
	rig_close(&r);
}

#define LIST_SYS "ls /sys/class/net /sys/devices/virtual/net; ls -A /sys | wc -l; touch /sys/class/x"

/* Of the host's interfaces nothing is found in the /sys of a network namespace. */
static void
test_own_sys(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	open_sandbox(&r, NS_MOUNT | NS_NET);
	mount_line(&r, "sys", NULL, SHIM_MF_RO, "/sys", NULL);
	mount_line(&r, "bind", "/sys/fs/cgroup", SHIM_MF_OPTIONAL, "/sys/fs/cgroup", NULL);
	rig_run_sh(&r, LIST_SYS "; ls /sys/fs/cgroup | wc -l");
	assert_says(r.out.data, "/sys/class/net:\nlo\n\n/sys/devices/virtual/net:\nlo\n");
	assert_null(strstr(r.out.data, "\n0\n"));
	assert_says(r.err.data, "Read-only file system");
	rig_close(&r);
}

static void
test_dev(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	open_sandbox(&r, NS_MOUNT | NS_IPC);
	mount_line(&r, "dev", NULL, SHIM_MF_RO, "/dev", "size=2m");
	spec_add(&r, "uid=%d", AGENT);
	spec_add(&r, "gid=%d", AGENT);
	rig_run_sh(&r, "ls /dev; echo x > /dev/null; head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; echo y > /dev/full;"
		   "echo shm > /dev/shm/x && cat /dev/shm/x; echo out > /dev/stdout; touch /dev/x; stat -c %a /dev/null /dev/shm;"
		   "[ -c /dev/ptmx ] && echo pty; df --output=size /dev/shm | tail -1 | tr -d ' '");
	assert_out(&r, "fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n3\n3\nshm\nout\n666\n1777\npty\n2048\n");
	assert_says(r.err.data, "I/O error");
	assert_says(r.err.data, "'/dev/x': ");
	rig_close(&r);
}

static void
test_credentials(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	open_sandbox(&r, NS_MOUNT | NS_PID);
	mount_line(&r, "tmpfs", NULL, SHIM_MF_RO, "/mnt", "mode=0755");
	mount_line(&r, "credentials", NULL, 0, "/mnt/credentials", NULL);
	spec_add(&r, "cred=token=s3cret=x\ny");
	spec_add(&r, "cred=empty=");
	spec_add(&r, "uid=%d", AGENT);
	spec_add(&r, "gid=%d", AGENT);
	rig_run_sh(&r, "cd /mnt/credentials; stat -c '%a %u %n' . *; cat token; echo; echo x > token; touch new; rm -f token;"
		   "grep /mnt/cred /proc/mounts | cut -d' ' -f3,4 | cut -d, -f1-4; env");
	assert_says(r.out.data, "500 61200 .\n400 61200 empty\n400 61200 token\ns3cret=x\ny\n");
	assert_says(r.out.data, "ramfs ro,nosuid,nodev,noexec");
	assert_says(r.err.data, "'new': Read-only");
	/* Neither in the environment nor anywhere on disk. */
	assert_null(strstr(strstr(r.out.data, "ramfs"), "s3cret"));
	assert_int_equal(access("/mnt/credentials", F_OK), -1);
	rig_close(&r);
}

static void
test_bad_credential_name(void **state)
{
	static const char *const bad[] = {"cred=../x=1", "cred=a/b=1", "cred=..=1", "cred=none"};
	struct rig r;

	NEEDS_ROOT;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		open_sandbox(&r, NS_MOUNT);
		mount_line(&r, "tmpfs", NULL, 0, "/mnt", NULL);
		mount_line(&r, "credentials", NULL, 0, "/mnt/c", NULL);
		spec_add(&r, "%s", bad[i]);
		rig_start_sh(&r, "echo never");
		rig_finish(&r);
		assert_int_equal(r.exec_errno, EINVAL);
		assert_string_equal(r.exec_step, "mount /mnt/c");
		rig_close(&r);
	}
}

/* Whether the file system of the test's directory knows idmapped mounts is seen from what the shim says. */
static void
test_idmap(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	open_sandbox(&r, NS_MOUNT | NS_PID);
	make_dir(&r, "project", 1234, 0700);
	make_dir(&r, "own", 0, 0700);
	mount_line(&r, "bind", below(&r, "project"), SHIM_MF_IDMAP, below(&r, "project"), NULL);
	mount_line(&r, "bind", below(&r, "own"), SHIM_MF_IDMAP | SHIM_MF_OWN, below(&r, "own"), NULL);
	spec_add(&r, "cwd=%s/project", r.dir);
	spec_add(&r, "uid=%d", AGENT);
	spec_add(&r, "gid=%d", AGENT);
	rig_start_sh(&r, "stat -c '%u %g' .; touch made; stat -c %u made; cd ../own; touch made; stat -c %u . made; id -u");
	rig_finish(&r);
	if (r.exec_errno == EINVAL)
		rig_close(&r);
	SKIP_UNLESS(r.exec_errno != EINVAL, "this file system knows no idmapped mounts");
	assert_string_equal(r.exec_step, "");
	assert_out(&r, "61200 61200\n61200\n61200\n61200\n61200\n");
	/* On disk it is the owner's. */
	assert_int_equal(owner_of(below(&r, "project/made")), 1234);
	assert_int_equal(owner_of(below(&r, "project")), 1234);
	assert_int_equal(owner_of(below(&r, "own/made")), 0);
	rig_close(&r);
}

/* Places in a private /tmp of the agent's are made by the agent, as far as the disk can see. */
static void
test_idmap_private_tmp(void **state)
{
	char path[200];
	struct rig r;

	NEEDS_ROOT;
	open_sandbox(&r, NS_MOUNT);
	make_dir(&r, "tmp", 0, 01777);
	make_dir(&r, "project", 1234, 0700);
	make_file(&r, "project/file", "f\n");
	mount_line(&r, "bind", below(&r, "tmp"), SHIM_MF_IDMAP | SHIM_MF_OWN, "/tmp", NULL);
	mount_line(&r, "bind", below(&r, "project"), SHIM_MF_IDMAP, below(&r, "project"), NULL);
	spec_add(&r, "cwd=%s/project", r.dir);
	spec_add(&r, "uid=%d", AGENT);
	spec_add(&r, "gid=%d", AGENT);
	rig_run_sh(&r, "cat file; touch /tmp/t new; ls /tmp | wc -l");
	assert_out(&r, "f\n2\n");
	assert_int_equal(owner_of(below(&r, "tmp/t")), 0);
	snprintf(path, sizeof(path), "tmp/%s", strrchr(r.dir, '/') + 1);
	assert_int_equal(owner_of(below(&r, path)), 0);
	assert_int_equal(owner_of(below(&r, "project/new")), 1234);
	rig_close(&r);
}

/* A file system without idmapped mounts: an overlay of a private tmpfs is none; a ramfs is. */
static void
test_own_without_idmap(void **state)
{
	struct rig r;
	bool ok;

	NEEDS_ROOT;
	open_sandbox(&r, NS_MOUNT);
	make_dir(&r, "disk", 0, 0755);
	/* In a mount namespace of this test's own. */
	ok = unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	     mount("none", below(&r, "disk"), "ramfs", 0, NULL) == 0;
	if (!ok)
		rig_close(&r);
	SKIP_UNLESS(ok, "no mount namespaces");
	make_dir(&r, "disk/own", 0, 0755);
	make_dir(&r, "disk/own/sub", 7, 0700);
	make_file(&r, "disk/own/sub/file", "f\n");
	make_file(&r, "disk/host", "host\n");
	assert_int_equal(link(below(&r, "disk/host"), below(&r, "disk/own/link")), 0);
	assert_int_equal(symlink(below(&r, "disk/host"), below(&r, "disk/own/symlink")), 0);
	mount_line(&r, "bind", below(&r, "disk/own"), SHIM_MF_IDMAP | SHIM_MF_OWN, below(&r, "disk/own"), NULL);
	spec_add(&r, "cwd=%s/disk/own", r.dir);
	spec_add(&r, "uid=%d", AGENT);
	spec_add(&r, "gid=%d", AGENT);
	rig_run_sh(&r, "cat sub/file; touch sub/new && echo made");
	assert_out(&r, "f\nmade\n");
	assert_int_equal(owner_of(below(&r, "disk/own/sub")), AGENT);
	assert_int_equal(owner_of(below(&r, "disk/host")), 0);
	rig_close(&r);
}

/* What an agent left in its directory leads nowhere, neither as a source nor as a place. */
static void
test_links(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	for (int i = 0; i < 3; i++) {
		open_sandbox(&r, NS_MOUNT);
		make_dir(&r, "own", i == 2 ? 0 : AGENT, i == 2 ? 0777 : 0755);
		make_dir(&r, "secret", 0, 0755);
		assert_int_equal(symlink(below(&r, "secret"), below(&r, "own/tmp")), 0);
		if (i == 0)
			mount_line(&r, "bind", below(&r, "own/tmp"), SHIM_MF_IDMAP, "/mnt", NULL);
		else
			mount_line(&r, "bind", "/usr", 0, below(&r, "own/tmp"), NULL);
		spec_add(&r, "uid=%d", AGENT);
		spec_add(&r, "gid=%d", AGENT);
		rig_start_sh(&r, "echo never");
		rig_finish(&r);
		assert_out(&r, "");
		assert_int_equal(r.exec_errno, ELOOP);
		rig_close(&r);
	}
}

/* Not even one that is root's on disk: by an idmapped mount, that is what the agent makes there. */
static void
test_link_below_what_is_the_agents(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	open_sandbox(&r, NS_MOUNT);
	make_dir(&r, "own", 0, 0700);
	assert_int_equal(symlink("/etc", below(&r, "own/tool")), 0);
	mount_line(&r, "bind", below(&r, "own"), SHIM_MF_IDMAP | SHIM_MF_OWN, below(&r, "own"), NULL);
	mount_line(&r, "bind", below(&r, "own/tool"), SHIM_MF_RO, "/mnt", NULL);
	spec_add(&r, "uid=%d", AGENT);
	spec_add(&r, "gid=%d", AGENT);
	rig_start_sh(&r, "echo never");
	rig_finish(&r);
	assert_out(&r, "");
	assert_int_equal(r.exec_errno, ELOOP);
	assert_string_equal(r.exec_step, "mount /mnt");
	rig_close(&r);
}

/* Links of the system do lead on: here one like /var/run. */
static void
test_system_link(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	open_sandbox(&r, NS_MOUNT);
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	/* Not below /tmp, where everybody may write. */
	assert_int_equal(mount("none", "/mnt", "tmpfs", 0, "mode=0755"), 0);
	assert_int_equal(mkdir("/mnt/run", 0755), 0);
	assert_int_equal(mkdir("/mnt/run/deep", 0755), 0);
	assert_int_equal(mkdir("/mnt/var", 0755), 0);
	assert_int_equal(symlink("../run", "/mnt/var/run"), 0);
	assert_int_equal(symlink("/mnt/var/run", "/mnt/var/again"), 0);
	mount_line(&r, "bind", "/usr", 0, "/mnt/var/run/deep", NULL);
	mount_line(&r, "bind", "/mnt/var/again", 0, "/mnt/var/again", NULL);
	rig_run_sh(&r, "[ -d /mnt/run/bin ] || ls /mnt/run; grep -c ' /mnt/run' /proc/self/mountinfo");
	assert_int_equal(umount("/mnt"), 0);
	assert_says(r.out.data, "\n2\n");
	rig_close(&r);
}

/* Where a part of /sys is covered, a user who is not root can have no new one, and sees none. */
static void
test_own_sys_of_user(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	for (int covered = 0; covered < 2; covered++) {
		open_sandbox(&r, NS_MOUNT | NS_NET | NS_USER);
		rig_user(&r, 1000);
		spec_add(&r, "uid_map=1000 1000 1");
		spec_add(&r, "gid_map=1000 1000 1");
		mount_line(&r, "sys", NULL, 0, "/sys", NULL);
		if (covered)
			assert_int_equal(mount("none", "/sys/kernel", "tmpfs", 0, NULL), 0);
		rig_start_sh(&r, LIST_SYS);
		rig_finish(&r);
		if (covered)
			assert_int_equal(umount("/sys/kernel"), 0);
		if (r.exec_errno == EPERM && strcmp(r.exec_step, "namespace") == 0) {
			rig_close(&r);
			SKIP_UNLESS(false, "no user namespaces for ordinary users here");
		}
		if (r.exec_errno)
			fail_msg("%s: %s", r.exec_step, strerror(r.exec_errno));
		/* The test itself may run where parts are covered. */
		if (covered || strcmp(r.out.data, "0\n") == 0)
			assert_out(&r, "0\n");
		else
			assert_says(r.out.data, "/sys/class/net:\nlo\n\n/sys/devices/virtual/net:\nlo\n");
		rig_close(&r);
	}
}

static void
test_bad_mount_lines(void **state)
{
	static const char *const bad[] = {"mount=bind", "mount=bind 0", "mount=bind 0 relative", "mount=nonsense 0 /mnt", "mount=bind x /mnt",
					  "mount=bind 0 /mnt"};
	struct rig r;

	NEEDS_ROOT;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		open_sandbox(&r, NS_MOUNT);
		spec_add(&r, "%s", bad[i]);
		rig_start_sh(&r, "echo never");
		rig_finish(&r);
		assert_int_equal(r.exec_errno, EINVAL);
		assert_int_equal(strncmp(r.exec_step, "mount", 5), 0);
		rig_close(&r);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_read_only, clean_up),
		cmocka_unit_test_teardown(test_hidden, clean_up),
		cmocka_unit_test_teardown(test_tmpfs_and_places, clean_up),
		cmocka_unit_test_teardown(test_place_is_not_made_elsewhere, clean_up),
		cmocka_unit_test_teardown(test_optional, clean_up),
		cmocka_unit_test_teardown(test_file, clean_up),
		cmocka_unit_test_teardown(test_own_proc, clean_up),
		cmocka_unit_test_teardown(test_own_sys, clean_up),
		cmocka_unit_test_teardown(test_dev, clean_up),
		cmocka_unit_test_teardown(test_credentials, clean_up),
		cmocka_unit_test_teardown(test_bad_credential_name, clean_up),
		cmocka_unit_test_teardown(test_idmap, clean_up),
		cmocka_unit_test_teardown(test_idmap_private_tmp, clean_up),
		cmocka_unit_test_teardown(test_links, clean_up),
		cmocka_unit_test_teardown(test_link_below_what_is_the_agents, clean_up),
		cmocka_unit_test_teardown(test_bad_mount_lines, clean_up),
		/* Last, because they give this process a mount namespace of its own. */
		cmocka_unit_test_teardown(test_own_without_idmap, clean_up),
		cmocka_unit_test_teardown(test_system_link, clean_up),
		cmocka_unit_test_teardown(test_own_sys_of_user, clean_up),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (!rig_program())
		return 1;
	return cmocka_run_group_tests_name("shim-sandbox", tests, NULL, NULL);
}
