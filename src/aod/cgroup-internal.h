/* SPDX-License-Identifier: MIT */
/*
 * Inside of cgroup.c, cgroup-find.c (where the subtree is), cgroup-table.c (which file holds what, in either version) and
 * cgroup-oom.c. The pure parts are here for the tests.
 */
#ifndef AOD_AOD_CGROUP_INTERNAL_H
#define AOD_AOD_CGROUP_INTERNAL_H

#include <limits.h>

#include "aod/cgroup.h"

#define BIT(k) (1u << (k))
/* What each session gets a group for; the other controllers only where a limit asks for it. */
#define CG_ALWAYS (BIT(CG_MEMORY) | BIT(CG_PIDS) | BIT(CG_IO) | BIT(CG_CPUACCT) | BIT(CG_FREEZER) | BIT(CG_KILL) | BIT(CG_PSI))
#define CG_HIERARCHIES_MAX 12
#define CG_FILE_MAX 16384  /* bytes of a figures file that are looked at */
#define CG_REL_MAX 512	   /* agents/… path of a group */
#define CG_DEPTH_MAX 16	   /* groups below groups that are walked */
#define CG_TEXT_MAX 64

/* A mounted hierarchy. Of v1 with its controllers, of v2 with those that this aod can use. */
struct hierarchy {
	bool v2;
	unsigned controllers;	/* bits of enum cgroup_controller that are taken from here */
	char *mount;		/* mount point */
	char *own;		/* directory of the group that aod was started in */
	char *base;		/* directory that aod/, shims/ and agents/ are in */
	int agents;		/* O_PATH descriptor of agents/ */
};

struct victim {
	char path[CG_REL_MAX], name[32];
	int pid;
};
#define VICTIMS_MAX 32

struct cgroups {
	enum cgroup_mode mode;
	struct hierarchy h[CG_HIERARCHIES_MAX]; /* the first one names all groups: each session has one there */
	int count;
	int owner[CG_CONTROLLERS]; /* index in h, or -1 */
	char enable[CG_TEXT_MAX];  /* what goes into cgroup.subtree_control of a slice, v2 */
	uint64_t limit_rows;	   /* rows of the table of limits that have a file here */
	bool private_level;
	int shims;		   /* v2: O_PATH descriptor of shims/ */
	int kmsg;
	struct victim victims[VICTIMS_MAX]; /* a ring */
	unsigned victim_count;
};

/* ---- files of a group ---- */

int cgroup_put(int dir, const char *file, const char *text);	   /* 0 or -errno */
int cgroup_get(int dir, const char *file, char *out, size_t size); /* length or -errno; NUL-terminated */
/* Make directory name in dir and ready for use; 1: it is new, 0: it was there. */
int cgroup_mkdir(const struct hierarchy *h, int dir, const char *name);

/* ---- the tables ---- */

/* Controllers that l sets something of. */
unsigned cgroup_wants(const struct limits *l);
/* Which rows have an effect here. */
void cgroup_find_rows(struct cgroups *c);
/* Write what is set in l to the files of the group dir of hierarchy h. */
int cgroup_write_limits(const struct cgroups *c, const struct hierarchy *h, int dir, const struct limits *l, struct err *e);
/* Descriptors of the group by hierarchy, -1 where it has none. */
void cgroup_read_figures(const struct cgroups *c, const int dirs[CG_HIERARCHIES_MAX], struct cgroup_usage *u);

/* ---- pure ---- */

/* Value of "key value" on a line of its own; -1 when it is not there. key NULL: the text is the number, "max" is INT64_MAX. */
int64_t cgroup_parse_number(const char *text, const char *key);
/* Sum over the devices: of v2 "8:0 rbytes=1 …" with key "rbytes", of v1 "8:0 Read 1" with key "Read". */
int64_t cgroup_parse_io(const char *text, const char *key);
/* "some avg10=0.50 …"; -1 when it is not there. */
double cgroup_parse_pressure(const char *text);
/* Path of the hierarchy with the controller (NULL: v2) in the text of /proc/PID/cgroup, into out. */
bool cgroup_parse_own(const char *text, const char *controller, char out[PATH_MAX]);
/* One line of the kernel's log. */
bool cgroup_parse_victim(const char *line, struct victim *v);
/* "a-b.slice" and ID → "a.slice/a-b.slice/ID"; either may be NULL. -EINVAL for what is no name. */
int cgroup_rel(const char *slice, const char *id, char out[CG_REL_MAX]);

void cgroup_oom_open(struct cgroups *c);

#endif
