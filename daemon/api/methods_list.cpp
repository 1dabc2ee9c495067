// job.list: one page of jobs in the order of id, merged from what is here and what the store has.
//
// Ids are walked in slices, so that no page holds up the loop or the store for long; a page that has looked at many ids
// without finding enough ends early and says where to go on.
#include <algorithm>

#include "daemon/api/lookup.hpp"
#include "daemon/api/methods.hpp"

namespace stint::api {
namespace {

constexpr std::size_t slice_jobs = 2'048;
constexpr int slices_a_page = 8;
constexpr std::size_t page_bytes = 4U << 20U;

class ListWalk : public std::enable_shared_from_this<ListWalk> {
 public:
  ListWalk(Backend& backend, Ticket ticket, protocol::ListRequest&& request)
      : backend_(backend), ticket_(std::move(ticket)), request_(std::move(request)), after_(request_.since_id) {}

  void begin() { slice(); }

 private:
  /// A job that matches, its record encoded.
  struct Row {
    JobId id = 0;
    std::string record;
  };
  /// As it was when the slice was taken; what it was asked to do comes from the store.
  struct Shelved {
    JobRecord record;
    std::shared_ptr<const core::User> user;
  };

  [[nodiscard]] bool wants_unfinished() const { return request_.state != State::finished && !request_.outcome; }
  [[nodiscard]] bool wants_finished() const { return !request_.state || request_.state == State::finished; }

  [[nodiscard]] bool matches(const JobSpec& spec, const core::User& user) const {
    if (request_.queue && spec.queue != *request_.queue) return false;
    if (request_.group && spec.group != *request_.group) return false;
    if (request_.name && spec.name != *request_.name) return false;
    if (request_.user && user.name != *request_.user) return false;
    return !request_.tag || std::ranges::find(spec.tags, *request_.tag) != spec.tags.end();
  }
  [[nodiscard]] bool matches(const core::FinishedJob& job) const {
    if (!wants_finished() || (request_.outcome && job.outcome != *request_.outcome)) return false;
    return matches(*job.spec, *job.user);
  }

  void slice();
  void merge(const std::vector<core::FinishedPtr>& stored);
  void look_at(const core::Job& job);
  /// The slice has as many rows as the page may want; whether a shelved job has the name or tag is not known yet.
  [[nodiscard]] bool enough() const {
    const bool all_match = !request_.name && !request_.tag;
    return here_.size() + (all_match ? shelved_.size() : 0) >= request_.limit;
  }
  void unshelve(const std::vector<core::LoadedSpec>& loaded);
  void answer(std::optional<JobId> next);

  Backend& backend_;
  Ticket ticket_;
  protocol::ListRequest request_;
  JobId after_;
  int slices_ = 0;

  std::vector<Row> here_;         // of this slice, from the scheduler
  std::vector<Shelved> shelved_;  // of this slice, without their specifications yet
  JobId bound_ = 0;               // the slice ends here
  bool last_ = false;             // and nothing is here behind it

  std::string jobs_ = "[";
  std::size_t count_ = 0;
};

void ListWalk::look_at(const core::Job& job) {
  if (const auto finished = finished_form(job)) {
    if (matches(*finished)) here_.push_back({job.id, finished->record});
    return;
  }
  if (!wants_unfinished()) return;
  if (request_.state && *request_.state != backend_.scheduler().state_of(job)) return;
  if (!job.spec) {
    // What the header says is looked at now, so that no more is read than must be.
    if (request_.group && (job.group == nullptr || job.group->label != *request_.group)) return;
    if (request_.user && job.user->name != *request_.user) return;
    shelved_.push_back({backend_.scheduler().record_of(job), job.user});
    return;
  }
  if (!matches(*job.spec, *job.user)) return;
  Row row{job.id, {}};
  json::Writer writer(row.record);
  encode_record(writer, backend_.scheduler().record_of(job));
  here_.push_back(std::move(row));
}

void ListWalk::unshelve(const std::vector<core::LoadedSpec>& loaded) {
  for (std::size_t i = 0; i < loaded.size(); ++i) {
    Shelved& shelved = shelved_[i];
    if (!loaded[i].spec || !matches(*loaded[i].spec, *shelved.user)) continue;
    shelved.record.spec = loaded[i].spec.get();
    shelved.record.item = loaded[i].item.get();
    Row row{loaded[i].id, {}};
    json::Writer writer(row.record);
    encode_record(writer, shelved.record);
    here_.push_back(std::move(row));
  }
  shelved_.clear();
  std::ranges::sort(here_, {}, &Row::id);
}

void ListWalk::slice() {
  ++slices_;
  here_.clear();
  shelved_.clear();
  std::size_t seen = 0;
  std::size_t bytes = 0;
  bound_ = std::max(after_, backend_.scheduler().last_id());
  last_ = true;
  backend_.scheduler().each_after(after_, slice_jobs, [&](const core::Job& job) {
    const std::size_t before = here_.size();
    look_at(job);
    if (here_.size() > before) bytes += here_.back().record.size();
    if (++seen < slice_jobs && !enough() && bytes < page_bytes) return true;
    bound_ = job.id;
    last_ = false;
    return false;
  });
  if (!shelved_.empty()) {
    std::vector<JobId> ids;
    for (const Shelved& shelved : shelved_) ids.push_back(shelved.record.id);
    backend_.store().load(std::move(ids), [self = shared_from_this()](const std::vector<core::LoadedSpec>& loaded) {
      self->unshelve(loaded);
      if (!self->wants_finished()) self->merge({});
    });
  }
  if (!wants_finished()) {
    if (shelved_.empty()) merge({});
    return;
  }
  // What finishes between here and the store's answer is in both: the store's word counts then.
  backend_.store().list({after_, bound_, slice_jobs},
                        [self = shared_from_this()](const std::vector<core::FinishedPtr>& stored) { self->merge(stored); });
}

void ListWalk::merge(const std::vector<core::FinishedPtr>& stored) {
  if (!ticket_.open()) return;
  if (stored.size() >= slice_jobs && stored.back()->id < bound_) {
    bound_ = stored.back()->id;
    last_ = false;
  }
  auto here = here_.begin();
  const auto take = [this](JobId id, std::string_view record) {
    if (count_++ > 0) jobs_ += ',';
    jobs_ += record;
    after_ = id;
    return count_ < request_.limit && jobs_.size() < page_bytes;
  };
  const auto take_here_below = [&](JobId id) {
    for (; here != here_.end() && here->id < id && here->id <= bound_; ++here) {
      const bool vanished = backend_.scheduler().was_refused(here->id);  // while the store was asked
      if (!vanished && !take(here->id, here->record)) return false;
    }
    return true;
  };
  for (const auto& job : stored) {
    if (!take_here_below(job->id)) return answer(after_);
    if (here != here_.end() && here->id == job->id) ++here;
    if (matches(*job) && !take(job->id, job->record)) return answer(after_);
  }
  if (!take_here_below(bound_ + 1)) return answer(after_);
  after_ = bound_;
  if (last_) return answer(std::nullopt);
  if (slices_ == slices_a_page) return answer(after_);
  slice();
}

void ListWalk::answer(std::optional<JobId> next) {
  Reply reply;
  reply.result = R"({"jobs":)" + std::move(jobs_) + "]";
  if (next) reply.result += R"(,"next":)" + std::to_string(*next);
  reply.result += '}';
  reply.after = backend_.scheduler().newest_persist();
  reply.again = [&backend = backend_, request = request_](const Ticket& ticket) {
    std::make_shared<ListWalk>(backend, ticket, protocol::ListRequest(request))->begin();
  };
  answer_when_durable(backend_, ticket_, std::move(reply));
}

}  // namespace

Reply on_list(Context& context, protocol::ListRequest&& request) {
  std::make_shared<ListWalk>(context.backend, context.defer(), std::move(request))->begin();
  return Reply::later();
}

}  // namespace stint::api
