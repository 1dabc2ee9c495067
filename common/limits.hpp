// Every bound on what a client controls, in one place; the unit stands last in the name.
//
// Those that a client may want to know stand in `daemon.info` under `bounds`, with these names. Each has an error of
// its own and a test at the bound and one past it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stint::limits {

// Transport
inline constexpr std::size_t line_bytes_max = 16U << 20U;            ///< one request line; past it the connection ends
inline constexpr std::size_t inline_decode_bytes_max = 256U << 10U;  ///< longer lines are decoded off the I/O thread
inline constexpr std::size_t batch_requests_max = 1'000;             ///< requests in one JSON-RPC batch
inline constexpr std::size_t depth_levels_max = 64;                  ///< nesting of a request
inline constexpr std::size_t answer_bytes_max = 40U << 20U;          ///< one answer line: args and result of the largest kind
inline constexpr std::size_t pending_requests_max = 1'024;           ///< unanswered calls before reading pauses
inline constexpr std::size_t waiting_requests_max = 1'024;           ///< waiting calls and open streams a connection
inline constexpr std::size_t outbox_bytes_high = 1U << 20U;          ///< streams pause above this much unsent
inline constexpr std::size_t request_id_bytes_max = 256;             ///< a string `id`

// Jobs
inline constexpr std::size_t name_bytes_max = 256;  ///< name, group, tag, task, user labels
inline constexpr std::size_t tags_max = 64;
inline constexpr std::size_t command_elements_max = 65'536;
inline constexpr std::size_t command_bytes_max = 2U << 20U;  ///< the kernel's own ARG_MAX is of this size
inline constexpr std::size_t env_entries_max = 4'096;
inline constexpr std::size_t env_bytes_max = 1U << 20U;
inline constexpr std::size_t path_bytes_max = 4'095;         ///< PATH_MAX less the NUL
inline constexpr std::size_t submit_jobs_max = 100'000;      ///< jobs in one submit_many
inline constexpr std::size_t wait_ids_max = 10'000;          ///< ids in one wait, results, cancel, forget
inline constexpr std::size_t list_jobs_max = 1'000;          ///< jobs in one page of job.list
inline constexpr std::size_t record_fields_max = 64;         ///< fields named in one job.results
inline constexpr std::int64_t priority_max = 1'000;          ///< and -1000
inline constexpr double duration_seconds_max = 315'360'000;  ///< ten years
inline constexpr std::uint32_t retries_max = 1'000;          ///< retry.max
inline constexpr double retry_factor_max = 100;              ///< retry.factor
inline constexpr std::uint64_t output_limit_bytes_max = 1ULL << 40U;
inline constexpr std::uint64_t output_limit_bytes_default = 16ULL << 20U;
inline constexpr std::size_t output_inline_bytes_max = 64U << 10U;   ///< a stream's output that travels with its result
inline constexpr std::size_t output_chunk_bytes_max = 1U << 20U;     ///< data in one job.output answer
inline constexpr std::size_t input_chunk_bytes_max = 8U << 20U;      ///< data in one job.input
inline constexpr std::size_t record_payload_bytes_max = 4U << 10U;   ///< args and result that stay in the record
inline constexpr std::size_t result_bytes_max = 16U << 20U;          ///< a task's result, encoded
inline constexpr std::size_t task_error_bytes_max = 4U << 10U;       ///< message of a task's failure; the rest is cut
inline constexpr std::size_t progress_text_bytes_max = 1U << 10U;    ///< text of a progress report; the rest is cut
inline constexpr std::size_t shared_payload_bytes_min = 64U << 10U;  ///< from here host payloads go by sealed memfd

// Permits
inline constexpr std::size_t lent_max = 1'024;            ///< jobs that run in slots of jobs that wait
inline constexpr std::size_t locks_max = 64;              ///< locks, and semaphores, that a job needs
inline constexpr std::size_t permits_max = 1'000'000;     ///< of one semaphore
inline constexpr std::size_t semaphores_max = 10'000;     ///< that have been given a size
inline constexpr std::size_t listed_waiters_max = 1'000;  ///< waiters of one lock or semaphore that a list names

// Channels and events
inline constexpr std::size_t channels_max = 10'000;
inline constexpr std::size_t channel_items_max = 1'000'000;          ///< the largest capacity
inline constexpr std::size_t channel_item_bytes_max = 1U << 20U;     ///< one item, encoded
inline constexpr std::size_t channel_bytes_max = 64U << 20U;         ///< in one channel; past it a put waits
inline constexpr std::size_t channel_get_items_max = 10'000;         ///< items in one channel.get
inline constexpr std::size_t channel_answer_bytes_max = 32U << 20U;  ///< of items in one channel.get
inline constexpr std::size_t events_max = 10'000;                    ///< events that are set or waited for

// Pools
inline constexpr std::size_t pools_max = 256;                           ///< pools at a time
inline constexpr std::size_t pool_size_max = 1'024;                     ///< workers of one pool
inline constexpr std::size_t pool_answer_bytes_max = result_bytes_max;  ///< one line that a worker writes
inline constexpr double pool_jobs_max = 1'000'000'000;                  ///< `max_jobs` of a pool

// The task `http`
inline constexpr std::size_t http_url_bytes_max = 8U << 10U;
inline constexpr std::size_t http_headers_max = 100;              ///< headers of a request
inline constexpr std::size_t http_header_bytes_max = 64U << 10U;  ///< all of a request's, and all of an answer's
inline constexpr std::size_t http_body_bytes_max = 8U << 20U;     ///< the largest `body_max`: what of an answer's body is taken
inline constexpr std::size_t http_body_bytes_default = 1U << 20U;
inline constexpr double http_timeout_seconds_default = 30;
inline constexpr std::size_t http_excerpt_bytes_max = 512;  ///< of the body, in the message about an unexpected status
inline constexpr std::size_t name_lookups_max = 32;         ///< threads that ask for addresses; others stand in line

// Plug-ins
inline constexpr std::size_t plugins_max = 64;                        ///< plug-ins of a directory
inline constexpr std::size_t plugin_tasks_max = 256;                  ///< tasks of one plug-in
inline constexpr std::size_t task_description_bytes_max = 1U << 10U;  ///< of a task, and of a parameter
inline constexpr std::size_t task_parameters_max = 64;                ///< that a task describes
inline constexpr double plugin_load_seconds_max = 10;                 ///< then a plug-in that is still being loaded is refused

// Wire numbers
inline constexpr std::uint64_t id_max = (1ULL << 53U) - 1;  ///< ids, seq, tokens: exact in a double

}  // namespace stint::limits
