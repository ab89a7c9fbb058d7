// The same on an emulated matrix unit: for tests, slow.
#define TABLE llo_amx_emulated
#define TABLE_NAME "amx-emulated"
#include "vec_avx512.h"

#include "tiles_emulated.h"

#include "body_amx.h"
