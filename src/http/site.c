/* SPDX-License-Identifier: MIT */
/* Requests that a browser was tricked into; see site.h. Called by route.c. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <string.h>

#include "base/util.h"
#include "http/reply.h"
#include "http/server.h"
#include "http/site.h"

static char **hosts;

void
site_allow_host(const char *name)
{
	hosts = strv_add(hosts, name);
}

/* The name in "name", "name:port", "[address]:port". */
static h2o_iovec_t
host_of(h2o_iovec_t authority)
{
	const char *end = NULL;

	if (authority.len > 0 && authority.base[0] == '[' && (end = memchr(authority.base, ']', authority.len)))
		return h2o_iovec_init(authority.base + 1, (size_t)(end - authority.base) - 1);
	end = memchr(authority.base, ':', authority.len);
	return h2o_iovec_init(authority.base, end ? (size_t)(end - authority.base) : authority.len);
}

/* An address needs no DNS, so nobody can have it point elsewhere. */
static bool
is_address(h2o_iovec_t host)
{
	char text[INET6_ADDRSTRLEN], out[sizeof(struct in6_addr)];

	if (host.len >= sizeof(text))
		return false;
	memcpy(text, host.base, host.len);
	text[host.len] = 0;
	return inet_pton(AF_INET, text, out) == 1 || inet_pton(AF_INET6, text, out) == 1;
}

static bool
host_ok(h2o_req_t *req)
{
	h2o_iovec_t host = host_of(req->input.authority);

	if (h2o_lcstris(host.base, host.len, H2O_STRLIT("localhost")) || is_address(host))
		return true;
	for (char **h = hosts; h && *h; h++)
		if (host.len == strlen(*h) && strncasecmp(host.base, *h, host.len) == 0)
			return true;
	/* HTTP/1.0 has none, and no browser sends that; h2o puts the name of its configuration there. */
	return h2o_memis(req->input.authority.base, req->input.authority.len, front.default_host.base, front.default_host.len);
}

static bool
header_is(h2o_req_t *req, const char *name, const char *value)
{
	ssize_t i = h2o_find_header_by_str(&req->headers, name, strlen(name), -1);

	return i >= 0 && h2o_memis(req->headers.entries[i].value.base, req->headers.entries[i].value.len, value, strlen(value));
}

bool
site_check(h2o_req_t *req, const struct conn *c)
{
	if (!c->listener->unix_socket && !host_ok(req)) {
		reply_detail(req, 421, "This host is not known by that name: use localhost or its address, or start aod with --allow-host");
		return false;
	}
	if (!reply_origin_ok(req)) {
		reply_detail(req, 403, "Origin not allowed; add it to CORS_ORIGINS");
		return false;
	}
	/* An image or a form of another site says no Origin, but modern browsers say this. A link to the dashboard is fine. */
	if (h2o_find_header_by_str(&req->headers, H2O_STRLIT("origin"), -1) < 0 && header_is(req, "sec-fetch-site", "cross-site") &&
	    !(c->listener->port == PORT_DASHBOARD && header_is(req, "sec-fetch-mode", "navigate"))) {
		reply_detail(req, 403, "A page of another site asks for this");
		return false;
	}
	return true;
}
