// Every kernel in NEON, which all 64-bit ARM has.
#include "vec_neon.h"

#include "body.h"
