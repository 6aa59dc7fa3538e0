/* dedup_sign_generic.c - signatures, for any CPU */
#define DEDUP_SIGN dedup_sign_generic
#define DEDUP_LANES 4
#include "dedup/dedup_sign.h"
