/* dedup_sign_generic.c - signatures, for any CPU */
#define DEDUP_SIGN dedup_sign_generic
#include "dedup/dedup_sign.h"
