/*
 * possible_driver.c - answers against lists of possible calls, a line at a time
 *
 * Reads {"request":..., "possible":[...], "answer":{message}, "one":bool,
 * "malformed":bool}, answers "VALUE REASON" ("-" for none). For
 * bfcl_matcher.py, which builds it.
 */
#include "json/json.h"
#include "scoring/scoring.h"

#include <stdio.h>
#include <stdlib.h>

static void line_answer(const struct json *j)
{
    struct score_pair pair = {
        .request = json_raw(j, json_get(j, 0, "request")),
        .answer = json_raw(j, json_get(j, 0, "answer")),
    };
    bool one = false;
    struct score s;

    json_bool(j, json_get(j, 0, "one"), &one);
    json_bool(j, json_get(j, 0, "malformed"), &pair.malformed);
    score_possible(&pair, json_raw(j, json_get(j, 0, "possible")),
                   one ? SCORE_ONE_CALL : SCORE_ANY_ORDER, &s);
    (void)printf("%g %s\n", s.value, s.reason[0] ? s.reason : "-");
}

int main(void)
{
    struct json j = { 0 };
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;

    while ((n = getline(&line, &cap, stdin)) > 0) {
        if (json_parse(&j, line, (size_t)n - 1, NULL) != 0)
            return 2;
        line_answer(&j);
    }
    json_release(&j);
    free(line);
    return 0;
}
