/* crypto_secret.c - where keys lie while a process holds them */
#include "crypto/crypto.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

void *crypto_secret_new(size_t n)
{
    void *p = sodium_init() < 0 ? NULL : sodium_malloc(n ? n : 1);

    if (!p)
        abort();
    memset(p, 0, n);
    return p;
}

void crypto_secret_free(void *p)
{
    sodium_free(p);
}

void crypto_forbid_dumps(void)
{
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
