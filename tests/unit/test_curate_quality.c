/* test_curate_quality.c - faults of answers, conditions on outcomes, filters */
#include "suite.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "curate/curate_settle.h"

#include <stdlib.h>
#include <string.h>

/* The text so often, with its number before it if asked. */
static char *repeated(const char *text, int times, bool numbered)
{
    struct buf b = { 0 };
    size_t n;

    for (int i = 0; i < times; i++) {
        if (numbered)
            buf_printf(&b, "%d ", i);
        buf_str(&b, text);
    }
    return buf_take(&b, &n);
}

static const char *judge(const char *asked, const char *text, bool calls,
                         uint64_t changed)
{
    struct curate_answer a = { .text = slice_of(text),
                               .asked = slice_of(asked),
                               .request = slice_of(asked),
                               .calls = calls };

    return curate_reason_name(
        curate_judge_quality(&a, curate_filters_default() ^ changed));
}

START_TEST(each_fault_has_its_name)
{
    static const struct {
        const char *asked, *text;
        bool calls;
        const char *reason;
    } table[] = {
        { "", "fine", false, "kept" },
        { "", "", false, "kept" },
        { "", "caf\xef\xbf\xbd", false, "broken_text" },
        { "what is \xef\xbf\xbd?", "\xef\xbf\xbd stands for", false, "kept" },
        { "what is \\ufffd?", "\xef\xbf\xbd stands for", false, "kept" },
        { "", "<think>so", false, "thought" },
        { "", "<think>so</think> ", false, "thought" },
        { "", "<think>so</think>", true, "kept" },
        { "", "<think>so</think>42", false, "kept" },
        { "", "so</think>42", false, "kept" },
        { "", "<think>a</think><think>b", false, "thought" },
        { "", "so \\boxed{42}", false, "kept" },
        { "", "so \\boxed{\\frac{1}{2}}", false, "kept" },
        { "", "so \\boxed{\\frac{1}{2}", false, "boxed" },
        { "", "so \\boxed{ }", false, "boxed" },
        { "", "I'm sorry, but I can't assist with that request.", false,
          "refusal" },
        { "",
          "I\xe2\x80\x99m sorry, but I can\xe2\x80\x99t help with that "
          "request",
          false, "refusal" },
        { "", "As an AI language model, I have no body", false, "refusal" },
        { "", "I'm unable to provide that information.", false, "refusal" },
        { "", "Unfortunately I am unable to help with this.", false,
          "refusal" },
        { "", "I’m not able to discuss that topic.", false, "refusal" },
        { "", "Ich kann dir dabei leider nicht helfen.", false, "refusal" },
        { "", "Lo siento, no puedo ayudarte con eso.", false, "refusal" },
        { "", "Je suis désolé, mais je ne peux pas vous aider avec cela.",
          false, "refusal" },
        { "", "Mi dispiace, ma non posso aiutarti con questo.", false,
          "refusal" },
        { "", "Het spijt me, daar kan ik niet mee helpen.", false, "refusal" },
        { "", "申し訳ありませんが、お手伝いできません。", false, "refusal" },
        { "", "抱歉，我无法协助处理该请求。", false, "refusal" },
        { "", "Lo siento, no puedo cambiar su reserva sin el número.", false,
          "kept" },
        { "", "Sorry, I won't be able to do that for you.", false, "refusal" },
        { "", "Es tut mir leid, aber dabei kann ich nicht helfen.", false,
          "refusal" },
        { "", "Sorry, I won't be able to do that for you before Monday", false,
          "kept" },
        { "", "I can do that for you. It won't take long.", false, "kept" },
        { "", "The form cannot provide that information.", false, "kept" },
        { "", "I'm sorry, but I can't assist with that.", true, "kept" },
        { "", "I'm sorry, but I cannot cancel a flight that has departed.",
          false, "kept" },
        { "", "I can assist with that request!", false, "kept" },
        { "",
          "A letter that says: we have looked into your request again, with "
          "care, and regret that we cannot assist with that request",
          false, "kept" },
        { "Wo ist der Bahnhof, und wie komme ich mit dem Bus dorthin?",
          "The station is in the middle of the town, and the bus is on the "
          "left of it; you are there with the next one",
          false, "kept" }, /* off by default */
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        ck_assert_str_eq(
            judge(table[i].asked, table[i].text, table[i].calls, 0),
            table[i].reason);
}
END_TEST

START_TEST(prose_that_repeats_itself_is_told_from_lists)
{
    char *loop =
        repeated("I will now look up the next flight for you and ", 40, false);
    char *lines = repeated("The same line again.\n", 20, false);
    char *list = repeated("- Flight leaves at noon from the gate\n", 40, true);
    char *json =
        repeated("[ \"the same again and again and again\" ] ", 40, false);
    char *few = repeated("The same line again.\n", 6, false);
    char *much =
        repeated("words that are all different from others ", 2000, true);

    ck_assert_str_eq(judge("", loop, false, 0), "repetitive");
    ck_assert_str_eq(judge("", lines, false, 0), "repetitive");
    ck_assert_str_eq(judge("", list, false, 0), "kept");
    ck_assert_str_eq(judge("", json, false, 0), "kept");
    ck_assert_str_eq(judge("", few, false, 0), "kept");
    ck_assert_str_eq(judge("", much, false, 0), "long");
    free(loop);
    free(lines);
    free(list);
    free(json);
    free(few);
    free(much);
}
END_TEST

/* A sentence of some sixty letters is enough. */
START_TEST(languages_of_short_texts_are_told_apart)
{
    static const char *const texts[] = {
        "I think that the weather will be fine tomorrow and you should not "
        "take an umbrella with you.",
        "Bitte antworte mir auf diese Frage, wie wird das Wetter morgen in der "
        "Stadt sein?",
        "Pouvez-vous me dire quel temps il fera demain dans la ville, et si je "
        "dois prendre un parapluie avec moi pour le voyage ?",
        "¿Puede decirme qué tiempo hará mañana en la ciudad y si tengo que "
        "llevar un paraguas para el viaje?",
        "Puoi dirmi che tempo farà domani nella città, e se per il viaggio "
        "devo portare anche un ombrello con me? Non sono di qui.",
        "Kun je me zeggen hoe het weer morgen in de stad zal zijn, en of ik "
        "een paraplu moet meenemen?",
        "Você pode me dizer como vai estar o tempo amanhã na cidade e se não "
        "preciso de uma sombrinha para a viagem?",
    };
    uint64_t changed;
    size_t n = sizeof(texts) / sizeof(*texts);

    ck_assert_int_eq(curate_filters_parse("language", &changed, NULL), 0);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            ck_assert_msg(strcmp(judge(texts[i], texts[k], false, changed),
                                 i == k ? "kept" : "language") == 0,
                          "%zu %zu", i, k);
}
END_TEST

START_TEST(languages_are_told_apart_if_asked)
{
    static const char english[] =
        "The station is in the middle of the town, and the bus is on the left "
        "of it; you are there with the next one";
    static const char german[] =
        "Der Bahnhof ist nicht weit, und mit dem Bus ist es eine Fahrt von "
        "zehn Minuten; den nehme ich, und das ist gut";
    static const char russian[] = "\xd0\x92\xd0\xbe\xd0\xba\xd0\xb7\xd0\xb0"
                                  "\xd0\xbb \xd0\xbd\xd0\xb5\xd0\xb4\xd0\xb0"
                                  "\xd0\xbb\xd0\xb5\xd0\xba\xd0\xbe "
                                  "\xd0\xbe\xd1\x82\xd1\x81\xd1\x8e\xd0\xb4"
                                  "\xd0\xb0, \xd0\xb8\xd0\xb4\xd0\xb8\xd1\x82"
                                  "\xd0\xb5";
    uint64_t changed;

    ck_assert_int_eq(curate_filters_parse("language", &changed, NULL), 0);
    ck_assert_str_eq(judge(german, english, false, changed), "language");
    ck_assert_str_eq(judge(german, german, false, changed), "kept");
    ck_assert_str_eq(judge(english, russian, false, changed), "language");
    ck_assert_str_eq(judge(english, "refund_not_showing_up", false, changed),
                     "kept");
    ck_assert_str_eq(judge(english, "OK", false, changed), "kept");
}
END_TEST

START_TEST(filters_are_changes_to_the_default)
{
    static const char *const good[][2] = {
        { "", "default" },
        { "language,-long", "-long,language" },
        { " -refusal , language", "-refusal,language" },
        { "none,default", "default" },
        { "all", "language" },
        { "-language", "default" },
    };
    static const char *const bad[] = { "failed",   "-failed", "kept",
                                       "nonsense", "-",       "-all" };
    struct err err;
    uint64_t changed;

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        struct buf text = { 0 };

        ck_assert_int_eq(curate_filters_parse(good[i][0], &changed, &err), 0);
        curate_filters_put(changed, &text);
        ck_assert_str_eq(text.data, good[i][1]);
        buf_release(&text);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        ck_assert_int_lt(curate_filters_parse(bad[i], &changed, &err), 0);
        ck_assert_ptr_nonnull(strstr(err.msg, "near_duplicate"));
    }
}
END_TEST

START_TEST(conditions_compare_outcomes)
{
    static const struct {
        const char *condition;
        bool meets;
    } table[] = {
        { "outcome.reward>0", true },
        { "outcome.reward > 0.5", false },
        { "outcome.reward>=.5", true },
        { "outcome.reward=0.5", true },
        { "outcome.reward!=0.5", false },
        { "outcome.reward<=0", false },
        { "outcome.reward", true },
        { "outcome.label=good", true },
        { "outcome.label==\"good\"", true },
        { "outcome.label!=good", false },
        { "outcome.answer", false },
        { "outcome.checks.passed=true", true },
        { "outcome.checks.count>2", true },
        { "outcome.checks.count<3", false },
        { "outcome.checks.name=unit", true },
        { "outcome.checks", true },
        { "outcome.checks.none", false },
        { "outcome.checks.none!=1", false },
        { "outcome.gone", false },
    };
    static const char *const bad[] = {
        "",
        "reward>0",
        "outcome",
        "outcome.",
        "outcome.reward>",
        "outcome.reward>good",
        "outcome..x=1",
        "outcome.reward~1",
        "outcome.reward!1",
        "outcome.reward=>1",
        "outcome.reward>1e400",
        "outcome.reward>nan",
        "outcome.reward=true",
        "outcome.label==>good",
        "outcome.answer=Paris",
        "outcome.answer.city=Paris",
    };
    struct curate_outcome o = {
        .there = true,
        .has_reward = true,
        .reward = .5,
        .label = slice_of("good"),
        .extra = slice_of("{\"checks\":{\"passed\":true,\"count\":3,\"name\":"
                          "\"unit\"},\"gone\":null}"),
    };
    struct curate_require *r;
    struct err err;

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        ck_assert_msg(curate_require_new(table[i].condition, &r, &err) == 0,
                      "%s", err.msg);
        ck_assert_msg(curate_require_meets(r, &o) == table[i].meets, "%s",
                      table[i].condition);
        curate_require_free(r);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        ck_assert_msg(curate_require_new(bad[i], &r, &err) < 0, "%s", bad[i]);
}
END_TEST

START_TEST(moods_are_opinions_and_not_labels)
{
    static const struct {
        double reward;
        const char *label, *extra;
        int mood;
    } table[] = {
        { -1, "", "", -1 },
        { .5, "", "", 1 },
        { 0, "negative", "", 0 },
        { 0, "", "{\"feedback\":\"down\"}", -1 },
        { 0, "", "{\"rating\":-1}", -1 },
        { 0, "", "{\"thumbs\":\"up\"}", 1 },
        { 0, "", "{\"feedback\":\"late\"}", 0 },
        { 0, "", "no json", 0 },
        /* once only "down" in small letters was an opinion */
        { 0, "", "{\"rating\":\"Negative\"}", -1 },
        { 0, "", "{\"vote\":\"Dislike\"}", -1 },
        { 0, "", "{\"thumbs\":\"DOWN\"}", -1 },
        { 0, "", "{\"thumbs\":\"Thumbs down!\"}", -1 },
        { 0, "", "{\"feedback\":\"\xf0\x9f\x91\x8e\"}", -1 },
        { 0, "", "{\"feedback\":\"\\ud83d\\udc4e\"}", -1 },
        { 0, "", "{\"feedback\":\"\xf0\x9f\x91\x8d\"}", 1 },
        { 0, "", "{\"feedback\":\"down \"}", -1 },
        { 0, "", "{\"feedback\":{\"rating\":\"bad\"}}", -1 },
        { 0, "", "{\"feedback\":{\"value\":-1}}", -1 },
        { 0, "", "{\"feedback\":\"not bad\"}", 0 },
        { 0, "", "{\"feedback\":\"down the street, quite far\"}", 0 },
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct curate_outcome o = { .there = true,
                                    .has_reward = true,
                                    .reward = table[i].reward,
                                    .label = slice_of(table[i].label),
                                    .extra = slice_of(table[i].extra) };

        ck_assert_int_eq(curate_outcome_mood(&o), table[i].mood);
    }
}
END_TEST

START_TEST(damaged_sketches_are_no_sketches)
{
    struct buf b = { 0 };
    struct curate_sketch s;

    buf_char(&b, 1);
    for (uint64_t i = 1; i <= 3; i++)
        bytes_put_u64(&b, i);
    bytes_put_u32(&b, 6); /* words */
    bytes_put_u32(&b, 3); /* a later turn, a sample */
    bytes_put_u32(&b, 2);
    bytes_put_u32(&b, 10);
    bytes_put_u32(&b, 20);
    ck_assert(curate_sketch_read(buf_slice(&b), &s));
    ck_assert_uint_eq(s.task, 1);
    ck_assert_uint_eq(s.context, 2);
    ck_assert_uint_eq(s.stratum, 3);
    ck_assert_uint_eq(s.words, 6);
    ck_assert(s.multi && s.cut);
    ck_assert_uint_eq(s.count, 2);
    ck_assert_int_eq(s.hashes[4], 20);
    for (size_t n = 0; n < b.len; n++)
        ck_assert(!curate_sketch_read((struct slice){ b.data, n }, &s));
    buf_char(&b, 0);
    ck_assert(!curate_sketch_read(buf_slice(&b), &s));
    b.data[0] = 2; /* of a version to come */
    ck_assert(!curate_sketch_read((struct slice){ b.data, b.len - 1 }, &s));
    buf_release(&b);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("quality");

    tcase_add_test(c, each_fault_has_its_name);
    tcase_add_test(c, prose_that_repeats_itself_is_told_from_lists);
    tcase_add_test(c, languages_are_told_apart_if_asked);
    tcase_add_test(c, languages_of_short_texts_are_told_apart);
    tcase_add_test(c, filters_are_changes_to_the_default);
    tcase_add_test(c, conditions_compare_outcomes);
    tcase_add_test(c, moods_are_opinions_and_not_labels);
    tcase_add_test(c, damaged_sketches_are_no_sketches);
    tcase_set_timeout(c, 60);
    return suite_run("curate_quality", c);
}
