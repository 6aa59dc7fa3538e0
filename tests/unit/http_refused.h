/*
 * http_refused.h - requests that two readers could understand in two ways, or
 * that are no HTTP: each is refused, none reaches an upstream
 */
#ifndef HTTP_REFUSED_H
#define HTTP_REFUSED_H

#include <stddef.h>

struct http_refused {
    const char *name;
    int status;
    const char *bytes; /* cut at n where it holds a NUL */
    size_t n;
};

#define R(name, status, text)                                                  \
    {                                                                          \
        name, status, text, sizeof(text) - 1                                   \
    }
#define P "POST /v1/x HTTP/1.1\r\nHost: h\r\n"

static const struct http_refused http_refused[] = {
    R("length and coding", 400,
      P "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    R("coding and length", 400,
      P "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    R("two lengths", 400, P "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
    R("equal lengths", 400, P "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
    R("list of lengths", 400, P "Content-Length: 5, 5\r\n\r\n"),
    R("signed length", 400, P "Content-Length: +5\r\n\r\n"),
    R("negative length", 400, P "Content-Length: -1\r\n\r\n"),
    R("hexadecimal length", 400, P "Content-Length: 0x5\r\n\r\n"),
    R("length with a fraction", 400, P "Content-Length: 5.0\r\n\r\n"),
    R("length in words", 400, P "Content-Length: 5 5\r\n\r\n"),
    R("length overflows", 400,
      P "Content-Length: 18446744073709551621\r\n\r\n"),
    R("empty length", 400, P "Content-Length:\r\n\r\n"),
    R("space before colon, length", 400, P "Content-Length : 5\r\n\r\n"),
    R("tab before colon, coding", 400,
      P "Transfer-Encoding\t: chunked\r\n\r\n"),
    R("coding twice", 400,
      P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    R("coding list", 400, P "Transfer-Encoding: chunked, chunked\r\n\r\n"),
    R("coding then identity", 400,
      P "Transfer-Encoding: chunked, identity\r\n\r\n"),
    R("gzip then chunked", 400, P "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    R("identity", 501, P "Transfer-Encoding: identity\r\n\r\n"),
    R("unknown coding", 501, P "Transfer-Encoding: xchunked\r\n\r\n"),
    R("coding with parameter", 501, P "Transfer-Encoding: chunked;q=1\r\n\r\n"),
    R("quoted coding", 501, P "Transfer-Encoding: \"chunked\"\r\n\r\n"),
    R("empty coding", 400, P "Transfer-Encoding:\r\n\r\n"),
    R("vertical tab in coding", 400, P "Transfer-Encoding: \vchunked\r\n\r\n"),
    R("coding in 1.0", 400,
      "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"),
    R("folded coding", 400,
      P "Transfer-Encoding:\r\n chunked\r\nContent-Length: 3\r\n\r\n"),
    R("folded field", 400, P "X-A: b\r\n\tc\r\n\r\n"),
    R("folded first field", 400, "GET / HTTP/1.1\r\n X: y\r\nHost: h\r\n\r\n"),
    R("bare LF after request line", 400, "GET / HTTP/1.1\nHost: h\r\n\r\n"),
    R("bare LF after a field", 400, "GET / HTTP/1.1\r\nHost: h\n\r\n"),
    R("bare LF ends the head", 400, "GET / HTTP/1.1\r\nHost: h\r\n\n"),
    R("bare CR in a value", 400,
      "GET / HTTP/1.1\r\nHost: h\r\nX: a\rContent-Length: 5\r\n\r\n"),
    R("bare CR in the request line", 400,
      "GET /\r HTTP/1.1\r\nHost: h\r\n\r\n"),
    R("NUL in a value", 400, "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n"),
    R("NUL in a name", 400, "GET / HTTP/1.1\r\nHost: h\r\nX\0: a\r\n\r\n"),
    R("DEL in a value", 400, "GET / HTTP/1.1\r\nHost: h\r\nX: a\177\r\n\r\n"),
    R("no colon", 400, "GET / HTTP/1.1\r\nHost: h\r\nContent-Length\r\n\r\n"),
    R("empty name", 400, "GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n"),
    R("name with a separator", 400,
      "GET / HTTP/1.1\r\nHost: h\r\nA(b: x\r\n\r\n"),
    R("name in UTF-8", 400,
      "GET / HTTP/1.1\r\nHost: h\r\nX\xC3\xA4: x\r\n\r\n"),
    R("no Host", 400, "GET / HTTP/1.1\r\nAccept: x\r\n\r\n"),
    R("two Hosts", 400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    R("empty Host", 400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    R("Host with a path", 400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    R("Host with a user", 400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    R("Host list", 400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    R("target's host differs", 400,
      "GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n"),
    R("target with a user", 400,
      "GET http://u@a/x HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    R("no slash", 400, "GET x HTTP/1.1\r\nHost: h\r\n\r\n"),
    R("https target", 400, "GET https://h/ HTTP/1.1\r\nHost: h\r\n\r\n"),
    R("fragment", 400, "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n"),
    R("bad percent", 400, "GET /a%2 HTTP/1.1\r\nHost: h\r\n\r\n"),
    R("percent and no digits", 400, "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n"),
    R("space in the target", 400, "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"),
    R("backslash", 400, "GET /a\\b HTTP/1.1\r\nHost: h\r\n\r\n"),
    R("UTF-8 in the target", 400, "GET /\xC3\xA4 HTTP/1.1\r\nHost: h\r\n\r\n"),
    R("two spaces", 400, "GET  / HTTP/1.1\r\nHost: h\r\n\r\n"),
    R("tab for space", 400, "GET\t/\tHTTP/1.1\r\nHost: h\r\n\r\n"),
    R("space after the version", 400, "GET / HTTP/1.1 \r\nHost: h\r\n\r\n"),
    R("no version", 400, "GET /\r\nHost: h\r\n\r\n"),
    R("lower-case version", 400, "GET / http/1.1\r\nHost: h\r\n\r\n"),
    R("version of one number", 400, "GET / HTTP/1\r\nHost: h\r\n\r\n"),
    R("HTTP/2's preface", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    R("HTTP/0.9's number", 505, "GET / HTTP/0.9\r\nHost: h\r\n\r\n"),
    R("method with a bracket", 400, "GE(T / HTTP/1.1\r\nHost: h\r\n\r\n"),
    R("no method", 400, " / HTTP/1.1\r\nHost: h\r\n\r\n"),
    R("CONNECT", 501, "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"),
    R("asterisk", 501, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"),
    R("only empty lines", 400, "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    R("TLS", 400, "\x16\x03\x01\x02"),
    R("expectation", 417, P "Expect: 200-maybe\r\n\r\n"),
};

/* Whole heads whose chunked bodies are refused. */
#define C P "Transfer-Encoding: chunked\r\n\r\n"
static const struct http_refused http_refused_bodies[] = {
    R("no size", 400, C "\r\nabc\r\n0\r\n\r\n"),
    R("size with 0x", 400, C "0x3\r\nabc\r\n0\r\n\r\n"),
    R("signed size", 400, C "+3\r\nabc\r\n0\r\n\r\n"),
    R("negative size", 400, C "-3\r\nabc\r\n0\r\n\r\n"),
    R("space before size", 400, C " 3\r\nabc\r\n0\r\n\r\n"),
    R("space after size", 400, C "3 \r\nabc\r\n0\r\n\r\n"),
    R("size overflows", 400, C "10000000000000003\r\nabc\r\n0\r\n\r\n"),
    R("size overflows 60 bits", 400, C "ffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
    R("bare LF after size", 400, C "3\nabc\r\n0\r\n\r\n"),
    R("bare LF after data", 400, C "3\r\nabc\n0\r\n\r\n"),
    R("bare CR after data", 400, C "3\r\nabc\r0\r\n\r\n"),
    R("chunk longer than its size", 400, C "3\r\nabcd\r\n0\r\n\r\n"),
    R("chunk shorter than its size", 400, C "4\r\nabc\r\n0\r\n\r\n"),
    R("bare LF in an extension", 400, C "3;a\nb\r\nabc\r\n0\r\n\r\n"),
    R("bare CR in an extension", 400, C "3;a\rb\r\nabc\r\n0\r\n\r\n"),
    R("bare LF ends the trailer", 400, C "0\r\n\n"),
    R("folded trailer", 400, C "0\r\n x\r\n\r\n"),
    R("trailer without a name", 400, C "0\r\n: x\r\n\r\n"),
    R("trailer without a colon", 400, C "0\r\nabc\r\n\r\n"),
    R("bare LF in the trailer", 400, C "0\r\nA: b\n\r\n"),
};
#undef R
#undef P
#undef C

#endif
