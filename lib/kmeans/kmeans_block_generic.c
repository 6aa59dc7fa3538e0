/* kmeans_block_generic.c - a block, for any CPU */
#include <stddef.h>
#include <string.h>

#define LANES 4
#define TILE 3

typedef float vec __attribute__((vector_size(16)));

static inline vec vec_load(const float *p)
{
    vec v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static inline void vec_store(float *p, vec v)
{
    memcpy(p, &v, sizeof(v));
}

static inline vec vec_set(float x)
{
    return (vec){ x, x, x, x };
}

static inline vec vec_fma(vec a, vec b, vec c)
{
    return a * b + c;
}

static inline vec vec_sub(vec a, vec b)
{
    return a - b;
}

static inline vec vec_max(vec a, vec b)
{
    for (size_t l = 0; l < LANES; l++)
        a[l] = a[l] > b[l] ? a[l] : b[l];
    return a;
}

static inline float vec_top(vec v)
{
    float top = v[0];

    for (size_t l = 1; l < LANES; l++)
        top = v[l] > top ? v[l] : top;
    return top;
}

#define KMEANS_NAME kmeans_block_generic
#include "kmeans/kmeans_block.h"
