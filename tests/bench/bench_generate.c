/*
 * bench_generate.c - prompts and single tokens a second of a model on disk,
 * kept as `generate --weights` keeps it; a row a token, nothing is drafted
 * usage: bench_generate MODEL stored|f32|q8_0|q4_0 [THREADS [PROMPT [ANSWER
 *        [KERNELS]]]]
 * prints: prompt tokens a second, a tab, tokens of an answer a second; medians
 * of three.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>

#define TURNS 3

static struct err err;

static void must(int rc)
{
    if (rc < 0) {
        (void)fprintf(stderr, "bench_generate: %s\n", err.msg);
        exit(1);
    }
}

/* Seconds of a prompt followed by `answer` tokens. */
static double seconds(struct model *m, const int32_t *prompt, size_t n,
                      size_t answer, int32_t *out)
{
    struct model_sampling opt = { .max_tokens = answer,
                                  .ignore_eos = true,
                                  .plain = true };
    int64_t start = clock_mono_ns();
    bool finished;
    size_t got;

    must(model_generate(m, prompt, n, &opt, NULL, NULL, out, &got, &finished,
                        NULL, &err));
    return 1e-9 * (double)(clock_mono_ns() - start);
}

static double middle(const double t[TURNS])
{
    double low = t[0] < t[1] ? t[0] : t[1], high = t[0] < t[1] ? t[1] : t[0];

    return t[2] < low ? low : t[2] > high ? high : t[2];
}

int main(int argc, char **argv)
{
    struct compute_options opt = { .threads =
                                       argc > 3 ? (unsigned)atoi(argv[3]) : 0,
                                   .kernels = argc > 6 ? argv[6] : NULL };
    size_t n = argc > 4 ? (size_t)atoi(argv[4]) : 512;
    size_t answer = argc > 5 ? (size_t)atoi(argv[5]) : 64;
    double first[TURNS], rest[TURNS];
    int32_t *prompt = mem_array(n + 1, sizeof(*prompt));
    int32_t *out = mem_array(answer + 1, sizeof(*out));
    enum model_kept kept = MODEL_KEPT_STORED;
    struct compute *c;
    struct model *m;

    if (argc < 2 || (argc > 2 && !model_kept_of(argv[2], &kept)) || n == 0 ||
        answer == 0) {
        (void)fprintf(stderr, "usage: bench_generate MODEL "
                              "stored|f32|q8_0|q4_0 "
                              "[THREADS [PROMPT [ANSWER [KERNELS]]]]\n");
        return 2;
    }
    must(compute_open(&opt, &c, &err));
    must(model_load_kept(argv[1], NULL, c, kept, &m, &err));
    for (size_t i = 0; i < n; i++)
        prompt[i] = (int32_t)(i * 31 % 997) + 3;
    (void)seconds(m, prompt, n, 1, out);
    for (int i = 0; i < TURNS; i++) {
        double shortest = seconds(m, prompt, 1, 1, out);

        first[i] = (double)n / seconds(m, prompt, n, 1, out);
        rest[i] = (double)answer /
                  (seconds(m, prompt, 1, answer + 1, out) - shortest);
    }
    (void)printf("%.2f\t%.2f\n", middle(first), middle(rest));
    model_free(m);
    compute_close(c);
    free(prompt);
    free(out);
    return 0;
}
