// Every kernel in portable C.
#include "vec_portable.h"

#include "body.h"
