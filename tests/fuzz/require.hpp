// An assertion that a fuzzer sees in every build type: a false condition aborts, with its text on standard error.
#pragma once

#include <cstdio>
#include <cstdlib>

#define FUZZ_REQUIRE(condition)                                                               \
  do {                                                                                        \
    if (!(condition)) {                                                                       \
      static_cast<void>(std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition)); \
      std::abort();                                                                           \
    }                                                                                         \
  } while (false)
