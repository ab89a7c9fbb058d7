// The same on an emulated matrix unit: for tests, slow.
#define LLO_VNNI 1
#define TABLE llo_amx_emulated
#define TABLE_NAME "amx-emulated"
#include "vec_avx512.h"

#include "tiles_emulated.h"

#include "body_amx.h"
