// Shared by the tests of common/: decode from text, expect an Error of a kind, random numbers from a printed seed.
//
// Nothing here knows more than the headers of common/.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <iostream>
#include <random>
#include <string>

#include "common/error.hpp"
#include "common/json.hpp"
#include "common/json_map.hpp"

namespace stint::test {

template <class T>
[[nodiscard]] T decode_text(std::string_view text) {
  json::Parser parser;
  return json::decode<T>(parser.parse_copy(text));
}

/// The Error that `action` throws; a failed test where it throws none.
inline Error error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorKind::internal_error, "nothing was thrown"};
}

template <class T>
[[nodiscard]] Error decode_error(std::string_view text) {
  SCOPED_TRACE(std::string(text.substr(0, 200)));
  return error_of([&] { static_cast<void>(decode_text<T>(text)); });
}

/// The kind and the field of an error in one string, so that an assertion shows both.
[[nodiscard]] inline std::string kind_and_field(const Error& error) {
  return std::string(error_name(error.kind())) + " " + error.field.value_or("-");
}

/// A generator whose seed is printed, and taken from STINT_TEST_SEED where that is set.
inline std::mt19937_64 seeded() {
  const char* given = std::getenv("STINT_TEST_SEED");
  const std::uint64_t seed = given != nullptr ? std::stoull(given) : std::random_device{}();
  std::cout << "STINT_TEST_SEED=" << seed << '\n';
  return std::mt19937_64(seed);
}

[[nodiscard]] inline std::size_t below(std::mt19937_64& random, std::size_t bound) {
  return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random);
}

}  // namespace stint::test
