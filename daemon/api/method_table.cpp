// THE method table. Help, checks, daemon.info, rpc.discover and docs/protocol.md come from it.
#include <algorithm>
#include <array>
#include <boost/unordered/unordered_flat_map.hpp>

#include "common/task_info.hpp"
#include "daemon/api/methods.hpp"

namespace stint::api {
namespace {

using namespace protocol;

constexpr std::array table{
    method<Nothing, on_daemon_info>(
        "daemon.info", reads, "What this daemon is and what it can do.",
        "`name`, `version`, `protocol`, `instance` (of this run), `pid`, `started_at`, `state_dir`, `executors`, `bounds`, "
        "`capabilities` (the methods that it serves), `tree_kill` (`cgroup`, `scan`), `plugins`: for each file its `file`, its "
        "`tasks` "
        "and, where it is not used, why it was `refused`"),
    method<Nothing, on_daemon_stats>("daemon.stats", reads, "How it does.",
                                     "counts by state, outcome, executor and queue; rates; latency quantiles; connections; "
                                     "store, with `refusing`: why, where the newest new work was refused"),
    method<DrainRequest, on_daemon_drain>(
        "daemon.drain", mutates | waits,
        "Takes no new work from now on, and waits until nothing is left that the scope waits "
        "for. Submits answer `draining`, but for those whose `key` is known and those of running jobs (`job.enter`) that were "
        "not "
        "told to stop, whose jobs are started in either scope; `daemon` jobs are stopped when only they are left. It lasts "
        "until `daemon.undrain`, another drain or "
        "the end of the daemon, which answer those who still wait for it with an error.",
        "", answer_schema<DrainAnswer>),
    method<Nothing, on_daemon_undrain>("daemon.undrain", mutates, "Ends a drain; nothing happens where there is none.", "`{}`"),
    method<ShutdownRequest, on_daemon_shutdown>(
        "daemon.shutdown", mutates,
        "Ends the daemon: with `detach` programs go on and are taken over at the next "
        "start, tasks and messages to pools are stopped and lost; `drain` "
        "runs what is here and takes nothing new: past `stop.timeout` what runs is killed, and "
        "what has not begun is the next daemon's; `cancel` stops it.",
        "`{}`: it has begun"),
    method<Nothing, on_discover>("rpc.discover", reads, "This table as an OpenRPC document.", "an OpenRPC document"),
    method<Nothing, on_task_list>(
        "task.list", reads,
        "The registered tasks. The first of `executors` is the default; `plugin` is the file name of the "
        "plug-in that a task comes from, and absent for a built-in one.",
        "", answer_schema<TaskListAnswer>),

    method<SubmitRequest, on_submit>("job.submit", mutates | submits, "Takes a job; answered when it is on disk.", "",
                                     answer_schema<SubmitAnswer>),
    method<SubmitManyRequest, on_submit_many>(
        "job.submit_many", mutates | submits,
        "Takes many jobs, all or none: `jobs`, or `template` and `items`. The marker is replaced in the elements of `command` "
        "only; a task gets its item as `args`; a shell finds it in `$STINT_ITEM`. All agree in `durable`. A job may name no "
        "other group than the call's.",
        "", answer_schema<SubmitManyAnswer>),
    method<RunRequest, on_run>(
        "job.run", mutates | submits | waits,
        "Submits a job and waits for its end. After `timeout` the record of the unfinished job is answered.", "the job's record"),

    method<IdRequest, on_get>("job.get", reads, "One job.", "its record"),
    method<IdRequest, on_spec>("job.spec", reads, "The whole specification of one's own job.",
                               "the fields of `job` as they would be submitted again; `item` where it came from a template; "
                               "`result` of a finished task, of any size"),
    method<ListRequest, on_list>("job.list", reads, "A page of jobs in the order of their ids.",
                                 "`jobs`: records; `next`: the `since_id` of the next page, absent on the last (a page may be "
                                 "empty and still have it)"),
    method<IdRequest, on_why>("job.why", reads, "The exact reasons why a job does not run.",
                              "`state`; `reasons`: a list of `kind` (`slots`, `lock`, `semaphore`, `concurrency`, `draining`, "
                              "`time`, `retry`) and what belongs to it (`executor`, `pool` or `name`, `ahead`: who stands before "
                              "it; `until`: when it stands in line); empty where it runs or has finished"),

    method<WaitRequest, on_wait>("job.wait", waits,
                                 "Waits until all, the first, or the first that does not succeed of these jobs has finished.",
                                 "`finished`: records in the order of `seq`; `pending`: ids"),
    method<ResultsRequest, on_results>(
        "job.results", streams,
        "Streams a record a job, as they finish or in the order of submission. With neither `ids` nor `group` the stream does "
        "not end. With `output`, `stdout` and `stderr` of at most 64 KiB carry `data` and `encoding` (`utf8`, `base64`). "
        "Where a record is dropped (`job.forget`) before it was sent, the stream ends as `error`, `purged`.",
        "`stream`; items are records"),
    method<OutputRequest, on_output>(
        "job.output", may_stream,
        "A piece of a job's output, or (`follow`) a stream of pieces until the job's output ends. "
        "Where the job runs again the stream goes on with the next attempt, from offset 0. `purged` where "
        "the file that held it is gone, or holds less than was kept.",
        "", answer_schema<OutputChunk>),
    method<InputRequest, on_input>(
        "job.input", mutates,
        "Feeds a job with `stdin: \"stream\"`; answered when the job has room. What was not answered when the "
        "connection or the daemon went may have come or not: sent again with its `offset`, it comes once.",
        "`{}`"),

    method<CancelRequest, on_cancel>(
        "job.cancel", mutates,
        "Stops jobs: what has not started never will, what runs is told to stop. Of a group what had ended before is not "
        "listed: there may be any number of it.",
        "", answer_schema<CancelAnswer>),
    method<SignalRequest, on_signal>("job.signal", mutates, "Sends a signal to a running program's process group.", "`{}`"),
    method<ForgetRequest, on_forget>("job.forget", mutates, "Drops finished records and their output.", "",
                                     answer_schema<ForgetAnswer>),

    method<EnterRequest, on_enter>("job.enter", mutates,
                                   "From inside a job: binds this connection to it. Leases and submits (`parent`) are the job's "
                                   "from now on, submits are taken "
                                   "while the daemon drains, and while the connection has a waiting call open the job's slot is "
                                   "lent to others (`phase`: `lent`); that of a pool's message by one more worker.",
                                   "`{}`"),
    method<ProgressRequest, on_progress>("job.progress", mutates, "From inside a job that was entered: how far it is.", "`{}`"),

    method<SemaphoreSetRequest, on_semaphore_set>(
        "semaphore.set", mutates,
        "Makes a semaphore, or sets its size. One of 0 permits is gone as soon as nobody "
        "holds or waits for any.",
        "`{}`"),
    method<SemaphoreAcquireRequest, on_semaphore_acquire>(
        "semaphore.acquire", mutates | waits,
        "Takes permits, all or none; waits in the line of those who want some. The lease belongs to the connection, or, where "
        "that has entered a job, to the job, and ends with it. `timed_out` where they were not had in time, `conflict` with "
        "`data.circle` where it would wait in a circle.",
        "", answer_schema<LeaseAnswer>),
    method<LeaseRequest, on_release>("semaphore.release", mutates, "Gives a lease back.", "`{}`"),
    method<Nothing, on_semaphore_list>("semaphore.list", reads, "The semaphores.", "", answer_schema<SemaphoreListAnswer>),
    method<LockAcquireRequest, on_lock_acquire>(
        "lock.acquire", mutates | waits, "As `semaphore.acquire`: a lock is a semaphore of one permit that need not be set.", "",
        answer_schema<LeaseAnswer>),
    method<LeaseRequest, on_release>("lock.release", mutates, "Gives a lease back.", "`{}`"),
    method<Nothing, on_lock_list>("lock.list", reads, "The locks that are held or waited for.", "",
                                  answer_schema<LockListAnswer>),
    method<LeaseResumeRequest, on_lease_resume>(
        "lease.resume", mutates, "Binds a lease to this connection after a restart of the daemon, within `lease.reclaim` (10 s).",
        "", answer_schema<LeaseAnswer>),

    method<ChannelOpenRequest, on_channel_open>(
        "channel.open", mutates,
        "Makes a channel: a bounded queue of JSON items, many to many. One that is there gets the capacity, and is opened again "
        "where it was closed. Without `durable` it ends with the daemon.",
        "`{}`"),
    method<ChannelPutRequest, on_channel_put>(
        "channel.put", mutates | waits,
        "Puts an item at the tail; waits while the channel is full (or holds 64 MiB), in the order of the calls. `timed_out` "
        "where there was no room in time, `conflict` where the channel is closed.",
        "`{}`"),
    method<ChannelGetRequest, on_channel_get>(
        "channel.get", mutates | waits,
        "Takes items from the head; waits while there is none, in the order of the calls. What cannot be handed over, because "
        "nobody is there any more, goes back to where it lay; what was sent to a connection that ended before it was read is "
        "gone. `timed_out` where nothing came in time.",
        "", answer_schema<ChannelGetAnswer>),
    method<NameRequest, on_channel_close>("channel.close", mutates,
                                          "Nothing more can be put. What is in it can still be taken; then a get answers "
                                          "`closed`.",
                                          "`{}`"),
    method<NameRequest, on_channel_remove>(
        "channel.remove", mutates, "Removes a channel and what is in it; who waits at it is answered `not_found`.", "`{}`"),
    method<Nothing, on_channel_list>("channel.list", reads, "The channels.", "", answer_schema<ChannelListAnswer>),

    method<NameRequest, on_event_set>("event.set", mutates,
                                      "Sets a named event: who waits for it goes on. It stays set until it is cleared, over a "
                                      "restart of the daemon too.",
                                      "`{}`"),
    method<NameRequest, on_event_clear>("event.clear", mutates, "Clears an event; nothing happens where it is not set.", "`{}`"),
    method<EventWaitRequest, on_event_wait>("event.wait", waits,
                                            "Waits until an event is set; `timed_out` where it was not in time.", "`{}`"),
    method<Nothing, on_event_list>("event.list", reads, "The events that are set or waited for.", "",
                                   answer_schema<EventListAnswer>),

    method<PoolSpec, on_pool_set>(
        "pool.set", mutates,
        "Makes a pool, or makes it another one: its jobs stay, and where more than its size changes its workers are replaced, "
        "each as soon as it has nothing to do. A pool of the configuration is a `conflict`, and so is one that is bound to "
        "another connection, or was not "
        "bound and shall be.",
        "`{}`"),
    method<Nothing, on_pool_list>("pool.list", reads, "The pools.", "", answer_schema<PoolListAnswer>),
    method<PoolRemoveRequest, on_pool_remove>(
        "pool.remove", mutates,
        "Removes a pool: its workers end. With `force`, what is queued in it and runs in it is cancelled, and it is gone when "
        "the last of these jobs has ended.",
        "`{}`"),

    method<SubscribeRequest, on_subscribe>(
        "feed.subscribe", streams,
        "Streams events, numbered within one instance of the daemon. Who lags gets `{\"kind\": \"gap\", \"missed\": n}`.",
        "`stream`; items are `number`, `kind`, `at`, `id`, `group`, `user`, `attempt`, and `value`, `text` of progress, `seq`, "
        "`outcome` of an end"),
    method<StreamCancelRequest, on_stream_cancel>("stream.cancel", reads, "Ends a stream of this connection.", "`{}`"),
};

}  // namespace

std::span<const Method> method_table() { return table; }

const Method* find_method(std::string_view name) {
  static const auto index = [] {
    boost::unordered_flat_map<std::string_view, const Method*> out;
    for (const Method& one : table) out.emplace(one.name, &one);
    return out;
  }();
  const auto found = index.find(name);
  return found == index.end() ? nullptr : found->second;
}

}  // namespace stint::api
