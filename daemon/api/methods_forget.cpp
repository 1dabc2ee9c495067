// job.forget: drops finished records, found by id, by group or by age, a page of the store at a time.
#include <algorithm>

#include "daemon/api/lookup.hpp"
#include "daemon/api/methods.hpp"

namespace stint::api {
namespace {

constexpr std::size_t page_jobs = 256;

/// Collects what may be dropped and drops it page by page; records of other users stay.
class Forgetting : public std::enable_shared_from_this<Forgetting> {
 public:
  Forgetting(const Context& context, Ticket ticket)
      : backend_(context.backend),
        ticket_(std::move(ticket)),
        user_(context.user()),
        everybody_(user_->uid == 0 || user_->uid == context.options.daemon_uid) {}

  void ids(std::vector<JobId> ids) {
    ids_ = std::move(ids);
    check_ids();
  }
  void group(std::string group) {
    group_ = std::move(group);
    backend_.store().knows_group(group_, [self = shared_from_this()](bool known) {
      if (known) return self->next_of_group(0);
      if (self->backend_.scheduler().unfinished_in_group(self->group_) > 0) return self->answer();
      Error error(ErrorKind::not_found, "no job has, or had, the group '" + self->group_ + "'");
      error.field = "group";
      self->ticket_.error(error);
    });
  }
  void older_than(Time time) {
    before_ = time;
    next_by_age();
  }

 private:
  [[nodiscard]] bool mine(const core::FinishedJob& job) const { return everybody_ || job.user->uid == user_->uid; }

  /// Nothing is dropped before all of them are known to be finished.
  void check_ids() {
    if (checked_ == ids_.size()) return drop_ids();
    const std::size_t count = std::min(page_jobs, ids_.size() - checked_);
    const auto from = ids_.begin() + static_cast<std::ptrdiff_t>(checked_);
    backend_.store().get({from, from + static_cast<std::ptrdiff_t>(count)},
                         [self = shared_from_this()](const std::vector<db::Found>& found) {
                           try {
                             for (const auto& one : found) self->check(one);
                           } catch (const Error& error) {
                             return self->ticket_.error(error);
                           }
                           self->check_ids();
                         });
  }

  void check(const db::Found& found) {
    const std::size_t index = checked_++;
    const JobId id = ids_[index];
    const std::string field = "ids[" + std::to_string(index) + "]";
    if (found.presence == db::Presence::purged) return;  // has been forgotten already
    if (found.presence == db::Presence::never_existed) {
      if (backend_.scheduler().find(id) == nullptr) throw db::missing_job(id, found.presence, field);
      Error error(ErrorKind::conflict, "job " + std::to_string(id) + " has not finished: cancel it first");
      error.field = field;
      throw error;
    }
    if (!mine(*found.job)) throw Error(ErrorKind::permission_denied, "job " + std::to_string(id) + " is not yours");
    droppable_.push_back(id);
  }

  void drop_ids() {
    std::ranges::sort(droppable_);
    droppable_.erase(std::unique(droppable_.begin(), droppable_.end()), droppable_.end());
    drop(std::move(droppable_));
    answer();
  }

  void next_of_group(Seq since) {
    backend_.store().results({group_, std::nullopt, since, page_jobs},
                             [self = shared_from_this()](const std::vector<core::FinishedPtr>& page) {
                               std::vector<JobId> ids;
                               for (const auto& job : page) {
                                 if (self->mine(*job)) ids.push_back(job->id);
                               }
                               self->drop(std::move(ids));
                               if (page.size() < page_jobs) return self->answer();
                               self->next_of_group(page.back()->seq);
                             });
  }

  void next_by_age() {
    backend_.store().ended_before(before_, page_jobs, [self = shared_from_this()](std::vector<JobId> ids) {
      if (ids.empty()) return self->answer();
      if (self->everybody_) {
        self->drop(std::move(ids));
        return self->next_by_age();
      }
      // Records of other users stay and would be found again and again: only root and the daemon's own user sweep by age.
      self->ticket_.error(Error(ErrorKind::permission_denied, "only the daemon's own user may forget by age"));
    });
  }

  void drop(std::vector<JobId> ids) {
    if (ids.empty()) return;
    forgotten_ += ids.size();
    backend_.forget(std::move(ids));
  }

  void answer() {
    Reply out = reply(protocol::ForgetAnswer{forgotten_}, backend_.scheduler().newest_persist());
    out.even_if_refused = true;
    answer_when_durable(backend_, ticket_, std::move(out));
  }

  Backend& backend_;
  Ticket ticket_;
  std::shared_ptr<const core::User> user_;
  bool everybody_;
  std::vector<JobId> ids_;
  std::size_t checked_ = 0;
  std::vector<JobId> droppable_;
  std::string group_;
  Time before_{};
  std::uint64_t forgotten_ = 0;
};

}  // namespace

Reply on_forget(Context& context, protocol::ForgetRequest&& request) {
  const auto forgetting = std::make_shared<Forgetting>(context, context.defer());
  if (request.ids) {
    forgetting->ids(std::move(*request.ids));
  } else if (request.group) {
    forgetting->group(std::move(*request.group));
  } else {
    forgetting->older_than(wall_now() - *request.older_than);
  }
  return Reply::later();
}

}  // namespace stint::api
