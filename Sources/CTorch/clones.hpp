// Functions that are compiled for several kinds of vectors and chosen when the program starts.
#pragma once

#if defined(__x86_64__) && defined(__linux__)
#define GRAFT_CLONED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define GRAFT_CLONED
#endif
#define GRAFT_INLINED inline __attribute__((always_inline))
// Vectors are passed between inlined functions only, so their calling convention does not matter.
#pragma clang diagnostic ignored "-Wpsabi"
