/*
 * schema.h - values against the subset of JSON Schema that tools use
 *
 * Types (one or several, dialects of Python among them), enum, const,
 * properties, required, additionalProperties, items, prefixItems, allOf,
 * anyOf, oneOf (as anyOf). It forgives where schemas in the wild are loose; it
 * is no validator: what it does not know fits.
 * May use: base, json.
 */
#ifndef SCHEMA_H
#define SCHEMA_H

#include "json/json.h"

#include <stdbool.h>

/* Value and schema may be of different documents; a schema that is no object
 * allows all. *why (NULL is fine) names the keyword that failed first, static,
 * or is NULL. */
bool schema_allows(const struct json *sj, json_ref schema,
                   const struct json *vj, json_ref value, const char **why);

#endif
