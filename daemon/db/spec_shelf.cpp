#include "daemon/db/spec_shelf.hpp"

#include <functional>

#include "common/error.hpp"
#include "daemon/db/catalogue.hpp"

namespace stint::db {

std::string_view SpecShelf::text_of(const JobSpec& spec) {
  scratch_.clear();
  json::Writer writer(scratch_);
  json::encode(writer, spec);
  return scratch_;
}

std::shared_ptr<JobSpec> SpecShelf::decode(std::string_view text) {
  try {
    return std::make_shared<JobSpec>(json::decode<JobSpec>(parser_.parse_copy(text), json::Path{nullptr, "job"}));
  } catch (const Error& error) {
    throw StoreFailure("a stored specification is not readable: " + error.message());
  }
}

std::shared_ptr<const JobSpec> SpecShelf::read(std::string_view text) {
  if (text.size() > shared_text_bytes_max) return decode(text);
  Text& slot = texts_.at(std::hash<std::string_view>{}(text) % slots);
  if (!slot.spec || slot.text != text) {
    slot.spec = decode(text);
    slot.text = text;
  }
  return slot.spec;
}

std::shared_ptr<const JobSpec> SpecShelf::find(std::int64_t row) const {
  const Row& slot = rows_.at(static_cast<std::uint64_t>(row) % slots);
  return slot.row == row ? slot.spec : nullptr;
}

std::shared_ptr<const JobSpec> SpecShelf::put(std::int64_t row, std::shared_ptr<const JobSpec> spec) {
  rows_.at(static_cast<std::uint64_t>(row) % slots) = {row, spec};
  return spec;
}

}  // namespace stint::db
