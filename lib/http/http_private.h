/* http_private.h - what the files of this module share; nobody else includes
 * it */
#ifndef HTTP_PRIVATE_H
#define HTTP_PRIVATE_H

#include "http/http.h"

/* Characters by what the grammars allow them in. */
enum http_class {
    HTTP_TOKEN = 1, /* RFC 9110 section 5.6.2 */
    HTTP_TEXT = 2,  /* of a field's value: RFC 9110 section 5.5 */
    HTTP_PATH = 4,  /* RFC 3986: pchar and "/", without "%" */
    HTTP_QUERY = 8, /* pchar, "/", "?", and "[" "]", which clients send */
    HTTP_HOST = 16, /* reg-name, IP literal, port, without "%" */
};
bool http_is(unsigned char c, enum http_class which);
bool http_all(struct slice s, enum http_class which);
struct slice http_trim(struct slice s); /* spaces and tabs */

MUST_CHECK int http_refuse(struct http_refusal *why, int status,
                           enum err_code code, const char *text);
/* Framing, host, connection and expectation, when all fields are known. */
MUST_CHECK int http_request_judge(struct http_request *r, struct slice form,
                                  struct http_refusal *why);

#endif
