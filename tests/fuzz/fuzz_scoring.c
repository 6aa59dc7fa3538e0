/* fuzz_scoring.c - answers, references and prompts of arbitrary bytes, scored
 * by every kind. The input is three texts with a NUL between them. */
#include "json/json.h"
#include "scoring/scoring.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice part(struct slice *rest)
{
    const char *end = rest->n > 0 ? memchr(rest->p, '\0', rest->n) : NULL;
    struct slice s = { rest->p, end ? (size_t)(end - rest->p) : rest->n };

    rest->p += s.n + (end != NULL);
    rest->n -= s.n + (end != NULL);
    return s;
}

static void request_write(struct slice prompt, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    json_begin_array(&w, "messages");
    json_begin_object(&w, NULL);
    json_put_slice(&w, "content", prompt);
    json_end_object(&w);
    json_end_array(&w);
    json_end_object(&w);
}

static void score_all(const struct score_pair *pair)
{
    struct score s;

    for (int k = 0; k < SCORE_KINDS; k++) {
        score_answer((enum score_kind)k, pair, 1, &s);
        if (!isnan(s.value) && !(s.value >= 0 && s.value <= 1))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = { (const char *)data, size };
    struct slice prompt = part(&rest), ref = part(&rest), got = part(&rest);
    struct buf request = { 0 }, a = { 0 }, b = { 0 };
    struct score_pair pair = { prompt, ref, got, false };

    score_all(&pair); /* as they are: mostly no JSON */
    request_write(prompt, &request);
    score_message(ref, &a);
    score_message(got, &b);
    pair.request = buf_slice(&request);
    pair.reference = buf_slice(&a);
    pair.answer = buf_slice(&b);
    score_all(&pair);
    (void)score_schema_key(pair.request);
    buf_release(&request);
    buf_release(&a);
    buf_release(&b);
    return 0;
}
