// SPDX-License-Identifier: Apache-2.0
//
// Socket files: what is replaced and what never, modes, removal; and a whole receiver behind one.
#include "receiver/unix_socket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/otlp_peer.h"

static char folder[64], path[96], why[256];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/unix_socket_test.XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/s.sock", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static enum result open_at(const char *at, bool takes_over, int *fd)
{
    return unix_socket_open(bytes_from_text(at), 0600, takes_over, fd, why, sizeof why);
}

static int dial(const char *at)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", at);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void a_dead_socket_is_replaced_and_a_live_one_is_an_error(void **state)
{
    (void)state;
    int first, second;
    assert_int_equal(open_at(path, false, &first), RESULT_OK);
    assert_int_equal(open_at(path, false, &second), RESULT_FAIL);
    assert_non_null(strstr(why, "address already in use"));
    close(first);  // as a kill leaves it: the file stays
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(dial(path), -1);
    assert_int_equal(open_at(path, false, &second), RESULT_OK);
    int client = dial(path);
    assert_true(client >= 0);
    close(client);
    close(second);
}

static void another_file_in_its_place_stays(void **state)
{
    (void)state;
    int fd;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(open_at(path, false, &fd), RESULT_FAIL);
    assert_non_null(strstr(why, "not a socket"));
    assert_int_equal(open_at(path, true, &fd), RESULT_FAIL);
    assert_int_equal(access(path, F_OK), 0);
}

static void the_mode_is_what_was_asked_for_whatever_the_mask(void **state)
{
    (void)state;
    int fd;
    struct stat status;
    mode_t before = umask(0777);
    enum result result = unix_socket_open(bytes_from_text(path), 0660, false, &fd, why, sizeof why);
    umask(before);
    assert_int_equal(result, RESULT_OK);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0660);
    close(fd);
}

static void a_successor_takes_the_place_and_the_old_one_does_not_remove_it(void **state)
{
    (void)state;
    int first, second;
    assert_int_equal(open_at(path, false, &first), RESULT_OK);
    struct file_stamp old = file_stamp_of(path);
    assert_int_equal(open_at(path, true, &second), RESULT_OK);
    struct file_stamp new = file_stamp_of(path);
    close(first);
    unix_socket_remove(path, &old);
    assert_int_equal(access(path, F_OK), 0);
    unix_socket_remove(path, &new);
    assert_int_not_equal(access(path, F_OK), 0);
    unix_socket_remove(path, &new);
    unix_socket_remove(NULL, &new);
    close(second);
}

static void bad_paths_are_refused_with_a_sentence(void **state)
{
    (void)state;
    char long_path[200];
    int fd;
    memset(long_path, 'a', sizeof long_path - 1);
    long_path[0] = '/';
    long_path[sizeof long_path - 1] = '\0';
    static const char *const paths[] = {"", "/", "a/", "/nowhere/at/all/s.sock"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(open_at(paths[i], false, &fd), RESULT_FAIL);
        assert_non_null(strstr(why, "listen unix"));
    }
    assert_int_equal(open_at(long_path, false, &fd), RESULT_FAIL);
}

static void an_abstract_name_needs_no_file(void **state)
{
    (void)state;
    char name[64];
    int first, second;
    snprintf(name, sizeof name, "@sidejudge-test-%d", (int)getpid());
    assert_int_equal(open_at(name, false, &first), RESULT_OK);
    assert_int_equal(open_at(name, false, &second), RESULT_FAIL);
    close(first);
}

static void a_receiver_answers_behind_it_and_removes_it(void **state)
{
    (void)state;
    struct peer peer;
    struct buffer request;
    char yaml[256];
    buffer_init(&request, 1 << 20);
    make_request(&request, 3, 0);
    peer_processors_max = 8;  // several I/O threads share the socket
    snprintf(yaml, sizeof yaml, "{protocols: {http: {transport: unix, endpoint: '%s'}}}", path);
    peer_start(&peer, yaml, 7, 0);
    for (unsigned i = 0; i < 20; i++) {
        struct stream stream = {.fd = dial(path)};
        struct http_reply reply;
        assert_true(stream.fd >= 0);
        http_post(&stream, "/v1/traces", "Content-Type: application/x-protobuf\r\n",
                  buffer_view(&request));
        http_read(&stream, &reply);
        assert_int_equal(reply.status, 200);
        buffer_fini(&reply.body);
        stream_close(&stream);
    }
    assert_int_equal(atomic_load(&peer.fake.offers), 20);
    peer_stop(&peer);
    assert_int_not_equal(access(path, F_OK), 0);
    buffer_fini(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_dead_socket_is_replaced_and_a_live_one_is_an_error,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_file_in_its_place_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_mode_is_what_was_asked_for_whatever_the_mask, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            a_successor_takes_the_place_and_the_old_one_does_not_remove_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_paths_are_refused_with_a_sentence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_abstract_name_needs_no_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_receiver_answers_behind_it_and_removes_it, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
