/* SPDX-License-Identifier: MIT */
/* What else a program needs to be seen where a sandbox hides the directory that it is in: its interpreter, and the installation that it is part of. */
#ifndef AOD_AOD_VISIBLE_H
#define AOD_AOD_VISIBLE_H

/* Where a program is found in search_path, or as it stands when it is absolute and there; caller frees, NULL: nowhere. */
char *program_find(const char *search_path, const char *word);
/*
 * path, and as further words of a strv what goes with it: of a script its interpreter (also behind env(1)); of a package of npm's the prefix that it was
 * installed to; of a program in a virtual environment of Python's that environment. Looks at the file's first line and its neighbours only.
 */
char **program_visible(char **visible, const char *search_path, const char *path);

#endif
