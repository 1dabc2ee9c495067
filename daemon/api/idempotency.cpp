#include "daemon/api/idempotency.hpp"

#include <openssl/evp.h>

#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace stint::api {
namespace {

std::string sha256(const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) {
    throw std::runtime_error("OpenSSL gives no SHA-256");
  }
  return {reinterpret_cast<const char*>(digest.data()), size};
}

/// nlohmann::json keeps the keys of objects sorted, also inside `args` and items.
template <class T>
std::string payload_of(const T& value) {
  std::string text;
  json::Writer writer(text);
  json::encode(writer, value);
  return sha256(nlohmann::json::parse(text).dump());
}

}  // namespace

core::SubmitKey submit_key(const protocol::SubmitRequest& request) { return {*request.job.key, payload_of(request.job), {}}; }

core::SubmitKey submit_key(const protocol::RunRequest& request) { return {*request.job.key, payload_of(request.job), {}}; }

core::SubmitKey submit_key(const protocol::SubmitManyRequest& request) {
  return {*request.key, payload_of(request), request.group.value_or("")};
}

const core::Keyed* submitted_before(Context& context, const core::SubmitKey& key) {
  const core::Keyed* const known = context.backend.scheduler().find_key(context.user()->uid, key.word);
  if (known != nullptr && known->payload != key.payload) {
    Error error(ErrorKind::conflict, "the key '" + key.word + "' was used for something else, by job " +
                                         std::to_string(known->first) + "; take another key for other work");
    error.field = "key";
    throw error;
  }
  return known;
}

}  // namespace stint::api
