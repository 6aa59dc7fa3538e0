/*
 * hyperscan_scan.c - MB/s of Hyperscan over the patterns of the rules
 *
 * hyperscan_scan RULES_DIR FILE...: scanning alone, without checks, context,
 * JSON or replacement. What Hyperscan cannot do (lookaround, possessive
 * quantifiers) it compiles as a filter that over-reports; what it refuses even
 * so is left out and counted. Built by scrub.sh where libhyperscan-dev is.
 */
#include <dirent.h>
#include <hs/hs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RULES_MAX 2048
#define LINE_MAX_BYTES 16384

static char *patterns[RULES_MAX];
static unsigned flags[RULES_MAX], ids[RULES_MAX];
static unsigned count, refused;

static void end_rule(char *pattern, int caseless)
{
    hs_database_t *db = NULL;
    hs_compile_error_t *error = NULL;
    unsigned f = HS_FLAG_PREFILTER | (caseless ? HS_FLAG_CASELESS : 0);

    if (!*pattern || count == RULES_MAX)
        return;
    if (hs_compile(pattern, f, HS_MODE_BLOCK, NULL, &db, &error) !=
        HS_SUCCESS) {
        hs_free_compile_error(error);
        refused++;
        return;
    }
    hs_free_database(db);
    patterns[count] = strdup(pattern);
    flags[count] = f;
    ids[count] = count;
    count++;
}

static void read_rules(const char *path)
{
    static char line[LINE_MAX_BYTES], pattern[LINE_MAX_BYTES * 4];
    FILE *f = fopen(path, "r");
    int caseless = 0;

    pattern[0] = '\0';
    while (f && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '[') {
            end_rule(pattern, caseless);
            pattern[0] = '\0';
            caseless = 0;
        } else if (strncmp(line, "pattern = ", 10) == 0 &&
                   strlen(pattern) + strlen(line) < sizeof(pattern)) {
            strcat(pattern, line + 10);
        } else if (strcmp(line, "caseless = yes") == 0) {
            caseless = 1;
        }
    }
    end_rule(pattern, caseless);
    if (f)
        fclose(f);
}

static void read_all_rules(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    char path[4096];

    while (d && (e = readdir(d))) {
        size_t n = strlen(e->d_name);

        if (n < 6 || strcmp(e->d_name + n - 6, ".rules") != 0)
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        read_rules(path);
    }
    if (d)
        closedir(d);
}

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int on_match(unsigned id, unsigned long long from, unsigned long long to,
                    unsigned match_flags, void *ctx)
{
    unsigned long *n = ctx;

    (void)id;
    (void)from;
    (void)to;
    (void)match_flags;
    ++*n;
    return 0;
}

static void scan_file(const hs_database_t *db, hs_scratch_t *scratch,
                      const char *path)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0, bytes = 0;
    unsigned long matches = 0;
    double spent = 0;
    ssize_t n;

    while (f && (n = getline(&line, &cap, f)) > 0) {
        double began = cpu_s();

        (void)hs_scan(db, line, (unsigned)n, 0, scratch, on_match, &matches);
        spent += cpu_s() - began;
        bytes += (size_t)n;
    }
    printf("Hyperscan, %u patterns (%u refused), %s: %.1f MB/s scanned, %lu "
           "matches\n",
           count, refused, path, (double)bytes / 1e6 / spent, matches);
    free(line);
    if (f)
        fclose(f);
}

int main(int argc, char **argv)
{
    hs_database_t *db = NULL;
    hs_compile_error_t *error = NULL;
    hs_scratch_t *scratch = NULL;
    double began;

    if (argc < 3)
        return 2;
    read_all_rules(argv[1]);
    began = cpu_s();
    if (hs_compile_multi((const char *const *)patterns, flags, ids, count,
                         HS_MODE_BLOCK, NULL, &db, &error) != HS_SUCCESS) {
        fprintf(stderr, "hyperscan: %s\n", error->message);
        return 1;
    }
    printf("Hyperscan: compiled in %.2f s\n", cpu_s() - began);
    if (hs_alloc_scratch(db, &scratch) != HS_SUCCESS)
        return 1;
    for (int i = 2; i < argc; i++)
        scan_file(db, scratch, argv[i]);
    hs_free_scratch(scratch);
    hs_free_database(db);
    for (unsigned i = 0; i < count; i++)
        free(patterns[i]);
    return 0;
}
