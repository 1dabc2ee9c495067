// The handlers of the method table, by area: methods_AREA.cpp. All on the I/O thread; they throw Error.
#pragma once

#include "common/protocol.hpp"
#include "common/protocol_toolbox.hpp"
#include "daemon/api/method.hpp"

namespace stint::api {

// methods_daemon.cpp
Reply on_daemon_info(Context& context, protocol::Nothing&& request);
Reply on_daemon_stats(Context& context, protocol::Nothing&& request);
Reply on_daemon_shutdown(Context& context, protocol::ShutdownRequest&& request);
Reply on_daemon_drain(Context& context, protocol::DrainRequest&& request);
Reply on_daemon_undrain(Context& context, protocol::Nothing&& request);
Reply on_discover(Context& context, protocol::Nothing&& request);
Reply on_task_list(Context& context, protocol::Nothing&& request);

// methods_submit.cpp
Reply on_submit(Context& context, protocol::SubmitRequest&& request);
Reply on_submit_many(Context& context, protocol::SubmitManyRequest&& request);
Reply on_run(Context& context, protocol::RunRequest&& request);

// methods_query.cpp
Reply on_get(Context& context, protocol::IdRequest&& request);
Reply on_spec(Context& context, protocol::IdRequest&& request);
Reply on_why(Context& context, protocol::IdRequest&& request);

// methods_list.cpp
Reply on_list(Context& context, protocol::ListRequest&& request);

// methods_control.cpp
Reply on_cancel(Context& context, protocol::CancelRequest&& request);
Reply on_signal(Context& context, protocol::SignalRequest&& request);

// methods_forget.cpp
Reply on_forget(Context& context, protocol::ForgetRequest&& request);

// methods_output.cpp
Reply on_output(Context& context, protocol::OutputRequest&& request);
Reply on_input(Context& context, protocol::InputRequest&& request);

// methods_channel.cpp
Reply on_channel_open(Context& context, protocol::ChannelOpenRequest&& request);
Reply on_channel_put(Context& context, protocol::ChannelPutRequest&& request);
Reply on_channel_get(Context& context, protocol::ChannelGetRequest&& request);
Reply on_channel_close(Context& context, protocol::NameRequest&& request);
Reply on_channel_remove(Context& context, protocol::NameRequest&& request);
Reply on_channel_list(Context& context, protocol::Nothing&& request);

// methods_event.cpp
Reply on_event_set(Context& context, protocol::NameRequest&& request);
Reply on_event_clear(Context& context, protocol::NameRequest&& request);
Reply on_event_wait(Context& context, protocol::EventWaitRequest&& request);
Reply on_event_list(Context& context, protocol::Nothing&& request);

// methods_pool.cpp
Reply on_pool_set(Context& context, PoolSpec&& request);
Reply on_pool_list(Context& context, protocol::Nothing&& request);
Reply on_pool_remove(Context& context, protocol::PoolRemoveRequest&& request);
// methods_enter.cpp
Reply on_enter(Context& context, protocol::EnterRequest&& request);
Reply on_progress(Context& context, protocol::ProgressRequest&& request);

// methods_permits.cpp
Reply on_semaphore_set(Context& context, protocol::SemaphoreSetRequest&& request);
Reply on_semaphore_acquire(Context& context, protocol::SemaphoreAcquireRequest&& request);
Reply on_semaphore_list(Context& context, protocol::Nothing&& request);
Reply on_lock_acquire(Context& context, protocol::LockAcquireRequest&& request);
Reply on_lock_list(Context& context, protocol::Nothing&& request);
Reply on_release(Context& context, protocol::LeaseRequest&& request);
Reply on_lease_resume(Context& context, protocol::LeaseResumeRequest&& request);

// methods_streams.cpp
Reply on_wait(Context& context, protocol::WaitRequest&& request);
Reply on_results(Context& context, protocol::ResultsRequest&& request);
Reply on_subscribe(Context& context, protocol::SubscribeRequest&& request);
Reply on_stream_cancel(Context& context, protocol::StreamCancelRequest&& request);

}  // namespace stint::api
