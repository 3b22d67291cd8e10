// SPDX-License-Identifier: Apache-2.0
//
// What an endpoint means. `localhost` is spelled out here instead of asked of the resolver, because
// the default configuration must bind both loopback addresses on a machine whose /etc/hosts names
// one, and must start in a container that has no resolver. Other names take the resolver's first
// answer, as Go does. Bounds: ADDRESSES_MAX sockets for an endpoint. Start only.
#include "receiver/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define HOST_MAX 255

bool address_split(struct bytes endpoint, struct bytes *host, uint16_t *port)
{
    size_t colon = SIZE_MAX;
    for (size_t i = endpoint.len; i > 0; i--) {
        if (endpoint.ptr[i - 1] == ':') {
            colon = i - 1;
            break;
        }
    }
    uint64_t number;
    if (colon == SIZE_MAX ||
        !bytes_to_u64(bytes_slice(endpoint, colon + 1, SIZE_MAX), &number) || number > UINT16_MAX) {
        return false;
    }
    struct bytes name = bytes_slice(endpoint, 0, colon);
    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']') {
        name = bytes_slice(name, 1, name.len - 2);
    } else if (bytes_find(name, BYTES_LITERAL(":"), 0) != SIZE_MAX) {
        return false;  // an IPv6 address without brackets
    }
    if (name.len > HOST_MAX) {
        return false;
    }
    *host = name;
    *port = (uint16_t)number;
    return true;
}

static struct address from_v4(in_addr_t host_order, uint16_t port)
{
    struct address address = {.len = sizeof(struct sockaddr_in)};
    struct sockaddr_in *in = (struct sockaddr_in *)&address.storage;
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    in->sin_addr.s_addr = htonl(host_order);
    return address;
}

static struct address from_v6(struct in6_addr host, uint16_t port)
{
    struct address address = {.len = sizeof(struct sockaddr_in6)};
    struct sockaddr_in6 *in = (struct sockaddr_in6 *)&address.storage;
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(port);
    in->sin6_addr = host;
    return address;
}

static enum result look_up(struct bytes host, int family, uint16_t port, struct address *address,
                           char *why, size_t why_len)
{
    char name[HOST_MAX + 1];
    snprintf(name, sizeof name, "%.*s", BYTES_PRINTF(host));
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int outcome = getaddrinfo(name, NULL, &hints, &found);
    if (outcome != 0) {
        snprintf(why, why_len, "cannot resolve \"%s\": %s", name, gai_strerror(outcome));
        return RESULT_FAIL;
    }
    memset(address, 0, sizeof *address);
    memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
    address->len = found->ai_addrlen;
    freeaddrinfo(found);
    address_set_port(address, port);
    return RESULT_OK;
}

enum result address_resolve(struct bytes endpoint, int family,
                            struct address addresses[ADDRESSES_MAX], unsigned *count, char *why,
                            size_t why_len)
{
    struct bytes host;
    uint16_t port;
    *count = 0;
    if (!address_split(endpoint, &host, &port)) {
        snprintf(why, why_len, "endpoint \"%.*s\" is not host:port", BYTES_PRINTF(endpoint));
        return RESULT_FAIL;
    }
    if (bytes_equal_text(host, "localhost")) {
        if (family != AF_INET6) {
            addresses[(*count)++] = from_v4(INADDR_LOOPBACK, port);
        }
        if (family != AF_INET) {
            addresses[*count] = from_v6(in6addr_loopback, port);
            addresses[(*count)++].is_optional = family == AF_UNSPEC;
        }
        return RESULT_OK;
    }
    if (host.len == 0) {  // one dual socket; 0.0.0.0 where there is no IPv6 (listener.c)
        addresses[0] = family == AF_INET ? from_v4(INADDR_ANY, port) : from_v6(in6addr_any, port);
        addresses[0].is_dual = family == AF_UNSPEC;
        *count = 1;
        return RESULT_OK;
    }
    enum result result = look_up(host, family, port, &addresses[0], why, why_len);
    if (result == RESULT_OK) {
        addresses[0].is_dual = family == AF_UNSPEC && bytes_equal_text(host, "::");
        *count = 1;
    }
    return result;
}

void address_set_port(struct address *address, uint16_t port)
{
    if (address->storage.ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)&address->storage)->sin6_port = htons(port);
    } else {
        ((struct sockaddr_in *)&address->storage)->sin_port = htons(port);
    }
}

uint16_t address_port(const struct sockaddr_storage *storage)
{
    return storage->ss_family == AF_INET6
               ? ntohs(((const struct sockaddr_in6 *)storage)->sin6_port)
               : ntohs(((const struct sockaddr_in *)storage)->sin_port);
}

void address_print(const struct sockaddr_storage *storage, char out[ADDRESS_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    bool is_v6 = storage->ss_family == AF_INET6;
    const void *in = is_v6 ? (const void *)&((const struct sockaddr_in6 *)storage)->sin6_addr
                           : (const void *)&((const struct sockaddr_in *)storage)->sin_addr;
    (void)inet_ntop(storage->ss_family, in, host, sizeof host);
    snprintf(out, ADDRESS_TEXT_MAX, is_v6 ? "[%s]:%u" : "%s:%u", host, address_port(storage));
}
