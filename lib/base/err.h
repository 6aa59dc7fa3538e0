/*
 * err.h - how library code reports failure
 *
 * A function that can fail returns 0 or a negative err_code and takes a
 * struct err as its last argument. Only cmd/ prints the message or exits.
 */
#ifndef ERR_H
#define ERR_H

#define ERR_CODES(X)                                                           \
    X(NOMEM, -1, "out of memory")                                              \
    X(IO, -2, "input/output error")                                            \
    X(FORMAT, -3, "malformed input")                                           \
    X(LIMIT, -4, "limit exceeded")                                             \
    X(INVALID, -5, "invalid argument")                                         \
    X(UNSUPPORTED, -6, "not supported")                                        \
    X(NOTFOUND, -7, "not found")                                               \
    X(BUSY, -8, "held by another run")                                         \
    X(INTERRUPTED, -9, "interrupted")                                          \
    X(OUTPUT, -10, "output could not be written")

enum err_code {
    ERR_OK = 0,
#define X(name, value, text) ERR_##name = value,
    ERR_CODES(X)
#undef X
};

struct err {
    enum err_code code;
    char msg[512]; /* lower case, names the object, fit to print as it is */
};

/* For functions whose result must not be ignored. */
#define MUST_CHECK __attribute__((warn_unused_result))

/* Fill *err (which may be NULL) and return code, so that callers can write
 * `return err_set(err, ERR_IO, "open %s: %s", path, strerror(errno))`.
 * The message is cut at the array's size. Arguments may point into *err. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "context: " in front of the message already in *err; returns its code. */
int err_wrap(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A short text for a code; never NULL. */
const char *err_name(enum err_code code);

#endif
