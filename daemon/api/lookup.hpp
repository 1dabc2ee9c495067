// Finding a job wherever it is: here (unfinished, or not yet stored), in the store, gone, or never there.
#pragma once

#include <functional>

#include "daemon/api/method.hpp"

namespace stint::api {

/// A job that has finished, or is still here: exactly one is set. `job` is valid during the callback only.
struct Located {
  const core::Job* job = nullptr;
  core::FinishedPtr finished;
  std::optional<core::LoadedSpec> shelved;  ///< of a job that is here without its specification

  [[nodiscard]] const JobSpec& spec() const { return finished ? *finished->spec : shelved ? *shelved->spec : *job->spec; }
  [[nodiscard]] const json::Raw* item() const {
    return finished ? finished->item.get() : shelved ? shelved->item.get() : job->item.get();
  }
  /// Of a job that is here.
  [[nodiscard]] std::string record(const core::Scheduler& scheduler) const;

  [[nodiscard]] std::uint32_t owner() const { return job != nullptr ? job->user->uid : finished->user->uid; }
};

/// Finds job `id` and answers with what `look` makes of it; Errors that it throws are answered. `look` gets no Context:
/// it may be called after the handler has returned, and again.
[[nodiscard]] Reply answer_about(Context& context, JobId id, std::function<Reply(const Located&)> look);
/// The same where the call is deferred already.
void answer_about(Backend& backend, const Ticket& ticket, JobId id, std::function<Reply(const Located&)> look);

/// Calls `done` with the job, maybe inside this call, or with an Error; may outlive the handler.
void locate(Backend& backend, JobId id, std::function<void(const Located&)> done, std::function<void(const Error&)> failed);

/// The finished form of a job that is here, or null.
[[nodiscard]] core::FinishedPtr finished_form(const core::Job& job);

}  // namespace stint::api
