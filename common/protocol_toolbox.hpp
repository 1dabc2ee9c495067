// The requests and answers of what jobs and scripts share: channels, events, locks and semaphores, and job.enter.
//
// As in common/protocol.hpp: a struct and its field list each.
#pragma once

#include "common/protocol.hpp"

namespace stint::protocol {

struct NameRequest {
  std::string name;
  static constexpr auto fields() { return std::tuple{required("name", &NameRequest::name, "which", label_range)}; }
};
struct ChannelOpenRequest {
  std::string name;
  std::uint64_t capacity = 0;
  bool durable = false;
  static constexpr auto fields() {
    return std::tuple{
        required("name", &ChannelOpenRequest::name, "the channel", label_range),
        required("capacity", &ChannelOpenRequest::capacity, "items that it holds at most", Range{1, limits::channel_items_max}),
        optional("durable", &ChannelOpenRequest::durable,
                 "it and its items survive a restart of the daemon; a put is answered "
                 "when it is on disk")};
  }
};
struct ChannelPutRequest {
  std::string name;
  json::Raw item;
  std::optional<Duration> timeout;
  static constexpr auto fields() {
    return std::tuple{required("name", &ChannelPutRequest::name, "the channel", label_range),
                      required("item", &ChannelPutRequest::item, "any JSON, 1 MiB at most"),
                      optional("timeout", &ChannelPutRequest::timeout, "how long to wait for room, 0 not at all")};
  }
};
struct ChannelGetRequest {
  std::string name;
  std::uint64_t count = 1;
  std::optional<Duration> timeout;
  static constexpr auto fields() {
    return std::tuple{
        required("name", &ChannelGetRequest::name, "the channel", label_range),
        optional("count", &ChannelGetRequest::count, "items at most; default 1", Range{1, limits::channel_get_items_max}),
        optional("timeout", &ChannelGetRequest::timeout, "how long to wait for the first, 0 not at all")};
  }
};
struct ChannelGetAnswer {
  std::vector<json::Raw> items;
  bool closed = false;
  static constexpr auto fields() {
    return std::tuple{required("items", &ChannelGetAnswer::items, "from the head; none where it is closed and empty"),
                      optional("closed", &ChannelGetAnswer::closed, "true: nothing will ever follow")};
  }
};
struct ChannelRow {
  std::string name;
  std::uint64_t capacity = 0;
  bool durable = false;
  bool closed = false;
  std::uint64_t items = 0;
  std::uint64_t bytes = 0;
  std::uint64_t putting = 0;
  std::uint64_t getting = 0;
  bool operator==(const ChannelRow&) const = default;
  static constexpr auto fields() {
    return std::tuple{required("name", &ChannelRow::name, "the channel"),
                      required("capacity", &ChannelRow::capacity, "items that it holds at most"),
                      required("durable", &ChannelRow::durable, "survives a restart of the daemon"),
                      required("closed", &ChannelRow::closed, "nothing more can be put"),
                      required("items", &ChannelRow::items, "lie in it"),
                      required("bytes", &ChannelRow::bytes, "of these items"),
                      required("putting", &ChannelRow::putting, "calls that wait for room"),
                      required("getting", &ChannelRow::getting, "calls that wait for an item")};
  }
};
struct ChannelListAnswer {
  std::vector<ChannelRow> channels;
  static constexpr auto fields() { return std::tuple{required("channels", &ChannelListAnswer::channels, "by name")}; }
};

struct EventWaitRequest {
  std::string name;
  std::optional<Duration> timeout;
  static constexpr auto fields() {
    return std::tuple{required("name", &EventWaitRequest::name, "the event", label_range),
                      optional("timeout", &EventWaitRequest::timeout, "how long, 0 not at all")};
  }
};
struct EventRow {
  std::string name;
  bool set = false;
  std::uint64_t waiting = 0;
  bool operator==(const EventRow&) const = default;
  static constexpr auto fields() {
    return std::tuple{required("name", &EventRow::name, "the event"), required("set", &EventRow::set, "nobody waits for it"),
                      required("waiting", &EventRow::waiting, "calls that wait until it is set")};
  }
};
struct EventListAnswer {
  std::vector<EventRow> events;
  static constexpr auto fields() {
    return std::tuple{required("events", &EventListAnswer::events, "that are set or waited for, by name")};
  }
};

struct EnterRequest {
  JobId job = 0;
  Attempt attempt = 0;
  static constexpr auto fields() {
    return std::tuple{required("job", &EnterRequest::job, "STINT_JOB_ID", id_range),
                      required("attempt", &EnterRequest::attempt, "STINT_ATTEMPT", Range{1, 1e9})};
  }
};
struct ProgressRequest {
  std::optional<double> value;
  std::string text;
  static constexpr auto fields() {
    return std::tuple{
        optional("value", &ProgressRequest::value, "how much is done; as before where it is not given", Range{0, 1}),
        optional("text", &ProgressRequest::text, "what is being done", Range{0, limits::progress_text_bytes_max})};
  }
};

struct SemaphoreSetRequest {
  std::string name;
  std::uint64_t permits = 0;
  static constexpr auto fields() {
    return std::tuple{required("name", &SemaphoreSetRequest::name, "the semaphore", label_range),
                      required("permits", &SemaphoreSetRequest::permits, "its size; what is held above it is not taken back",
                               Range{0, limits::permits_max})};
  }
};
struct SemaphoreAcquireRequest {
  std::string name;
  std::uint64_t permits = 1;
  std::optional<Duration> timeout;
  std::string owner;
  static constexpr auto fields() {
    return std::tuple{
        required("name", &SemaphoreAcquireRequest::name, "the semaphore", label_range),
        optional("permits", &SemaphoreAcquireRequest::permits, "how many, all or none; default 1", Range{1, limits::permits_max}),
        optional("timeout", &SemaphoreAcquireRequest::timeout, "how long to wait, 0 not at all"),
        optional("owner", &SemaphoreAcquireRequest::owner,
                 "who waits: circles are looked for between owners; in a job that entered: "
                 "the job",
                 Range{0, limits::name_bytes_max})};
  }
};
struct LockAcquireRequest {
  std::string name;
  std::optional<Duration> timeout;
  std::string owner;
  static constexpr auto fields() {
    return std::tuple{required("name", &LockAcquireRequest::name, "the lock", label_range),
                      optional("timeout", &LockAcquireRequest::timeout, "how long to wait, 0 not at all"),
                      optional("owner", &LockAcquireRequest::owner,
                               "who waits: circles are looked for between owners; in a job that entered: the "
                               "job",
                               Range{0, limits::name_bytes_max})};
  }
};
struct LeaseAnswer {
  std::uint64_t lease = 0;
  std::uint64_t token = 0;
  static constexpr auto fields() {
    return std::tuple{required("lease", &LeaseAnswer::lease, "what is given back by release", id_range),
                      required("token", &LeaseAnswer::token, "a fencing number: larger than that of any lease before", id_range)};
  }
};
struct LeaseRequest {
  std::uint64_t lease = 0;
  static constexpr auto fields() { return std::tuple{required("lease", &LeaseRequest::lease, "the lease", id_range)}; }
};
struct LeaseResumeRequest {
  std::uint64_t lease = 0;
  std::uint64_t token = 0;
  static constexpr auto fields() {
    return std::tuple{required("lease", &LeaseResumeRequest::lease, "the lease", id_range),
                      required("token", &LeaseResumeRequest::token, "that was given with it", id_range)};
  }
};
/// Who holds permits or waits for them: a job, or a call with the lease that it got.
struct PermitHolder {
  std::optional<JobId> job;
  std::optional<std::uint64_t> lease;
  std::string owner;
  std::uint64_t permits = 1;
  bool operator==(const PermitHolder&) const = default;
  static constexpr auto fields() {
    return std::tuple{optional("job", &PermitHolder::job, "a job, by itself or by a lease that belongs to it"),
                      optional("lease", &PermitHolder::lease, "a lease"),
                      optional("owner", &PermitHolder::owner, "as it was given"),
                      required("permits", &PermitHolder::permits, "how many")};
  }
};
struct PermitRow {
  std::string name;
  std::uint64_t permits = 1;
  std::uint64_t used = 0;
  std::vector<PermitHolder> holders;
  std::uint64_t waiting = 0;
  std::vector<PermitHolder> waiters;
  bool operator==(const PermitRow&) const = default;
  static constexpr auto fields() {
    return std::tuple{required("name", &PermitRow::name, "its name"),
                      required("permits", &PermitRow::permits, "its size; 1 for a lock"),
                      required("used", &PermitRow::used, "permits that are held"),
                      required("holders", &PermitRow::holders, "who holds them"),
                      required("waiting", &PermitRow::waiting, "how many wait"),
                      required("waiters", &PermitRow::waiters, "who waits, in order, the first 1,000")};
  }
};
struct SemaphoreListAnswer {
  std::vector<PermitRow> semaphores;
  static constexpr auto fields() { return std::tuple{required("semaphores", &SemaphoreListAnswer::semaphores, "by name")}; }
};
struct LockListAnswer {
  std::vector<PermitRow> locks;
  static constexpr auto fields() {
    return std::tuple{required("locks", &LockListAnswer::locks, "that are held or waited for, by name")};
  }
};

}  // namespace stint::protocol
