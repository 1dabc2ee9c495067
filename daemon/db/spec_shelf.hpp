// Specifications as text and back; jobs whose texts are alike share one object.
//
// Remembers a bounded number of what it has read or written last. A value without locks, one thread at a time. Throws
// StoreFailure where a text is no specification.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/job.hpp"

namespace stint::db {

class SpecShelf {
 public:
  /// The text of a specification; valid until the next call.
  [[nodiscard]] std::string_view text_of(const JobSpec& spec);

  /// The specification of a text: of a row of `job` or `finished` that has its own.
  [[nodiscard]] std::shared_ptr<const JobSpec> read(std::string_view text);
  /// That of a row of `spec`, where it was put before; null where not.
  [[nodiscard]] std::shared_ptr<const JobSpec> find(std::int64_t row) const;
  std::shared_ptr<const JobSpec> put(std::int64_t row, std::shared_ptr<const JobSpec> spec);
  [[nodiscard]] std::shared_ptr<JobSpec> decode(std::string_view text);

  /// What was put for rows may never have come to be.
  void forget_rows() { rows_ = {}; }

 private:
  static constexpr std::size_t slots = 256;  // of specifications each, the newest of its slot
  static constexpr std::size_t shared_text_bytes_max = 4U << 10U;
  struct Text {
    std::string text;
    std::shared_ptr<const JobSpec> spec;
  };
  struct Row {
    std::int64_t row = 0;
    std::shared_ptr<const JobSpec> spec;
  };

  std::array<Text, slots> texts_;
  std::array<Row, slots> rows_;
  json::Parser parser_;
  std::string scratch_;
};

}  // namespace stint::db
