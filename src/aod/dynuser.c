/* SPDX-License-Identifier: MIT */
/* Users of single runs. See dynuser.h. */
#include "config.h"

#include "aod/dynuser.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/util.h"

#define COUNT (DYNUSER_MAX - DYNUSER_MIN + 1)
#define DATABASE_MAX (256u << 10) /* bytes; of a greater file only what every program wants is shown */

enum { IN_USE = 1, LOOKED_UP = 2, KNOWN = 4 };

/* A file of the host, as it was when it was last read. */
struct database {
	const char *path, *least;
	struct timespec mtime;
	off_t size;
	struct buf text;
};

struct dynusers {
	uint8_t state[COUNT];
	int ahead; /* was asked for ahead, and is free; -1: none */
	unsigned looked; /* where the next one is asked for */
	struct database passwd, group;
};

struct dynusers *
dynusers_new(void)
{
	struct dynusers *d = xcalloc(1, sizeof(*d));

	d->ahead = -1;
	d->looked = (unsigned)now_us();
	d->passwd = (struct database){ .path = "/etc/passwd",
				       .least = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n" };
	d->group = (struct database){ .path = "/etc/group", .least = "root:x:0:\nnogroup:x:65534:\n" };
	return d;
}

void
dynusers_free(struct dynusers *d)
{
	if (!d)
		return;
	buf_free(&d->passwd.text);
	buf_free(&d->group.text);
	free(d);
}

/* Asked once for each number: the user database may be on another machine. */
static bool
is_known(struct dynusers *d, int i)
{
	if (!(d->state[i] & LOOKED_UP)) {
		d->state[i] |= LOOKED_UP;
		if (getpwuid((uid_t)(DYNUSER_MIN + i)) || getgrgid((gid_t)(DYNUSER_MIN + i)))
			d->state[i] |= KNOWN;
	}
	return d->state[i] & KNOWN;
}

static void
use(struct dynusers *d, int i)
{
	d->state[i] |= IN_USE;
	if (d->ahead == i)
		d->ahead = -1;
}

void
dynuser_look_ahead(struct dynusers *d)
{
	for (unsigned k = 0; d->ahead < 0 && k < COUNT; k++) {
		int i = (int)(d->looked++ % COUNT);

		if (!(d->state[i] & (IN_USE | LOOKED_UP)) && !is_known(d, i))
			d->ahead = i;
	}
}

int64_t
dynuser_take(struct dynusers *d, const char *seed, struct err *e)
{
	unsigned start = crc32c(0, seed, strlen(seed)) % COUNT;

	for (unsigned k = 0; k < COUNT; k++) {
		int i = (int)((start + k) % COUNT);

		if (d->state[i] & IN_USE)
			continue;
		if (!(d->state[i] & LOOKED_UP) && d->ahead >= 0)
			i = d->ahead;
		if (is_known(d, i))
			continue;
		use(d, i);
		return DYNUSER_MIN + i;
	}
	return err_set_status(e, 503, -ENOSPC, "all %d dynamic users are in use: wait until some sessions have ended", COUNT);
}

void
dynuser_keep(struct dynusers *d, int64_t uid)
{
	if (uid >= DYNUSER_MIN && uid <= DYNUSER_MAX)
		use(d, (int)(uid - DYNUSER_MIN));
}

void
dynuser_give(struct dynusers *d, int64_t uid)
{
	if (uid >= DYNUSER_MIN && uid <= DYNUSER_MAX)
		d->state[uid - DYNUSER_MIN] &= (uint8_t)~IN_USE;
}

/* ---- what programs in the sandbox ask -------------------------------------------------------------------- */

static const char *
database_text(struct database *db)
{
	struct stat st;

	if (stat(db->path, &st) < 0)
		memset(&st, 0, sizeof(st));
	if (!db->text.len || st.st_size != db->size || memcmp(&st.st_mtim, &db->mtime, sizeof(st.st_mtim))) {
		buf_reset(&db->text);
		if (file_read(db->path, DATABASE_MAX, &db->text, NULL) < 0 || !db->text.len) {
			buf_reset(&db->text);
			buf_puts(&db->text, db->least);
		}
		if (db->text.data[db->text.len - 1] != '\n')
			buf_putc(&db->text, '\n');
		db->mtime = st.st_mtim;
		db->size = st.st_size;
	}
	return db->text.data;
}

char *
dynuser_passwd(struct dynusers *d, int64_t uid, const char *home)
{
	return xasprintf("%s" DYNUSER_NAME ":x:%lld:%lld:aod agent:%s:/bin/sh\n", database_text(&d->passwd), (long long)uid, (long long)uid,
			 home);
}

char *
dynuser_group(struct dynusers *d, int64_t uid)
{
	return xasprintf("%s" DYNUSER_NAME ":x:%lld:\n", database_text(&d->group), (long long)uid);
}

/* ---- users that the host knows ----------------------------------------------------------------------------- */

int
user_resolve(const char *user, const char *group, int64_t *uid, int64_t *gid, struct err *e)
{
	const struct passwd *pw = NULL;
	const struct group *gr;

	*uid = *gid = -1;
	if (user && parse_i64(user, 0, UINT32_MAX - 1, uid))
		pw = getpwuid((uid_t)*uid);
	else if (user && !(pw = getpwnam(user)))
		return err_set_status(e, 422, -ENOENT, "User=%s: this host has no such user", user);
	if (pw) {
		*uid = pw->pw_uid;
		*gid = pw->pw_gid;
	}
	if (group && !parse_i64(group, 0, UINT32_MAX - 1, gid)) {
		if (!(gr = getgrnam(group)))
			return err_set_status(e, 422, -ENOENT, "Group=%s: this host has no such group", group);
		*gid = gr->gr_gid;
	}
	if (user && *gid < 0)
		return err_set_status(e, 422, -ENOENT, "User=%s: this host has no such user: set Group=, too", user);
	return 0;
}
