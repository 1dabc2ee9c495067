// Idempotency keys of the submitting calls: the same key and payload again is the first call over again.
//
// Payloads are compared after decoding: neither the order of the fields nor white space tells them apart. I/O thread only.
#pragma once

#include <optional>

#include "daemon/api/method.hpp"

namespace stint::api {

/// What a call with a key is recorded by.
[[nodiscard]] core::SubmitKey submit_key(const protocol::SubmitRequest& request);
[[nodiscard]] core::SubmitKey submit_key(const protocol::RunRequest& request);
[[nodiscard]] core::SubmitKey submit_key(const protocol::SubmitManyRequest& request);

/// The call that had this key before, or null. Throws `conflict` where it asked for something else.
[[nodiscard]] const core::Keyed* submitted_before(Context& context, const core::SubmitKey& key);

}  // namespace stint::api
