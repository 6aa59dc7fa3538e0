/*
 * upstream_transfer.c - one request: its options, its answer's head, its end
 */
#include "upstream/upstream_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define UPLOAD_BYTES 16384L /* curl's buffer, the least that it takes */

static size_t take_data(char *p, size_t one, size_t n, void *ctx)
{
    struct upstream_transfer *t = ctx;

    t->active_ns = clock_mono_ns();
    if (t->aborted || !t->has_head)
        return 0;
    if (t->r.data(t->r.ctx, (struct slice){ p, one * n })) {
        t->received += one * n;
        return t->aborted ? 0 : one * n;
    }
    if (t->aborted)
        return 0;
    t->paused = true;
    return CURL_WRITEFUNC_PAUSE;
}

static size_t give_body(char *p, size_t one, size_t n, void *ctx)
{
    struct upstream_transfer *t = ctx;
    int64_t given = t->aborted ? -2 : t->r.body(t->r.ctx, p, one * n);

    t->active_ns = clock_mono_ns();
    if (given == -1)
        t->paused = true;
    return given == -1   ? CURL_READFUNC_PAUSE
           : given == -2 ? CURL_READFUNC_ABORT
                         : (size_t)given;
}

static int go_back(void *ctx, curl_off_t offset, int origin)
{
    struct upstream_transfer *t = ctx;

    return offset == 0 && origin == SEEK_SET && !t->aborted && t->r.rewind &&
                   t->r.rewind(t->r.ctx)
               ? CURL_SEEKFUNC_OK
               : CURL_SEEKFUNC_FAIL;
}

static bool is_private_v4(uint32_t a)
{
    return a >> 24 == 0 || a >> 24 == 10 || a >> 24 == 127 ||
           a >> 16 == 0xA9FE || a >> 20 == 0xAC1 || a >> 16 == 0xC0A8 ||
           a >> 22 == (0x64400000 >> 22) || a >> 28 >= 14;
}

/* An address of IPv4 at the end of one of IPv6: mapped, or behind NAT64. */
static bool has_v4(const struct in6_addr *six)
{
    static const unsigned char nat64[12] = { 0, 0x64, 0xFF, 0x9B };

    return IN6_IS_ADDR_V4MAPPED(six) || !memcmp(six->s6_addr, nat64, 12);
}

static bool is_private(const struct sockaddr *a)
{
    const struct in6_addr *six;

    if (a->sa_family == AF_INET)
        return is_private_v4(ntohl(
            ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr));
    if (a->sa_family != AF_INET6)
        return true;
    six = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
    if (has_v4(six))
        return is_private_v4((uint32_t)six->s6_addr[12] << 24 |
                             (uint32_t)six->s6_addr[13] << 16 |
                             (uint32_t)six->s6_addr[14] << 8 |
                             six->s6_addr[15]);
    return IN6_IS_ADDR_UNSPECIFIED(six) || IN6_IS_ADDR_LOOPBACK(six) ||
           IN6_IS_ADDR_LINKLOCAL(six) || IN6_IS_ADDR_SITELOCAL(six) ||
           IN6_IS_ADDR_MULTICAST(six) || (six->s6_addr[0] & 0xFE) == 0xFC;
}

/* What a name resolves to is outside input: a public name must not lead into
 * the network behind the proxy. */
static curl_socket_t open_socket(void *ctx, curlsocktype purpose,
                                 struct curl_sockaddr *a)
{
    struct upstream_transfer *t = ctx;
    int fd;

    (void)purpose;
    t->forbidden = !t->r.is_named && !t->proxied && is_private(&a->addr);
    if (t->forbidden)
        return CURL_SOCKET_BAD;
    fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
    if (fd >= 0)
        *upstream_watch_of(t->u, fd) =
            (struct upstream_watch){ true, 0, false };
    return fd;
}

/* The kernel takes it out of the event queue. */
static int close_socket(void *ctx, curl_socket_t fd)
{
    struct upstream *u = ctx;

    *upstream_watch_of(u, fd) = (struct upstream_watch){ 0 };
    return close(fd);
}

/* "HTTP/1.1 200 OK" or "HTTP/2 200". */
static bool take_status(struct upstream_transfer *t, struct slice line)
{
    const char *space = memchr(line.p, ' ', line.n);
    size_t at = space ? (size_t)(space - line.p) + 1 : line.n;

    if (at + 3 > line.n)
        return false;
    t->status = 0;
    for (size_t i = at; i < at + 3; i++) {
        if (line.p[i] < '0' || line.p[i] > '9')
            return false;
        t->status = t->status * 10 + (line.p[i] - '0');
    }
    t->at_count = 0;
    buf_reset(&t->head);
    return true;
}

static bool take_field(struct upstream_transfer *t, struct slice line)
{
    const char *colon = memchr(line.p, ':', line.n);
    struct slice name, value;

    if (*line.p == ' ' || *line.p == '\t' || !colon ||
        t->at_count == HTTP_FIELDS_MAX)
        return false;
    name = (struct slice){ line.p, (size_t)(colon - line.p) };
    value = slice_trim((struct slice){ colon + 1, line.n - name.n - 1 });
    mem_grow((void **)&t->at, &t->at_cap, t->at_count + 1, sizeof(*t->at));
    t->at[t->at_count].name = t->head.len;
    t->at[t->at_count].name_size = name.n;
    buf_add_slice(&t->head, name);
    t->at[t->at_count].value = t->head.len;
    t->at[t->at_count].value_size = value.n;
    buf_add_slice(&t->head, value);
    t->at_count++;
    return !t->head.overflow;
}

/* Digits of a body's length; false: none, or too many. */
static bool read_length(struct slice s, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        *out = *out * 10 + (uint64_t)(s.p[i] - '0');
    }
    return s.n > 0 && s.n <= 18;
}

/* curl takes "3x", and the last of two lengths; the client behind the proxy
 * might take the first. False: it cannot be told where the body ends. */
static bool find_framing(const struct upstream_transfer *t,
                         const struct http_field *fields,
                         enum http_framing *framing, uint64_t *length)
{
    bool coded = false, measured = false;

    *length = 0;
    for (size_t i = 0; i < t->at_count; i++) {
        uint64_t n;

        coded |= http_name_is(fields[i].name, "transfer-encoding");
        if (!http_name_is(fields[i].name, "content-length"))
            continue;
        if (!read_length(fields[i].value, &n) || (measured && n != *length))
            return false;
        measured = true;
        *length = n;
    }
    *framing = coded || !measured ? HTTP_CHUNKED : HTTP_LENGTH;
    if (t->head_only || t->status == 204 || t->status == 304)
        *framing = HTTP_EMPTY;
    if (*framing != HTTP_LENGTH)
        *length = 0;
    return true;
}

static bool tell_head(struct upstream_transfer *t)
{
    struct http_field fields[HTTP_FIELDS_MAX];
    enum http_framing framing;
    uint64_t length;

    for (size_t i = 0; i < t->at_count; i++) {
        fields[i].name =
            (struct slice){ t->head.data + t->at[i].name, t->at[i].name_size };
        fields[i].value = (struct slice){ t->head.data + t->at[i].value,
                                          t->at[i].value_size };
    }
    if (!find_framing(t, fields, &framing, &length))
        return false;
    t->has_head = true;
    t->framing = framing;
    t->length = length;
    t->r.head(t->r.ctx, t->status, fields, t->at_count, framing, length);
    return true;
}

size_t upstream_take_line(char *p, size_t one, size_t n, void *ctx)
{
    struct upstream_transfer *t = ctx;
    struct slice line = { p, one * n };
    bool good = true;

    t->active_ns = clock_mono_ns();
    if (t->aborted)
        return 0;
    while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
        line.n--;
    if (t->has_head) /* trailer */
        return one * n;
    if (slice_starts(line, "HTTP/"))
        good = take_status(t, line);
    else if (line.n)
        good = take_field(t, line);
    else if (t->status >= 200)
        good = tell_head(t);
    t->bad_head |= !good;
    return good && !t->aborted ? one * n : 0;
}

/* curl reads "Name;" as a field that is there and empty, and "Name:" as one
 * that it must not add itself. */
static void add_line(struct upstream_transfer *t, size_t *count,
                     struct slice name, const char *between, struct slice value)
{
    mem_grow((void **)&t->fields, &t->field_cap, *count + 1,
             sizeof(*t->fields));
    t->fields[*count].next = NULL;
    /* Where it begins, until all are there and stay where they are. */
    t->fields[(*count)++].data = (char *)(uintptr_t)t->lines.len;
    buf_add_slice(&t->lines, name);
    buf_str(&t->lines, between);
    buf_add_slice(&t->lines, value);
    buf_char(&t->lines, '\0');
}

static void link_lines(struct upstream_transfer *t, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        t->fields[i].data = t->lines.data + (uintptr_t)t->fields[i].data;
        t->fields[i].next = i + 1 < count ? &t->fields[i + 1] : NULL;
    }
}

static bool has_field(const struct upstream_transfer *t, const char *lower)
{
    for (size_t i = 0; i < t->r.field_count; i++)
        if (http_name_is(t->r.fields[i].name, lower))
            return true;
    return false;
}

static void add_fields(struct upstream_transfer *t)
{
    static const struct slice none = { NULL, 0 };
    const struct http_field *f = t->r.fields;
    size_t n = 0;

    for (size_t i = 0; i < t->r.field_count; i++)
        add_line(t, &n, f[i].name, f[i].value.n ? ": " : ";", f[i].value);
    if (t->r.framing == HTTP_EMPTY &&
        (slice_is(t->r.method, "POST") || slice_is(t->r.method, "PUT") ||
         slice_is(t->r.method, "PATCH")))
        add_line(t, &n, slice_of("Content-Length"), ": ", slice_of("0"));
    /* What curl would add by itself. */
    if (!has_field(t, "accept"))
        add_line(t, &n, slice_of("Accept"), ":", none);
    if (!has_field(t, "content-type"))
        add_line(t, &n, slice_of("Content-Type"), ":", none);
    add_line(t, &n, slice_of("Expect"), ":", none);
    if (t->r.framing != HTTP_CHUNKED)
        add_line(t, &n, slice_of("Transfer-Encoding"), ":", none);
    link_lines(t, n);
}

static void set_connection(const struct upstream_transfer *t)
{
    const struct upstream *u = t->u;
    CURL *e = t->easy;

    (void)libcurl.easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    /* Or who leaves while a name is resolved is waited for, by everyone. */
    (void)libcurl.easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
    (void)libcurl.easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)libcurl.easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    (void)libcurl.easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    (void)libcurl.easy_setopt(e, CURLOPT_HTTP09_ALLOWED, 0L);
    (void)libcurl.easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    (void)libcurl.easy_setopt(e, CURLOPT_HTTP_VERSION,
                              u->o.http2 ? (long)CURL_HTTP_VERSION_2TLS
                                         : (long)CURL_HTTP_VERSION_1_1);
    (void)libcurl.easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                              (long)u->o.connect_ms);
    (void)libcurl.easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)libcurl.easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BYTES);
    if (u->no_proxy)
        (void)libcurl.easy_setopt(e, CURLOPT_NOPROXY, u->no_proxy);
    if (u->ca_file)
        (void)libcurl.easy_setopt(e, CURLOPT_CAINFO, u->ca_file);
}

void upstream_prepare(struct upstream_transfer *t)
{
    CURL *e = t->easy;

    set_connection(t);
    (void)libcurl.easy_setopt(e, CURLOPT_PRIVATE, t);
    (void)libcurl.easy_setopt(e, CURLOPT_ERRORBUFFER, t->why);
    (void)libcurl.easy_setopt(e, CURLOPT_WRITEFUNCTION, take_data);
    (void)libcurl.easy_setopt(e, CURLOPT_WRITEDATA, t);
    (void)libcurl.easy_setopt(e, CURLOPT_HEADERFUNCTION, upstream_take_line);
    (void)libcurl.easy_setopt(e, CURLOPT_HEADERDATA, t);
    (void)libcurl.easy_setopt(e, CURLOPT_READFUNCTION, give_body);
    (void)libcurl.easy_setopt(e, CURLOPT_READDATA, t);
    (void)libcurl.easy_setopt(e, CURLOPT_SEEKFUNCTION, go_back);
    (void)libcurl.easy_setopt(e, CURLOPT_SEEKDATA, t);
    (void)libcurl.easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    (void)libcurl.easy_setopt(e, CURLOPT_OPENSOCKETDATA, t);
    /* A connection outlives the transfer that opened it. */
    (void)libcurl.easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    (void)libcurl.easy_setopt(e, CURLOPT_CLOSESOCKETDATA, t->u);
}

int upstream_set_up(struct upstream_transfer *t, struct err *err)
{
    char method[HTTP_METHOD_MAX + 1];

    if (t->r.method.n > HTTP_METHOD_MAX)
        return err_set(err, ERR_LIMIT, "a method of %zu bytes", t->r.method.n);
    memcpy(method, t->r.method.p, t->r.method.n);
    method[t->r.method.n] = '\0';
    add_fields(t);
    (void)libcurl.easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->fields);
    (void)libcurl.easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 0L);
    t->proxied = t->u->proxy && (!t->u->o.proxy_for_https ||
                                 !strncmp(t->r.url, "https://", 8));
    /* "": not even what the environment says; that is cmd's to read. */
    if (libcurl.easy_setopt(t->easy, CURLOPT_PROXY,
                            t->proxied ? t->u->proxy : "") != CURLE_OK ||
        libcurl.easy_setopt(t->easy, CURLOPT_URL, t->r.url) != CURLE_OK ||
        libcurl.easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, method) != CURLE_OK)
        return err_set(err, ERR_NOMEM, "no memory for a transfer");
    return ERR_OK;
}

/* Each way takes back what another left in the handle. */
void upstream_set_body(struct upstream_transfer *t, struct slice whole)
{
    CURL *e = t->easy;

    if (t->head_only) {
        (void)libcurl.easy_setopt(e, CURLOPT_HTTPGET, 1L);
        (void)libcurl.easy_setopt(e, CURLOPT_NOBODY, 1L);
    } else if (t->r.framing == HTTP_EMPTY) {
        (void)libcurl.easy_setopt(e, CURLOPT_HTTPGET, 1L);
    } else if (whole.n) {
        (void)libcurl.easy_setopt(e, CURLOPT_POST, 1L);
        (void)libcurl.easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE,
                                  (curl_off_t)whole.n);
        (void)libcurl.easy_setopt(e, CURLOPT_POSTFIELDS, whole.p);
    } else {
        (void)libcurl.easy_setopt(e, CURLOPT_UPLOAD, 1L);
        (void)libcurl.easy_setopt(e, CURLOPT_INFILESIZE_LARGE,
                                  t->r.framing == HTTP_LENGTH
                                      ? (curl_off_t)t->r.length
                                      : (curl_off_t)-1);
    }
}

bool upstream_is_complete(const struct upstream_transfer *t)
{
    return t->has_head && t->framing != HTTP_CHUNKED &&
           t->received == t->length;
}

enum upstream_result upstream_judge(const struct upstream_transfer *t,
                                    CURLcode code)
{
    curl_off_t connected = 0;

    if (t->timed_out)
        return UPSTREAM_TIMEOUT;
    if (t->bad_head)
        return UPSTREAM_BAD;
    (void)libcurl.easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T,
                               &connected);
    if (upstream_is_complete(t))
        return UPSTREAM_DONE;
    switch (code) {
    case CURLE_OK: return t->has_head ? UPSTREAM_DONE : UPSTREAM_BAD;
    case CURLE_OPERATION_TIMEDOUT:
        return connected ? UPSTREAM_TIMEOUT : UPSTREAM_UNREACHED;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_HTTP2: return UPSTREAM_BAD;
    default: return connected ? UPSTREAM_CUT : UPSTREAM_UNREACHED;
    }
}
