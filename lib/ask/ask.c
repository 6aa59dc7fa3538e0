/*
 * ask.c - an endpoint: its address, its key, its model
 *
 * The key is read once, checked to be one line of visible ASCII, so that it
 * can add no header field, and wiped at the end.
 */
#include "ask/ask_private.h"

#include "base/io.h"
#include "base/mem.h"
#include "json/json.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONNECT_MS 10000
#define PAUSE_MS 500
#define WAIT_MS_MAX 31536000000 /* a year, so that sums cannot overflow */

static void wipe(void *p, size_t n)
{
    volatile char *c = p;

    while (n-- > 0)
        *c++ = 0;
}

static bool is_visible(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return s.n > 0;
}

static int key_read(const char *path, char **bearer, struct err *err)
{
    struct buf text = { 0 };
    struct slice key;
    int rc = io_read_file(path, ASK_KEY_MAX, &text, err);

    if (rc < 0)
        return err_wrap(err, "key file");
    key = slice_trim(buf_slice(&text));
    if (is_visible(key))
        *bearer = mem_printf("Bearer %.*s", (int)key.n, key.p);
    else
        rc = err_set(err, ERR_FORMAT,
                     "key file %s: not one line of visible characters; write "
                     "the key alone into it",
                     path);
    wipe(text.data, text.len);
    buf_release(&text);
    return rc;
}

/* Of a URL's rest: localhost, or an address of this machine alone. */
static bool is_here(const char *host)
{
    char name[64];
    const char *from = host + (*host == '[');
    size_t n = strcspn(from, *host == '[' ? "]" : ":/");
    struct in6_addr six;
    struct in_addr four;

    if (n >= sizeof(name) ||
        (*host == '[' && (from[n] != ']' || !strchr(":/", from[n + 1]))))
        return false;
    memcpy(name, from, n);
    name[n] = '\0';
    if (strcasecmp(name, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, name, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, name, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/* Only what names a host and a path: no user, who would be a second secret,
 * and nothing behind the path. */
static int url_check(const char *url, bool has_key, struct err *err)
{
    bool is_plain = url && !strncmp(url, "http://", 7);
    const char *host = url && !strncmp(url, "https://", 8) ? url + 8
                       : is_plain                          ? url + 7
                                                           : NULL;

    if (!host || !*host || *host == '/' || strlen(url) > ASK_URL_MAX ||
        !is_visible(slice_of(url)) || strpbrk(host, "@?#"))
        return err_set(err, ERR_INVALID,
                       "endpoint %s: not a URL like https://host/v1 (without "
                       "user, query and fragment)",
                       url && strlen(url) <= ASK_URL_MAX &&
                               is_visible(slice_of(url)) && !strchr(url, '@')
                           ? url
                           : "");
    if (is_plain && has_key && !is_here(host))
        return err_set(err, ERR_INVALID,
                       "endpoint %s: a key is not sent without encryption to "
                       "another machine; use https, or no key",
                       url);
    return ERR_OK;
}

static void names_make(struct ask *a, const struct ask_options *o)
{
    struct buf head = { 0 };
    size_t n = strlen(o->url);

    while (n > 0 && o->url[n - 1] == '/')
        n--;
    a->chat_url = mem_printf("%.*s/chat/completions", (int)n, o->url);
    a->models_url = mem_printf("%.*s/models", (int)n, o->url);
    a->name = mem_printf("%.*s model %s", (int)n, o->url, o->model);
    buf_str(&head, "{\"model\":");
    json_quote(&head, slice_of(o->model));
    a->head = buf_take(&head, NULL);
}

static int64_t wait_of(int64_t ms, int64_t usual)
{
    if (ms == 0)
        return usual;
    return ms < 0 ? 0 : ms < WAIT_MS_MAX ? ms : WAIT_MS_MAX;
}

int ask_open(const struct ask_options *o, struct ask **out, struct err *err)
{
    struct upstream_options u = { .connect_ms = CONNECT_MS,
                                  .ca_file = o->ca_file,
                                  .connections = ASK_PARALLEL_MAX };
    struct ask *a = mem_zalloc(sizeof(*a));
    int rc = url_check(o->url, o->key_file != NULL, err);

    a->parallel = o->parallel ? o->parallel : ASK_PARALLEL;
    if (a->parallel > ASK_PARALLEL_MAX)
        a->parallel = ASK_PARALLEL_MAX;
    a->timeout_ms = wait_of(o->timeout_ms, ASK_TIMEOUT_MS);
    a->pause_ms = wait_of(o->pause_ms, PAUSE_MS);
    a->retries =
        o->retries ? (unsigned)(o->retries < 0 ? 0 : o->retries) : ASK_RETRIES;
    if (rc == ERR_OK && (!o->model || !o->model[0]))
        rc = err_set(err, ERR_INVALID, "endpoint %s: name its model", o->url);
    if (rc == ERR_OK && o->key_file)
        rc = key_read(o->key_file, &a->bearer, err);
    if (rc == ERR_OK)
        rc = upstream_new(&u, &a->upstream, err);
    if (rc < 0) {
        ask_close(a);
        return rc;
    }
    names_make(a, o);
    *out = a;
    return ERR_OK;
}

void ask_close(struct ask *a)
{
    if (!a)
        return;
    upstream_free(a->upstream);
    if (a->bearer)
        wipe(a->bearer, strlen(a->bearer));
    free(a->bearer);
    free(a->chat_url);
    free(a->models_url);
    free(a->head);
    free(a->name);
    free(a);
}

const char *ask_name(const struct ask *a)
{
    return a->name;
}

void ask_job_release(struct ask_job *j)
{
    buf_release(&j->answer);
}
