/*
 * llamacpp_greedy.c - what llama.cpp makes of a GGUF model, as JSON
 *
 * Not built by make: round_trip_gguf.py says how. Tokens, greedy
 * continuation and text on stdout, logits of every prompt position as raw
 * floats in a file. It goes on after an end token, of which llama.cpp guesses
 * more than the model names. The prompt of a file without a tokenizer is ids.
 * COUNT 0: ids of each prompt alone, prompts ending in a zero byte.
 */
#include "llama.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMPT_MAX (1 << 20)
#define TOKENS_MAX 4096

static void quiet(enum ggml_log_level level, const char *text, void *data)
{
    (void)data;
    if (level >= GGML_LOG_LEVEL_WARN)
        fputs(text, stderr);
}

static void print_tokens(const char *name, const llama_token *t, int n)
{
    printf("\"%s\":[", name);
    for (int i = 0; i < n; i++)
        printf("%s%d", i ? "," : "", t[i]);
    printf("],");
}

static void print_text(const char *s, int n)
{
    printf("\"text_hex\":\"");
    for (int i = 0; i < n; i++)
        printf("%02x", (unsigned char)s[i]);
    printf("\"}\n");
}

static int eval(struct llama_context *ctx, llama_token *t, int n, int past,
                int n_vocab, FILE *logits)
{
    struct llama_batch b = llama_batch_init(n, 0, 1);
    int rc;

    for (int i = 0; i < n; i++) {
        b.token[i] = t[i];
        b.pos[i] = past + i;
        b.n_seq_id[i] = 1;
        b.seq_id[i][0] = 0;
        b.logits[i] = 1;
    }
    b.n_tokens = n;
    rc = llama_decode(ctx, b);
    for (int i = 0; rc == 0 && logits && i < n; i++)
        fwrite(llama_get_logits_ith(ctx, i), sizeof(float), (size_t)n_vocab,
               logits);
    llama_batch_free(b);
    return rc;
}

static llama_token best_of(const float *logits, int n)
{
    int best = 0;

    for (int i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

static int read_ids(const char *text, llama_token *out, int most)
{
    char *end;
    int n = 0;

    for (long id = strtol(text, &end, 10); end != text && n < most;
         id = strtol(text, &end, 10)) {
        out[n++] = (llama_token)id;
        text = end;
    }
    return n;
}

static int generate(struct llama_model *model, struct llama_context *ctx,
                    const char *prompt, int count, FILE *logits)
{
    const struct llama_vocab *vocab = llama_model_get_vocab(model);
    int n_vocab = llama_vocab_n_tokens(vocab), made = 0, n, text;
    static llama_token in[TOKENS_MAX], out[TOKENS_MAX];
    static char piece[16 * TOKENS_MAX];

    if (llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_NONE)
        n = read_ids(prompt, in, TOKENS_MAX);
    else
        n = llama_tokenize(vocab, prompt, (int)strlen(prompt), in, TOKENS_MAX,
                           true, true);
    if (n < 1 || count > TOKENS_MAX || eval(ctx, in, n, 0, n_vocab, logits))
        return 1;
    for (int past = n, last = n - 1; made < count; past++, last = 0) {
        out[made] = best_of(llama_get_logits_ith(ctx, last), n_vocab);
        if (++made == count)
            break;
        if (eval(ctx, &out[made - 1], 1, past, n_vocab, NULL))
            return 1;
    }
    text = llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_NONE
               ? 0
               : llama_detokenize(vocab, out, made, piece, sizeof(piece), false,
                                  true);
    printf("{");
    print_tokens("prompt", in, n);
    print_tokens("ids", out, made);
    print_text(piece, text < 0 ? 0 : text);
    return 0;
}

/* Without the tokens that stand around a text, and those written in it. */
static int print_ids(struct llama_model *model, const char *text, size_t size)
{
    const struct llama_vocab *vocab = llama_model_get_vocab(model);
    static llama_token ids[TOKENS_MAX];

    for (const char *p = text; p < text + size; p += strlen(p) + 1) {
        int n = llama_tokenize(vocab, p, (int)strlen(p), ids, TOKENS_MAX, false,
                               false);

        printf("{");
        print_tokens("ids", ids, n < 0 ? 0 : n);
        printf("\"count\":%d}\n", n);
    }
    return 0;
}

/* MODEL COUNT LOGITS [LORA], the prompt on standard input */
int main(int argc, char **argv)
{
    struct llama_model_params mp = llama_model_default_params();
    struct llama_context_params cp = llama_context_default_params();
    struct llama_model *model;
    struct llama_context *ctx;
    static char prompt[PROMPT_MAX];
    size_t size;
    FILE *logits;

    if (argc < 4)
        return 2;
    size = fread(prompt, 1, sizeof(prompt) - 1, stdin);
    prompt[size] = 0;
    llama_log_set(quiet, NULL);
    llama_backend_init();
    mp.n_gpu_layers = 0;
    mp.vocab_only = atoi(argv[2]) == 0;
    model = llama_model_load_from_file(argv[1], mp);
    if (!model)
        return 1;
    if (mp.vocab_only)
        return print_ids(model, prompt, size);
    cp.n_ctx = 1024;
    cp.n_batch = cp.n_ubatch = 1024;
    cp.n_threads = cp.n_threads_batch = 1;
    cp.type_k = cp.type_v = GGML_TYPE_F32;
    cp.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    ctx = llama_init_from_model(model, cp);
    if (!ctx)
        return 1;
    if (argc > 4) {
        struct llama_adapter_lora *a = llama_adapter_lora_init(model, argv[4]);

        if (!a || llama_set_adapter_lora(ctx, a, 1.0f))
            return 1;
    }
    logits = fopen(argv[3], "wb");
    if (!logits || generate(model, ctx, prompt, atoi(argv[2]), logits))
        return 1;
    return fclose(logits) != 0;
}
