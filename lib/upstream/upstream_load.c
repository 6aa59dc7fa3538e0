/* upstream_load.c - libcurl, loaded when the first transfer needs it */
#include "upstream/upstream_private.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct upstream_libcurl libcurl;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char failed[256];

/* POSIX promises that dlsym's pointer converts to a function's; ISO C does
 * not, hence the copy of its bytes. */
#define FUNCTION(name)                                                         \
    {                                                                          \
        "curl_" #name, &libcurl.name, sizeof(libcurl.name)                     \
    }

static void load(void)
{
    static const struct {
        const char *name;
        void *where;
        size_t size;
    } functions[] = {
        FUNCTION(global_init),         FUNCTION(easy_init),
        FUNCTION(easy_cleanup),        FUNCTION(easy_setopt),
        FUNCTION(easy_getinfo),        FUNCTION(easy_pause),
        FUNCTION(easy_strerror),       FUNCTION(multi_init),
        FUNCTION(multi_cleanup),       FUNCTION(multi_setopt),
        FUNCTION(multi_add_handle),    FUNCTION(multi_remove_handle),
        FUNCTION(multi_socket_action), FUNCTION(multi_info_read),
        FUNCTION(multi_assign),        FUNCTION(multi_strerror),
    };
    void *lib = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL), *symbol;

    if (!lib) {
        (void)snprintf(failed, sizeof(failed),
                       "libcurl.so.4 cannot be loaded: install libcurl4");
        return;
    }
    for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++) {
        symbol = dlsym(lib, functions[i].name);
        if (!symbol) {
            (void)snprintf(failed, sizeof(failed),
                           "libcurl.so.4 has no %s: it is too old",
                           functions[i].name);
            return;
        }
        memcpy(functions[i].where, &symbol, functions[i].size);
    }
    if (libcurl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        (void)snprintf(failed, sizeof(failed), "libcurl does not start");
}

int upstream_load(struct err *err)
{
    (void)pthread_once(&once, load);
    return *failed ? err_set(err, ERR_UNSUPPORTED, "%s", failed) : ERR_OK;
}
