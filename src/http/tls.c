/* SPDX-License-Identifier: MIT */
/* TLS; see tls.h. Called by main.c. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>

#include <openssl/err.h>

#include "http/tls.h"

static int
fail(const char *file, const char *what, SSL_CTX *ctx, struct err *e)
{
	const char *why = ERR_reason_error_string(ERR_get_error());

	ERR_clear_error();
	SSL_CTX_free(ctx);
	return err_set(e, -EINVAL, "%s: %s: %s", file, what, why ? why : "cannot be used");
}

int
tls_load(const char *cert, const char *key, SSL_CTX **out, struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx)
		return fail("TLS", "no context", ctx, e);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	/* Renegotiation is for what nobody asks for here, and costs the server more than the client. */
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
		return fail(cert, "certificate", ctx, e);
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		return fail(key, "key", ctx, e);
	if (SSL_CTX_check_private_key(ctx) != 1)
		return fail(key, "is not the key of the certificate", ctx, e);
	*out = ctx;
	return 0;
}
