// SPDX-License-Identifier: Apache-2.0
//
// Only a listening socket of exactly this address is found.

#include "receiver/takeover.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int bound(struct sockaddr_storage *address)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(*address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
    memset(address, 0, sizeof(*address));
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &len), 0);
    return fd;
}

static void listening_socket_is_shared(void **state)
{
    (void)state;
    struct sockaddr_storage address;
    int fd = bound(&address);
    assert_int_equal(listen(fd, 8), 0);
    int twin = takeover_find(&address);
    assert_true(twin >= 0 && twin != fd);
    close(fd);  // the other one goes on
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(struct sockaddr_in)), 0);
    int accepted = accept4(twin, NULL, NULL, SOCK_CLOEXEC);
    assert_true(accepted >= 0);
    close(accepted);
    close(client);
    close(twin);
    assert_int_equal(takeover_find(&address), -1);
}

static void socket_that_does_not_listen_is_passed_over(void **state)
{
    (void)state;
    struct sockaddr_storage address;
    int fd = bound(&address);
    assert_int_equal(takeover_find(&address), -1);
    close(fd);
}

static void another_address_is_passed_over(void **state)
{
    (void)state;
    struct sockaddr_storage address;
    int fd = bound(&address);
    assert_int_equal(listen(fd, 8), 0);
    struct sockaddr_in *other = (struct sockaddr_in *)&address;
    other->sin_addr.s_addr = htonl(INADDR_ANY);
    assert_int_equal(takeover_find(&address), -1);
    other->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    other->sin_port = (in_port_t)(other->sin_port ^ 1);
    assert_int_equal(takeover_find(&address), -1);
    close(fd);
}

static void unknown_family_is_never_found(void **state)
{
    (void)state;
    struct sockaddr_storage address = {.ss_family = AF_UNIX};
    assert_int_equal(takeover_find(&address), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listening_socket_is_shared),
        cmocka_unit_test(socket_that_does_not_listen_is_passed_over),
        cmocka_unit_test(another_address_is_passed_over),
        cmocka_unit_test(unknown_family_is_never_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
