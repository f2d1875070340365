/* SPDX-License-Identifier: MIT */
/* The certificate of the listening sockets. */
#ifndef AOD_HTTP_TLS_H
#define AOD_HTTP_TLS_H

#include <openssl/ssl.h>

#include "base/err.h"

/* TLS 1.2 or later, with this chain and key (PEM files). Read once, before privileges are given up. */
int tls_load(const char *cert, const char *key, SSL_CTX **out, struct err *e);

#endif
