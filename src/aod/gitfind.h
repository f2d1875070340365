/* SPDX-License-Identifier: MIT */
/*
 * The git repositories in a project, whose hooks and configuration an agent is not to change: besides .git itself, what git keeps below it for
 * submodules and worktrees, and the .git of directories further down. Looked for before each run, in aod's loop: so no link is followed, no other file
 * system entered, and the search is bounded. What it does not come to is not protected: .git is searched first, then the project from the top down,
 * without directories whose names begin with a dot, and without node_modules.
 */
#ifndef AOD_AOD_GITFIND_H
#define AOD_AOD_GITFIND_H

#define GIT_FOUND_MAX 16     /* repositories; each takes some mounts */
#define GIT_LOOK_MAX 16	     /* directories that are read */
#define GIT_LOOK_ENTRIES 500 /* in all of them */
#define GIT_LOOK_DEPTH 3     /* below the project; of the name of a submodule */

/*
 * Appends to *dirs (a strv) the repositories beside project/.git, and to *files the files that stand for one (in worktrees and submodules; project/.git, too).
 * The paths are below project, as it is given.
 */
void git_find(const char *project, char ***dirs, char ***files);

#endif
