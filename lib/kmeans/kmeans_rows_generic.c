/* kmeans_rows_generic.c - a block, for any CPU */
#define KMEANS_ROWS kmeans_rows_generic
#include "kmeans/kmeans_rows.h"
