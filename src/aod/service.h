/* SPDX-License-Identifier: MIT */
/* aod as a service: what it tells systemd (Type=notify, WatchdogSec=), and SIGHUP. Nothing of it is needed to run without systemd. */
#ifndef AOD_AOD_SERVICE_H
#define AOD_AOD_SERVICE_H

#include "aod/manager.h"

void service_open(struct manager *m);
void service_close(struct manager *m);
/* The listening sockets answer. */
void service_ready(struct manager *m);
/* SIGHUP: look at all blueprints and slices, also where nobody says that they changed. */
void service_reload(struct manager *m);
/* aod is about to end, once what runs has, which may take so long. */
void service_draining(struct manager *m, int64_t us);
/* aod ends, which may take so long. */
void service_stopping(struct manager *m, int64_t us);

#endif
