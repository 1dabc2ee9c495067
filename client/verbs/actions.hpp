// The makers of all actions: one a verb, defined in the file of that name beside this one.
#pragma once

#include <memory>

#include "client/verb.hpp"

namespace stint::cli {

std::unique_ptr<Action> make_run();
std::unique_ptr<Action> make_submit();
std::unique_ptr<Action> make_map();
std::unique_ptr<Action> make_results();
std::unique_ptr<Action> make_wait();
std::unique_ptr<Action> make_list();
std::unique_ptr<Action> make_show();
std::unique_ptr<Action> make_output();
std::unique_ptr<Action> make_why();
std::unique_ptr<Action> make_cancel();
std::unique_ptr<Action> make_signal();
std::unique_ptr<Action> make_forget();
std::unique_ptr<Action> make_status();
std::unique_ptr<Action> make_tasks();
std::unique_ptr<Action> make_call();
std::unique_ptr<Action> make_channel();
std::unique_ptr<Action> make_event();
std::unique_ptr<Action> make_pool();
std::unique_ptr<Action> make_lock();
std::unique_ptr<Action> make_sem();
std::unique_ptr<Action> make_drain();
std::unique_ptr<Action> make_undrain();
std::unique_ptr<Action> make_shutdown();

}  // namespace stint::cli
