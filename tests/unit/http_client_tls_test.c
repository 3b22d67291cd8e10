// SPDX-License-Identifier: Apache-2.0
/*
 * The HTTP client over TLS: a server thread on loopback with a certificate made on the spot, one
 * connection at a time. It answers each request with the server name that the client asked for and
 * whether the client showed a certificate.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/http_client.h"
#include "tests/unit/certificate.h"

#define TURNS_MAX 3000

struct server {
    int fd;
    uint16_t port;
    SSL_CTX *context;
    pthread_t thread;
};

static struct certificate server_certificate, client_certificate;

static void answer(SSL *ssl)
{
    char request[8192];
    size_t have = 0;
    while (have < sizeof request - 1) {
        int got = SSL_read(ssl, request + have, (int)(sizeof request - 1 - have));
        if (got <= 0) {
            return;
        }
        have += (size_t)got;
        request[have] = '\0';
        if (strstr(request, "\r\n\r\n") == NULL) {
            continue;
        }
        const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        const char *host = strcasestr(request, "\r\nhost: ");
        char body[256];
        char reply[512];
        X509 *peer = SSL_get1_peer_certificate(ssl);
        snprintf(body, sizeof body, "%s %.*s %s %s", name != NULL ? name : "-",
                 host != NULL ? (int)strcspn(host + 8, ":\r") : 0, host != NULL ? host + 8 : "",
                 peer != NULL ? "known" : "unknown", SSL_get_version(ssl));
        X509_free(peer);
        snprintf(reply, sizeof reply, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
                 strlen(body), body);
        SSL_write(ssl, reply, (int)strlen(reply));
        have = 0;
    }
}

static void *run_server(void *arg)
{
    struct server *server = arg;
    for (;;) {
        int fd = accept(server->fd, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        SSL *ssl = SSL_new(server->context);
        SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) == 1) {
            answer(ssl);
        }
        ERR_clear_error();
        SSL_free(ssl);
        close(fd);
    }
}

static int accept_any(int sound, X509_STORE_CTX *context)
{
    (void)sound, (void)context;
    return 1;
}

static void use_certificate(SSL_CTX *context, const struct certificate *certificate)
{
    BIO *bio = BIO_new_mem_buf(certificate->cert, -1);
    X509 *x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    bio = BIO_new_mem_buf(certificate->key, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_int_equal(SSL_CTX_use_certificate(context, x509), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
    X509_free(x509);
    EVP_PKEY_free(key);
}

static void server_start(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    server->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(listen(server->fd, 8), 0);
    server->port = ntohs(address.sin_port);
    server->context = SSL_CTX_new(TLS_server_method());
    use_certificate(server->context, &server_certificate);
    SSL_CTX_set_verify(server->context, SSL_VERIFY_PEER, accept_any);
    SSL_CTX_set_session_cache_mode(server->context, SSL_SESS_CACHE_OFF);
    assert_int_equal(pthread_create(&server->thread, NULL, run_server, server), 0);
}

struct fixture {
    struct server server;
    struct loop *loop;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    server_start(&fixture->server);
    fixture->loop = loop_new();
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    shutdown(fixture->server.fd, SHUT_RDWR);
    pthread_join(fixture->server.thread, NULL);
    close(fixture->server.fd);
    SSL_CTX_free(fixture->server.context);
    loop_free(fixture->loop);
    free(fixture);
    return 0;
}

struct outcome {
    unsigned count;
    enum result result;
    char body[256];
};

static void on_done(void *arg, const struct http_response *response)
{
    struct outcome *outcome = arg;
    outcome->count++;
    outcome->result = response->result;
    snprintf(outcome->body, sizeof outcome->body, "%.*s", BYTES_PRINTF(response->body));
}

// One request of a client of its own, whose connection is closed before the next.
static struct outcome fetch(struct fixture *fixture, const struct tls_client_config *tls,
                            const char *host)
{
    struct http_client *client = NULL;
    char why[256] = "";
    char url[128];
    struct outcome outcome = {0};
    const struct http_client_config config = {.tls = tls};
    if (http_client_new(fixture->loop, &config, &client, why, sizeof why) != RESULT_OK) {
        fail_msg("%s", why);
    }
    snprintf(url, sizeof url, "https://%s:%u/path", host, fixture->server.port);
    const struct http_request request = {.method = "GET", .url = url, .timeout_ns = 60 * NS_PER_S};
    http_client_send(client, &request, on_done, &outcome);
    for (int turn = 0; turn < TURNS_MAX && outcome.count == 0; turn++) {
        loop_run_once(fixture->loop, 20);
    }
    assert_int_equal(outcome.count, 1);
    http_client_free(client);
    return outcome;
}

static void a_trusted_server_is_talked_to(void **state)
{
    const struct tls_client_config tls = {.ca_pem = bytes_from_text(server_certificate.cert)};
    struct outcome outcome = fetch(*state, &tls, "localhost");
    assert_int_equal(outcome.result, RESULT_OK);
    assert_string_equal(outcome.body, "localhost localhost unknown TLSv1.3");
}

static void an_unknown_authority_fails_for_good(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(fetch(fixture, NULL, "localhost").result, RESULT_FAIL);
    const struct tls_client_config tls = {.ca_pem = bytes_from_text(client_certificate.cert)};
    assert_int_equal(fetch(fixture, &tls, "localhost").result, RESULT_FAIL);
}

static void another_name_fails_for_good(void **state)
{
    const struct tls_client_config tls = {.ca_pem = bytes_from_text(server_certificate.cert)};
    assert_int_equal(fetch(*state, &tls, "127.0.0.1").result, RESULT_FAIL);
}

static void an_overridden_name_is_asked_for_and_verified(void **state)
{
    struct fixture *fixture = *state;
    struct tls_client_config tls = {.ca_pem = bytes_from_text(server_certificate.cert),
                                    .server_name_override = BYTES_LITERAL("localhost")};
    struct outcome outcome = fetch(fixture, &tls, "127.0.0.1");
    assert_int_equal(outcome.result, RESULT_OK);
    assert_string_equal(outcome.body, "localhost 127.0.0.1 unknown TLSv1.3");
    tls.server_name_override = BYTES_LITERAL("other.test");
    assert_int_equal(fetch(fixture, &tls, "localhost").result, RESULT_FAIL);
}

static void verification_can_be_switched_off(void **state)
{
    const struct tls_client_config tls = {.insecure_skip_verify = true};
    assert_int_equal(fetch(*state, &tls, "127.0.0.1").result, RESULT_OK);
}

static void a_client_certificate_is_shown(void **state)
{
    const struct tls_client_config tls = {
        .ca_pem = bytes_from_text(server_certificate.cert),
        .cert_pem = bytes_from_text(client_certificate.cert),
        .key_pem = bytes_from_text(client_certificate.key),
        .min_version = BYTES_LITERAL("1.3"),
    };
    assert_string_equal(fetch(*state, &tls, "localhost").body, "localhost localhost known TLSv1.3");
}

static void old_versions_are_not_spoken(void **state)
{
    struct fixture *fixture = *state;
    const struct tls_client_config tls = {.ca_pem = bytes_from_text(server_certificate.cert),
                                          .min_version = BYTES_LITERAL("1.3")};
    SSL_CTX_set_max_proto_version(fixture->server.context, TLS1_2_VERSION);
    assert_int_not_equal(fetch(fixture, &tls, "localhost").result, RESULT_OK);
}

static int make_certificates(void **state)
{
    (void)state;
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    certificate_make_for("localhost", &server_certificate);
    certificate_make_for("client.test", &client_certificate);
    return 0;
}

int main(void)
{
#define TLS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TLS_TEST(a_trusted_server_is_talked_to),
        TLS_TEST(an_unknown_authority_fails_for_good),
        TLS_TEST(another_name_fails_for_good),
        TLS_TEST(an_overridden_name_is_asked_for_and_verified),
        TLS_TEST(verification_can_be_switched_off),
        TLS_TEST(a_client_certificate_is_shown),
        TLS_TEST(old_versions_are_not_spoken),
    };
    return cmocka_run_group_tests(tests, make_certificates, NULL);
}
